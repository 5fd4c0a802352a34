// SPDX-License-Identifier: MIT
/*
 * What is written with more to follow (MSG_MORE, TCP_CORK, the chunks of sendfile) shares records
 * with what follows: a server's header and its file are one.  It waits for that no longer than on
 * TCP, and nothing passes it.
 */
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/gate.h"
#include "lib/pair.h"
#include "lib/task.h"

#define BUF_SIZE	(1 << 17)
#define FULL		16384
#define STEPS		8
#define RECORDS		6
/* Less than data may wait: what a slow machine took longer for says nothing. */
#define HOLD		150
/* Attempts to be as fast. */
#define TRIES		20

FIXTURE(gather)
{
	struct pair p;
	int file;
	uint8_t data[BUF_SIZE], got[BUF_SIZE];
};

FIXTURE_VARIANT(gather)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(gather, v12_aes128, 0x0303, 0xc02f, AF_INET)
PAIR_VARIANT(gather, v13_aes128, 0x0304, 0x1301, AF_INET6)
PAIR_VARIANT(gather, v13_chacha, 0x0304, 0x1303, AF_INET)

FIXTURE_SETUP(gather)
{
	pat_fill(self->data, 0, BUF_SIZE, 1);
	self->file = memfd_create("data", MFD_CLOEXEC);
	ASSERT_EQ(BUF_SIZE, write(self->file, self->data, BUF_SIZE));
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(gather)
{
	pair_free(&self->p);
	close(self->file);
}

/* ---- records ------------------------------------------------------------------------------ */

enum what { NOTHING, SEND, FILE_EXACT, FILE_MORE, CORK, UNCORK, NODELAY, SHUT, CLOSE };

struct step {
	enum what what;
	int len;
	int flags;
};

struct row {
	const char *name;
	struct step steps[STEPS];
	int records[RECORDS];	/* their lengths, up to 0; all that the peer gets */
	bool ends;		/* behind them, in order */
	bool waits;		/* the last one, for as long as it may */
};

#define MORE(n)		{ SEND, n, MSG_MORE }
#define LAST(n)		{ SEND, n, 0 }

static const struct row rows[] = {
	{ "more, then no more", { MORE(100), MORE(50), LAST(7) }, { 157 } },
	{ "more, then the end of a record", { MORE(100), { SEND, 50, MSG_EOR } }, { 150 } },
	{ "more, and the end of a record", { MORE(100), { SEND, 50, MSG_MORE | MSG_EOR } }, { 150 } },
	{ "what does not say more waits for nothing", { LAST(100), LAST(50) }, { 100, 50 } },
	{ "a full record, whose end may wait in TCP", { MORE(100), MORE(FULL - 100) }, { FULL },
	  .waits = true },
	{ "more than a record", { MORE(100), LAST(20000) }, { FULL, 20100 - FULL } },
	{ "several records with more to come", { MORE(2 * FULL + 100), MORE(FULL), LAST(1) },
	  { FULL, FULL, FULL, 101 } },
	{ "corked", { { CORK }, LAST(100), LAST(50), LAST(7), { UNCORK } }, { 157 } },
	{ "corked again", { { CORK }, LAST(100), { UNCORK }, { CORK }, LAST(50), { UNCORK } },
	  { 100, 50 } },
	{ "header and file, corked", { { CORK }, LAST(250), { FILE_EXACT, 1000 }, { UNCORK } },
	  { 1250 } },
	{ "header and long file, corked",
	  { { CORK }, LAST(250), { FILE_EXACT, 3 * FULL }, { UNCORK } }, { FULL, FULL, FULL, 250 } },
	{ "header with more to come, and file", { MORE(250), { FILE_EXACT, 1000 } }, { 1250 } },
	{ "header with more to come, and several pages", { MORE(250), { FILE_EXACT, 10000 } },
	  { 10250 } },
	{ "file up to its end, asked for more", { MORE(250), { FILE_MORE, 1000 } }, { 1250 },
	  .waits = true /* before 6.5, on TCP, too */ },
	{ "TCP_NODELAY sends what waits", { MORE(100), { NODELAY } }, { 100 } },
	{ "the same, corked", { { CORK }, LAST(100), { NODELAY } }, { 100 } },
	{ "shutdown", { MORE(100), { SHUT } }, { 100 }, .ends = true },
	{ "shutdown, corked", { { CORK }, LAST(100), LAST(50), { SHUT } }, { 150 }, .ends = true },
	{ "close", { MORE(100), { CLOSE } }, { 100 }, .ends = true },
	{ "close, corked", { { CORK }, LAST(100), LAST(50), { CLOSE } }, { 150 }, .ends = true },
	{ "no more comes", { MORE(100) }, { 100 }, .waits = true },
	{ "no more comes, and the cork stays", { { CORK }, LAST(100) }, { 100 }, .waits = true },
	{ "in two rounds", { MORE(100), LAST(1), MORE(50), LAST(1) }, { 101, 51 } },
};

static bool set_tcp(int fd, int name, int on)
{
	return !setsockopt(fd, IPPROTO_TCP, name, &on, sizeof(on));
}

/* The file is as long as this, and has what the stream has at this place. */
static bool send_file(int file, const uint8_t *data, int fd, int len, int asked)
{
	off_t from = 0;

	return !ftruncate(file, 0) && pwrite(file, data, len, 0) == len &&
	       sendfile(fd, file, &from, asked) == len;
}

static bool run_step(struct pair *p, int file, const uint8_t *data, const struct step *step)
{
	switch (step->what) {
	case SEND:
		return send(p->fd, data, step->len, step->flags) == step->len;
	case FILE_EXACT:
		return send_file(file, data, p->fd, step->len, step->len);
	case FILE_MORE:
		return send_file(file, data, p->fd, step->len, step->len + 1);
	case CORK:
	case UNCORK:
		return set_tcp(p->fd, TCP_CORK, step->what == CORK);
	case NODELAY:
		return set_tcp(p->fd, TCP_NODELAY, 1);
	case SHUT:
		return !shutdown(p->fd, SHUT_WR);
	default:
		close(p->fd);
		p->fd = -1;
		return true;
	}
}

/* Bytes written, -1: a step failed. */
static int run_steps(struct pair *p, int file, const uint8_t *data, const struct row *row)
{
	int at = 0;

	for (const struct step *step = row->steps; step->what != NOTHING; step++) {
		if (!run_step(p, file, data + at, step))
			return -1;
		at += step->len;
	}
	return at;
}

/* NULL, or what is wrong with what came. */
static const char *check_records(struct pair *p, uint8_t *got, const struct row *row, int sent)
{
	static char text[64];
	uint8_t type;
	int at = 0;

	for (const int *want = row->records; *want; want++) {
		ssize_t n = peer_recv(&p->peer, &type, got + at, BUF_SIZE - at);

		snprintf(text, sizeof(text), "record %zd: %zd bytes", want - row->records, n);
		if (n != *want || type != REF_DATA)
			return text;
		at += n;
	}
	if (at != sent || pat_check(got, 0, at, 1) != at)
		return "other bytes than were written";
	return row->ends && !peer_expect_end(&p->peer) ? "no end in order" : NULL;
}

TEST_F(gather, records)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *wrong = "";
		uint64_t took = HOLD;
		int sent;

		for (int n = 0; n < TRIES && wrong && took >= HOLD; n++) {
			uint64_t start = net_now();

			sent = run_steps(&self->p, self->file, self->data, &rows[i]);
			took = net_now() - start;
			ASSERT_LT(0, sent) TH_LOG("%s: %s", rows[i].name, strerror(errno));
			wrong = check_records(&self->p, self->got, &rows[i], sent);
			if (!rows[i].waits)
				took = net_now() - start;
			if (!wrong && took >= HOLD)
				wrong = "late";
			ASSERT_TRUE(pair_again(&self->p));
		}
		EXPECT_EQ(NULL, wrong) TH_LOG("%s: %s", rows[i].name, wrong);
	}
}

