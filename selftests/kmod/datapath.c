// SPDX-License-Identifier: MIT
/* Records: what the kernel seals the reference opens, and the other way round. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define LARGEST	(1 << 20)

static const size_t sizes[] = {
	1, 2, 15, 16, 17, 255, 256, 257, 1000, 1024, 4096, 16383, 16384, 16385, 32768, 65536, LARGEST,
};

#define SIZES	(sizeof(sizes) / sizeof(*sizes))

FIXTURE(datapath)
{
	struct pair p;
	uint8_t *data, *got;
};

FIXTURE_VARIANT(datapath)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(datapath)

FIXTURE_SETUP(datapath)
{
	self->data = malloc(LARGEST);
	self->got = calloc(1, LARGEST);
	pat_fill(self->data, 0, LARGEST, 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(datapath)
{
	pair_free(&self->p);
	free(self->data);
	free(self->got);
}

/* The reference's end, in a thread, so that neither side fills TCP and waits for itself. */
struct job {
	struct peer *peer;
	uint8_t *buf;
	size_t len;
	bool ok;
	pthread_t thread;
};

static void *collect(void *arg)
{
	struct job *j = arg;

	j->ok = peer_recv_data(j->peer, j->buf, j->len);
	return NULL;
}

static void *deliver(void *arg)
{
	struct job *j = arg;

	j->ok = !peer_send_data(j->peer, j->buf, j->len);
	return NULL;
}

static void job_start(struct job *j, void *(*run)(void *))
{
	if (pthread_create(&j->thread, NULL, run, j))
		abort();
}

static bool job_done(struct job *j)
{
	return !pthread_join(j->thread, NULL) && j->ok;
}

/* ---- sealing ----------------------------------------------------------- */

TEST_F(datapath, send_sizes)
{
	for (size_t i = 0; i < SIZES; i++) {
		struct job j = { &self->p.peer, self->got, sizes[i] };

		job_start(&j, collect);
		EXPECT_EQ(0, net_write(self->p.fd, self->data, sizes[i]));
		EXPECT_TRUE(job_done(&j)) TH_LOG("size %zu", sizes[i]);
		EXPECT_EQ(0, memcmp(self->data, self->got, sizes[i])) TH_LOG("size %zu", sizes[i]);
	}
	EXPECT_TRUE(net_quiet(self->p.peer.fd, POLLIN));
}

TEST_F(datapath, send_nothing)
{
	EXPECT_EQ(0, send(self->p.fd, "", 0, 0));
	EXPECT_TRUE(net_quiet(self->p.peer.fd, POLLIN));
	EXPECT_EQ(1, send(self->p.fd, "x", 1, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 1));
}

/* More than 256 records, so that more than one byte of the sequence number changes. */
TEST_F(datapath, many_small_sends)
{
	size_t at = 0;

	for (size_t i = 0; i < 600; i++) {
		size_t n = 1 + i % 40;

		ASSERT_EQ(n, send(self->p.fd, self->data + at, n, 0));
		at += n;
	}
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, at));
	EXPECT_EQ(0, memcmp(self->data, self->got, at));
}

TEST_F(datapath, record_sizes)
{
	struct job j = { &self->p.peer, self->got, 3 * 16384 + 1 };
	uint8_t type;
	ssize_t n;
	size_t at = 0;

	ASSERT_EQ(0, net_write(self->p.fd, self->data, j.len));
	while (at < j.len) {
		n = peer_recv(&self->p.peer, &type, self->got, LARGEST);
		ASSERT_GT(n, 0);
		ASSERT_LE(n, 16384);
		ASSERT_EQ(REF_DATA, type);
		ASSERT_EQ(n, pat_check(self->got, at, n, 1));
		at += n;
	}
	EXPECT_EQ(j.len, at);
}

/* RFC 5288 section 3: ours is the sequence number, so that it never repeats. */
TEST_F(datapath, explicit_nonce_is_the_sequence_number)
{
	uint8_t type;

	if (self->p.suite->iv_len != 4)
		return;		/* this suite has none */
	for (int i = 0; i < 300; i++) {
		const uint8_t *nonce = self->p.peer.record + REF_HEADER;

		ASSERT_EQ(1, send(self->p.fd, "n", 1, 0));
		ASSERT_EQ(1, peer_recv(&self->p.peer, &type, self->got, 1));
		ASSERT_EQ(0, memcmp(nonce, "\0\0\0\0\0\0", 6));
		ASSERT_EQ(i, nonce[6] << 8 | nonce[7]);
	}
}

