// SPDX-License-Identifier: MIT
/* How relays end: each side's end carried to the other as what it was, and announced. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define BLOCK	(1 << 20)
#define IDLE	300	/* ms */
#define SILENCE	2500	/* ms: longer than from one look at a UNIX socket to the next */

FIXTURE(ending)
{
	struct pair p;		/* p.fd is closed: the relay holds it */
	int plain;
	struct tg *ear;
	struct tg_info info;
	uint8_t data[BLOCK], got[BLOCK];
};

FIXTURE_VARIANT(ending)
{
	uint16_t version, suite;
	int family, plain_family;
};

#define ENDING(name, v, s, f, pf) \
	FIXTURE_VARIANT_ADD(ending, name) \
	{ .version = v, .suite = s, .family = f, .plain_family = pf };
ENDING(v12_aes128_tcp, 0x0303, 0xc02f, AF_INET, AF_INET)
ENDING(v12_aes256_unix, 0x0303, 0xc030, AF_INET6, AF_UNIX)
ENDING(v13_aes128_tcp, 0x0304, 0x1301, AF_INET, AF_INET)
ENDING(v13_chacha_unix, 0x0304, 0x1303, AF_INET, AF_UNIX)

FIXTURE_SETUP(ending)
{
	pat_fill(self->data, 0, BLOCK, 1);
	self->ear = tg_open_ear();
	ASSERT_NE(NULL, self->ear);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
	self->plain = pair_relay_alone(&self->p, variant->plain_family, -1);
	ASSERT_GE(self->plain, 0) TH_LOG("%s", self->p.tg->ack.msg);
}

FIXTURE_TEARDOWN(ending)
{
	if (self->plain >= 0)
		close(self->plain);
	pair_free(&self->p);
	tg_close(self->ear);
}

static void expect_reason(struct __test_metadata *_metadata, struct tg *ear, struct pair *p,
			  struct tg_info *info, int reason)
{
	ASSERT_EQ(0, tg_event(ear, TLSGATE_CMD_NTF_SESSION_CLOSED, p->id, info, NET_DEADLINE))
		TH_LOG("the session is never closed");
	EXPECT_EQ(reason, tg_num(info, TLSGATE_A_REASON));
	EXPECT_EQ(-ENOENT, tg_session_get(p->tg, BY_ID(p->id), info));
}

#define EXPECT_REASON(r)	expect_reason(_metadata, self->ear, &self->p, &self->info, r)

/* Reads the plain end to its end: bytes that agree with data, and errno (0: end of file). */
static size_t read_to_end(int fd, uint8_t *got, size_t cap, int *error)
{
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, got + at, cap - at, 0)) > 0)
		at += n;
	*error = n < 0 ? errno : 0;
	return at;
}

/* What came last before the peer's stream ended: an alert's number, or -1. */
static int last_alert(struct peer *peer, int *end)
{
	uint8_t data[REF_PLAINTEXT], type;
	int alert = -1;
	ssize_t n;

	while ((n = peer_recv(peer, &type, data, sizeof(data))) >= 0)
		alert = type == REF_ALERT && n == 2 ? data[1] : -1;
	*end = n;
	return alert;
}

/* ---- half-close -------------------------------------------------------- */

TEST_F(ending, plain_ends_first)
{
	ASSERT_EQ(0, net_write(self->plain, self->data, 1000));
	ASSERT_EQ(0, shutdown(self->plain, SHUT_WR));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1000));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	/* The answer to all that. */
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 500));
	ASSERT_EQ(0, net_read(self->plain, self->got, 500));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(TLSGATE_STATE_TX_CLOSED, tg_num(&self->info, TLSGATE_A_STATE));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	shutdown(self->p.peer.fd, SHUT_WR);
	EXPECT_EQ(0, recv(self->plain, self->got, 1, 0));
	EXPECT_REASON(TLSGATE_REASON_FINISHED);
}

TEST_F(ending, close_notify_leaves_with_the_fin)
{
	uint32_t before;

	ASSERT_EQ(0, net_write(self->plain, self->data, 1000));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1000));
	before = net_segments_in(self->p.peer.fd);
	ASSERT_NE(0, before);
	ASSERT_EQ(0, shutdown(self->plain, SHUT_WR));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	EXPECT_EQ(before + 1, net_segments_in(self->p.peer.fd));
}

