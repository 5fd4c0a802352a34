// SPDX-License-Identifier: MIT
/* A TLS session joined with a plain socket in the kernel: bytes, counts, pressure. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/task.h"

#define BLOCK	65536
/* More than both sockets' buffers may hold together. */
#define BOUND	(24 << 20)
/* A writer that made no step for so long is held back, or so slow that it does not matter. */
#define STALL	500	/* ms */

FIXTURE(relay)
{
	struct pair p;		/* p.fd is closed: the relay holds it */
	int plain;		/* our end of the plain connection */
	struct tg_info info;
	uint8_t data[BLOCK], got[BLOCK];
};

FIXTURE_VARIANT(relay)
{
	uint16_t version, suite;
	int family, plain_family;
	size_t mib;
};

#define RELAY(name, v, s, f, pf, m) \
	FIXTURE_VARIANT_ADD(relay, name) \
	{ .version = v, .suite = s, .family = f, .plain_family = pf, .mib = m };
RELAY(v12_aes128_tcp, 0x0303, 0xc02f, AF_INET, AF_INET, 4)
RELAY(v12_chacha_unix, 0x0303, 0xcca8, AF_INET, AF_UNIX, 2)
RELAY(v13_aes128_tcp, 0x0304, 0x1301, AF_INET, AF_INET, 24)
RELAY(v13_aes256_unix, 0x0304, 0x1302, AF_INET6, AF_UNIX, 4)
RELAY(v13_chacha_tcp6, 0x0304, 0x1303, AF_INET, AF_INET6, 2)

FIXTURE_SETUP(relay)
{
	pat_fill(self->data, 0, BLOCK, 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
	self->plain = pair_relay_alone(&self->p, variant->plain_family, -1);
	ASSERT_GE(self->plain, 0) TH_LOG("%s", self->p.tg->ack.msg);
}

FIXTURE_TEARDOWN(relay)
{
	if (self->plain >= 0)
		close(self->plain);
	pair_free(&self->p);
}

/* ---- bytes ------------------------------------------------------------- */

TEST_F(relay, both_ways)
{
	ASSERT_EQ(5, send(self->plain, "hello", 5, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 5));
	EXPECT_EQ(0, memcmp("hello", self->got, 5));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "there", 5));
	ASSERT_EQ(0, net_read(self->plain, self->got, 5));
	EXPECT_EQ(0, memcmp("there", self->got, 5));
}

TEST_F(relay, sizes)
{
	static const size_t sizes[] = { 1, 2, 15, 16, 17, 255, 4096, 16383, 16384, 16385, 65536 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		ASSERT_EQ(0, net_write(self->plain, self->data, sizes[i]));
		ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, sizes[i]));
		ASSERT_EQ(0, memcmp(self->data, self->got, sizes[i]));
		ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, sizes[i]));
		ASSERT_EQ(0, net_read(self->plain, self->got, sizes[i]));
		ASSERT_EQ(0, memcmp(self->data, self->got, sizes[i]));
	}
}

TEST_F(relay, many_small_writes)
{
	for (size_t at = 0, i = 0; i < 400; at += 1 + i % 40, i++) {
		ASSERT_EQ(0, net_write(self->plain, self->data + at, 1 + i % 40));
		ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + at, 1 + i % 40));
	}
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 8200));
	EXPECT_EQ(0, memcmp(self->data, self->got, 8200));
	ASSERT_EQ(0, net_read(self->plain, self->got, 8200));
	EXPECT_EQ(0, memcmp(self->data, self->got, 8200));
}

/* The receiving end of a relay asks for no urgent byte out of line: it is one of the stream. */
TEST_F(relay, urgent_bytes_are_in_the_stream)
{
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(3, send(self->plain, "abc", 3, i % 2 ? MSG_OOB : 0));
		ASSERT_EQ(1, send(self->plain, "d", 1, i % 3 ? MSG_OOB : 0));
		ASSERT_EQ(2, send(self->plain, "ef", 2, 0));
		ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 6));
		ASSERT_EQ(0, memcmp("abcdef", self->got, 6));
	}
	/* Each at once, so that the one before may not have been read. */
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(1, send(self->plain, "x", 1, MSG_OOB));
		ASSERT_EQ(1, send(self->plain, "y", 1, MSG_OOB));
	}
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 200));
	for (int i = 0; i < 200; i++)
		ASSERT_EQ(i % 2 ? 'y' : 'x', self->got[i]);
}

