// SPDX-License-Identifier: MIT
/*
 * Keys at their limits: KeyUpdates by the thousand amid data, and what one key
 * may seal, lowered by the module's parameter aead_limit.
 *
 * KEY_UPDATES and MEGABYTES in the environment choose the amounts; check-all
 * takes 100000 and 256.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define LIMIT		"/sys/module/tlsgate/parameters/aead_limit"
#define LIMIT_END	"/sys/module/tlsgate/parameters/aead_limit_end"
#define SESSIONS	"/sys/module/tlsgate/parameters/sessions_max"
#define LIMIT_RECORDS	16		/* of full size */
#define LIMIT_BLOCKS	(LIMIT_RECORDS * 1024)
#define CHUNK		(1 << 18)

static bool set_parameter(const char *name, int value)
{
	char text[16];
	int fd = open(name, O_WRONLY), len = snprintf(text, sizeof(text), "%d", value);
	bool done = fd >= 0 && write(fd, text, len) == len;

	if (fd >= 0)
		close(fd);
	return done;
}

/* Reads records until len bytes of data came, following KeyUpdates; how many of these, or -1. */
static int read_through_updates(struct peer *peer, uint8_t *got, size_t len, uint64_t *longest)
{
	static _Thread_local uint8_t plain[REF_PLAINTEXT];
	uint8_t type;
	int updates = 0;
	ssize_t n;

	while (len) {
		n = peer_recv(peer, &type, plain, sizeof(plain));
		if (peer->rx.seq > *longest)
			*longest = peer->rx.seq;
		if (type == REF_HANDSHAKE && n == 5 && plain[0] == 24) {
			ref_ratchet(&peer->rx);
			updates++;
			continue;
		}
		if (n < 0 || type != REF_DATA || (size_t)n > len)
			return -1;
		memcpy(got, plain, n);
		got += n;
		len -= n;
	}
	return updates;
}

/* ---- KeyUpdates ----------------------------------------------------------------- */

FIXTURE(updates)
{
	struct pair p;
	struct tg_info info;
	uint8_t data[CHUNK], got[CHUNK];
};

FIXTURE_VARIANT(updates)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS_13(updates)

FIXTURE_SETUP(updates)
{
	pat_fill(self->data, 0, CHUNK, 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(updates)
{
	pair_free(&self->p);
}

#define BATCH		24	/* KeyUpdates in one write */
#define BETWEEN		50	/* bytes between two of them */

static size_t seal_batch(struct peer *peer, const uint8_t *data, uint8_t *wire, int request)
{
	size_t n = 0;

	for (int i = 0; i < BATCH; i++) {
		n += ref_seal(&peer->tx, REF_DATA, data + i * BETWEEN, BETWEEN, 0, wire + n);
		n += ref_seal(&peer->tx, REF_HANDSHAKE,
			      (uint8_t[]){ 24, 0, 0, 1, i == request }, 5, 0, wire + n);
		ref_ratchet(&peer->tx);
	}
	return n;
}

/* On one connection, both ways, data in between, and nothing but data is ever seen. */
TEST_F_TIMEOUT(updates, by_the_thousand, 1800)
{
	long rounds = net_amount("KEY_UPDATES", 4000) / BATCH + 1, answers = 0;
	struct pair *p = &self->p;
	uint8_t wire[BATCH * 300];
	uint64_t longest = 0;

	for (long i = 0; i < rounds; i++) {
		size_t n = seal_batch(&p->peer, self->data, wire, i % BATCH);
		int seen;

		ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
		ASSERT_EQ(0, net_read(p->fd, self->got, BATCH * BETWEEN));
		ASSERT_EQ(BATCH * BETWEEN, pat_check(self->got, 0, BATCH * BETWEEN, 1));
		/* And ours, in the middle of what we send. */
		ASSERT_EQ(100, send(p->fd, self->data, 100, 0));
		if (i % 4 == 0)
			ASSERT_EQ(0, tg_session_rekey(p->tg, BY_FD(p->fd)));
		ASSERT_EQ(100, send(p->fd, self->data + 100, 100, 0));
		seen = read_through_updates(&p->peer, self->got, 200, &longest);
		ASSERT_LE(i % 4 == 0, seen) TH_LOG("round %ld", i);
		ASSERT_EQ(200, pat_check(self->got, 0, 200, 1));
		answers += seen;
	}
	/* A KeyUpdate behind the data is seen with what follows. */
	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data, 1));
	ASSERT_EQ(0, net_read(p->fd, self->got, 1));
	ASSERT_EQ(1, send(p->fd, self->data, 1, 0));
	answers += read_through_updates(&p->peer, self->got, 1, &longest);
	EXPECT_LE(rounds + rounds / 4, answers);
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_EQ(rounds * BATCH, tg_num(&self->info, TLSGATE_A_RX_EPOCH));
	EXPECT_EQ(answers, tg_num(&self->info, TLSGATE_A_TX_EPOCH));
	TH_LOG("%ld KeyUpdates received, %ld sent", rounds * BATCH, answers);
}