TEST_F(ending, tls_ends_first)
{
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 1000));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	shutdown(self->p.peer.fd, SHUT_WR);
	ASSERT_EQ(0, net_read(self->plain, self->got, 1000));
	EXPECT_EQ(0, recv(self->plain, self->got, 1, 0));
	ASSERT_EQ(0, net_write(self->plain, self->data, 500));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 500));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(TLSGATE_STATE_RX_CLOSED, tg_num(&self->info, TLSGATE_A_STATE));
	ASSERT_EQ(0, shutdown(self->plain, SHUT_WR));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	EXPECT_REASON(TLSGATE_REASON_FINISHED);
}

/* Many peers send close_notify and wait for ours before FIN. */
TEST_F(ending, close_notify_without_fin)
{
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_EQ(0, recv(self->plain, self->got, 1, 0));
	close(self->plain);
	self->plain = -1;
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	EXPECT_REASON(TLSGATE_REASON_FINISHED);
}

/* Both at the same time, with bytes in flight both ways. */
TEST_F(ending, both_end_at_once)
{
	ASSERT_EQ(0, net_write(self->plain, self->data, 50000));
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 50000));
	shutdown(self->plain, SHUT_WR);
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	shutdown(self->p.peer.fd, SHUT_WR);
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 50000));
	EXPECT_EQ(50000, pat_check(self->got, 0, 50000, 1));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	ASSERT_EQ(0, net_read(self->plain, self->got, 50000));
	EXPECT_EQ(50000, pat_check(self->got, 0, 50000, 1));
	EXPECT_EQ(0, recv(self->plain, self->got, 1, 0));
	EXPECT_REASON(TLSGATE_REASON_FINISHED);
	EXPECT_EQ(0, tg_session_dump(self->p.tg, 0, NULL, NULL));
}

TEST_F(ending, counts_are_exact)
{
	ASSERT_EQ(0, net_write(self->plain, self->data, 12345));
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 54321));
	shutdown(self->plain, SHUT_WR);
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 12345));
	ASSERT_EQ(0, net_read(self->plain, self->got, 54321));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	ASSERT_EQ(0, tg_event(self->ear, TLSGATE_CMD_NTF_SESSION_CLOSED, self->p.id, &self->info,
			      NET_DEADLINE));
	EXPECT_EQ(12345, tg_num(&self->info, TLSGATE_A_TX_BYTES));
	EXPECT_EQ(54321, tg_num(&self->info, TLSGATE_A_RX_BYTES));
	EXPECT_TRUE(tg_has(&self->info, TLSGATE_A_PEER));
	EXPECT_TRUE(tg_has(&self->info, TLSGATE_A_RELAY_PEER));
}

/* ---- in flight --------------------------------------------------------- */

/* The plain side writes all it can and closes; the TLS side reads only then. */
TEST_F(ending, plain_closes_with_bytes_in_flight)
{
	size_t sent = net_fill(self->plain, self->data, BLOCK, BLOCK, 100);

	ASSERT_GT(sent, 65536);
	close(self->plain);
	self->plain = -1;
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, sent));
	EXPECT_EQ(sent, pat_check(self->got, 0, sent, 1));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

TEST_F(ending, tls_closes_with_bytes_in_flight)
{
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 200000));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	shutdown(self->p.peer.fd, SHUT_WR);
	ASSERT_EQ(0, net_read(self->plain, self->got, 200000));
	EXPECT_EQ(200000, pat_check(self->got, 0, 200000, 1));
	EXPECT_EQ(0, recv(self->plain, self->got, 1, 0));
}

/*
 * Nobody is left behind a UNIX socket to hear of the peer's end: the relay does not wait for it.
 * TCP has the tail, and a reset for who goes on.
 */
TEST_F(ending, plain_closes_and_tls_is_silent)
{
	if (variant->plain_family != AF_UNIX)
		SKIP(return, "TCP cannot tell a socket that is closed from one shut down");
	ASSERT_EQ(0, net_write(self->plain, self->data, 50000));
	close(self->plain);
	self->plain = -1;
	EXPECT_REASON(TLSGATE_REASON_LOCAL_CLOSE);
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 50000));
	EXPECT_EQ(50000, pat_check(self->got, 0, 50000, 1));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 1));
	EXPECT_TRUE(net_poll(self->p.peer.fd, 0, NET_DEADLINE) & POLLERR);
}

/* Half closed it goes on, however long that takes. */
TEST_F(ending, plain_shuts_down_and_tls_is_silent)
{
	ASSERT_EQ(0, shutdown(self->plain, SHUT_WR));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	EXPECT_FALSE(net_poll(self->plain, POLLIN, SILENCE));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 500));
	ASSERT_EQ(0, net_read(self->plain, self->got, 500));
}

