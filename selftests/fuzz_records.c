// SPDX-License-Identifier: MIT
/*
 * Streams of TLS records, most of them wrong somewhere, at sockets and relays.
 * Content is mutated before it is sealed (types, lengths, padding, alerts,
 * handshake bytes, KeyUpdates) and records after it (bits, headers, order,
 * repetition, loss).  Whatever comes of it, what is read is a prefix of what
 * was sealed as data before the first record changed on the wire; a stream
 * with nothing wrong arrives whole; end-of-file is a close_notify; what the
 * kernel sends opens; and nothing hangs.
 *
 * SEED, FIRST and COUNT: see lib/fuzz.h.  An input is one stream on a
 * connection of its own.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fuzz.h"
#include "lib/pair.h"

#define COUNT		400
#define RECORDS		24
#define STREAM		(256 * 1024)

static const struct {
	uint16_t version, suite;
} suites[] = {
	{ 0x0303, 0xc02f }, { 0x0303, 0xc030 }, { 0x0303, 0xcca8 },
	{ 0x0304, 0x1301 }, { 0x0304, 0x1302 }, { 0x0304, 0x1303 },
};

struct stream {
	uint8_t wire[STREAM], data[STREAM];
	size_t wire_len, data_len;
	size_t at[RECORDS + 1];		/* where a record begins in wire */
	size_t data_at[RECORDS + 1];	/* and what it has of data, in data */
	unsigned int count;
	bool wrong;			/* may end before all data is read */
	bool cut;			/* a record changed on the wire: nothing behind it counts */
	bool closed;			/* a close_notify is in it */
	bool relay, local;
	uint8_t role;
};

static struct stream st;
static uint64_t records, mutated;

/* ---- the stream -------------------------------------------------------------- */

static void seal(struct peer *peer, uint8_t type, const void *data, size_t len, size_t pad)
{
	st.at[st.count] = st.wire_len;
	st.wire_len += ref_seal(&peer->tx, type, data, len, pad, st.wire + st.wire_len);
	st.data_at[st.count++] = st.data_len;
	records++;
	if (type == REF_DATA && !st.cut && len <= REF_PLAINTEXT) {
		memcpy(st.data + st.data_len, data, len);
		st.data_len += len;
	}
}

static size_t length(struct fuzz *f)
{
	static const size_t edges[] = { 0, 1, 15, 16, 17, 255, 256, 4095, 4096, 4097, 16383, 16384 };

	if (fuzz_once(f, 6))
		return edges[fuzz_below(f, sizeof(edges) / sizeof(*edges))];
	return 1 + fuzz_below(f, fuzz_once(f, 8) ? 8000 : 300);
}

static void add_data(struct fuzz *f, struct peer *peer)
{
	static uint8_t data[REF_PLAINTEXT];
	size_t len = length(f), room = REF_PLAINTEXT - len;

	fuzz_bytes(f, data, len < 64 ? len : 64);
	seal(peer, REF_DATA, data, len, fuzz_once(f, 4) ? fuzz_below(f, room < 600 ? room + 1 : 600) : 0);
}

static void add_key_update(struct peer *peer, uint8_t request)
{
	const uint8_t message[5] = { 24, 0, 0, 1, request };

	seal(peer, REF_HANDSHAKE, message, sizeof(message), 0);
	if (peer->tx.suite->secret_len)
		ref_ratchet(&peer->tx);
	st.wrong |= request > 1 || !peer->tx.suite->secret_len;
}

/* Content that may, but need not, end the session. */
static void add_odd(struct fuzz *f, struct peer *peer)
{
	uint8_t data[REF_PLAINTEXT + 300] = { };
	size_t len = length(f);

	mutated++;
	switch (fuzz_below(f, 7)) {
	case 0:
		add_key_update(peer, fuzz_below(f, fuzz_once(f, 8) ? 256 : 2));
		break;
	case 1:
		data[0] = fuzz_below(f, 3);
		data[1] = fuzz_once(f, 2) ? 90 : fuzz_below(f, 256);
		st.closed |= !data[1];
		st.wrong = true;
		seal(peer, REF_ALERT, data, fuzz_once(f, 6) ? fuzz_below(f, 6) : 2, 0);
		break;
	case 2:
		fuzz_bytes(f, data, 64);
		data[0] = fuzz_once(f, 2) ? 4 : 24;
		data[1] = 0;
		data[2] = 0;
		st.wrong = true;
		seal(peer, REF_HANDSHAKE, data, fuzz_below(f, 64), fuzz_below(f, 20));
		break;
	case 3:
		st.wrong = true;
		seal(peer, fuzz_below(f, 256), data, fuzz_below(f, 100), 0);
		break;
	case 4:
		st.wrong = true;
		seal(peer, REF_DATA, data, REF_PLAINTEXT + fuzz_below(f, 300), 0);
		break;
	case 5:
		seal(peer, REF_DATA, data, 0, fuzz_below(f, 300));
		break;
	case 6:
		seal(peer, REF_DATA, data, len, REF_PLAINTEXT - len);
		break;
	}
}

