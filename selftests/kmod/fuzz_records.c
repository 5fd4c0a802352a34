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
 * connection of its own.  A record counts as reached if the kernel opened it,
 * by its own counter, or failed at it: what lies behind the end does not.
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
#define SHORT		44	/* records */
#define LONG		500
#define RECORDS		(LONG + 4)
#define SELDOM		16	/* what ends a stream comes so much more seldom in a long one */
#define STREAM		(256 * 1024)
#define PATIENCE	(9 * NET_DEADLINE)	/* for a machine that is busy elsewhere */

enum tally { RECORDS_SENT, MUTATED, REACHED, SLOW };

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
	bool odd[RECORDS + 1];		/* it is mutated, */
	bool last[RECORDS + 1];		/* and may be the last that is looked at */
	unsigned int count;
	unsigned int cut_at;		/* the record changed on the wire, if cut */
	unsigned int warnings;
	bool wrong;			/* may end before all data is read */
	bool cut;			/* nothing behind it counts */
	bool cut_sent;			/* and there are bytes in its place */
	bool closed;			/* a close_notify is in it */
	bool lengthy;
	bool relay, local;
	uint8_t role;
};

static struct stream st;

/* What all streams of a process share. */
static struct {
	struct fuzz *f;
	struct tg *tg;
	int listener[2];		/* IPv4 and IPv6 */
	int counters;			/* of the namespace */
} our;

/* ---- the stream -------------------------------------------------------------- */

static void seal(struct peer *peer, uint8_t type, const void *data, size_t len, size_t pad)
{
	st.at[st.count] = st.wire_len;
	st.wire_len += ref_seal(&peer->tx, type, data, len, pad, st.wire + st.wire_len);
	st.odd[st.count] = false;
	st.last[st.count] = false;
	st.data_at[st.count++] = st.data_len;
	our.f->tally[RECORDS_SENT]++;
	if (type == REF_DATA && !st.cut && len <= REF_PLAINTEXT) {
		memcpy(st.data + st.data_len, data, len);
		st.data_len += len;
	}
}

/* The record added last. */
static void mark_odd(void)
{
	st.odd[st.count - 1] = true;
	our.f->tally[MUTATED]++;
}

static void mark_last(void)
{
	st.last[st.count - 1] = true;
	st.wrong = true;
}

static size_t length(struct fuzz *f)
{
	static const size_t edges[] = { 0, 1, 15, 16, 17, 255, 256, 4095, 4096, 4097, 16383, 16384 };

	/* Many have to fit in. */
	if (st.lengthy && !fuzz_once(f, 20))
		return 1 + fuzz_below(f, 100);
	if (fuzz_once(f, 6))
		return edges[fuzz_below(f, sizeof(edges) / sizeof(*edges))];
	return 1 + fuzz_below(f, fuzz_once(f, 8) ? 8000 : 300);
}

/* Padding that a record of so many bytes has room for. */
static size_t padding(struct fuzz *f, size_t len)
{
	size_t room = REF_PLAINTEXT - len;

	return fuzz_below(f, room < 600 ? room + 1 : 600);
}

static void add_data(struct fuzz *f, struct peer *peer)
{
	static uint8_t data[REF_PLAINTEXT];
	size_t len = length(f);

	fuzz_bytes(f, data, len < 64 ? len : 64);
	seal(peer, REF_DATA, data, len, fuzz_once(f, 4) ? padding(f, len) : 0);
}

static void add_key_update(struct peer *peer, uint8_t request)
{
	const uint8_t message[5] = { 24, 0, 0, 1, request };

	seal(peer, REF_HANDSHAKE, message, sizeof(message), 0);
	if (peer->tx.suite->secret_len)
		ref_ratchet(&peer->tx);
	if (request > 1 || !peer->tx.suite->secret_len)
		mark_last();
}