/* ---- cut off ----------------------------------------------------------- */

/* Promise 3: the plain side never sees an end of file that was not authenticated. */
TEST_F(ending, truncation_is_a_reset)
{
	int error;
	size_t n;

	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 1000));
	ASSERT_EQ(0, net_read(self->plain, self->got, 1000));
	shutdown(self->p.peer.fd, SHUT_WR);
	n = read_to_end(self->plain, self->got, BLOCK, &error);
	EXPECT_EQ(0, n);
	EXPECT_EQ(ECONNRESET, error);
	EXPECT_REASON(TLSGATE_REASON_TRUNCATED);
}

TEST_F(ending, truncation_within_a_record)
{
	uint8_t wire[2000];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 1000, 0, wire);
	int error;

	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, n - 1));
	shutdown(self->p.peer.fd, SHUT_WR);
	EXPECT_EQ(0, read_to_end(self->plain, self->got, BLOCK, &error));
	EXPECT_EQ(ECONNRESET, error);
	EXPECT_REASON(TLSGATE_REASON_TRUNCATED);
}

TEST_F(ending, forged_record)
{
	uint8_t wire[2000];
	size_t n;
	int error, end;

	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 1000));
	ASSERT_EQ(0, net_read(self->plain, self->got, 1000));
	n = ref_seal(&self->p.peer.tx, REF_DATA, "forged", 6, 0, wire);
	wire[n - 1] ^= 1;
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, n));
	EXPECT_EQ(0, read_to_end(self->plain, self->got, BLOCK, &error));
	EXPECT_EQ(ECONNRESET, error);
	EXPECT_EQ(TLS_BAD_RECORD_MAC, last_alert(&self->p.peer, &end));
	EXPECT_TRUE(end == PEER_EOF || end == PEER_RESET) TH_LOG("%d", end);
	EXPECT_REASON(TLSGATE_REASON_BAD_RECORD_MAC);
}

TEST_F(ending, tls_reset)
{
	int error;

	net_reset(self->p.peer.fd);
	self->p.peer.fd = -1;
	EXPECT_EQ(0, read_to_end(self->plain, self->got, BLOCK, &error));
	EXPECT_EQ(ECONNRESET, error);
	EXPECT_REASON(TLSGATE_REASON_PEER_RESET);
}

/* Its half was closed in order, so nothing is left to be read that would tell of the reset. */
TEST_F(ending, tls_reset_after_close_notify)
{
	char c;

	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	ASSERT_EQ(0, recv(self->plain, &c, 1, 0));
	net_reset(self->p.peer.fd);
	self->p.peer.fd = -1;
	ASSERT_EQ(0, tg_event(self->ear, TLSGATE_CMD_NTF_SESSION_CLOSED, self->p.id, &self->info,
			      NET_DEADLINE));
	EXPECT_EQ(TLSGATE_REASON_PEER_RESET, tg_num(&self->info, TLSGATE_A_REASON));
}

TEST_F(ending, fatal_alert)
{
	int error;

	ASSERT_EQ(0, peer_alert(&self->p.peer, 2, TLS_INTERNAL_ERROR));
	EXPECT_EQ(0, read_to_end(self->plain, self->got, BLOCK, &error));
	EXPECT_EQ(ECONNRESET, error);
	EXPECT_REASON(TLSGATE_REASON_PEER_ALERT);
}

/* The backend is cut off: a clean close_notify would pass a part for the whole. */
TEST_F(ending, plain_reset)
{
	int end, alert;

	if (variant->plain_family == AF_UNIX)
		SKIP(return, "a UNIX socket has no RST of its own: see plain_dies_unread");
	ASSERT_EQ(0, net_write(self->plain, self->data, 1000));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1000));
	net_reset(self->plain);
	self->plain = -1;
	alert = last_alert(&self->p.peer, &end);
	EXPECT_NE(TLS_CLOSE_NOTIFY, alert);
	EXPECT_TRUE(alert >= 0 || end == PEER_RESET) TH_LOG("a FIN alone");
	EXPECT_REASON(TLSGATE_REASON_PLAIN_RESET);
}