/* ---- what must not pass it ------------------------------------------------------------------ */

/* The next record is the data that waited, and what follows is of this type. */
static bool data_then(struct peer *peer, uint8_t *got, uint8_t type)
{
	uint8_t first, second;

	return peer_recv(peer, &first, got, FULL) == 100 && first == REF_DATA &&
	       pat_check(got, 0, 100, 1) == 100 && peer_recv(peer, &second, got, FULL) > 0 &&
	       second == type;
}

TEST_F(gather, our_key_update_does_not_pass)
{
	struct pair *p = &self->p;

	if (variant->version == 0x0303)
		SKIP(return, "TLS 1.2 has no KeyUpdate");
	ASSERT_EQ(100, send(p->fd, self->data, 100, MSG_MORE));
	ASSERT_EQ(0, tg_session_rekey(p->tg, BY_FD(p->fd)));
	EXPECT_TRUE(data_then(&p->peer, self->got, REF_HANDSHAKE));
}

TEST_F(gather, an_answer_does_not_pass)
{
	struct pair *p = &self->p;

	if (variant->version == 0x0303)
		SKIP(return, "TLS 1.2 has no KeyUpdate");
	ASSERT_EQ(100, send(p->fd, self->data, 100, MSG_MORE));
	ASSERT_EQ(0, peer_key_update(&p->peer, 1));
	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "x", 1));
	ASSERT_EQ(1, recv(p->fd, self->got, 1, 0));
	EXPECT_TRUE(data_then(&p->peer, self->got, REF_HANDSHAKE));
}

TEST_F(gather, an_alert_does_not_pass)
{
	struct pair *p = &self->p;
	uint8_t wire[300];
	size_t n = ref_seal(&p->peer.tx, REF_DATA, self->data, 100, 0, wire);

	wire[n - 1] ^= 1;
	ASSERT_EQ(100, send(p->fd, self->data, 100, MSG_MORE));
	ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
	EXPECT_EQ(-1, recv(p->fd, self->got, 1, 0));
	EXPECT_TRUE(data_then(&p->peer, self->got, REF_ALERT));
	EXPECT_EQ(PEER_EOF, peer_drain(&p->peer));
}

