// SPDX-License-Identifier: MIT
/* A TLS session joined with a plain socket in the kernel: bytes, counts, pressure, refusals. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
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

/* One direction's stream, checked by place, in a thread of its own. */
struct stream {
	struct peer *peer;	/* the TLS end, or */
	int fd;			/* the plain end */
	uint64_t total, done, seed;
	bool ok;
	pthread_t thread;
};

static void *stream_out(void *arg)
{
	struct stream *s = arg;
	uint8_t *buf = malloc(BLOCK);

	s->ok = true;
	while (s->ok && s->done < s->total) {
		size_t n = s->total - s->done < BLOCK ? s->total - s->done : BLOCK;

		pat_fill(buf, s->done, n, s->seed);
		s->ok = s->peer ? !peer_send_data(s->peer, buf, n) : !net_write(s->fd, buf, n);
		if (s->ok)
			s->done += n;
	}
	free(buf);
	return NULL;
}

static void *stream_in(void *arg)
{
	struct stream *s = arg;
	uint8_t *buf = malloc(BLOCK), type = REF_DATA;

	s->ok = true;
	while (s->ok && s->done < s->total) {
		ssize_t n = s->peer ? peer_recv(s->peer, &type, buf, BLOCK) :
				      recv(s->fd, buf, BLOCK, 0);

		s->ok = n > 0 && type == REF_DATA &&
			pat_check(buf, s->done, n, s->seed) == (size_t)n;
		if (s->ok)
			s->done += n;
	}
	free(buf);
	return NULL;
}

/* Starts down (plain to TLS) and up as asked for, waits, checks. */
static void run_streams(struct __test_metadata *_metadata, struct peer *peer, int plain,
			uint64_t down, uint64_t up)
{
	struct stream s[4] = {
		{ .fd = plain, .total = down, .seed = 1 },
		{ .peer = peer, .total = down, .seed = 1 },
		{ .peer = peer, .total = up, .seed = 2 },
		{ .fd = plain, .total = up, .seed = 2 },
	};

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&s[i].thread, NULL, i % 2 ? stream_in : stream_out,
					    &s[i]));
	for (int i = 0; i < 4; i++) {
		pthread_join(s[i].thread, NULL);
		EXPECT_TRUE(s[i].ok && s[i].done == s[i].total)
			TH_LOG("%s %s stopped at %lu of %lu", i < 2 ? "down" : "up",
			       i % 2 ? "reader" : "writer", s[i].done, s[i].total);
	}
}

TEST_F_TIMEOUT(relay, bulk_down, 90)
{
	run_streams(_metadata, &self->p.peer, self->plain, variant->mib << 20, 0);
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(variant->mib << 20, tg_num(&self->info, TLSGATE_A_TX_BYTES));
	EXPECT_EQ(0, tg_num(&self->info, TLSGATE_A_RX_BYTES));
}

TEST_F_TIMEOUT(relay, bulk_up, 90)
{
	run_streams(_metadata, &self->p.peer, self->plain, 0, variant->mib << 20);
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(variant->mib << 20, tg_num(&self->info, TLSGATE_A_RX_BYTES));
	EXPECT_EQ(0, tg_num(&self->info, TLSGATE_A_TX_BYTES));
}

TEST_F_TIMEOUT(relay, bulk_both_ways, 90)
{
	run_streams(_metadata, &self->p.peer, self->plain, (variant->mib << 20) / 2 + 12345,
		    (variant->mib << 20) / 2 + 1);
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
	struct stream in = { .peer = &self->p.peer, .total = sent + 1000, .seed = 1 };
	struct stream out = { .fd = self->plain, .total = sent + 1000, .done = sent, .seed = 1 };

	ASSERT_LT(sent, BOUND) TH_LOG("the writer is never held back");
	ASSERT_EQ(0, pthread_create(&in.thread, NULL, stream_in, &in));
	stream_out(&out);
	pthread_join(in.thread, NULL);
	EXPECT_TRUE(out.ok);
	EXPECT_TRUE(in.ok) TH_LOG("stopped at %lu of %lu", in.done, in.total);
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
	struct stream in = { .fd = self->plain, .total = sent, .seed = 2 };

	ASSERT_LT(sent, BOUND) TH_LOG("the writer is never held back");
	/* The other direction goes on meanwhile. */
	ASSERT_EQ(4, send(self->plain, "down", 4, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 4));
	ASSERT_EQ(0, pthread_create(&in.thread, NULL, stream_in, &in));
	EXPECT_EQ(0, net_write(self->p.peer.fd, self->data, left));
	pthread_join(in.thread, NULL);
	EXPECT_TRUE(in.ok) TH_LOG("stopped at %lu of %lu", in.done, in.total);
}

/* ---- other ways to start ----------------------------------------------- */