static void swap_records(size_t a, size_t b, size_t end)
{
	static uint8_t copy[2 * REF_RECORD_MAX];

	memcpy(copy, st.wire + a, b - a);
	memmove(st.wire + a, st.wire + b, end - b);
	memcpy(st.wire + a + end - b, copy, b - a);
}

static void cut_out(size_t from, size_t to)
{
	memmove(st.wire + from, st.wire + to, st.wire_len - to);
	st.wire_len -= to - from;
}

/*
 * The record added last is changed on the wire; what came before it stands.
 * Every change reaches as far as its tag or its header, so that what slides in
 * from the next record cannot make it whole again by chance.
 */
static void spoil(struct fuzz *f)
{
	size_t begin = st.at[st.count - 1], end = st.wire_len, len = end - begin;
	size_t at = begin + fuzz_below(f, len - REF_TAG);
	unsigned int first = st.count - 1;

	mutated++;
	st.cut = true;
	st.wrong = true;
	switch (fuzz_below(f, 7)) {
	case 0:
		st.wire[at] ^= 1 << fuzz_below(f, 8);
		break;
	case 1:
		st.wire[begin + fuzz_below(f, REF_HEADER)] ^= 1 + fuzz_below(f, 255);
		break;
	case 2:
		cut_out(at, at + 1 + fuzz_below(f, end - at));
		break;
	case 3:
		memmove(st.wire + at + 1, st.wire + at, end - at);
		st.wire[at] = st.wire[at + 1] ^ (1 + fuzz_below(f, 255));
		st.wire_len++;
		break;
	case 4:
		fuzz_bytes(f, st.wire + begin, len < 40 ? len : 40);
		break;
	case 5:
		st.wire[begin + 3] = fuzz_u64(f);
		st.wire[begin + 4] = ~st.wire[begin + 4];
		break;
	case 6:
		if (first)
			swap_records(st.at[--first], begin, end);
		else
			cut_out(begin, end);
		break;
	}
	st.data_len = st.data_at[first];
}

static void stream_make(struct fuzz *f, struct peer *peer)
{
	unsigned int n = 1 + fuzz_below(f, RECORDS - 3);
	bool clean = fuzz_once(f, 4);

	st.wire_len = 0;
	st.data_len = 0;
	st.count = 0;
	st.wrong = false;
	st.cut = false;
	st.closed = false;
	while (n-- && st.wire_len < STREAM / 2) {
		if (!clean && fuzz_once(f, 2))
			add_odd(f, peer);
		else
			add_data(f, peer);
		if (!clean && !st.cut && fuzz_once(f, 8))
			spoil(f);
	}
	if (fuzz_once(f, 2)) {
		seal(peer, REF_ALERT, (uint8_t[]){ 1, 0 }, 2, 0);
		st.closed |= !st.cut;
	} else {
		st.wrong = true;
	}
}

/* ---- the connection ------------------------------------------------------------ */