/* ---- the limit of a key ----------------------------------------------------------- */

FIXTURE(limit)
{
	struct pair p;
	uint8_t data[CHUNK];
};

FIXTURE_VARIANT(limit)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS_13(limit)

FIXTURE_SETUP(limit)
{
	pat_fill(self->data, 0, CHUNK, 1);
	ASSERT_TRUE(set_parameter(LIMIT, LIMIT_RECORDS));
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(limit)
{
	set_parameter(LIMIT, 0);
	pair_free(&self->p);
}

struct writer {
	int fd;
	const uint8_t *data;
	size_t chunks;
	bool done;
};

static void *write_chunks(void *arg)
{
	struct writer *w = arg;

	for (size_t i = 0; i < w->chunks; i++)
		if (net_write(w->fd, w->data, CHUNK))
			return NULL;
	w->done = true;
	return NULL;
}

struct tally {
	size_t bytes;		/* of data */
	long updates;
	uint64_t blocks;	/* under this key: of text, and one for each tag */
	uint64_t longest;	/* most of them */
};

/* One record of a stream that repeats data; false: it is not what was sent. */
static bool read_record(struct peer *peer, const uint8_t *data, struct tally *t)
{
	static uint8_t plain[REF_PLAINTEXT];
	uint8_t type;
	ssize_t n = peer_recv(peer, &type, plain, sizeof(plain));
	size_t at = t->bytes % CHUNK, part = CHUNK - at;

	t->blocks += (n + (peer->rx.suite->secret_len ? 1 : 0) + 15) / 16 + 1;
	if (t->blocks > t->longest)
		t->longest = t->blocks;
	if (n == 5 && type == REF_HANDSHAKE && plain[0] == 24) {
		ref_ratchet(&peer->rx);
		t->blocks = 0;
		t->updates++;
		return true;
	}
	if (n <= 0 || type != REF_DATA)
		return false;
	if ((size_t)n < part)
		part = n;
	t->bytes += n;
	return !memcmp(plain, data + at, part) && !memcmp(plain + part, data, n - part);
}

/* A writer on fd, and the peer reads. */
static struct tally expect_chunks(struct __test_metadata *_metadata, struct pair *p, int fd,
				  const uint8_t *data, size_t chunks)
{
	struct writer w = { fd, data, chunks };
	struct tally t = { };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, write_chunks, &w));
	while (t.bytes < chunks * CHUNK)
		ASSERT_TRUE(read_record(&p->peer, data, &t)) TH_LOG("after %zu bytes", t.bytes);
	pthread_join(thread, NULL);
	EXPECT_TRUE(w.done);
	return t;
}

/* Each key seals as many records as it may. */
static void expect_rekeys(struct __test_metadata *_metadata, struct pair *p, int fd,
			  const uint8_t *data)
{
	size_t chunks = net_amount("MEGABYTES", 8) << 20 >> 18;
	struct tally t = expect_chunks(_metadata, p, fd, data, chunks);

	EXPECT_LE(t.longest, LIMIT_BLOCKS);
	EXPECT_GE(t.updates, chunks * (CHUNK / REF_PLAINTEXT) / LIMIT_RECORDS);
}

TEST_F_TIMEOUT(limit, rekeys_by_itself, 900)
{
	struct pair *p = &self->p;

	expect_rekeys(_metadata, p, p->fd, self->data);
}

TEST_F_TIMEOUT(limit, relay_rekeys_by_itself, 900)
{
	struct pair *p = &self->p;
	int plain;

	plain = pair_relay(p, AF_INET, 0);
	ASSERT_GE(plain, 0);
	expect_rekeys(_metadata, p, plain, self->data);
	close(plain);
}