FIXTURE(joining)
{
	struct pair p;		/* connected, not installed */
	int plain[2];
	struct tg_install in;
	struct tg_info info;
	uint8_t data[BLOCK], got[BLOCK];
};

FIXTURE_VARIANT(joining)
{
	uint16_t version, suite;
};

FIXTURE_VARIANT_ADD(joining, v12_aes128) { .version = 0x0303, .suite = 0xc02f };
FIXTURE_VARIANT_ADD(joining, v13_aes128) { .version = 0x0304, .suite = 0x1301 };

FIXTURE_SETUP(joining)
{
	pat_fill(self->data, 0, BLOCK, 1);
	ASSERT_TRUE(pair_connect(&self->p, variant->version, variant->suite, AF_INET));
	ASSERT_EQ(0, net_tcp_pair(AF_INET, self->plain));
	self->in = tg_install_on(self->p.fd, &self->p.tx, &self->p.rx);
}

FIXTURE_TEARDOWN(joining)
{
	pair_free(&self->p);
	close(self->plain[0]);
	close(self->plain[1]);
}

TEST_F(joining, in_one_message)
{
	uint8_t wire[300];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 100, 0, wire);

	/* One record was read with the handshake, one waits in the socket. */
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + 100, 100));
	ASSERT_EQ(7, send(self->plain[1], "waiting", 7, 0));
	self->in.pending = wire;
	self->in.pending_len = n;
	self->in.relay_fd = self->plain[0];
	self->in.idle_timeout = 60000;
	ASSERT_EQ(0, tg_session_new(self->p.tg, &self->in, &self->p.id))
		TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_read(self->plain[1], self->got, 200));
	EXPECT_EQ(200, pat_check(self->got, 0, 200, 1));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 7));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(60000, tg_num(&self->info, TLSGATE_A_IDLE_TIMEOUT));
	ASSERT_EQ(0, tg_session_set(self->p.tg, BY_ID(self->p.id), TLSGATE_A_IDLE_TIMEOUT, 90000,
				    4));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(90000, tg_num(&self->info, TLSGATE_A_IDLE_TIMEOUT));
}

/* Half a record was read by its holder before: the relay carries on with the other half. */
TEST_F(joining, after_a_partial_read)
{
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 1000));
	ASSERT_EQ(300, recv(self->p.fd, self->got, 300, 0));
	ASSERT_EQ(4, send(self->p.fd, self->data, 4, 0));
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1))
		TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_read(self->plain[1], self->got, 700));
	EXPECT_EQ(700, pat_check(self->got, 300, 700, 1));
	ASSERT_EQ(4, send(self->plain[1], self->data + 4, 4, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 8));
	EXPECT_EQ(8, pat_check(self->got, 0, 8, 1));
}

/* Ends that came before them tell nobody of themselves again. */
TEST_F(joining, a_plain_side_that_has_ended)
{
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, shutdown(self->plain[1], SHUT_WR));
	ASSERT_TRUE(net_poll(self->plain[0], POLLRDHUP, NET_DEADLINE) & POLLRDHUP);
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_CLOSE_NOTIFY));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 100));
	EXPECT_EQ(0, net_read(self->plain[1], self->got, 100));
	EXPECT_EQ(100, pat_check(self->got, 0, 100, 1));
}

TEST_F(joining, a_tls_side_that_has_ended)
{
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1));
	EXPECT_EQ(0, recv(self->plain[1], self->got, 1, 0));
	ASSERT_EQ(100, send(self->plain[1], self->data, 100, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 100));
	EXPECT_EQ(100, pat_check(self->got, 0, 100, 1));
}

TEST_F(joining, a_tls_side_that_was_cut_off)
{
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, shutdown(self->p.peer.fd, SHUT_WR));
	ASSERT_TRUE(net_poll(self->p.fd, POLLRDHUP, NET_DEADLINE) & POLLRDHUP);
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1));
	EXPECT_EQ(-1, recv(self->plain[1], self->got, 1, 0));
	EXPECT_EQ(ECONNRESET, errno);
}

/* The same of the plain side's: what is left of a buffer goes on where it was left. */
TEST_F(joining, after_a_partial_read_of_a_unix_socket)
{
	int plain[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, plain));
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, net_write(plain[1], self->data, 50000));
	ASSERT_EQ(0, net_write(plain[1], self->data + 50000, 100));
	ASSERT_EQ(0, net_read(plain[0], self->got, 12345));
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, plain[0], -1))
		TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_write(plain[1], self->data + 50100, 10000));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 60100 - 12345));
	EXPECT_EQ(60100 - 12345, pat_check(self->got, 12345, 60100 - 12345, 1));
	close(plain[0]);
	close(plain[1]);
}