/* A server that asks the kernel who speaks to it hears of who made the relay. */
TEST_F(relay, its_maker_speaks)
{
	char control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { self->got, 100 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
	};
	struct ucred *cred;
	struct pair p;
	int plain, on = 1;

	if (variant->plain_family != AF_UNIX)
		SKIP(return, "only UNIX sockets tell who sends");
	ASSERT_TRUE(pair_start(&p, variant->version, variant->suite, variant->family));
	ASSERT_EQ(0, setresuid(TASK_NOBODY, -1, -1));
	plain = pair_relay(&p, AF_UNIX, 0);
	ASSERT_EQ(0, setresuid(0, -1, -1));
	ASSERT_LE(0, plain);
	ASSERT_EQ(0, setsockopt(plain, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	ASSERT_EQ(0, peer_send(&p.peer, REF_DATA, "request", 7));
	ASSERT_EQ(7, recvmsg(plain, &msg, 0));
	ASSERT_NE(NULL, CMSG_FIRSTHDR(&msg));
	cred = (struct ucred *)CMSG_DATA(CMSG_FIRSTHDR(&msg));
	EXPECT_EQ(TASK_NOBODY, cred->uid);
	close(plain);
	pair_free(&p);
}

/* TLS cannot carry them, and nobody else ever gets them. */
TEST_F(relay, descriptors_are_closed)
{
	int ends[2];

	if (variant->plain_family != AF_UNIX)
		SKIP(return, "only UNIX sockets carry descriptors");
	ASSERT_EQ(0, pipe(ends));
	for (size_t at = 0; at < 5000; at += 1000)
		ASSERT_EQ(1000, net_send_fds(self->plain, self->data + at, 1000, 0, &ends[1], 1));
	close(ends[1]);
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 5000));
	EXPECT_EQ(5000, pat_check(self->got, 0, 5000, 1));
	EXPECT_EQ(POLLHUP, net_poll(ends[0], POLLIN, 10000));
	EXPECT_EQ(0, read(ends[0], self->got, 1));
	close(ends[0]);
}

/*
 * Requests and answers, one of them short: the works' turn comes first, to see how
 * the AEAD completes; then softirqs move them, but for UNIX sockets.  How often
 * that was.
 */
static uint64_t talk(struct __test_metadata *_metadata, struct peer *peer, int plain,
		     const uint8_t *data, uint8_t *got, size_t max)
{
	int counters = tg_counters();
	uint64_t before = tg_counter(counters, "relay_direct"), after;

	for (size_t i = 0; i < 60; i++) {
		size_t n = 1 + i * 277 % max, other = 1 + i;
		size_t request = i % 2 ? n : other, answer = i % 2 ? other : n;

		ASSERT_EQ(0, peer_send(peer, REF_DATA, data + i, request));
		ASSERT_EQ(0, net_read(plain, got, request));
		ASSERT_EQ(0, memcmp(data + i, got, request));
		ASSERT_EQ(0, net_write(plain, data + n, answer));
		ASSERT_TRUE(peer_recv_data(peer, got, answer));
		ASSERT_EQ(0, memcmp(data + n, got, answer));
	}
	after = tg_counter(counters, "relay_direct");
	close(counters);
	return after - before;
}

TEST_F(relay, requests_and_answers)
{
	bool local = variant->plain_family == AF_UNIX;

	EXPECT_EQ(!local, !!talk(_metadata, &self->p.peer, self->plain, self->data, self->got,
				 REF_PLAINTEXT));
}

/*
 * What a softirq has opened and cannot deal with waits for a work, in its
 * place: data, a control record and data again come in one segment.
 */
