// SPDX-License-Identifier: MIT
#include "daemon/logd.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/ipc.h"
#include "common/log.h"
#include "daemon/filter.h"
#include "daemon/landlock.h"
#include "daemon/logline.h"
#include "daemon/process.h"

#define RETRY_MS	200		/* a target that is gone is looked for so often */
#define END_MS		1000

static const struct target {
	const char *name, *path;
	size_t (*form)(const struct logline *line, int facility, char out[LOGLINE_MAX]);
} targets[] = {
	[LOG_TO_SYSLOG] = { "syslog", "/dev/log", logline_syslog },
	[LOG_TO_JOURNAL] = { "journal", "/run/systemd/journal/socket", logline_journal },
};

struct logd {
	const struct target *target;
	int facility;
	int in, control, socket;	/* control, socket: -1: the monitor is gone, not open */
	bool draining, stopping;
	uint64_t deadline;		/* 0: none yet */
	bool refused;			/* and that was said */
};

const char *logd_path(enum log_target target)
{
	return targets[target].path;
}

static int open_path(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	strcpy(addr.sun_path, path);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

int logd_open(enum log_target target)
{
	return open_path(targets[target].path);
}

static void end_in_time(struct logd *logd)
{
	if (!logd->deadline)
		logd->deadline = log_now_ms() + END_MS;
}

static void hear(struct logd *logd)
{
	struct ipc_message message;
	int ret = ipc_receive(logd->control, &message);

	if (ret != 1) {
		close(logd->control);
		logd->control = -1;
		return;
	}
	ipc_close(&message);
	logd->draining |= message.type == IPC_DRAIN;
	logd->stopping |= message.type == IPC_STOP;
	end_in_time(logd);
}

/* Until fd is ready for events, the monitor says something, or ms have passed (-1: no limit). */
static void wait_for(struct logd *logd, int fd, short events, int ms)
{
	struct pollfd fds[] = {
		{ .fd = fd, .events = events },
		{ .fd = logd->control, .events = POLLIN },
		{ .fd = logd->deadline ? -1 : logd->in },	/* its POLLHUP does not end */
	};

	if (poll(fds, 3, ms) <= 0)
		return;
	if (fds[1].revents)
		hear(logd);
	if (fds[2].revents & POLLHUP)
		end_in_time(logd);
}

/* 0; -EAGAIN: it is slow; another -errno: it is gone. */
static int send_now(struct logd *logd, const char *text, size_t len)
{
	int fd = logd->socket == -1 ? open_path(logd->target->path) : logd->socket;
	int error;

	if (fd < 0)
		return fd;
	logd->socket = fd;
	if (send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	error = errno;
	if (error != EAGAIN) {
		close(fd);
		logd->socket = -1;
	}
	return -error;
}

/* On stderr, and once until it is over. */
static void say_refused(struct logd *logd, int error)
{
	if (!logd->refused)
		log_warn("log = %s: no lines are taken at %s: %s: they wait, and those that find no room are lost",
			 logd->target->name, logd->target->path, strerror(error));
	logd->refused = true;
}

/* False: not now. */
static bool try_send(struct logd *logd, const char *text, size_t len)
{
	bool open = logd->socket != -1;
	int ret = send_now(logd, text, len);

	if (open && logd->socket == -1)	/* a target that was started anew has another socket */
		ret = send_now(logd, text, len);
	if (ret && ret != -EAGAIN)
		say_refused(logd, -ret);
	if (!ret && logd->refused) {
		log_info("log = %s: lines are taken again", logd->target->name);
		logd->refused = false;
	}
	return !ret;
}

/* False: it was not taken in time, and there is no more. */
static bool deliver(struct logd *logd, const char *text, size_t len)
{
	while (!try_send(logd, text, len)) {
		if (logd->deadline && log_now_ms() >= logd->deadline)
			return false;
		wait_for(logd, logd->socket, POLLOUT, RETRY_MS);
	}
	return true;
}

static bool pass_on(struct logd *logd, char *packet, size_t len)
{
	struct logline line;
	char text[LOGLINE_MAX];

	logline_parse(&line, packet, len);
	return deliver(logd, text, logd->target->form(&line, logd->facility, text));
}

static void give_up(struct logd *logd)
{
	unsigned long lost = 1;
	char packet[PIPE_BUF];

	/* where it drains, another process takes the pipe's lines */
	while (!logd->draining && read(logd->in, packet, sizeof(packet)) > 0)
		lost++;
	log_warn("log = %s: %lu lines were lost at the end: they were not taken within %d ms",
		 logd->target->name, lost, END_MS);
}

static void serve(struct logd *logd)
{
	char packet[PIPE_BUF];
	ssize_t n;

	for (;;) {
		/* the word may have come while a line was delivered */
		wait_for(logd, logd->in, POLLIN, logd->stopping || logd->draining ? 0 : -1);
		if (logd->draining)
			return;
		n = read(logd->in, packet, sizeof(packet));
		if (n == 0 || (n < 0 && logd->stopping))
			return;
		if (n > 0 && !pass_on(logd, packet, (size_t)n)) {
			give_up(logd);
			return;
		}
	}
}

/* libc reads the time zone's file now: later it could not. */
static void warm_up(const struct logd *logd)
{
	char packet[] = "warm up", text[LOGLINE_MAX];
	struct logline line;

	tzset();
	logline_parse(&line, packet, strlen(packet));
	(void)logd->target->form(&line, logd->facility, text);
}

static _Noreturn void run(const struct logd_plan *plan, int control)
{
	struct logd logd = {
		.target = &targets[plan->target],
		.facility = plan->facility,
		.in = plan->in,
		.control = control,
		.socket = -1,
	};
	int keep[] = { control, plan->in, log_copy() };

	if (dup2(plan->own_log, STDERR_FILENO) < 0)
		_exit(1);
	log_goes_to(LOG_TO_STDERR);
	sandbox_child("tlsgated-log");
	log_init("tlsgated log", log_is_verbose());
	warm_up(&logd);
	if (sandbox_keep_fds(keep, 3) || sandbox_drop(&plan->who) || landlock_enter(NULL, 0) ||
	    filter_load(FILTER_LOG, false))
		_exit(1);
	log_copy_close();
	if (ipc_send(control, IPC_READY, NULL, 0))
		_exit(1);
	serve(&logd);
	_exit(0);
}

pid_t logd_start(const struct logd_plan *plan, int *control)
{
	pid_t pid = process_fork("the log process", control);

	if (pid == 0) {
		plan->forget(plan->arg);
		run(plan, *control);
	}
	return pid;
}