/* A message that a client ignores, or only tells of, in as many records as it may take. */
static void add_message(struct fuzz *f, struct peer *peer)
{
	uint8_t message[300] = { 0 };
	size_t len = 4, at = 0, n;

	if (peer->tx.suite->secret_len) {
		message[0] = 4;
		message[3] = fuzz_below(f, 256);
		len += message[3];
	}
	for (; at < len; at += n) {
		n = len - at;
		if (st.count < RECORDS - 4 && fuzz_once(f, 2))
			n = 1 + fuzz_below(f, n);
		seal(peer, REF_HANDSHAKE, message + at, n, 0);
		if (at + n < len)
			mark_odd();
	}
}

/* An alert that does not end a session, as long as there are few. */
static void add_warning(struct fuzz *f, struct peer *peer)
{
	uint8_t alert[2] = { 1, 90 };

	if (!peer->tx.suite->secret_len)
		alert[1] = 1 + fuzz_below(f, 255);
	else
		alert[0] = fuzz_below(f, 256);
	seal(peer, REF_ALERT, alert, 2, fuzz_below(f, 50));
	if (++st.warnings > 4)
		mark_last();
}

/* Content that no honest peer sends, or seldom, and that a session outlives. */
static void add_odd(struct fuzz *f, struct peer *peer)
{
	static const uint8_t data[REF_PLAINTEXT];
	bool tls13 = peer->tx.suite->secret_len;
	size_t len;

	switch (fuzz_below(f, 5)) {
	case 0:
		if (tls13)
			add_key_update(peer, fuzz_below(f, 2));
		else
			seal(peer, REF_DATA, data, 1, 0);
		break;
	case 1:
		if (st.role == TLSGATE_ROLE_CLIENT)
			add_message(f, peer);
		else
			seal(peer, REF_DATA, data, 0, 0);
		break;
	case 2:
		if (st.warnings < 4)
			add_warning(f, peer);
		else
			seal(peer, REF_DATA, data, 0, 1);
		break;
	case 3:
		seal(peer, REF_DATA, data, 0, fuzz_below(f, 300));
		break;
	case 4:
		len = length(f);
		seal(peer, REF_DATA, data, len,
		     fuzz_once(f, 8) ? REF_PLAINTEXT - len : padding(f, len));
		break;
	}
	mark_odd();
}

/* Content that may end a session. */
static void add_bad(struct fuzz *f, struct peer *peer)
{
	uint8_t data[REF_PLAINTEXT + 300] = { 0 };

	switch (fuzz_below(f, 6)) {
	case 0:
		add_key_update(peer, fuzz_below(f, 256));
		break;
	case 1:
		data[0] = fuzz_below(f, 3);
		data[1] = fuzz_once(f, 2) ? 90 : fuzz_below(f, 256);
		st.closed |= !data[1];
		seal(peer, REF_ALERT, data, fuzz_once(f, 6) ? fuzz_below(f, 6) : 2, 0);
		break;
	case 2:
		fuzz_bytes(f, data, 64);
		data[0] = fuzz_once(f, 2) ? 4 : 24;
		data[1] = 0;
		data[2] = 0;
		seal(peer, REF_HANDSHAKE, data, fuzz_below(f, 64), fuzz_below(f, 20));
		break;
	case 3:
		seal(peer, fuzz_below(f, 256), data, fuzz_below(f, 100), 0);
		break;
	case 4:
		seal(peer, REF_DATA, data, REF_PLAINTEXT + fuzz_below(f, 300), 0);
		break;
	case 5:
		add_warning(f, peer);
		break;
	}
	mark_odd();
	mark_last();
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

	mark_odd();
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
	st.cut_at = first;
	st.data_len = st.data_at[first];
}