/* ---- opening ----------------------------------------------------------- */

TEST_F(datapath, recv_sizes)
{
	for (size_t i = 0; i < SIZES; i++) {
		struct job j = { &self->p.peer, self->data, sizes[i] };

		job_start(&j, deliver);
		EXPECT_EQ(0, net_read(self->p.fd, self->got, sizes[i]));
		EXPECT_TRUE(job_done(&j)) TH_LOG("size %zu", sizes[i]);
		EXPECT_EQ(0, memcmp(self->data, self->got, sizes[i])) TH_LOG("size %zu", sizes[i]);
	}
	EXPECT_TRUE(net_quiet(self->p.fd, POLLIN));
}

TEST_F(datapath, many_small_records)
{
	size_t at = 0;

	for (size_t i = 0; i < 600; i++) {
		size_t n = 1 + i % 40;

		ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + at, n));
		at += n;
	}
	ASSERT_EQ(0, net_read(self->p.fd, self->got, at));
	EXPECT_EQ(0, memcmp(self->data, self->got, at));
}

/* Records sealed into one buffer: total length. */
static size_t seal_many(struct peer *peer, const uint8_t *data, const size_t *len, int n,
			uint8_t *out)
{
	size_t total = 0, at = 0;

	for (int i = 0; i < n; i++) {
		total += ref_seal(&peer->tx, REF_DATA, data + at, len[i], 0, out + total);
		at += len[i];
	}
	return total;
}

TEST_F(datapath, one_byte_segments)
{
	static const size_t len[] = { 30, 1, 200 };
	uint8_t wire[1000];
	size_t n = seal_many(&self->p.peer, self->data, len, 3, wire);

	ASSERT_TRUE(net_write_segments(self->p.peer.fd, wire, n, 1));
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 231));
	EXPECT_EQ(0, memcmp(self->data, self->got, 231));
}

TEST_F(datapath, large_record_in_small_segments)
{
	static const size_t len[] = { 16384, 16384 };
	uint8_t *wire = malloc(40000);
	size_t n = seal_many(&self->p.peer, self->data, len, 2, wire);

	ASSERT_TRUE(net_write_segments(self->p.peer.fd, wire, n, 97));
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 32768));
	EXPECT_EQ(0, memcmp(self->data, self->got, 32768));
	free(wire);
}

TEST_F(datapath, records_in_one_segment)
{
	static const size_t len[] = { 10, 0, 1, 100, 1000, 0, 0, 17, 500 };
	uint8_t wire[4000];
	size_t n = seal_many(&self->p.peer, self->data, len, 9, wire);

	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, n));
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 1628));
	EXPECT_EQ(0, memcmp(self->data, self->got, 1628));
}

/* The second record's header is cut after each of its bytes in turn. */
TEST_F(datapath, split_headers)
{
	static const size_t len[] = { 50, 60 };
	size_t at = 0;

	for (size_t cut = 1; cut < REF_HEADER + 8; cut++) {
		uint8_t wire[1000];
		size_t n = seal_many(&self->p.peer, self->data + at, len, 2, wire);
		size_t first = ref_record_len(wire) + cut;

		ASSERT_EQ(0, net_write(self->p.peer.fd, wire, first));
		ASSERT_EQ(50, recv(self->p.fd, self->got, 1000, 0));
		EXPECT_EQ(50, pat_check(self->got, at, 50, 1));
		ASSERT_EQ(-1, recv(self->p.fd, self->got, 1000, MSG_DONTWAIT));
		ASSERT_EQ(EAGAIN, errno);
		ASSERT_EQ(0, net_write(self->p.peer.fd, wire + first, n - first));
		ASSERT_EQ(60, recv(self->p.fd, self->got, 1000, 0));
		EXPECT_EQ(60, pat_check(self->got, at + 50, 60, 1));
		at += 110;
	}
}

TEST_F(datapath, partial_record_is_not_readable)
{
	uint8_t wire[2000];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 1000, 0, wire);

	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, 3));
	EXPECT_TRUE(net_quiet(self->p.fd, POLLIN | POLLRDHUP | POLLERR));
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire + 3, n - 4));
	EXPECT_TRUE(net_quiet(self->p.fd, POLLIN | POLLRDHUP | POLLERR));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire + n - 1, 1));
	EXPECT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	EXPECT_EQ(1000, recv(self->p.fd, self->got, 2000, MSG_DONTWAIT));
}