TEST_F(joining, with_everything_waiting)
{
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 40000));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	shutdown(self->p.peer.fd, SHUT_WR);
	ASSERT_EQ(0, net_write(self->plain[1], self->data, 30000));
	shutdown(self->plain[1], SHUT_WR);
	self->in.relay_fd = self->plain[0];
	ASSERT_EQ(0, tg_session_new(self->p.tg, &self->in, &self->p.id))
		TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_read(self->plain[1], self->got, 40000));
	EXPECT_EQ(40000, pat_check(self->got, 0, 40000, 1));
	EXPECT_EQ(0, recv(self->plain[1], self->got, 1, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 30000));
	EXPECT_EQ(30000, pat_check(self->got, 0, 30000, 1));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

/* The process is gone; the connection is not. */
TEST_F(joining, survives_the_process)
{
	int alone[2], status;
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe(alone));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		close(alone[1]);
		self->in.relay_fd = self->plain[0];
		if (!read(alone[0], &c, 1) &&
		    !tg_session_new(self->p.tg, &self->in, &self->p.id))
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	close(self->p.fd);
	self->p.fd = -1;
	close(self->plain[0]);
	self->plain[0] = -1;
	close(alone[0]);
	close(alone[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	run_streams(_metadata, &self->p.peer, self->plain[1], 1 << 20, 1 << 20);
}

/* ---- what cannot be joined --------------------------------------------- */

static int udp_connected(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return connect(fd, (void *)&to, sizeof(to)) ? -1 : fd;
}

static int unix_datagram(void)
{
	int fd[2];

	return socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) ? -1 : fd[0];
}

static int unix_packets(void)
{
	int fd[2];

	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) ? -1 : fd[0];
}

static int listening(void)
{
	return net_listener(AF_INET);
}

static int unconnected(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int unix_unconnected(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int file(void)
{
	return open("/proc/self/exe", O_RDONLY);
}

static int closed(void)
{
	return 1000;
}

static const struct {
	const char *what;
	int (*make)(void);
	int error;
} bad_plain[] = {
	{ "UDP socket", udp_connected, EOPNOTSUPP },
	{ "UNIX datagram socket", unix_datagram, EOPNOTSUPP },
	{ "UNIX packet socket", unix_packets, EOPNOTSUPP },
	{ "listening socket", listening, ENOTCONN },
	{ "unconnected socket", unconnected, ENOTCONN },
	{ "unconnected UNIX socket", unix_unconnected, ENOTCONN },
	{ "regular file", file, ENOTSOCK },
	{ "closed descriptor", closed, EBADF },
};

TEST_F(joining, other_descriptors_are_refused)
{
	struct tg *tg = self->p.tg;
	char c;

	ASSERT_EQ(0, pair_install(&self->p));
	for (size_t i = 0; i < sizeof(bad_plain) / sizeof(*bad_plain); i++) {
		EXPECT_EQ(-bad_plain[i].error,
			  tg_relay_new(tg, self->p.fd, bad_plain[i].make(), -1))
			TH_LOG("%s", bad_plain[i].what);
		EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_RELAY_FD))
			TH_LOG("%s: '%s'", bad_plain[i].what, tg->ack.msg);
	}
	EXPECT_EQ(-EOPNOTSUPP, tg_relay_new(tg, self->p.fd, self->p.fd, -1));
	EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_RELAY_FD)) TH_LOG("'%s'", tg->ack.msg);
	/* The session is none the worse. */
	EXPECT_EQ(1, send(self->p.fd, "x", 1, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, &c, 1));
}

TEST_F(joining, sockets_in_use_are_refused)
{
	int spare[2], counters = tg_counters();
	struct pair other;
	uint64_t refused;

	ASSERT_EQ(0, net_tcp_pair(AF_INET, spare));
	ASSERT_TRUE(pair_start(&other, variant->version, variant->suite, AF_INET));
	ASSERT_EQ(0, pair_install(&self->p));
	EXPECT_EQ(-EBUSY, tg_relay_new(self->p.tg, self->p.fd, other.fd, -1));
	EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RELAY_FD));
	/* Taken, with not a word of a refusal. */
	refused = tg_counter(counters, "reason_no_memory");
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1));
	EXPECT_STREQ("", self->p.tg->ack.msg);
	EXPECT_EQ(refused, tg_counter(counters, "reason_no_memory"));
	close(counters);
	EXPECT_EQ(-EBUSY, tg_relay_new(self->p.tg, self->p.fd, spare[0], -1));
	EXPECT_EQ(-EBUSY, tg_relay_new(other.tg, other.fd, self->plain[0], -1));
	EXPECT_TRUE(tg_names(other.tg, 0, TLSGATE_A_RELAY_FD));
	/* A plain socket in a relay does not become a TLS socket underneath it. */
	self->in.fd = self->plain[0];
	EXPECT_NE(0, tg_session_new(self->p.tg, &self->in, NULL));
	ASSERT_EQ(1, send(self->plain[1], "x", 1, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 1));
	pair_free(&other);
	close(spare[0]);
	close(spare[1]);
}

