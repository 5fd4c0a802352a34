// SPDX-License-Identifier: MIT
#include "daemon/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ipc.h"
#include "common/log.h"

#define READY_MS	5000
#define STOP_MS		2000		/* it has a second, and a busy machine needs another; then it is killed */
#define RESTART_PAUSE	1.0		/* seconds, after one that died young */
#define CATCH_UP_SECONDS	10.	/* a monitor that has nothing to say says what it lost */
/* 256 packets, each of which takes a page: what a user may have without privilege */
#define PIPE_SIZE	(1 << 20)

/* Has the process said something, or, for no events, is it gone, within ms?  Signals do not end that. */
static bool wait_for(int control, short events, uint64_t ms)
{
	struct pollfd pfd = { .fd = control, .events = events };
	const uint64_t begin = clock_ms();
	uint64_t passed;
	int ret;

	do {
		passed = clock_ms() - begin;
		ret = poll(&pfd, 1, passed < ms ? (int)(ms - passed) : 0);
	} while (ret < 0 && errno == EINTR);
	return ret == 1;
}

static bool becomes_ready(int control)
{
	struct ipc_message message;

	return wait_for(control, POLLIN, READY_MS) && ipc_receive(control, &message) == 1 &&
	       message.type == IPC_READY;
}

static void restart_in(struct logger *logger, double seconds)
{
	ev_timer_stop(EV_DEFAULT_UC, &logger->restart);
	ev_timer_set(&logger->restart, seconds, 0.);
	ev_timer_start(EV_DEFAULT_UC, &logger->restart);
}

static void drop_process(struct logger *logger)
{
	ev_timer_stop(EV_DEFAULT_UC, &logger->restart);
	ev_child_stop(EV_DEFAULT_UC, &logger->exit);
	if (logger->control != -1)
		close(logger->control);
	logger->control = -1;
}

static void end_leaving(struct logger *logger)
{
	ev_timer_stop(EV_DEFAULT_UC, &logger->leaving_limit);
	ev_child_stop(EV_DEFAULT_UC, &logger->leaving);
}

/* Its id stays its own: the loop has not seen its end. */
static void kill_leaving(struct logger *logger)
{
	if (ev_is_active(&logger->leaving))
		(void)kill(logger->leaving.pid, SIGKILL);
	end_leaving(logger);
}

static void on_leaving_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct logger *logger = timer->data;

	(void)loop;
	(void)events;
	log_warn("the log process of before (process %d) does not end: it is killed",
		 logger->leaving.pid);
	kill_leaving(logger);
}

static void on_left(struct ev_loop *loop, ev_child *watcher, int events)
{
	(void)loop;
	(void)events;
	end_leaving(watcher->data);
}

/* Tells the process to end; one that was told before has had its time. */
static void let_go(struct logger *logger)
{
	struct ev_loop *loop = EV_DEFAULT_UC;

	if (!ev_is_active(&logger->exit))
		return;
	(void)ipc_send(logger->control, IPC_DRAIN, NULL, 0);
	kill_leaving(logger);
	ev_child_set(&logger->leaving, logger->exit.pid, 0);
	ev_child_start(loop, &logger->leaving);
	ev_now_update(loop);
	ev_timer_set(&logger->leaving_limit, STOP_MS / 1000., 0.);
	ev_timer_start(loop, &logger->leaving_limit);
	drop_process(logger);
}

static void adopt_process(struct logger *logger, pid_t pid, int control)
{
	struct ev_loop *loop = EV_DEFAULT_UC;

	logger->control = control;
	ev_now_update(loop);
	logger->since = clock_ms();
	ev_child_set(&logger->exit, pid, 0);
	ev_child_start(loop, &logger->exit);
}

static void on_restart(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct logger *logger = timer->data;
	int control;
	pid_t pid;

	(void)loop;
	(void)events;
	pid = logd_start(&logger->plan, &control);
	if (pid < 0)
		restart_in(logger, RESTART_PAUSE);
	else
		adopt_process(logger, pid, control);
}

static void on_exit_of_it(struct ev_loop *loop, ev_child *watcher, int events)
{
	struct logger *logger = watcher->data;
	bool young = clock_ms() - logger->since < RESTART_PAUSE * 1000;

	(void)loop;
	(void)events;
	drop_process(logger);
	log_error("the log process (process %d) died; another is started", watcher->rpid);
	restart_in(logger, young ? RESTART_PAUSE : 0.);
}

static void on_catch_up(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	log_catch_up();
}