TEST_F(datapath, empty_record_is_not_readable)
{
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "", 0));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "e", 1));
	EXPECT_EQ(1, recv(self->p.fd, self->got, 1, 0));
}

TEST_F(datapath, any_explicit_nonce_is_opened)
{
	self->p.peer.tx.nonce_mask = 0x9c3a00ff12345678;	/* no effect but in TLS 1.2 GCM */
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 100));
		ASSERT_EQ(100, recv(self->p.fd, self->got, 200, 0));
		EXPECT_EQ(0, memcmp(self->data, self->got, 100));
	}
}

/* Both directions at once through one session. */
TEST_F(datapath, both_ways)
{
	struct job in = { &self->p.peer, malloc(LARGEST), LARGEST };
	struct job out = { &self->p.peer, self->data, LARGEST };
	size_t sent = 0, received = 0;

	fcntl(self->p.fd, F_SETFL, O_NONBLOCK);
	job_start(&in, collect);
	job_start(&out, deliver);
	while (sent < LARGEST || received < LARGEST) {
		int events = (sent < LARGEST ? POLLOUT : 0) | (received < LARGEST ? POLLIN : 0);
		ssize_t n;

		ASSERT_NE(0, net_poll(self->p.fd, events, NET_DEADLINE));
		n = sent < LARGEST ? send(self->p.fd, self->data + sent, LARGEST - sent, 0) : 0;
		ASSERT_TRUE(n >= 0 || errno == EAGAIN);
		sent += n > 0 ? n : 0;
		if (received == LARGEST)
			continue;
		n = recv(self->p.fd, self->got + received, LARGEST - received, 0);
		ASSERT_TRUE(n > 0 || (n < 0 && errno == EAGAIN));
		received += n > 0 ? n : 0;
	}
	EXPECT_TRUE(job_done(&in));
	EXPECT_TRUE(job_done(&out));
	EXPECT_EQ(0, memcmp(self->data, self->got, LARGEST));
	EXPECT_EQ(0, memcmp(self->data, in.buf, LARGEST));
	free(in.buf);
}

/* ---- TLS 1.3 padding --------------------------------------------------- */

FIXTURE(padding)
{
	struct pair p;
	struct tg_info info;
	uint8_t data[REF_PLAINTEXT], got[2 * REF_PLAINTEXT];
};

FIXTURE_VARIANT(padding)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS_13(padding)

