// SPDX-License-Identifier: MIT
#include "flow.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CHUNK	65536
#define SOME	64

/* Bytes that went, 0: none. */
static size_t step(const struct stream *s, uint8_t *buf)
{
	size_t n = s->total - s->done < CHUNK ? s->total - s->done : CHUNK;
	uint8_t type = REF_DATA;
	ssize_t got;

	if (!s->in) {
		pat_fill(buf, s->done, n, s->seed);
		return (s->peer ? peer_send_data(s->peer, buf, n) : net_write(s->plain, buf, n)) ?
		       0 : n;
	}
	got = s->peer ? peer_recv(s->peer, &type, buf, CHUNK) : recv(s->plain, buf, CHUNK, 0);
	return got > 0 && type == REF_DATA && pat_check(buf, s->done, got, s->seed) == got ? got : 0;
}

bool stream_run(struct stream *s)
{
	uint8_t buf[CHUNK];
	size_t n;

	while (s->done < s->total && (n = step(s, buf)))
		s->done += n;
	return s->done == s->total;
}

static void *stream_thread(void *arg)
{
	stream_run(arg);
	return NULL;
}

bool stream_start(struct stream *s)
{
	return !pthread_create(&s->thread, NULL, stream_thread, s);
}

bool stream_end(struct stream *s)
{
	pthread_join(s->thread, NULL);
	return s->done == s->total;
}

const char *flow(struct peer *peer, int plain, size_t down, size_t up)
{
	static const char *const who[] = {
		"the plain end's writer", "the peer's reader", "the peer's writer", "the plain end's reader",
	};
	static _Thread_local char why[100];
	struct stream s[] = {
		{ NULL, plain, false, 1, 0, down }, { peer, -1, true, 1, 0, down },
		{ peer, -1, false, 2, 0, up }, { NULL, plain, true, 2, 0, up },
	};
	bool started[4];
	int wrong = -1;

	for (int i = 0; i < 4; i++)
		started[i] = stream_start(&s[i]);
	for (int i = 0; i < 4; i++) {
		/* A reader rather than its writer, which stopped for that reason. */
		if (!(started[i] && stream_end(&s[i])) && (wrong < 0 || (s[i].in && wrong == i - 1)))
			wrong = i;
	}
	if (wrong < 0)
		return NULL;
	snprintf(why, sizeof(why), "%s stopped at %lu of %lu", who[wrong], s[wrong].done, s[wrong].total);
	return why;
}

const char *flow_some(struct peer *peer, int plain)
{
	uint8_t data[SOME], got[SOME];

	pat_fill(data, 0, SOME, 2);
	if (net_write(plain, data, SOME))
		return "the plain end cannot be written";
	if (!peer_recv_data(peer, got, SOME) || memcmp(data, got, SOME))
		return "the peer did not get what the plain end sent";
	if (peer_send_data(peer, data, SOME))
		return "the peer's end cannot be written";
	if (net_read(plain, got, SOME) || memcmp(data, got, SOME))
		return "the plain end did not get what the peer sent";
	return NULL;
}