TEST_F(relay, control_records_behind_a_request)
{
	static const uint8_t key_update[] = { 24, 0, 0, 1, 0 }, close_notify[] = { 1, 0 };
	struct peer *peer = &self->p.peer;
	uint8_t wire[1000];
	size_t n;

	talk(_metadata, peer, self->plain, self->data, self->got, 100);
	for (size_t i = 0; i < 20; i++) {
		n = ref_seal(&peer->tx, REF_DATA, self->data, 10 + i, 0, wire);
		if (variant->version == 0x0304) {
			n += ref_seal(&peer->tx, REF_HANDSHAKE, key_update, 5, 0, wire + n);
			ref_ratchet(&peer->tx);
		} else {
			n += ref_seal(&peer->tx, REF_DATA, "", 0, 0, wire + n);
		}
		n += ref_seal(&peer->tx, REF_DATA, self->data + 10 + i, 100, 0, wire + n);
		ASSERT_EQ(0, net_write(peer->fd, wire, n));
		ASSERT_EQ(0, net_read(self->plain, self->got, 110 + i));
		ASSERT_EQ(0, memcmp(self->data, self->got, 110 + i));
		ASSERT_EQ(1, send(self->plain, "a", 1, 0));
		ASSERT_TRUE(peer_recv_data(peer, self->got, 1));
	}
	n = ref_seal(&peer->tx, REF_DATA, self->data, 77, 0, wire);
	n += ref_seal(&peer->tx, REF_ALERT, close_notify, 2, 0, wire + n);
	ASSERT_EQ(0, net_write(peer->fd, wire, n));
	ASSERT_EQ(0, net_read(self->plain, self->got, 77));
	EXPECT_EQ(0, recv(self->plain, self->got, 1, 0));
}

/* So does one that does not authenticate: the work finds it again, and sends the alert. */
TEST_F(relay, bad_record_behind_a_request)
{
	uint8_t wire[200];
	size_t n, m;

	talk(_metadata, &self->p.peer, self->plain, self->data, self->got, 100);
	n = ref_seal(&self->p.peer.tx, REF_DATA, "good", 4, 0, wire);
	m = ref_seal(&self->p.peer.tx, REF_DATA, "spoilt", 6, 0, wire + n);
	wire[n + m - 1] ^= 1;
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, n + m));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_BAD_RECORD_MAC));
	/* The good one may be overtaken by the reset; what follows it is never seen. */
	n = recv(self->plain, self->got, sizeof(self->got), 0);
	EXPECT_TRUE(n == (size_t)-1 || (n == 4 && !memcmp(self->got, "good", 4)));
	if (n == 4)
		EXPECT_EQ(-1, recv(self->plain, self->got, 1, 0));
}

/* One without content waits for the work as any other does, though there is nothing of it. */
TEST_F(relay, empty_record_behind_a_request)
{
	uint8_t wire[200];
	size_t n;

	talk(_metadata, &self->p.peer, self->plain, self->data, self->got, 100);
	n = ref_seal(&self->p.peer.tx, REF_DATA, "good", 4, 0, wire);
	n += ref_seal(&self->p.peer.tx, REF_HANDSHAKE, "", 0, 0, wire + n);
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, n));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_UNEXPECTED_MESSAGE));
}

#define EXPECT_FLOW(down, up)							\
	do {									\
		const char *why_ = flow(&self->p.peer, self->plain, down, up);	\
		EXPECT_EQ(NULL, why_) TH_LOG("%s", why_);			\
	} while (0)

TEST_F_TIMEOUT(relay, bulk_down, 90)
{
	EXPECT_FLOW(variant->mib << 20, 0);
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(variant->mib << 20, tg_num(&self->info, TLSGATE_A_TX_BYTES));
	EXPECT_EQ(0, tg_num(&self->info, TLSGATE_A_RX_BYTES));
}

TEST_F_TIMEOUT(relay, bulk_up, 90)
{
	EXPECT_FLOW(0, variant->mib << 20);
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(variant->mib << 20, tg_num(&self->info, TLSGATE_A_RX_BYTES));
	EXPECT_EQ(0, tg_num(&self->info, TLSGATE_A_TX_BYTES));
}

TEST_F_TIMEOUT(relay, bulk_both_ways, 90)
{
	EXPECT_FLOW((variant->mib << 20) / 2 + 12345, (variant->mib << 20) / 2 + 1);
}