/* Closed with bytes unread: both kinds of socket make a reset of it. */
TEST_F(ending, plain_dies_unread)
{
	int end;

	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 1000));
	ASSERT_TRUE(net_poll(self->plain, POLLIN, NET_DEADLINE) & POLLIN);
	close(self->plain);
	self->plain = -1;
	EXPECT_NE(TLS_CLOSE_NOTIFY, last_alert(&self->p.peer, &end));
	EXPECT_NE(PEER_TIMEOUT, end);
	EXPECT_NE(PEER_BAD, end);
	EXPECT_REASON(TLSGATE_REASON_PLAIN_RESET);
}

/* Somebody who has a relay's own end of the plain connection, and takes errors from it. */
struct taker {
	int fd;
	atomic_bool done;
	pthread_t thread;
};

static void *take_errors(void *arg)
{
	struct taker *taker = arg;
	socklen_t len = sizeof(int);
	int error;

	while (!taker->done)
		getsockopt(taker->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return NULL;
}

static bool start_taken_relay(struct pair *p, const FIXTURE_VARIANT(ending) *v, int plain,
			      struct taker *taker)
{
	taker->fd = plain;
	return pair_start(p, v->version, v->suite, v->family) &&
	       !tg_relay_new(p->tg, p->fd, plain, -1) &&
	       !pthread_create(&taker->thread, NULL, take_errors, taker);
}

static void end_taken_relay(struct pair *p, struct taker *taker)
{
	taker->done = true;
	pthread_join(taker->thread, NULL);
	close(taker->fd);
	pair_free(p);
}

/* SO_ERROR cannot be refused: who takes the error must not make a clean end of a reset. */
TEST_F_TIMEOUT(ending, plain_dies_unread_and_its_error_is_taken, 180)
{
	long rounds = net_amount("ROUNDS", 100);

	if (variant->plain_family != AF_UNIX)
		SKIP(return, "TCP's state tells of a reset, too");
	for (int round = 0; round < rounds; round++) {
		struct taker taker = { };
		int plain[2], end;
		struct pair p;

		ASSERT_EQ(0, net_unix_pair(plain));
		ASSERT_TRUE(start_taken_relay(&p, variant, plain[0], &taker));
		ASSERT_EQ(0, peer_send(&p.peer, REF_DATA, self->data, 1000));
		ASSERT_TRUE(net_poll(plain[1], POLLIN, NET_DEADLINE) & POLLIN);
		close(plain[1]);
		EXPECT_NE(TLS_CLOSE_NOTIFY, last_alert(&p.peer, &end)) TH_LOG("round %d", round);
		expect_reason(_metadata, self->ear, &p, &self->info, TLSGATE_REASON_PLAIN_RESET);
		end_taken_relay(&p, &taker);
	}
}

/* The same of a far end that is a relay's, too, and passes its own reset on. */
TEST_F_TIMEOUT(ending, relay_resets_a_relay_and_its_error_is_taken, 180)
{
	long rounds = net_amount("ROUNDS", 100);

	if (variant->plain_family != AF_UNIX)
		SKIP(return, "TCP's state tells of a reset, too");
	for (int round = 0; round < rounds; round++) {
		struct taker taker = { };
		struct pair first, p;
		int plain[2], end;

		ASSERT_EQ(0, net_unix_pair(plain));
		ASSERT_TRUE(start_taken_relay(&p, variant, plain[0], &taker));
		ASSERT_TRUE(pair_start(&first, variant->version, variant->suite, variant->family));
		ASSERT_EQ(0, tg_relay_new(first.tg, first.fd, plain[1], -1));
		close(plain[1]);
		net_reset(first.peer.fd);
		first.peer.fd = -1;
		EXPECT_NE(TLS_CLOSE_NOTIFY, last_alert(&p.peer, &end)) TH_LOG("round %d", round);
		expect_reason(_metadata, self->ear, &p, &self->info, TLSGATE_REASON_PLAIN_RESET);
		end_taken_relay(&p, &taker);
		pair_free(&first);
	}
}

/* What the plain side sent before it was cut off is delivered, then the cut. */
TEST_F(ending, plain_reset_with_bytes_in_flight)
{
	int end, alert;

	if (variant->plain_family == AF_UNIX)
		SKIP(return, "a UNIX socket has no RST of its own: see plain_dies_unread");
	net_fill(self->plain, self->data, BLOCK, SIZE_MAX, 20);
	net_reset(self->plain);
	self->plain = -1;
	alert = last_alert(&self->p.peer, &end);
	EXPECT_NE(TLS_CLOSE_NOTIFY, alert);
	EXPECT_TRUE(alert >= 0 || end == PEER_RESET) TH_LOG("ended by %d", end);
	EXPECT_REASON(TLSGATE_REASON_PLAIN_RESET);
}

/* ---- on order, and in time --------------------------------------------- */

/* Nobody asked either side, so that neither may take it for the end of the data. */
TEST_F(ending, del_is_no_end_in_order)
{
	int error;

	ASSERT_EQ(0, net_write(self->plain, self->data, 1000));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 1000));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1000));
	ASSERT_EQ(0, net_read(self->plain, self->got, 1000));
	ASSERT_EQ(0, tg_session_del(self->p.tg, BY_ID(self->p.id), TLSGATE_CLOSE_ALERT));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_INTERNAL_ERROR));
	EXPECT_EQ(0, read_to_end(self->plain, self->got, BLOCK, &error));
	EXPECT_EQ(ECONNRESET, error);
	EXPECT_REASON(TLSGATE_REASON_ADMIN_CLOSE);
}