static void stream_make(struct fuzz *f, struct peer *peer)
{
	bool clean = fuzz_once(f, 8);
	unsigned int seldom, n;

	/* Half of them are long: a connection costs a slow kernel more than many records. */
	st.lengthy = fuzz_once(f, 2);
	seldom = st.lengthy ? SELDOM : 1;
	n = 1 + fuzz_below(f, st.lengthy ? LONG : SHORT);
	st.wire_len = 0;
	st.data_len = 0;
	st.count = 0;
	st.warnings = 0;
	st.wrong = false;
	st.cut = false;
	st.closed = false;
	/* Of what is behind the end, a little. */
	while (n-- && st.count < RECORDS - 4 && st.wire_len < STREAM / 2 &&
	       !(st.wrong && fuzz_once(f, 3))) {
		if (clean || fuzz_once(f, 4))
			add_data(f, peer);
		else if (fuzz_once(f, 24 * seldom))
			add_bad(f, peer);
		else
			add_odd(f, peer);
		if (!clean && !st.cut && fuzz_once(f, 20 * seldom))
			spoil(f);
	}
	if (fuzz_once(f, 2)) {
		seal(peer, REF_ALERT, (uint8_t[]){ 1, 0 }, 2, 0);
		st.closed |= !st.cut;
	} else {
		st.wrong = true;
	}
	st.cut_sent = st.cut && st.wire_len > st.at[st.cut_at];
}

/* Mutated records that the kernel came to, if it opened so many. */
static unsigned int reached(uint64_t opened)
{
	unsigned int sum = 0;

	if (st.cut && opened > st.cut_at)
		opened = st.cut_at;
	for (unsigned int i = 0; i < opened; i++)
		sum += st.odd[i];
	/* It went on to the one that is changed, unless it ended at the one before. */
	if (st.cut && opened == st.cut_at && st.cut_sent && !(opened && st.last[opened - 1]))
		sum++;
	return sum;
}

/* ---- the connection ------------------------------------------------------------ */

/* The kernel's end of it gets what it is to seal and open with as they are now. */
static bool connect_pair(struct fuzz *f, struct pair *p)
{
	unsigned int s = fuzz_below(f, sizeof(suites) / sizeof(*suites));
	int fd[2];

	memset(p, 0, offsetof(struct pair, peer));
	p->suite = ref_suite(suites[s].version, suites[s].suite);
	p->tg = our.tg;
	if (net_tcp_pair_at(our.listener[fuzz_once(f, 4)], fd))
		return false;
	p->fd = fd[0];
	p->peer.fd = fd[1];
	ref_keys_random(&p->peer.rx, p->suite);
	ref_keys_random(&p->peer.tx, p->suite);
	p->tx = p->peer.rx;
	p->rx = p->peer.tx;
	return true;
}

static bool start(struct fuzz *f, struct pair *p, int *reader)
{
	int room = 2 * STREAM;
	struct tg_install in;

	if (!connect_pair(f, p))
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
		*reader = pair_relay_alone(p, st.local ? AF_UNIX : AF_INET, 0);
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

/* ---- what comes of it ---------------------------------------------------------- */

static void print_file(const char *path)
{
	char line[300];
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file))
		printf("# %.*s\n", (int)strcspn(line, "\n"), line);
	if (file)
		fclose(file);
}

/* Where the bytes are: in whose queue, and what the session thinks of it. */
static void print_state(const struct pair *p)
{
	struct tg_info info;

	printf("# nothing for %d ms: the session, and the namespace's sockets\n", NET_DEADLINE);
	if (!tg_session_get(p->tg, BY_ID(p->id), &info))
		printf("# state %lu, reason %lu, %lu records in, %lu out\n",
		       tg_num(&info, TLSGATE_A_STATE), tg_num(&info, TLSGATE_A_REASON),
		       tg_num(&info, TLSGATE_A_RX_RECORDS), tg_num(&info, TLSGATE_A_TX_RECORDS));
	else
		printf("# it is gone\n");
	print_file("/proc/self/net/tcp");
	print_file("/proc/self/net/tcp6");
	print_file("/proc/self/net/unix");
}

/*
 * Nothing came for NET_DEADLINE.  Nobody touches the connection now: a wake-up
 * that was lost stays lost, while a machine with too much to do comes to it.
 */
static bool came_late(const struct pair *p, int fd)
{
	uint64_t start = net_now();

	print_state(p);
	if (!net_poll(fd, POLLIN, PATIENCE))
		return false;
	printf("# slow: it came %lu ms later\n", net_now() - start);
	our.f->tally[SLOW]++;
	return true;
}