FIXTURE_SETUP(padding)
{
	pat_fill(self->data, 0, sizeof(self->data), 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(padding)
{
	pair_free(&self->p);
}

TEST_F(padding, is_stripped)
{
	static const size_t rows[][2] = {	/* content, padding */
		{ 1, 1 }, { 1, 15 }, { 100, 255 }, { 1, 16383 }, { 16383, 1 }, { 8000, 8384 },
		{ 20, 4096 }, { 16384, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ASSERT_EQ(0, peer_send_padded(&self->p.peer, REF_DATA, self->data, rows[i][0],
					      rows[i][1]));
		ASSERT_EQ(0, net_read(self->p.fd, self->got, rows[i][0]));
		EXPECT_EQ(0, memcmp(self->data, self->got, rows[i][0]));
	}
	EXPECT_TRUE(net_quiet(self->p.fd, POLLIN));
}

TEST_F(padding, zeros_of_the_content_stay)
{
	memset(self->data, 0, 64);
	ASSERT_EQ(0, peer_send_padded(&self->p.peer, REF_DATA, self->data, 64, 100));
	memset(self->got, 1, 64);
	ASSERT_EQ(64, recv(self->p.fd, self->got, sizeof(self->got), 0));
	EXPECT_EQ(0, memcmp(self->data, self->got, 64));
}

TEST_F(padding, of_empty_records)
{
	ASSERT_EQ(0, peer_send_padded(&self->p.peer, REF_DATA, "", 0, 1000));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "x", 1));
	EXPECT_EQ(1, recv(self->p.fd, self->got, 2, 0));
}

/* Content and padding together are a multiple, and never pass a record's size. */
TEST_F(padding, of_ours)
{
	static const size_t steps[] = { 16, 100, 512, 4096 };
	static const size_t lens[] = { 1, 15, 16, 17, 511, 512, 4095, 16380, 16384 };
	struct peer *peer = &self->p.peer;
	uint8_t type;

	for (size_t s = 0; s < 4; s++) {
		ASSERT_EQ(0, tg_session_set(self->p.tg, BY_FD(self->p.fd), TLSGATE_A_PADDING,
					    steps[s], 2));
		for (size_t i = 0; i < 9; i++) {
			size_t inner;

			ASSERT_EQ(lens[i], send(self->p.fd, self->data, lens[i], 0));
			ASSERT_EQ(lens[i], peer_recv(peer, &type, self->got, sizeof(self->got)));
			ASSERT_EQ(0, memcmp(self->data, self->got, lens[i]));
			inner = lens[i] + peer->last_extra;
			EXPECT_LE(inner, REF_PLAINTEXT + 1);
			EXPECT_TRUE((inner - 1) % steps[s] == 0 || inner % steps[s] == 0 ||
				    inner == REF_PLAINTEXT + 1)
				TH_LOG("length %zu step %zu: %zu", lens[i], steps[s], inner);
		}
	}
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(4 * (1 + 15 + 16 + 17 + 511 + 512 + 4095 + 16380 + 16384),
		  tg_num(&self->info, TLSGATE_A_TX_BYTES));
}

/* ---- sequence numbers -------------------------------------------------- */

FIXTURE(sequence)
{
	struct pair p;		/* connected, not installed */
	uint8_t got[REF_PLAINTEXT];
};

FIXTURE_VARIANT(sequence)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(sequence)

FIXTURE_SETUP(sequence)
{
	ASSERT_TRUE(pair_connect(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(sequence)
{
	pair_free(&self->p);
}

static void start_at(struct pair *p, uint64_t tx, uint64_t rx)
{
	p->tx.seq = tx;
	p->peer.rx.seq = tx;
	p->rx.seq = rx;
	p->peer.tx.seq = rx;
}

TEST_F(sequence, carries_over_32_bits)
{
	start_at(&self->p, 0xfffffffe, 0xffffffff);
	ASSERT_EQ(0, pair_install(&self->p));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(1, send(self->p.fd, "s", 1, 0));
		ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1));
		ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "r", 1));
		ASSERT_EQ(1, recv(self->p.fd, self->got, 1, 0));
	}
}

/*
 * RFC 9846 section 5.3: sequence numbers must not wrap.  Either new keys come
 * before, or the session ends; in no case does a number come twice.
 */
TEST_F(sequence, never_wraps)
{
	struct peer *peer = &self->p.peer;
	uint8_t type = 0;
	bool ended = false, fresh = false;
	ssize_t n;

	start_at(&self->p, UINT64_MAX - 3, 0);
	if (pair_install(&self->p))
		return;		/* refused at once: as good */
	for (int i = 0; i < 10 && !ended; i++)
		ended = send(self->p.fd, "s", 1, MSG_NOSIGNAL) != 1;
	net_timeouts(peer->fd, 500);
	while ((n = peer_recv(peer, &type, self->got, sizeof(self->got))) >= 0) {
		if (type == REF_HANDSHAKE) {
			ref_ratchet(&peer->rx);
			fresh = true;
		}
		EXPECT_TRUE(fresh || peer->rx.seq > UINT64_MAX - 4 || !peer->rx.seq)
			TH_LOG("numbers wrapped");
	}
	EXPECT_NE(PEER_BAD, n);
	EXPECT_TRUE(ended || variant->version == 0x0304);
}

/* The same at the other end: number 2^64 - 1 is the last that may come. */
TEST_F(sequence, never_wraps_when_opening)
{
	start_at(&self->p, 0, UINT64_MAX - 1);
	if (pair_install(&self->p))
		return;
	for (int i = 0; i < 4; i++)
		peer_send(&self->p.peer, REF_DATA, "r", 1);
	for (int i = 0; i < 4; i++) {
		ssize_t n = recv(self->p.fd, self->got, 1, 0);

		if (n < 0)
			return;
		ASSERT_EQ(1, n);
		ASSERT_LT(i, 2) TH_LOG("numbers wrapped");
	}
}

TEST_HARNESS_MAIN