void logger_init(struct logger *logger, void (*forget)(void *arg), void *arg)
{
	*logger = (struct logger){
		.plan = { .forget = forget, .arg = arg, .in = -1, .own_log = -1 },
		.out = -1,
		.control = -1,
		.copied = log_copy() != -1,
	};
	ev_init(&logger->exit, on_exit_of_it);
	ev_init(&logger->restart, on_restart);
	ev_init(&logger->leaving, on_left);
	ev_init(&logger->leaving_limit, on_leaving_limit);
	logger->exit.data = logger->restart.data = logger;
	logger->leaving.data = logger->leaving_limit.data = logger;
	ev_timer_init(&logger->catch_up, on_catch_up, CATCH_UP_SECONDS, CATCH_UP_SECONDS);
	ev_timer_start(EV_DEFAULT_UC, &logger->catch_up);
}

/* Once, for as long as the daemon runs: processes of before may still have it. */
static int open_pipe(struct logger *logger)
{
	int ends[2];

	if (logger->out != -1)
		return 0;
	logger->plan.own_log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (logger->plan.own_log < 0 || pipe2(ends, O_DIRECT | O_NONBLOCK | O_CLOEXEC)) {
		log_error("no pipe for the log: %s: raise the limit of open files, or give log = stderr", strerror(errno));
		return -1;
	}
	logger->plan.in = ends[0];
	logger->out = ends[1];
	(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);	/* with less room, lines are lost earlier */
	return 0;
}

/* Has whoever writes to stderr write to the pipe, or to what stderr was. */
static void direct(struct logger *logger, enum log_target target)
{
	if (logger->target == target)
		return;
	(void)dup2(target == LOG_TO_STDERR ? logger->plan.own_log : logger->out, STDERR_FILENO);
	logger->target = target;
	log_goes_to(target);
	if (!logger->started && !logger->copied)
		log_copy_to(target == LOG_TO_STDERR ? -1 : logger->plan.own_log);
}

static bool is_same(const struct logd_plan *a, const struct logd_plan *b)
{
	return a->target == b->target && a->facility == b->facility && a->who.uid == b->who.uid &&
	       a->who.gid == b->who.gid;
}

/* The process for next, or -1 and a line was logged. */
static pid_t start(const struct logger *logger, int *control)
{
	pid_t pid = logd_start(&logger->next, control);

	/* later nothing waits for it: it is started again and again, and lines wait in the pipe */
	if (pid < 0 || logger->started || becomes_ready(*control))
		return pid;
	log_error("the log process did not get ready: see the lines before, or give log = stderr");
	(void)kill(pid, SIGKILL);
	close(*control);
	return -1;
}

/* Another process for another target; the pipe stays, and what is in it. */
static void replace(struct logger *logger, pid_t pid, int control)
{
	let_go(logger);
	ev_timer_stop(EV_DEFAULT_UC, &logger->restart);
	logger->plan = logger->next;
	if (pid < 0)
		restart_in(logger, RESTART_PAUSE);
	else
		adopt_process(logger, pid, control);
}

static int start_first(struct logger *logger)
{
	int control;
	pid_t pid = start(logger, &control);

	if (pid < 0)
		return -1;
	replace(logger, pid, control);
	return 0;
}

static int make_plan(struct logger *logger, const struct settings *settings)
{
	struct logd_plan *next = &logger->next;

	if (open_pipe(logger))
		return -1;
	*next = logger->plan;
	next->target = settings->log;
	next->facility = settings->log_facility;
	/* where it is not used, the generation says so */
	return sandbox_identity(settings, "user", geteuid() ? NULL : settings->user, &next->who);
}

int logger_prepare(struct logger *logger, const struct settings *settings)
{
	logger->before = logger->target;
	logger->next = logger->plan;
	if (settings->log != LOG_TO_STDERR &&
	    (make_plan(logger, settings) ||
	     (logger->plan.target == LOG_TO_STDERR && start_first(logger))))
		return -1;
	direct(logger, settings->log);
	return 0;
}

void logger_commit(struct logger *logger)
{
	int control = -1;
	pid_t pid;

	if (is_same(&logger->next, &logger->plan))
		return;
	pid = start(logger, &control);
	replace(logger, pid, control);
}

void logger_abandon(struct logger *logger)
{
	direct(logger, logger->before);
}

void logger_started(struct logger *logger)
{
	logger->started = true;
	log_copy_to(-1);
}

void logger_stop(struct logger *logger)
{
	if (logger->control != -1 && !ipc_send(logger->control, IPC_STOP, NULL, 0))
		(void)wait_for(logger->control, 0, STOP_MS);
	if (ev_is_active(&logger->exit))
		(void)kill(logger->exit.pid, SIGKILL);
	drop_process(logger);
	kill_leaving(logger);
	direct(logger, LOG_TO_STDERR);
}
