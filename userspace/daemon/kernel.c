// SPDX-License-Identifier: MIT
#include "daemon/kernel.h"

#include <errno.h>
#include <unistd.h>

#include "daemon/worker.h"
#include "lib/libtlsgate.h"

#define LOOK_SECONDS		1.
#define LOOK_SECONDS_MAX	32.	/* by doubling, while the module refuses: it counts each time */

/* False: the module is there, but refuses. */
static bool look(struct worker *worker)
{
	int err = tlsgate_open_fd(&worker->tlsgate, worker->kernel_fd, NULL);

	worker->barred = false;
	if (err)
		return true;
	err = tlsgate_may_install(worker->tlsgate);
	if (!err)
		return true;
	worker->barred = err == -EPERM;
	tlsgate_close(worker->tlsgate);
	worker->tlsgate = NULL;
	return false;
}

static void look_again(struct worker *worker, bool refused)
{
	ev_timer *timer = &worker->look;

	if (!refused)
		timer->repeat = LOOK_SECONDS;
	else if (timer->repeat < LOOK_SECONDS_MAX)
		timer->repeat *= 2;
	ev_timer_again(worker->loop, timer);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker *worker = timer->data;
	bool refused = !look(worker);

	(void)events;
	if (!worker->tlsgate) {
		look_again(worker, refused);
		return;
	}
	ev_timer_stop(loop, timer);
	log_info("the kernel takes keys: connections are handed over from now on");
}

static void keep_looking(struct worker *worker)
{
	ev_timer_set(&worker->look, LOOK_SECONDS, LOOK_SECONDS);
	ev_timer_start(worker->loop, &worker->look);
}

void kernel_init(struct worker *worker, int fd)
{
	ev_init(&worker->look, on_look);
	worker->look.data = worker;
	worker->kernel_fd = fd;
	if (fd == -1)
		return;
	(void)look(worker);
	if (!worker->tlsgate)
		keep_looking(worker);
}

bool kernel_lost(struct worker *worker)
{
	tlsgate_close(worker->tlsgate);
	worker->tlsgate = NULL;
	(void)look(worker);
	if (worker->tlsgate)
		return true;
	log_warn("the tlsgate module was unloaded: connections stay here until it is back");
	keep_looking(worker);
	return false;
}

void kernel_close(struct worker *worker)
{
	ev_timer_stop(worker->loop, &worker->look);
	tlsgate_close(worker->tlsgate);
	if (worker->kernel_fd != -1)
		close(worker->kernel_fd);
}
