// SPDX-License-Identifier: MIT
#include "daemon/kernel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/worker.h"
#include "lib/libtlsgate.h"

#define LOOK_SECONDS		1.
#define REFUSED_LOOKS_MAX	32	/* by doubling, while the module refuses: it counts each time */

/* One that has replaced it may take keys. */
static bool is_due(struct kernel_refusal *refused, unsigned int family)
{
	if (refused->family != family)
		*refused = (struct kernel_refusal){ .family = family, .looks = 1 };
	else if (--refused->left)
		return false;
	else if (refused->looks < REFUSED_LOOKS_MAX)
		refused->looks *= 2;
	refused->left = refused->looks;
	return true;
}

static void look(struct worker *worker)
{
	int err = tlsgate_open_fd(&worker->tlsgate, worker->kernel_fd, NULL);

	if (err) {
		worker->barred = false;
		return;
	}
	if (is_due(&worker->refused, tlsgate_family_id(worker->tlsgate))) {
		err = tlsgate_may_install(worker->tlsgate);
		worker->barred = err == -EPERM;
		if (!err)
			return;
	}
	tlsgate_close(worker->tlsgate);
	worker->tlsgate = NULL;
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker *worker = timer->data;

	(void)events;
	look(worker);
	if (!worker->tlsgate)
		return;
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
	look(worker);
	if (!worker->tlsgate)
		keep_looking(worker);
}

bool kernel_lost(struct worker *worker)
{
	tlsgate_close(worker->tlsgate);
	worker->tlsgate = NULL;
	look(worker);
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

const char *kernel_error(const struct tlsgate *tlsgate)
{
	static const char handle[] = "deliver-fd: ";
	const char *text = tlsgate_error(tlsgate);

	return strncmp(text, handle, strlen(handle)) ? text : text + strlen(handle);
}
