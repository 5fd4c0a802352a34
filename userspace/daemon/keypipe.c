// SPDX-License-Identifier: MIT
#include "daemon/keypipe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/*
 * 64 packets, each of which takes a page: pipes count against what a user may
 * have (pipe-user-pages-soft), and there are two for each worker.
 */
#define PIPE_SIZE	(1 << 18)

/* From out to in; the one of them that is the worker's does not block.  0 or -errno. */
static int one_way(int *in, int *out, int *worker)
{
	int ends[2], error;

	if (pipe2(ends, O_DIRECT | O_CLOEXEC))
		return -errno;
	*in = ends[0];
	*out = ends[1];
	(void)fcntl(*out, F_SETPIPE_SZ, PIPE_SIZE);	/* with less room, a crowd waits longer */
	if (!fcntl(*worker, F_SETFL, O_NONBLOCK | O_DIRECT))
		return 0;
	error = errno;
	close(*in);
	close(*out);
	return -error;
}

int keypipe_open(struct keypipe *worker, struct keypipe *answerer)
{
	int ret;

	ret = one_way(&answerer->in, &worker->out, &worker->out);
	if (ret)
		return ret;
	ret = one_way(&worker->in, &answerer->out, &worker->in);
	if (ret) {
		close(answerer->in);
		close(worker->out);
	}
	return ret;
}

void keypipe_close(const struct keypipe *end)
{
	close(end->in);
	close(end->out);
}

int keypipe_receive(int in, struct keypipe_reply *reply)
{
	ssize_t n = read(in, reply->bytes + reply->have, sizeof(reply->bytes) - reply->have);
	size_t whole;

	if (n <= 0)
		return n < 0 ? -errno : 0;
	reply->have += (size_t)n;
	if (reply->have < sizeof(reply->head))
		return -EPROTO;
	memcpy(&reply->head, reply->bytes, sizeof(reply->head));
	whole = sizeof(reply->head) + reply->head.len;
	if (reply->head.len > TLS_MAX_KEY_REPLY || reply->have > whole)
		return -EPROTO;
	return reply->have == whole ? 1 : -EAGAIN;
}

const uint8_t *keypipe_data(const struct keypipe_reply *reply)
{
	return reply->head.len ? reply->bytes + sizeof(reply->head) : NULL;
}

void keypipe_clear(struct keypipe_reply *reply)
{
	explicit_bzero(reply->bytes, reply->have);
	reply->have = 0;
}
