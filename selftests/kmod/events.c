// SPDX-License-Identifier: MIT
/* What listeners of the multicast group are told, and why a session ended. */
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

FIXTURE(events)
{
	struct pair p;
	struct tg *ear;
	struct tg_info info, live;
};

FIXTURE_VARIANT(events)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(events, v12_aes128, 0x0303, 0xc02f, AF_INET6)
PAIR_VARIANT(events, v13_aes128, 0x0304, 0x1301, AF_INET)

FIXTURE_SETUP(events)
{
	self->ear = tg_open_ear();
	ASSERT_NE(NULL, self->ear);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->live));
}

FIXTURE_TEARDOWN(events)
{
	pair_free(&self->p);
	tg_close(self->ear);
}

/* Reads until the kernel socket gives the end, and closes it. */
static void read_and_close(struct pair *p)
{
	char buf[4096];

	while (recv(p->fd, buf, sizeof(buf), 0) > 0)
		;
	close(p->fd);
	p->fd = -1;
}

/* The closed event's reason, -1 if none came. */
static int closed_reason(struct tg *ear, struct pair *p, struct tg_info *info)
{
	if (tg_event(ear, TLSGATE_CMD_NTF_SESSION_CLOSED, p->id, info, NET_DEADLINE))
		return -1;
	return tg_num(info, TLSGATE_A_REASON);
}

/* What two messages say of a session's addresses. */
static bool same_ends(const struct tg_info *a, const struct tg_info *b)
{
	static const int ends[] = { TLSGATE_A_LOCAL, TLSGATE_A_PEER };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		const struct nlattr *x = a->attr[ends[i]], *y = b->attr[ends[i]];

		if (!x || !y || nla_len(x) != nla_len(y) ||
		    memcmp(nla_data(x), nla_data(y), nla_len(x)))
			return false;
	}
	return true;
}

TEST_F(events, opened)
{
	struct tg_info *i = &self->info;

	ASSERT_EQ(0, tg_event(self->ear, TLSGATE_CMD_NTF_SESSION_OPENED, self->p.id, i,
			      NET_DEADLINE));
	EXPECT_EQ(variant->version, tg_num(i, TLSGATE_A_VERSION));
	EXPECT_EQ(variant->suite, tg_num(i, TLSGATE_A_SUITE));
	EXPECT_TRUE(tg_has(i, TLSGATE_A_PEER));
	EXPECT_TRUE(tg_has(i, TLSGATE_A_LOCAL));
	EXPECT_EQ(TLSGATE_STATE_ESTABLISHED, tg_num(i, TLSGATE_A_STATE));
	EXPECT_EQ(NULL, memmem(self->ear->raw, self->ear->raw_len, self->p.tx.key,
			       self->p.suite->key_len));
	EXPECT_EQ(NULL, memmem(self->ear->raw, self->ear->raw_len, self->p.rx.key,
			       self->p.suite->key_len));
}

/* So that a listener knows whose session begins and ends without asking. */
TEST_F(events, label)
{
	struct tg_info *i = &self->info;
	struct pair p;

	ASSERT_TRUE(pair_connect(&p, variant->version, variant->suite, variant->family));
	ASSERT_EQ(0, pair_install_as(&p, "web", 3));
	ASSERT_EQ(0, tg_event(self->ear, TLSGATE_CMD_NTF_SESSION_OPENED, p.id, i, NET_DEADLINE));
	ASSERT_TRUE(tg_has(i, TLSGATE_A_LABEL));
	EXPECT_EQ(3, nla_len(i->attr[TLSGATE_A_LABEL]));
	close(p.fd);
	p.fd = -1;
	EXPECT_EQ(TLSGATE_REASON_LOCAL_CLOSE, closed_reason(self->ear, &p, i));
	ASSERT_TRUE(tg_has(i, TLSGATE_A_LABEL));
	EXPECT_EQ(3, nla_len(i->attr[TLSGATE_A_LABEL]));
	EXPECT_EQ(0, memcmp("web", nla_data(i->attr[TLSGATE_A_LABEL]), 3));
	pair_free(&p);
}

TEST_F(events, finished)
{
	struct tg_info *i = &self->info;

	ASSERT_EQ(3, send(self->p.fd, "abc", 3, 0));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "de", 2));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	shutdown(self->p.peer.fd, SHUT_WR);
	read_and_close(&self->p);
	EXPECT_EQ(TLSGATE_REASON_FINISHED, closed_reason(self->ear, &self->p, i));
	EXPECT_TRUE(same_ends(&self->live, &self->info));
	EXPECT_EQ(TLSGATE_STATE_CLOSED, tg_num(i, TLSGATE_A_STATE));
	EXPECT_EQ(3, tg_num(i, TLSGATE_A_TX_BYTES));
	EXPECT_EQ(2, tg_num(i, TLSGATE_A_RX_BYTES));
	EXPECT_TRUE(tg_has(i, TLSGATE_A_PEER));
}