TEST_F(ending, del_resets)
{
	int error;

	ASSERT_EQ(0, tg_session_del(self->p.tg, BY_ID(self->p.id), TLSGATE_CLOSE_RESET));
	EXPECT_EQ(PEER_RESET, peer_drain(&self->p.peer));
	EXPECT_EQ(0, read_to_end(self->plain, self->got, BLOCK, &error));
	EXPECT_EQ(ECONNRESET, error);
	EXPECT_REASON(TLSGATE_REASON_ADMIN_RESET);
}

static void set_idle(struct __test_metadata *_metadata, struct pair *p, uint32_t ms)
{
	ASSERT_EQ(0, tg_session_set(p->tg, BY_ID(p->id), TLSGATE_A_IDLE_TIMEOUT, ms, 4))
		TH_LOG("%s", p->tg->ack.msg);
}

TEST_F(ending, idle_timeout)
{
	int error;

	set_idle(_metadata, &self->p, IDLE);
	EXPECT_REASON(TLSGATE_REASON_IDLE_TIMEOUT);
	EXPECT_EQ(0, read_to_end(self->plain, self->got, BLOCK, &error));
	EXPECT_NE(PEER_TIMEOUT, peer_drain(&self->p.peer));
}

TEST_F(ending, idle_timeout_half_closed)
{
	set_idle(_metadata, &self->p, IDLE);
	shutdown(self->plain, SHUT_WR);
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	EXPECT_REASON(TLSGATE_REASON_IDLE_TIMEOUT);
}

TEST_F(ending, idle_timeout_with_a_stalled_reader)
{
	set_idle(_metadata, &self->p, IDLE);
	net_fill(self->plain, self->data, BLOCK, SIZE_MAX, 20);
	EXPECT_REASON(TLSGATE_REASON_IDLE_TIMEOUT);
}

TEST(a_byte_now_and_then_is_not_idle)
{
	uint64_t end = net_now() + 5 * IDLE;
	struct tg_info info;
	struct pair p;
	uint8_t c;
	int plain;

	ASSERT_TRUE(pair_start(&p, 0x0304, 0x1301, AF_INET));
	plain = pair_relay(&p, AF_INET, 4 * IDLE);
	ASSERT_GE(plain, 0);
	for (int i = 0; net_now() < end; i++) {
		if (i % 2) {
			ASSERT_EQ(1, send(plain, "t", 1, MSG_NOSIGNAL));
			ASSERT_TRUE(peer_recv_data(&p.peer, &c, 1));
		} else {
			ASSERT_EQ(0, peer_send(&p.peer, REF_DATA, "t", 1));
			ASSERT_EQ(0, net_read(plain, &c, 1));
		}
		poll(NULL, 0, IDLE / 2);
	}
	ASSERT_EQ(0, tg_session_get(p.tg, BY_ID(p.id), &info));
	EXPECT_EQ(TLSGATE_STATE_ESTABLISHED, tg_num(&info, TLSGATE_A_STATE));
	close(plain);
	pair_free(&p);
}

/* ---- KeyUpdate without a process --------------------------------------- */

TEST_F(ending, key_updates_are_answered)
{
	uint8_t msg[REF_PLAINTEXT], type;

	if (variant->version == 0x0303)
		return;
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, peer_key_update(&self->p.peer, 1));
		/* Nobody reads, nobody writes: the kernel answers all the same. */
		ASSERT_EQ(5, peer_recv(&self->p.peer, &type, msg, sizeof(msg)));
		ASSERT_EQ(REF_HANDSHAKE, type);
		EXPECT_EQ(0, memcmp(msg, "\x18\0\0\1\0", 5));
		ref_ratchet(&self->p.peer.rx);
		ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 100));
		ASSERT_EQ(0, net_read(self->plain, self->got, 100));
		ASSERT_EQ(0, net_write(self->plain, self->data, 100));
		ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 100));
	}
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(5, tg_num(&self->info, TLSGATE_A_TX_EPOCH));
	EXPECT_EQ(5, tg_num(&self->info, TLSGATE_A_RX_EPOCH));
}

