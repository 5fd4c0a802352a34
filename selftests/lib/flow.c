// SPDX-License-Identifier: MIT
#include "flow.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK	16384
#define SOME	64

struct stream {
	struct peer *peer;	/* the TLS end, or NULL */
	int plain;		/* the plain end */
	size_t total;
	bool in, ok, started;
	pthread_t thread;
};

/* Bytes that went, 0: none. */
static size_t step(const struct stream *s, uint8_t *buf, size_t at)
{
	size_t n = s->total - at < CHUNK ? s->total - at : CHUNK;
	uint8_t type = REF_DATA;
	ssize_t got;

	if (!s->in) {
		pat_fill(buf, at, n, 1);
		return (s->peer ? peer_send_data(s->peer, buf, n) : net_write(s->plain, buf, n)) ?
		       0 : n;
	}
	got = s->peer ? peer_recv(s->peer, &type, buf, CHUNK) : recv(s->plain, buf, CHUNK, 0);
	return got > 0 && type == REF_DATA && pat_check(buf, at, got, 1) == got ? got : 0;
}

static void *stream(void *arg)
{
	struct stream *s = arg;
	uint8_t buf[CHUNK];
	size_t at = 0, n;

	while (at < s->total && (n = step(s, buf, at)))
		at += n;
	s->ok = at == s->total;
	return NULL;
}

const char *flow(struct peer *peer, int plain, size_t down, size_t up)
{
	static const char *const why[] = {
		"the plain end's writer stopped", "the peer's reader stopped or got wrong bytes",
		"the peer's writer stopped", "the plain end's reader stopped or got wrong bytes",
	};
	struct stream s[] = {
		{ NULL, plain, down, false }, { peer, -1, down, true },
		{ peer, -1, up, false }, { NULL, plain, up, true },
	};
	const char *wrong = NULL;

	for (int i = 0; i < 4; i++)
		s[i].started = !pthread_create(&s[i].thread, NULL, stream, &s[i]);
	for (int i = 0; i < 4; i++) {
		if (s[i].started)
			pthread_join(s[i].thread, NULL);
	}
	/* A reader first: where one stopped, its writer did for that reason. */
	for (int i = 0; i < 4 && !wrong; i++)
		wrong = s[i ^ 1].ok ? NULL : why[i ^ 1];
	return wrong;
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
