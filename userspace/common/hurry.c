// SPDX-License-Identifier: MIT
#include "common/hurry.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_US	10000

static void on_alarm(int signum)
{
	(void)signum;
}

void hurry_init(void)
{
	(void)signal(SIGALRM, on_alarm);
}

/* Again and again, since the first may come before there is a wait. */
static void set_alarm(suseconds_t us)
{
	const struct itimerval timer = { { 0, us }, { 0, us } };
	int error = errno;

	(void)setitimer(ITIMER_REAL, &timer, NULL);
	errno = error;
}

void hurry_begin(void)
{
	set_alarm(PATIENCE_US);
}

void hurry_end(void)
{
	set_alarm(0);
}

ssize_t hurry_recv(int fd, void *buf, size_t len)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	hurry_begin();
	n = recvmsg(fd, &msg, 0);
	hurry_end();
	if (n < 0 || !(msg.msg_flags & MSG_CTRUNC))
		return n;
	errno = EBADMSG;
	return -1;
}

void hurry_close(int fd)
{
	hurry_begin();
	(void)close(fd);
	hurry_end();
}