/* What wears a key are its blocks: a small record has few. */
TEST_F(limit, small_records_count_for_little)
{
	struct pair *p = &self->p;
	uint64_t longest = 0;
	uint8_t got[100];
	int updates = 0;

	/* Of 101 bytes, the type included: 7 blocks and the tag's. */
	for (int i = 0; i < 2 * LIMIT_BLOCKS / 8; i++) {
		int seen;

		ASSERT_EQ(100, send(p->fd, self->data, 100, 0));
		seen = read_through_updates(&p->peer, got, 100, &longest);
		ASSERT_GE(seen, 0);
		updates += seen;
	}
	EXPECT_GE(LIMIT_BLOCKS / 8, longest);
	EXPECT_GE(longest, (LIMIT_BLOCKS - 2 * 1024) / 8);
	EXPECT_EQ(2, updates);
}

/* ---- TLS 1.2 cannot rekey: it goes on, or ends as nobody takes for the end of the data -- */

FIXTURE(last)
{
	struct pair p;
	struct tg_info info;
	int counters;
	uint64_t passed;
	uint8_t data[CHUNK], got[CHUNK];
};

FIXTURE_VARIANT(last)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(last, v12_aes128, 0x0303, 0xc02f, AF_INET)
PAIR_VARIANT(last, v12_chacha, 0x0303, 0xcca8, AF_INET6)

FIXTURE_SETUP(last)
{
	pat_fill(self->data, 0, CHUNK, 1);
	ASSERT_TRUE(set_parameter(LIMIT, LIMIT_RECORDS));
	self->counters = tg_counters();
	self->passed = tg_counter(self->counters, "tx_past_limit");
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(last)
{
	set_parameter(LIMIT, 0);
	set_parameter(LIMIT_END, 0);
	close(self->counters);
	pair_free(&self->p);
}

/* Everything arrives, far past the limit; who looks is told. */
static void expect_goes_on(struct __test_metadata *_metadata, struct pair *p, int fd,
			   const uint8_t *data)
{
	struct tally t = expect_chunks(_metadata, p, fd, data, 8);

	EXPECT_LT(LIMIT_BLOCKS, t.longest);
	shutdown(fd, SHUT_WR);
	EXPECT_TRUE(peer_expect_end(&p->peer));
}

TEST_F(last, goes_on)
{
	struct pair *p = &self->p;

	expect_goes_on(_metadata, p, p->fd, self->data);
	EXPECT_EQ(self->passed + 1, tg_counter(self->counters, "tx_past_limit"));
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_EQ(1, tg_num(&self->info, TLSGATE_A_TX_PAST_LIMIT));
	EXPECT_EQ(TLSGATE_REASON_NONE, tg_num(&self->info, TLSGATE_A_REASON));
}

TEST_F(last, relay_goes_on)
{
	struct pair *p = &self->p;
	int plain = pair_relay(p, AF_INET, 0);

	ASSERT_GE(plain, 0);
	expect_goes_on(_metadata, p, plain, self->data);
	EXPECT_EQ(self->passed + 1, tg_counter(self->counters, "tx_past_limit"));
	close(plain);
}

TEST_F(last, small_records_are_no_matter)
{
	struct pair *p = &self->p;

	for (int i = 0; i < 100 * LIMIT_RECORDS; i++) {
		ASSERT_EQ(100, send(p->fd, self->data, 100, 0));
		ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 100));
	}
	EXPECT_EQ(self->passed, tg_counter(self->counters, "tx_past_limit"));
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_FALSE(tg_has(&self->info, TLSGATE_A_TX_PAST_LIMIT));
}

/* What arrives is a beginning of what was sent, and ends with a fatal alert. */
static size_t expect_fatal_end(struct __test_metadata *_metadata, struct pair *p, uint8_t *got)
{
	size_t len = 0;
	uint8_t type;
	ssize_t n;

	while ((n = peer_recv(&p->peer, &type, got, REF_PLAINTEXT)) > 0 && type == REF_DATA)
		len += n;
	EXPECT_EQ(2, n);
	EXPECT_EQ(REF_ALERT, type);
	EXPECT_EQ(2, got[0]);
	EXPECT_EQ(TLS_INTERNAL_ERROR, got[1]);
	return len;
}