TEST_F(relay, get_reports_both_sockets)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct nlattr *a;

	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_TRUE(tg_has(&self->info, TLSGATE_A_LOCAL));
	EXPECT_TRUE(tg_has(&self->info, TLSGATE_A_RELAY_LOCAL));
	a = self->info.attr[TLSGATE_A_RELAY_PEER];
	ASSERT_NE(NULL, a);
	ASSERT_EQ(0, getsockname(self->plain, (void *)&addr, &len));
	EXPECT_EQ(addr.ss_family, ((struct sockaddr *)nla_data(a))->sa_family);
	if (variant->plain_family == AF_UNIX)
		return;
	ASSERT_EQ(len, nla_len(a));
	EXPECT_EQ(((struct sockaddr_in *)&addr)->sin_port,
		  ((struct sockaddr_in *)nla_data(a))->sin_port);
}

/* ---- back-pressure ----------------------------------------------------- */

/* Writes until the socket takes no more for a while: bytes taken; BOUND: it never stopped. */
static size_t write_until_full(int fd, uint64_t seed)
{
	uint8_t buf[BLOCK];
	size_t done = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (done < BOUND && net_poll(fd, POLLOUT, STALL) & POLLOUT) {
		ssize_t n;

		pat_fill(buf, done, BLOCK, seed);
		n = send(fd, buf, BLOCK, MSG_NOSIGNAL);
		if (n > 0)
			done += n;
	}
	fcntl(fd, F_SETFL, 0);
	return done;
}

TEST_F_TIMEOUT(relay, stalled_tls_reader, 90)
{
	size_t sent = write_until_full(self->plain, 1);
	struct stream in = { &self->p.peer, -1, true, 1, 0, sent + 1000 };
	struct stream out = { NULL, self->plain, false, 1, sent, sent + 1000 };

	ASSERT_LT(sent, BOUND) TH_LOG("the writer is never held back");
	ASSERT_TRUE(stream_start(&in));
	EXPECT_TRUE(stream_run(&out));
	EXPECT_TRUE(stream_end(&in)) TH_LOG("stopped at %lu of %lu", in.done, in.total);
	/* The other direction was not touched by it. */
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "up", 2));
	EXPECT_EQ(0, net_read(self->plain, self->got, 2));
}

/* Records until TCP takes no more; the rest of the last one is left in buf. */
static size_t seal_until_full(struct peer *peer, uint8_t *buf, size_t *left)
{
	size_t content = 0, at = 0, len = 0;
	uint8_t plain[REF_PLAINTEXT];

	fcntl(peer->fd, F_SETFL, O_NONBLOCK);
	while (content < BOUND && net_poll(peer->fd, POLLOUT, STALL) & POLLOUT) {
		ssize_t n;

		if (at == len) {
			pat_fill(plain, content, sizeof(plain), 2);
			len = ref_seal(&peer->tx, REF_DATA, plain, sizeof(plain), 0, buf);
			content += sizeof(plain);
			at = 0;
		}
		n = send(peer->fd, buf + at, len - at, MSG_NOSIGNAL);
		if (n > 0)
			at += n;
	}
	fcntl(peer->fd, F_SETFL, 0);
	memmove(buf, buf + at, len - at);
	*left = len - at;
	return content;
}

TEST_F_TIMEOUT(relay, stalled_plain_reader, 90)
{
	size_t left = 0;
	size_t sent = seal_until_full(&self->p.peer, self->data, &left);
	struct stream in = { NULL, self->plain, true, 2, 0, sent };

	ASSERT_LT(sent, BOUND) TH_LOG("the writer is never held back");
	/* The other direction goes on meanwhile. */
	ASSERT_EQ(4, send(self->plain, "down", 4, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 4));
	ASSERT_TRUE(stream_start(&in));
	EXPECT_EQ(0, net_write(self->p.peer.fd, self->data, left));
	EXPECT_TRUE(stream_end(&in)) TH_LOG("stopped at %lu of %lu", in.done, in.total);
}

TEST_HARNESS_MAIN