static bool start(struct fuzz *f, struct pair *p, int *reader)
{
	unsigned int s = fuzz_below(f, sizeof(suites) / sizeof(*suites));
	int room = 2 * STREAM;
	struct tg_install in;

	if (!pair_connect(p, suites[s].version, suites[s].suite,
			  fuzz_once(f, 4) ? AF_INET6 : AF_INET))
		return false;
	in = tg_install_on(p->fd, &p->tx, &p->rx);
	st.role = fuzz_below(f, 2);
	in.role = st.role;
	stream_make(f, &p->peer);
	/* It is sent whole before it is read. */
	setsockopt(p->peer.fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	/* Some of it was read by the handshake already. */
	if (fuzz_once(f, 5)) {
		in.pending = st.wire;
		in.pending_len = fuzz_below(f, (st.wire_len < 20000 ? st.wire_len : 20000) + 1);
	}
	if (tg_session_new(p->tg, &in, &p->id))
		return false;
	if (in.pending_len)
		cut_out(0, in.pending_len);
	st.relay = fuzz_once(f, 3);
	*reader = p->fd;
	if (st.relay) {
		st.local = fuzz_once(f, 2);
		*reader = pair_relay(p, st.local ? AF_UNIX : AF_INET, 0);
		close(p->fd);
		p->fd = -1;
	}
	return *reader >= 0;
}

static void send_stream(struct fuzz *f, int fd)
{
	size_t at = 0, n;

	while (at < st.wire_len) {
		n = 1 + fuzz_below(f, fuzz_once(f, 3) ? 40 : 20000);
		if (n > st.wire_len - at)
			n = st.wire_len - at;
		/* It may end before all is sent. */
		if (net_write(fd, st.wire + at, n))
			return;
		at += n;
		if (fuzz_once(f, 4))
			poll(NULL, 0, 0);
	}
	shutdown(fd, SHUT_WR);
}

/* NULL, or what is wrong with what came out. */
static const char *read_all(struct fuzz *f, int fd)
{
	static uint8_t got[STREAM + 1];
	size_t done = 0, want;
	ssize_t n;
	bool peek;

	do {
		peek = fuzz_once(f, 10);
		want = 1 + fuzz_below(f, fuzz_once(f, 3) ? 30 : 40000);
		if (want > sizeof(got) - done)
			want = sizeof(got) - done;
		n = recv(fd, got + done, want, peek ? MSG_PEEK : 0);
		if (n > 0 && (done + n > st.data_len || memcmp(st.data + done, got + done, n)))
			return "bytes that nobody sealed";
		if (n > 0 && !peek)
			done += n;
	} while (n > 0);
	if (n < 0 && errno == EAGAIN)
		return "it hangs";
	if (!n && !st.closed)
		return "end-of-file without close_notify";
	if (!st.wrong && (n || done != st.data_len))
		return "a stream with nothing wrong did not arrive";
	return NULL;
}

/* What the kernel sends is TLS to its end. */
static const char *peer_reads(struct peer *peer)
{
	static uint8_t data[REF_PLAINTEXT];
	uint8_t type;
	ssize_t n;

	for (;;) {
		n = peer_recv(peer, &type, data, sizeof(data));
		if (n == PEER_BAD)
			return "the kernel sent what does not open";
		if (n == PEER_TIMEOUT)
			return "the kernel does not end the connection";
		if (n < 0)
			return NULL;
		if (type == REF_HANDSHAKE && n == 5 && data[0] == 24)
			ref_ratchet(&peer->rx);
		else if (type == REF_HANDSHAKE)
			return "the kernel sent a handshake message";
	}
}

static const char *one(struct fuzz *f)
{
	struct pair p;
	const char *why;
	int reader = -1;

	if (!start(f, &p, &reader))
		return "cannot be set up";
	/* What was pending may have been its end, which is told once. */
	if (fuzz_once(f, 2) && send(reader, "answer", 6, MSG_NOSIGNAL) < 0)
		st.closed = true;
	send_stream(f, p.peer.fd);
	why = read_all(f, reader);
	shutdown(reader, SHUT_WR);
	close(reader);
	if (!st.relay)
		p.fd = -1;
	if (!why)
		why = peer_reads(&p.peer);
	net_reset(p.peer.fd);
	p.peer.fd = -1;
	pair_free(&p);
	if (why) {
		printf("# %s%s, %s, role %d, %zu bytes of data\n", st.relay ? "relay to " : "socket",
		       !st.relay ? "" : st.local ? "UNIX" : "TCP", p.suite->name, st.role,
		       st.data_len);
		fuzz_dump("stream", st.wire, st.wire_len);
	}
	return why;
}

int main(void)
{
	const char *why = NULL;
	struct fuzz f;

	fuzz_start(&f, "streams of records", COUNT);
	while (!why && fuzz_next(&f))
		why = one(&f);
	printf("# %lu records, %lu mutated\n", records, mutated);
	return fuzz_end(&f, why);
}