TEST_F(events, local_close)
{
	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_EQ(TLSGATE_REASON_LOCAL_CLOSE, closed_reason(self->ear, &self->p, &self->info));
	EXPECT_TRUE(same_ends(&self->live, &self->info));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

/* What nobody read makes it a reset. */
TEST_F(events, local_close_unread)
{
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "de", 2));
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_EQ(TLSGATE_REASON_LOCAL_CLOSE, closed_reason(self->ear, &self->p, &self->info));
	EXPECT_TRUE(same_ends(&self->live, &self->info));
	EXPECT_EQ(PEER_RESET, peer_drain(&self->p.peer));
}

TEST_F(events, admin_close)
{
	ASSERT_EQ(0, tg_session_del(self->p.tg, BY_ID(self->p.id), TLSGATE_CLOSE_ALERT));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_INTERNAL_ERROR));
	close(self->p.peer.fd);
	self->p.peer.fd = -1;
	read_and_close(&self->p);
	EXPECT_EQ(TLSGATE_REASON_ADMIN_CLOSE, closed_reason(self->ear, &self->p, &self->info));
	EXPECT_TRUE(same_ends(&self->live, &self->info));
}

TEST_F(events, admin_reset)
{
	ASSERT_EQ(0, tg_session_del(self->p.tg, BY_ID(self->p.id), TLSGATE_CLOSE_RESET));
	read_and_close(&self->p);
	EXPECT_EQ(TLSGATE_REASON_ADMIN_RESET, closed_reason(self->ear, &self->p, &self->info));
	EXPECT_TRUE(same_ends(&self->live, &self->info));
}

TEST_F(events, truncated)
{
	shutdown(self->p.peer.fd, SHUT_WR);
	read_and_close(&self->p);
	EXPECT_EQ(TLSGATE_REASON_TRUNCATED, closed_reason(self->ear, &self->p, &self->info));
	EXPECT_TRUE(same_ends(&self->live, &self->info));
}

TEST_F(events, peer_reset)
{
	net_reset(self->p.peer.fd);
	self->p.peer.fd = -1;
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLHUP);
	read_and_close(&self->p);
	EXPECT_EQ(TLSGATE_REASON_PEER_RESET, closed_reason(self->ear, &self->p, &self->info));
	EXPECT_TRUE(same_ends(&self->live, &self->info));
}

TEST_F(events, peer_alert)
{
	ASSERT_EQ(0, peer_alert(&self->p.peer, 2, TLS_HANDSHAKE_FAILURE));
	read_and_close(&self->p);
	EXPECT_EQ(TLSGATE_REASON_PEER_ALERT, closed_reason(self->ear, &self->p, &self->info));
	EXPECT_TRUE(same_ends(&self->live, &self->info));
	EXPECT_EQ(TLS_HANDSHAKE_FAILURE, tg_num(&self->info, TLSGATE_A_ALERT));
}

TEST_F(events, authentication_failure)
{
	uint8_t record[REF_HEADER + 100];
	size_t n;

	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "true", 4));
	n = ref_seal(&self->p.peer.tx, REF_DATA, "forged", 6, 0, record);
	record[n - 1] ^= 1;
	ASSERT_EQ(0, net_write(self->p.peer.fd, record, n));
	read_and_close(&self->p);
	ASSERT_EQ(0, tg_event(self->ear, TLSGATE_CMD_NTF_AUTH_FAILED, self->p.id, &self->info,
			      NET_DEADLINE));
	EXPECT_TRUE(tg_has(&self->info, TLSGATE_A_RX_RECORDS));
	EXPECT_EQ(TLSGATE_REASON_BAD_RECORD_MAC,
		  closed_reason(self->ear, &self->p, &self->info));
	EXPECT_EQ(TLS_BAD_RECORD_MAC, tg_num(&self->info, TLSGATE_A_ALERT));
}

TEST_F(events, stay_in_their_namespace)
{
	struct tg *ear;

	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ear = tg_open_ear();
	ASSERT_NE(NULL, ear);
	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_LE(0, closed_reason(self->ear, &self->p, &self->info));
	EXPECT_EQ(-ETIMEDOUT, tg_event(ear, TLSGATE_CMD_NTF_SESSION_CLOSED, self->p.id,
				       &self->info, NET_QUIET));
	tg_close(ear);
}

TEST_HARNESS_MAIN