/* One connection of IPv4, whose first end an AF_INET6 socket has. */
static int mapped_pair(int fd[2])
{
	int listener = net_listener(AF_INET);
	struct sockaddr_in6 mapped = {
		.sin6_family = AF_INET6,
		.sin6_addr.s6_addr = { [10] = 0xff, 0xff, 127, 0, 0, 1 },
	};
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int err;

	err = getsockname(listener, (void *)&addr, &len);
	mapped.sin6_port = addr.sin_port;
	fd[0] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!err)
		err = connect(fd[0], (void *)&mapped, sizeof(mapped));
	fd[1] = err ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return fd[1] < 0 ? -1 : 0;
}

static int v4_pair(int fd[2])
{
	return net_tcp_pair(AF_INET, fd);
}

static int v6_pair(int fd[2])
{
	return net_tcp_pair(AF_INET6, fd);
}

/* Bytes would go round in it, and nobody holds an end. */
TEST_F(joining, both_ends_of_one_connection_are_refused)
{
	int (*const pairs[])(int fd[2]) = { v4_pair, v6_pair, mapped_pair };
	int fd[2];

	for (int i = 0; i < 6; i++) {
		int tls = i % 2;

		ASSERT_EQ(0, pairs[i / 2](fd));
		self->in.fd = fd[tls];
		self->in.relay_fd = fd[!tls];
		EXPECT_EQ(-ELOOP, tg_session_new(self->p.tg, &self->in, NULL))
			TH_LOG("case %d", i);
		EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RELAY_FD))
			TH_LOG("'%s'", self->p.tg->ack.msg);
		close(fd[0]);
		close(fd[1]);
	}
}

/* In one message: keys and relay, or neither, and no plaintext on a socket meant for TLS. */
TEST_F(joining, refused_relay_in_session_new)
{
	self->in.relay_fd = listening();
	EXPECT_EQ(-ENOTCONN, tg_session_new(self->p.tg, &self->in, NULL));
	EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RELAY_FD));
	self->in.relay_fd = self->p.fd;
	EXPECT_NE(0, tg_session_new(self->p.tg, &self->in, NULL));
	EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RELAY_FD));
	self->in.relay_fd = -1;
	EXPECT_EQ(0, tg_session_new(self->p.tg, &self->in, NULL));
}

/* ---- limits ------------------------------------------------------------ */

#define LIMIT	6
#define HARD	1000

struct retry {
	struct pair *p;
	int plain;
};

static bool again_allowed(void *arg)
{
	struct retry *r = arg;

	return !tg_relay_new(r->p->tg, r->p->fd, r->plain, -1);
}

/* Relays outlive their descriptors, so their number is what RLIMIT_NOFILE limits. */
static void use_up(struct __test_metadata *_metadata)
{
	struct pair p[LIMIT + 1];
	int fd[2];

	/* Keys come from sockets that root has opened. */
	for (int i = 0; i <= LIMIT; i++)
		ASSERT_TRUE(pair_connect(&p[i], 0x0304, 0x1301, AF_INET));
	ASSERT_TRUE(task_become(TASK_NOBODY));
	for (int i = 0; i <= LIMIT; i++) {
		task_files(500, HARD);
		ASSERT_EQ(0, pair_install(&p[i]));
		ASSERT_EQ(0, net_tcp_pair(AF_INET, fd));
		task_files(LIMIT, HARD);
		EXPECT_EQ(i < LIMIT ? 0 : -EDQUOT, tg_relay_new(p[i].tg, p[i].fd, fd[0], -1));
		close(fd[0]);
	}
	EXPECT_TRUE(tg_names(p[LIMIT].tg, 0, TLSGATE_A_RELAY_FD))
		TH_LOG("'%s'", p[LIMIT].tg->ack.msg);
	/* One ends, one more may start: its sockets are made before the limit is back. */
	task_files(500, HARD);
	ASSERT_EQ(0, net_tcp_pair(AF_INET, fd));
	net_reset(p[0].peer.fd);
	p[0].peer.fd = -1;
	task_files(LIMIT, HARD);
	struct retry r = { &p[LIMIT], fd[0] };

	EXPECT_TRUE(net_until(again_allowed, &r));
}

TEST_F(joining, relays_are_limited_per_user)
{
	pid_t child = fork();
	int status;

	ASSERT_GE(child, 0);
	if (!child) {
		use_up(_metadata);
		_exit(_metadata->exit_code);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
