// SPDX-License-Identifier: MIT
#include "daemon/speak.h"

#include <errno.h>
#include <ev.h>
#include <string.h>
#include <sys/socket.h>

#include "common/hurry.h"

#define CLOSED	"it closed the connection before TLS"

static enum starttls_result lost(struct speak_fault *fault)
{
	*fault = (struct speak_fault){ FAILURE_NETWORK, strerror(errno) };
	return STARTTLS_BAD;
}

/* 0: all; 1: the socket is full; -1: errno says. */
static int send_output(struct starttls *talk, int fd)
{
	const uint8_t *data;
	size_t len;
	ssize_t n;

	while ((data = starttls_output(talk, &len)), len) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		starttls_output_done(talk, (size_t)n);
	}
	return 0;
}

/*
 * len bytes have come.  The talk sees them all, and so what was sent behind the start of TLS
 * before our answer.  Returns how many it used.
 */
static size_t use(struct starttls *talk, int fd, const uint8_t *data, size_t len)
{
	size_t used, all = 0;

	do {
		(void)starttls_input(talk, data + all, len - all, &used);
		all += used;
	} while (used && all < len && starttls_result(talk) == STARTTLS_MORE && !send_output(talk, fd));
	return all;
}

/* 1: something came; 0: nothing yet; -1: *fault says why. */
static int receive(struct starttls *talk, int fd, bool is_unix, uint8_t *buf, size_t size,
		   struct speak_fault *fault)
{
	ssize_t n = recv(fd, buf, size, MSG_PEEK);
	size_t used;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (!n) {
		*fault = (struct speak_fault){ FAILURE_PEER_CLOSED, CLOSED };
		return -1;
	}
	used = n < 0 ? 0 : use(talk, fd, buf, (size_t)n);
	if (used)
		n = is_unix ? hurry_recv(fd, buf, used) : recv(fd, buf, used, 0);
	if (n >= 0)
		return 1;
	(void)lost(fault);
	return -1;
}

enum starttls_result speak(struct starttls *talk, int fd, bool is_unix, uint8_t *buf, size_t size,
			   int *events, struct speak_fault *fault)
{
	enum starttls_result result;
	int ret;

	do {
		result = starttls_result(talk);
		*fault = (struct speak_fault){ FAILURE_PROTOCOL_ERROR, starttls_why(talk) };
		*events = EV_WRITE;
		ret = result == STARTTLS_BAD ? 0 : send_output(talk, fd);
		if (ret)
			return ret < 0 ? lost(fault) : STARTTLS_MORE;
		if (result != STARTTLS_MORE)
			return result;
		*events = EV_READ;
		ret = receive(talk, fd, is_unix, buf, size, fault);
	} while (ret > 0);
	return ret ? STARTTLS_BAD : STARTTLS_MORE;
}