TEST_F(last, ends_where_that_is_asked_for)
{
	struct pair *p = &self->p;
	int sent = 0;

	ASSERT_TRUE(set_parameter(LIMIT_END, 1));
	while (sent < 100 && send(p->fd, self->data, REF_PLAINTEXT, MSG_NOSIGNAL) == REF_PLAINTEXT)
		sent++;
	EXPECT_EQ(EKEYEXPIRED, errno);
	EXPECT_GE(LIMIT_RECORDS, sent);
	EXPECT_LE(LIMIT_RECORDS - 2, sent);
	EXPECT_EQ((size_t)sent * REF_PLAINTEXT, expect_fatal_end(_metadata, p, self->got));
	EXPECT_EQ(PEER_EOF, peer_drain(&p->peer));
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_EQ(TLSGATE_REASON_AEAD_LIMIT, tg_num(&self->info, TLSGATE_A_REASON));
	EXPECT_EQ(self->passed, tg_counter(self->counters, "tx_past_limit"));
}

TEST_F(last, relay_ends_where_that_is_asked_for)
{
	struct pair *p = &self->p;
	int plain = pair_relay(p, AF_INET, 0);
	ssize_t n = 0;

	ASSERT_TRUE(set_parameter(LIMIT_END, 1));
	ASSERT_GE(plain, 0);
	for (int i = 0; i < 20 && n >= 0; i++)
		n = send(plain, self->data, REF_PLAINTEXT, MSG_NOSIGNAL);
	EXPECT_LT(0, expect_fatal_end(_metadata, p, self->got));
	/* Told once, by whichever call came first. */
	if (n >= 0)
		n = recv(plain, self->got, 1, 0);
	EXPECT_EQ(-1, n);
	EXPECT_EQ(ECONNRESET, errno);
	close(plain);
}

/* RFC 9846 section 5.3: a sequence number that would wrap ends the session, as nobody errs about. */
TEST(the_last_sequence_number)
{
	struct tg_info info;
	static uint8_t got[REF_PLAINTEXT];
	struct pair p;
	int sent = 0;

	ASSERT_TRUE(pair_connect(&p, 0x0303, 0xc02f, AF_INET));
	p.tx.seq = UINT64_MAX - 6;
	p.peer.rx.seq = UINT64_MAX - 6;
	ASSERT_EQ(0, pair_install(&p));
	while (sent < 10 && send(p.fd, "s", 1, MSG_NOSIGNAL) == 1)
		sent++;
	EXPECT_EQ(EKEYEXPIRED, errno);
	EXPECT_EQ((size_t)sent, expect_fatal_end(_metadata, &p, got));
	EXPECT_EQ(PEER_EOF, peer_drain(&p.peer));
	ASSERT_EQ(0, tg_session_get(p.tg, BY_FD(p.fd), &info));
	EXPECT_EQ(TLSGATE_REASON_SEQ_EXHAUSTED, tg_num(&info, TLSGATE_A_REASON));
	pair_free(&p);
}

/* ---- a namespace's fill of sessions ----------------------------------------------------- */

#define SESSIONS_MAX	3

static int install_again(struct pair *p)
{
	return pair_connect(p, 0x0304, 0x1301, AF_INET) ? pair_install(p) : -EIO;
}

FIXTURE(full)
{
	struct pair p[SESSIONS_MAX + 1];
};

FIXTURE_SETUP(full)
{
	memset(self, 0, sizeof(*self));
	/* So that nobody else's sessions count. */
	ASSERT_TRUE(net_namespace());
	ASSERT_TRUE(set_parameter(SESSIONS, SESSIONS_MAX));
}

FIXTURE_TEARDOWN(full)
{
	set_parameter(SESSIONS, 1 << 20);
	for (int i = 0; i <= SESSIONS_MAX; i++)
		pair_free(&self->p[i]);
}

TEST_F(full, one_more_is_refused)
{
	struct pair *more = &self->p[SESSIONS_MAX];

	for (int i = 0; i < SESSIONS_MAX; i++)
		ASSERT_EQ(0, install_again(&self->p[i]));
	ASSERT_EQ(-ENOSPC, install_again(more));
	EXPECT_NE(NULL, strstr(more->tg->ack.msg, "sessions_max"));
	/* It is a plain socket still; and when one has ended there is room. */
	close(self->p[0].fd);
	self->p[0].fd = -1;
	EXPECT_EQ(0, pair_install(more));
	EXPECT_EQ(5, send(more->fd, "bytes", 5, 0));
}

TEST_HARNESS_MAIN