/* ---- ends race --------------------------------------------------------- */

TEST_F_TIMEOUT(ending, every_way_at_any_moment, 60)
{
	for (int round = 0; round < 32; round++) {
		struct pair p;
		int plain;

		ASSERT_TRUE(pair_start(&p, variant->version, variant->suite, variant->family));
		plain = pair_relay_alone(&p, variant->plain_family, -1);
		ASSERT_GE(plain, 0);
		net_write(plain, self->data, 1 + round * 3000);
		peer_send_data(&p.peer, self->data, 1 + round * 1000);
		if (round & 1)
			peer_alert(&p.peer, 1, TLS_CLOSE_NOTIFY);
		if (round & 2)
			shutdown(p.peer.fd, SHUT_WR);
		if (round & 4)
			shutdown(plain, SHUT_WR);
		if (round & 8)
			tg_session_del(p.tg, BY_ID(p.id), round >> 4 & 1);
		if (round & 16)
			close(plain);
		net_reset(p.peer.fd);
		p.peer.fd = -1;
		if (!(round & 16))
			close(plain);
		ASSERT_EQ(0, tg_event(self->ear, TLSGATE_CMD_NTF_SESSION_CLOSED, p.id,
				      &self->info, NET_DEADLINE)) TH_LOG("round %d", round);
		EXPECT_EQ(-ENOENT, tg_session_get(p.tg, BY_ID(p.id), &self->info));
		pair_free(&p);
	}
}

static void *send_requests(void *arg)
{
	while (!peer_send(arg, REF_DATA, "request", 7))
		;
	return NULL;
}

/*
 * The backend is cut off while requests come in: who finds the plain socket
 * broken by sending to it must not hide that from who reads from it.  A
 * hundred rounds took minutes on the debug kernel beside another guest: ROUNDS
 * in the environment chooses how many.
 */
TEST_F_TIMEOUT(ending, plain_reset_under_requests, 180)
{
	long rounds = net_amount("ROUNDS", 100);

	if (variant->plain_family == AF_UNIX)
		SKIP(return, "a UNIX socket has no RST of its own: see plain_dies_unread");
	for (int round = 0; round < rounds; round++) {
		struct pair p;
		pthread_t thread;
		int plain, end;

		ASSERT_TRUE(pair_start(&p, variant->version, variant->suite, variant->family));
		plain = pair_relay_alone(&p, variant->plain_family, -1);
		ASSERT_GE(plain, 0);
		ASSERT_EQ(0, pthread_create(&thread, NULL, send_requests, &p.peer));
		ASSERT_EQ(0, net_read(plain, self->got, 1 + round * 700 / rounds));
		net_reset(plain);
		EXPECT_NE(TLS_CLOSE_NOTIFY, last_alert(&p.peer, &end)) TH_LOG("round %d", round);
		pthread_join(thread, NULL);
		expect_reason(_metadata, self->ear, &p, &self->info, TLSGATE_REASON_PLAIN_RESET);
		pair_free(&p);
	}
}

/* Somebody who has the socket, too, cannot end the relay by shutdown, whatever the direction. */
TEST_F(ending, tls_shut_by_another_owner)
{
	static const int hows[] = { SHUT_RD, SHUT_WR, SHUT_RDWR };
	struct pair p;
	int plain;

	ASSERT_TRUE(pair_start(&p, variant->version, variant->suite, variant->family));
	plain = pair_relay(&p, variant->plain_family, -1);
	ASSERT_GE(plain, 0);
	for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
		EXPECT_EQ(-1, shutdown(p.fd, hows[i]));
		EXPECT_EQ(EBUSY, errno);
		ASSERT_EQ(0, peer_send(&p.peer, REF_DATA, self->data, 100));
		ASSERT_EQ(0, net_read(plain, self->got, 100));
		EXPECT_EQ(0, memcmp(self->data, self->got, 100));
		ASSERT_EQ(100, send(plain, self->data, 100, 0));
		EXPECT_TRUE(peer_recv_data(&p.peer, self->got, 100));
	}
	close(plain);
	pair_free(&p);
}

TEST_HARNESS_MAIN