/* As recv(), but for what came_late(). */
static ssize_t read_some(const struct pair *p, int fd, void *to, size_t len, int flags)
{
	uint64_t start = net_now();
	ssize_t n = recv(fd, to, len, flags);

	if (n < 0 && errno == EAGAIN && came_late(p, fd))
		return recv(fd, to, len, flags | MSG_DONTWAIT);
	/* It was there, but its reader was not woken: or is the machine to blame? */
	if (n >= 0 && net_now() - start >= NET_DEADLINE) {
		printf("# slow: a read took %lu ms\n", net_now() - start);
		our.f->tally[SLOW]++;
	}
	return n;
}

/* NULL, or what is wrong with what came out. */
static const char *read_all(struct fuzz *f, const struct pair *p, int fd)
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
		n = read_some(p, fd, got + done, want, peek ? MSG_PEEK : 0);
		if (n > 0 && (done + n > st.data_len || memcmp(st.data + done, got + done, n)))
			return "bytes that nobody sealed";
		if (n > 0 && !peek)
			done += n;
	} while (n > 0);
	if (n < 0 && errno == EAGAIN)
		return "it hangs";
	if (!n && !st.closed)
		return "end-of-file without close_notify";
	if (!st.wrong && (n || done != st.data_len)) {
		printf("# read %zu of %zu, then %zd: %s\n", done, st.data_len, n,
		       n < 0 ? strerror(errno) : "end");
		return "a stream with nothing wrong did not arrive";
	}
	return NULL;
}

/* What the kernel sends is TLS to its end. */
static const char *peer_reads(struct pair *p)
{
	static uint8_t data[REF_PLAINTEXT];
	struct peer *peer = &p->peer;
	uint8_t type;
	ssize_t n;

	for (;;) {
		if (!net_poll(peer->fd, POLLIN, NET_DEADLINE) && !came_late(p, peer->fd))
			return "the kernel does not end the connection";
		n = peer_recv(peer, &type, data, sizeof(data));
		if (n == PEER_BAD)
			return "the kernel sent what does not open";
		if (n == PEER_TIMEOUT)
			return "the kernel does not end a record";
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
	static struct pair p;
	uint64_t before = tg_counter(our.counters, "rx_records");
	const char *why;
	int reader = -1;

	if (!start(f, &p, &reader))
		return "cannot be set up";
	/* What was pending may have been its end, which is told once. */
	if (fuzz_once(f, 2) && send(reader, "answer", 6, MSG_NOSIGNAL) < 0)
		st.closed = true;
	send_stream(f, p.peer.fd);
	why = read_all(f, &p, reader);
	shutdown(reader, SHUT_WR);
	close(reader);
	if (!why)
		why = peer_reads(&p);
	net_reset(p.peer.fd);
	ref_keys_free(&p.peer.rx);
	ref_keys_free(&p.peer.tx);
	f->tally[REACHED] += reached(tg_counter(our.counters, "rx_records") - before);
	if (why) {
		printf("# %s%s, %s, role %d, %zu bytes of data\n",
		       st.relay ? "relay to " : "socket",
		       !st.relay ? "" : st.local ? "UNIX" : "TCP", p.suite->name, st.role,
		       st.data_len);
		fuzz_dump("stream", st.wire, st.wire_len);
	}
	return why;
}

static const char *work(struct fuzz *f)
{
	const char *why = NULL;

	our.f = f;
	our.tg = tg_open();
	our.listener[0] = net_listener(AF_INET);
	our.listener[1] = net_listener(AF_INET6);
	our.counters = tg_counters();
	if (!our.tg || our.listener[0] < 0 || our.listener[1] < 0 || our.counters < 0)
		return "the module is not loaded, or there is no loopback";
	while (!why && fuzz_next(f))
		why = one(f);
	tg_close(our.tg);
	return why;
}

int main(void)
{
	static const struct fuzz_plan plan = {
		.name = "streams of records", .count = COUNT, .work = work,
		.tally = { [RECORDS_SENT] = "records", [MUTATED] = "mutated",
			   [REACHED] = "of them reached", [SLOW] = "slow" },
	};

	return fuzz_run(&plan);
}