/* What a relay's plain socket sends comes behind. */
TEST_F(gather, a_relay_does_not_pass)
{
	struct pair *p = &self->p;
	int far;

	ASSERT_EQ(100, send(p->fd, self->data, 100, MSG_MORE));
	far = pair_relay(p, AF_INET, -1);
	ASSERT_GE(far, 0);
	ASSERT_EQ(100, send(far, self->data + 100, 100, 0));
	ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 200));
	EXPECT_EQ(200, pat_check(self->got, 0, 200, 1));
	close(far);
}

/* ---- what becomes of it --------------------------------------------------------------------- */

/* Its sender is killed: it arrives as what was sent before it, and is no end in order. */
TEST_F(gather, killed_sender_has_sent_it)
{
	struct pair *p = &self->p;
	uint8_t type;
	int alone[2];
	pid_t child;

	ASSERT_EQ(0, pipe(alone));
	child = fork();
	if (!child) {
		close(alone[1]);
		if (send(p->fd, self->data, 100, MSG_MORE) != 100 || read(alone[0], self->got, 1))
			_exit(1);
		raise(SIGKILL);
	}
	close(p->fd);
	p->fd = -1;
	close(alone[0]);
	close(alone[1]);
	ASSERT_EQ(-1, task_wait(child, NET_DEADLINE));
	EXPECT_EQ(100, peer_recv(&p->peer, &type, self->got, FULL));
	EXPECT_EQ(100, pat_check(self->got, 0, 100, 1));
	EXPECT_EQ(PEER_EOF, peer_recv(&p->peer, &type, self->got, FULL));
}

/* Neither counted as sent nor forgotten. */
TEST_F(gather, waits_as_bytes_not_sent)
{
	int unsent = -1, unacked = -1;
	uint64_t took = HOLD;

	for (int n = 0; n < TRIES && took >= HOLD; n++) {
		uint64_t start = net_now();

		ASSERT_TRUE(pair_again(&self->p));
		ASSERT_EQ(100, send(self->p.fd, self->data, 100, MSG_MORE));
		ASSERT_EQ(0, ioctl(self->p.fd, SIOCOUTQNSD, &unsent));
		ASSERT_EQ(0, ioctl(self->p.fd, SIOCOUTQ, &unacked));
		took = net_now() - start;
	}
	EXPECT_EQ(100, unsent);
	EXPECT_EQ(100, unacked);
}

/*
 * An operator's order makes records shorter: at the latest those behind the one that waits, which
 * is longer by then than padding may make any.
 */
TEST_F(gather, shorter_records)
{
	struct pair *p = &self->p;
	uint8_t type;

	ASSERT_EQ(1000, send(p->fd, self->data, 1000, MSG_MORE));
	if (variant->version == 0x0304)
		ASSERT_EQ(0, tg_session_set(p->tg, BY_FD(p->fd), TLSGATE_A_PADDING, 64, 2));
	ASSERT_EQ(0, tg_session_set(p->tg, BY_FD(p->fd), TLSGATE_A_RECORD_SIZE, 100, 2));
	ASSERT_EQ(150, send(p->fd, self->data + 1000, 150, 0));
	for (int at = 0; at < 1150; ) {
		ssize_t n = peer_recv(&p->peer, &type, self->got + at, FULL);

		ASSERT_LT(0, n);
		EXPECT_TRUE(!at || n <= 100);
		at += n;
	}
	EXPECT_EQ(1150, pat_check(self->got, 0, 1150, 1));
}

TEST_F(gather, bad_address)
{
	struct iovec iov[2] = { { self->data + 100, 50 }, { (void *)8, 50 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	ASSERT_EQ(100, send(self->p.fd, self->data, 100, MSG_MORE));
	n = sendmsg(self->p.fd, &msg, MSG_MORE);
	EXPECT_TRUE(n == 50 || (n == -1 && errno == EFAULT));
	n = n < 0 ? 0 : n;
	ASSERT_EQ(10, send(self->p.fd, self->data + 100 + n, 10, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 110 + n));
	EXPECT_EQ(110 + n, pat_check(self->got, 0, 110 + n, 1));
}

/* With a reader that does not read at first: waits for room, and all arrives, in order. */
TEST_F(gather, more_than_there_is_room_for)
{
	const char *wrong;

	ASSERT_EQ(0, net_buffers(self->p.fd, 1, 0));
	ASSERT_TRUE(set_tcp(self->p.fd, TCP_CORK, 1));
	wrong = flow(&self->p.peer, self->p.fd, 1 << 17, 1 << 17);
	EXPECT_EQ(NULL, wrong) TH_LOG("%s", wrong);
}

TEST_HARNESS_MAIN
