// SPDX-License-Identifier: MIT
/* TLS bytes that userspace had read before it installed the keys. */
#include <poll.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

FIXTURE(pending)
{
	struct pair p;		/* connected, not installed */
	struct tg_install in;
	uint8_t buf[3 * REF_RECORD_MAX];
	size_t len;
	uint8_t data[65536], got[65536];
};

FIXTURE_VARIANT(pending)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(pending)

FIXTURE_SETUP(pending)
{
	ASSERT_TRUE(pair_connect(&self->p, variant->version, variant->suite, variant->family));
	self->in = tg_install_on(self->p.fd, &self->p.tx, &self->p.rx);
	self->in.pending = self->buf;
	pat_fill(self->data, 0, sizeof(self->data), 1);
}

FIXTURE_TEARDOWN(pending)
{
	pair_free(&self->p);
}

/* One more record into buf, content from data at offset. */
#define ADD(off, n) \
	(self->len += ref_seal(&self->p.peer.tx, REF_DATA, self->data + (off), n, 0, \
			       self->buf + self->len))
#define INSTALL(n) \
	(self->in.pending_len = (n), tg_session_new(self->p.tg, &self->in, &self->p.id))

TEST_F(pending, whole_record)
{
	ADD(0, 100);
	ASSERT_EQ(0, INSTALL(self->len));
	/* Nothing comes on the wire: it must be readable of itself. */
	EXPECT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	ASSERT_EQ(100, recv(self->p.fd, self->got, 200, 0));
	EXPECT_EQ(0, memcmp(self->data, self->got, 100));
	EXPECT_TRUE(net_quiet(self->p.fd, POLLIN));
}

TEST_F(pending, records_then_the_socket)
{
	ADD(0, 100);
	ADD(100, 1);
	ADD(101, 899);
	ASSERT_EQ(0, INSTALL(self->len));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + 1000, 500));
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 1500));
	EXPECT_EQ(1500, pat_check(self->got, 0, 1500, 1));
}

TEST_F(pending, socket_holds_bytes_already)
{
	ADD(0, 1000);
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + 1000, 500));
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	ASSERT_EQ(0, INSTALL(self->len));
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 1500));
	EXPECT_EQ(1500, pat_check(self->got, 0, 1500, 1));
}

/* Cut at every place where a header, an explicit nonce or a tag may be cut. */
static const size_t cuts[] = { 1, 2, 3, 4, 5, 6, 12, 13, 14, 500, 1011 };

TEST_F(pending, partial_record_continued_on_the_socket)
{
	for (size_t i = 0; i < sizeof(cuts) / sizeof(*cuts); i++) {
		struct pair *p = &self->p;

		if (i) {
			pair_free(p);
			ASSERT_TRUE(pair_connect(p, variant->version, variant->suite,
						 variant->family));
			self->in.fd = p->fd;
		}
		self->len = 0;
		ADD(0, 100);
		ADD(100, 1000);
		size_t first = ref_record_len(self->buf);
		ASSERT_EQ(0, INSTALL(first + cuts[i])) TH_LOG("%s", p->tg->ack.msg);
		ASSERT_EQ(100, recv(p->fd, self->got, 2000, 0));
		EXPECT_TRUE(net_quiet(p->fd, POLLIN)) TH_LOG("cut at %zu", cuts[i]);
		ASSERT_EQ(0, net_write(p->peer.fd, self->buf + first + cuts[i],
				       self->len - first - cuts[i]));
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data + 1100, 10));
		ASSERT_EQ(0, net_read(p->fd, self->got + 100, 1010)) TH_LOG("cut at %zu", cuts[i]);
		EXPECT_EQ(1110, pat_check(self->got, 0, 1110, 1)) TH_LOG("cut at %zu", cuts[i]);
	}
}

TEST_F(pending, less_than_a_header)
{
	ADD(0, 10);
	ASSERT_EQ(0, INSTALL(3));
	EXPECT_TRUE(net_quiet(self->p.fd, POLLIN));
	ASSERT_EQ(0, net_write(self->p.peer.fd, self->buf + 3, self->len - 3));
	ASSERT_EQ(10, recv(self->p.fd, self->got, 100, 0));
	EXPECT_EQ(0, memcmp(self->data, self->got, 10));
}

TEST_F(pending, largest)
{
	struct tg_install *in = &self->in;

	ADD(0, 16384);
	ADD(16384, 16384);
	ASSERT_GT(self->len, TLSGATE_RX_PENDING_MAX);
	EXPECT_NE(0, INSTALL(TLSGATE_RX_PENDING_MAX + 1));
	EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RX_PENDING));
	ASSERT_EQ(0, INSTALL(TLSGATE_RX_PENDING_MAX)) TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_write(self->p.peer.fd, self->buf + TLSGATE_RX_PENDING_MAX,
			       self->len - TLSGATE_RX_PENDING_MAX));
	ASSERT_EQ(0, net_read(in->fd, self->got, 32768));
	EXPECT_EQ(32768, pat_check(self->got, 0, 32768, 1));
}

TEST_F(pending, close_notify)
{
	ADD(0, 10);
	self->len += ref_seal(&self->p.peer.tx, REF_ALERT, "\1\0", 2, 0, self->buf + self->len);
	ASSERT_EQ(0, INSTALL(self->len));
	EXPECT_EQ(10, recv(self->p.fd, self->got, 100, 0));
	EXPECT_EQ(0, recv(self->p.fd, self->got, 100, 0));
}

TEST_F(pending, forged)
{
	ADD(0, 10);
	self->buf[self->len - 1] ^= 0x80;
	ASSERT_EQ(0, INSTALL(self->len));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 100, 0));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_BAD_RECORD_MAC));
}

TEST_F(pending, sequence_numbers_continue)
{
	/* As after a handshake: records went both ways under these keys before. */
	self->p.tx.seq = 3;
	self->p.peer.rx.seq = 3;
	self->p.rx.seq = 7;
	self->p.peer.tx.seq = 7;
	ADD(0, 10);
	ASSERT_EQ(0, INSTALL(self->len));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + 10, 10));
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 20));
	EXPECT_EQ(20, pat_check(self->got, 0, 20, 1));
	ASSERT_EQ(1, send(self->p.fd, "s", 1, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 1));
}

TEST_HARNESS_MAIN
