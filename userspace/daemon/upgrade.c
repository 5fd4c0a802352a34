// SPDX-License-Identifier: MIT
#include "daemon/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/passed.h"
#include "daemon/process.h"

#define SERVES	"serves"	/* one packet; what it says does not matter */

struct hello {
	pid_t pid;		/* the packet before it, from our own fork; of another size */
};

_Static_assert(sizeof(struct hello) != sizeof(SERVES), "the two packets differ");

/* ---- the monitor that is replaced ---- */

static void refuse(const char *why)
{
	log_error("upgrade refused: %s: what ran before goes on", why);
}

static void let_go(struct upgrade *upgrade)
{
	ev_io_stop(EV_DEFAULT_UC, &upgrade->messages);
	ev_timer_stop(EV_DEFAULT_UC, &upgrade->limit);
	if (upgrade->peer != -1)
		close(upgrade->peer);
	upgrade->peer = -1;
	upgrade->pid = 0;
	upgrade->under_way = false;
}

static void end_next(const struct upgrade *upgrade)
{
	if (upgrade->pid)
		(void)kill(upgrade->pid, SIGKILL);
}

static void on_message(struct ev_loop *loop, ev_io *io, int events)
{
	struct upgrade *upgrade = io->data;
	union {
		struct hello hello;
		char serves[sizeof(SERVES)];
	} packet;
	ssize_t n = recv(io->fd, &packet, sizeof(packet), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(packet.hello)) {
		upgrade->pid = packet.hello.pid;
		return;
	}
	ev_io_stop(loop, io);
	ev_timer_stop(loop, &upgrade->limit);
	if (n == sizeof(packet.serves)) {
		upgrade->over(upgrade->arg, true);
		return;
	}
	let_go(upgrade);
	refuse("the next daemon ended before it served, as the lines before say");
	upgrade->over(upgrade->arg, false);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	const struct upgrade *upgrade = timer->data;

	(void)loop;
	(void)events;
	log_error("the next daemon (process %d) does not get ready: it is killed", upgrade->pid);
	end_next(upgrade);
}

void upgrade_init(struct upgrade *upgrade, void (*over)(void *arg, bool serves), void *arg)
{
	*upgrade = (struct upgrade){ .peer = -1, .over = over, .arg = arg };
	ev_init(&upgrade->messages, on_message);
	ev_init(&upgrade->limit, on_limit);
	upgrade->messages.data = upgrade->limit.data = upgrade;
}

static void pass_listeners(struct passing *passing, const struct listeners *listeners)
{
	const struct listener *listener;
	size_t i;

	for (listener = listeners->first; listener; listener = listener->next)
		for (i = 0; i < listener->served; i++)
			passing_add(passing, listener->fds[i],
				    listener->activated ? PASSED_UNIT : PASSED_LISTENER);
}

static _Noreturn void become_next(const struct upgrade_plan *plan, int peer)
{
	struct passing passing = {0};

	passing_add(&passing, peer, PASSED_PEER);
	if (plan->control != -1)
		passing_add(&passing, plan->control, PASSED_CONTROL);
	if (plan->metrics != -1)
		passing_add(&passing, plan->metrics, PASSED_METRICS);
	if (log_copy() != -1)
		passing_add(&passing, log_copy(), PASSED_COPY);
	pass_listeners(&passing, plan->listeners);
	/* which still says it, should there be no such program */
	if (log_copy() != -1)
		log_copy_to(fcntl(log_copy(), F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + (int)passing.count));
	if (plan->own_log != -1) {
		(void)dup2(plan->own_log, STDERR_FILENO);
		log_goes_to(LOG_TO_STDERR);
	}
	passing_exec(&passing, plan->argv);
	log_error("%s cannot be started: %s", plan->argv[0], strerror(errno));
	_exit(127);
}

/* In a fork that nothing else waits for: the next daemon is a fork of it. */
static _Noreturn void start_next(const struct upgrade_plan *plan, int peer)
{
	struct hello hello;
	pid_t pid = fork();

	if (pid < 0)
		log_error("the next daemon cannot be started: %s", strerror(errno));
	if (pid)
		_exit(pid < 0);
	hello.pid = getpid();
	if (send(peer, &hello, sizeof(hello), MSG_NOSIGNAL) == sizeof(hello))
		become_next(plan, peer);
	_exit(127);
}

int upgrade_start(struct upgrade *upgrade, const struct upgrade_plan *plan)
{
	pid_t pid;

	if (getpid() == 1) {
		refuse("this is process 1 of a container, which ends with it: restart the container");
		return -1;
	}
	pid = process_fork("the next daemon", &upgrade->peer);
	if (pid == 0)
		start_next(plan, upgrade->peer);
	if (pid < 0) {
		refuse("no process");
		return -1;
	}
	/* it ends at once */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	upgrade->under_way = true;
	ev_io_set(&upgrade->messages, upgrade->peer, EV_READ);
	ev_io_start(EV_DEFAULT_UC, &upgrade->messages);
	ev_now_update(EV_DEFAULT_UC);
	ev_timer_set(&upgrade->limit, plan->seconds, 0.);
	ev_timer_start(EV_DEFAULT_UC, &upgrade->limit);
	return 0;
}

void upgrade_close(struct upgrade *upgrade)
{
	if (ev_is_active(&upgrade->limit))
		end_next(upgrade);
	let_go(upgrade);
}

/* ---- the monitor that takes over ---- */

static void on_end(struct ev_loop *loop, ev_io *io, int events)
{
	struct takeover *takeover = io->data;

	(void)events;
	ev_io_stop(loop, io);
	close(takeover->peer);
	takeover->peer = -1;
	takeover->over(takeover->arg, takeover->served);
}

void takeover_init(struct takeover *takeover, int peer, void (*over)(void *arg, bool served), void *arg)
{
	*takeover = (struct takeover){ .peer = peer, .over = over, .arg = arg };
	ev_io_init(&takeover->end, on_end, peer, EV_READ);
	takeover->end.data = takeover;
	ev_io_start(EV_DEFAULT_UC, &takeover->end);
}

void takeover_serve(struct takeover *takeover)
{
	takeover->served = true;
	(void)send(takeover->peer, SERVES, sizeof(SERVES), MSG_NOSIGNAL | MSG_DONTWAIT);
}
