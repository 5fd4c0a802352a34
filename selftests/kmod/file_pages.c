// SPDX-License-Identifier: MIT
/*
 * The seventh promise: no page that is not ours is ever written.  A file that was
 * opened read-only goes, page by page, as ciphertext to a session and as
 * plaintext into a relay; afterwards the file is as it was.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/ring.h"
#include "lib/rofile.h"

#define BULK	40000
#define SHORT	3000

/* Segments that the receiver merges; records that begin in mid-page; all at once. */
static const size_t pieces[] = { 700, 9000, 1 << 20 };

FIXTURE(file_pages)
{
	struct pair p;
	struct rofile file;
	struct ring ring_, *ring;
	int counters, plain;
	uint8_t data[BULK], got[BULK], wire[BULK + 1000];
};

FIXTURE_VARIANT(file_pages)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(file_pages)

FIXTURE_SETUP(file_pages)
{
	pat_fill(self->data, 0, sizeof(self->data), 1);
	ASSERT_LE(0, self->counters = tg_counters());
	self->ring = ring_open(&self->ring_) ? &self->ring_ : NULL;
	if (!self->ring)
		TH_LOG("without io_uring, which this kernel has not: %s", strerror(errno));
	self->plain = -1;
}

FIXTURE_TEARDOWN(file_pages)
{
	close(self->counters);
	if (self->ring)
		close(self->ring->fd);
}

/* Data as records, one of them forged if there is one; bytes on the wire. */
static size_t seal_all(struct pair *p, const uint8_t *data, size_t len, bool forge, uint8_t *wire)
{
	size_t at, n, out = 0;

	for (at = 0; at < len; at += n) {
		n = len - at < REF_PLAINTEXT ? len - at : REF_PLAINTEXT;
		out += ref_seal(&p->peer.tx, REF_DATA, data + at, n, 0, wire + out);
	}
	if (forge)
		wire[out - 1] ^= 1;
	return out;
}

/* Each way, in each size of pieces, over a connection of its own; and the ways that there are. */
#define EACH_WAY(body)									\
	for (int way = 0; way < ROFILE_WAYS; way++)					\
		for (int at = 0; at < ARRAY_SIZE(pieces); at++) {			\
			ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite,	\
					       variant->family));			\
			body								\
			EXPECT_TRUE(rofile_same(&self->file))				\
				TH_LOG("by way %d in pieces of %zu", way, pieces[at]);	\
			rofile_free(&self->file);					\
			if (self->plain >= 0)						\
				close(self->plain);					\
			self->plain = -1;						\
			pair_free(&self->p);						\
		}

/* ENOTSUP is for ways that this kernel has not. */
#define SEND(to, from, size)								\
	if (rofile_send(&self->file, way, self->ring, to, from, size, pieces[at])) {	\
		ASSERT_EQ(ENOTSUP, errno);						\
		ASSERT_LE(ROFILE_URING, way);						\
	} else

#define CIPHERTEXT(size, forge)								\
	ASSERT_TRUE(rofile_make(&self->file, self->wire,				\
				seal_all(&self->p, self->data, size, forge, self->wire)))

/* All of it arrives. */
#define ARRIVES(fd, size)								\
	{										\
		memset(self->got, 0, sizeof(self->got));				\
		EXPECT_EQ(0, net_read(fd, self->got, size));				\
		EXPECT_EQ(size, pat_check(self->got, 0, size, 1));			\
	}

TEST_F_TIMEOUT(file_pages, ciphertext_to_a_session, 120)
{
	EACH_WAY(
		CIPHERTEXT(BULK, false);
		SEND(self->p.peer.fd, 0, self->file.len)
			ARRIVES(self->p.fd, BULK)
	)
}

TEST_F_TIMEOUT(file_pages, forged_ciphertext_to_a_session, 120)
{
	EACH_WAY(
		CIPHERTEXT(BULK, true);
		SEND(self->p.peer.fd, 0, self->file.len) {
			EXPECT_EQ(-1, net_read(self->p.fd, self->got, BULK));
			EXPECT_EQ(EBADMSG, errno);
		}
	)
}

/* So that the relay takes what comes next for an answer, which a softirq moves. */
#define SEND_REQUEST()									\
	do {										\
		ASSERT_EQ(0, net_write(self->plain, self->data, 10));			\
		ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 10));		\
	} while (0)

#define GET_REQUEST()									\
	do {										\
		ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 10));	\
		ASSERT_EQ(0, net_read(self->plain, self->got, 10));			\
	} while (0)

TEST_F_TIMEOUT(file_pages, ciphertext_into_a_relay_in_a_softirq, 120)
{
	uint64_t before = tg_counter(self->counters, "relay_direct");

	EACH_WAY(
		ASSERT_LE(0, self->plain = pair_relay(&self->p, AF_INET, 0));
		SEND_REQUEST();
		CIPHERTEXT(SHORT, false);
		SEND(self->p.peer.fd, 0, self->file.len)
			ARRIVES(self->plain, SHORT)
	)
	EXPECT_LT(before, tg_counter(self->counters, "relay_direct"));
}

TEST_F_TIMEOUT(file_pages, ciphertext_into_a_relay_in_bulk, 120)
{
	EACH_WAY(
		ASSERT_LE(0, self->plain = pair_relay(&self->p, at % 2 ? AF_UNIX : AF_INET, 0));
		CIPHERTEXT(BULK, false);
		SEND(self->p.peer.fd, 0, self->file.len)
			ARRIVES(self->plain, BULK)
	)
}

TEST_F_TIMEOUT(file_pages, forged_ciphertext_into_a_relay, 120)
{
	EACH_WAY(
		ASSERT_LE(0, self->plain = pair_relay(&self->p, at % 2 ? AF_UNIX : AF_INET, 0));
		CIPHERTEXT(SHORT, true);
		SEND(self->p.peer.fd, 0, self->file.len) {
			EXPECT_EQ(-1, net_read(self->plain, self->got, SHORT));
			EXPECT_EQ(ECONNRESET, errno);
		}
	)
}

TEST_F_TIMEOUT(file_pages, plaintext_into_a_relay, 240)
{
	uint64_t before = tg_counter(self->counters, "relay_direct");

	for (int i = 0; i < 4; i++) {
		size_t size = i & 1 ? BULK : SHORT;

		EACH_WAY(
			ASSERT_LE(0, self->plain = pair_relay(&self->p, i & 2 ? AF_UNIX : AF_INET, 0));
			GET_REQUEST();
			ASSERT_TRUE(rofile_make(&self->file, self->data, size));
			SEND(self->plain, 0, size) {
				EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, size));
				EXPECT_EQ(size, pat_check(self->got, 0, size, 1));
			}
		)
	}
	EXPECT_LT(before, tg_counter(self->counters, "relay_direct"));
}

TEST_HARNESS_MAIN
