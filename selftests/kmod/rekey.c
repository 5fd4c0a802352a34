// SPDX-License-Identifier: MIT
/* TLS 1.3 after the handshake: KeyUpdate both ways, tickets, and what is no such message. */
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define NEW_SESSION_TICKET	4
#define KEY_UPDATE		24

FIXTURE(rekey)
{
	struct pair p;
	struct tg *ear;
	struct tg_info info;
	uint8_t data[1 << 18], got[1 << 18];
};

FIXTURE_VARIANT(rekey)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS_13(rekey)

FIXTURE_SETUP(rekey)
{
	struct tg_install in;

	pat_fill(self->data, 0, sizeof(self->data), 1);
	self->ear = tg_open_ear();
	ASSERT_NE(NULL, self->ear);
	/* A client, since only clients are sent tickets. */
	ASSERT_TRUE(pair_connect(&self->p, variant->version, variant->suite, variant->family));
	in = tg_install_on(self->p.fd, &self->p.tx, &self->p.rx);
	in.role = TLSGATE_ROLE_CLIENT;
	ASSERT_EQ(0, tg_session_new(self->p.tg, &in, &self->p.id));
}

FIXTURE_TEARDOWN(rekey)
{
	pair_free(&self->p);
	tg_close(self->ear);
}

#define PEER_DATA(off, n) \
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + (off), n))

/* Reads one KeyUpdate of the kernel's and follows it. */
static bool peer_follows(struct peer *peer, int *request)
{
	uint8_t msg[REF_PLAINTEXT], type;
	ssize_t n = peer_recv(peer, &type, msg, sizeof(msg));

	if (n != 5 || type != REF_HANDSHAKE || memcmp(msg, "\x18\0\0\1", 4) || msg[4] > 1)
		return false;
	if (request)
		*request = msg[4];
	ref_ratchet(&peer->rx);
	return true;
}

static void expect_epochs(struct __test_metadata *_metadata, struct pair *p, struct tg_info *info,
			  uint32_t tx, uint32_t rx)
{
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), info));
	EXPECT_EQ(tx, tg_num(info, TLSGATE_A_TX_EPOCH));
	EXPECT_EQ(rx, tg_num(info, TLSGATE_A_RX_EPOCH));
}

/* ---- the peer's KeyUpdate ---------------------------------------------- */

TEST_F(rekey, peer_updates)
{
	for (int i = 0; i < 5; i++) {
		PEER_DATA(100 * i, 50);
		ASSERT_EQ(0, peer_key_update(&self->p.peer, 0));
		PEER_DATA(100 * i + 50, 50);
	}
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 500));
	EXPECT_EQ(500, pat_check(self->got, 0, 500, 1));
	expect_epochs(_metadata, &self->p, &self->info, 0, 5);
	EXPECT_TRUE(net_quiet(self->p.peer.fd, POLLIN));	/* nobody asked for ours */
}

TEST_F(rekey, peer_updates_and_asks)
{
	struct pair *p = &self->p;
	int request = -1;

	ASSERT_EQ(10, send(p->fd, self->data, 10, 0));
	PEER_DATA(0, 100);
	ASSERT_EQ(0, peer_key_update(&p->peer, 1));
	PEER_DATA(100, 100);
	ASSERT_EQ(0, net_read(p->fd, self->got, 200));
	EXPECT_EQ(200, pat_check(self->got, 0, 200, 1));
	/* Under the old key: data, and the answer; under the next: what follows. */
	EXPECT_TRUE(peer_recv_data(&p->peer, self->got, 10));
	EXPECT_TRUE(peer_follows(&p->peer, &request));
	EXPECT_EQ(0, request);
	ASSERT_EQ(10, send(p->fd, self->data, 10, 0));
	EXPECT_TRUE(peer_recv_data(&p->peer, self->got, 10));
	expect_epochs(_metadata, p, &self->info, 1, 1);
}

TEST_F(rekey, peer_asks_again_and_again)
{
	struct pair *p = &self->p;

	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, peer_key_update(&p->peer, 1));
		PEER_DATA(10 * i, 10);
		ASSERT_EQ(10, recv(p->fd, self->got, 100, 0));
		EXPECT_EQ(10, pat_check(self->got, 10 * i, 10, 1));
		ASSERT_TRUE(peer_follows(&p->peer, NULL));
		ASSERT_EQ(7, send(p->fd, self->data, 7, 0));
		ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 7));
	}
	expect_epochs(_metadata, p, &self->info, 20, 20);
}

/* The writer is blocked: the answer waits its turn and no record is lost or doubled. */
TEST_F(rekey, peer_asks_while_we_are_blocked)
{
	struct pair *p = &self->p;
	size_t sent = 0, got = 0;
	ssize_t n;

	fcntl(p->fd, F_SETFL, O_NONBLOCK);
	sent = net_fill(p->fd, self->data, sizeof(self->data), SIZE_MAX, 0);
	ASSERT_EQ(0, peer_key_update(&p->peer, 1));
	PEER_DATA(0, 10);
	ASSERT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & POLLIN);
	ASSERT_EQ(10, recv(p->fd, self->got, 10, 0));
	while (got < sent) {
		uint8_t type;

		n = peer_recv(&p->peer, &type, self->got, sizeof(self->got));
		ASSERT_GT(n, 0);
		if (type == REF_HANDSHAKE)
			ref_ratchet(&p->peer.rx);
		else
			got += n;
	}
	EXPECT_EQ(sent, got);
	ASSERT_TRUE(net_poll(p->fd, POLLOUT, NET_DEADLINE) & POLLOUT);
	ASSERT_EQ(3, send(p->fd, self->data, 3, 0));
	/* The answer may have come after the last of the data. */
	for (got = 0; got < 3; got += n) {
		uint8_t type;

		n = peer_recv(&p->peer, &type, self->got, sizeof(self->got));
		ASSERT_GT(n, 0);
		if (type == REF_HANDSHAKE) {
			ref_ratchet(&p->peer.rx);
			n = 0;
		}
	}
	expect_epochs(_metadata, p, &self->info, 1, 1);
}

TEST_F(rekey, key_update_alone_is_not_readable)
{
	ASSERT_EQ(0, peer_key_update(&self->p.peer, 0));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	PEER_DATA(0, 10);
	EXPECT_EQ(10, recv(self->p.fd, self->got, 100, 0));
}

TEST_F(rekey, peer_updates_in_two_records)
{
	uint8_t msg[] = { KEY_UPDATE, 0, 0, 1, 0 };

	ASSERT_EQ(0, peer_send(&self->p.peer, REF_HANDSHAKE, msg, 2));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_HANDSHAKE, msg + 2, 3));
	ref_ratchet(&self->p.peer.tx);
	PEER_DATA(0, 10);
	EXPECT_EQ(10, recv(self->p.fd, self->got, 100, 0));
	expect_epochs(_metadata, &self->p, &self->info, 0, 1);
}

TEST_F(rekey, close_after_update)
{
	ASSERT_EQ(0, peer_key_update(&self->p.peer, 1));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_EQ(0, recv(self->p.fd, self->got, 10, 0));
	EXPECT_TRUE(peer_follows(&self->p.peer, NULL));
	shutdown(self->p.fd, SHUT_WR);
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

/* The old key is gone: a record under it does not open. */
TEST_F(rekey, old_key_is_refused)
{
	struct ref_keys old;

	ref_keys_copy(&old, &self->p.peer.tx);
	ASSERT_EQ(0, peer_key_update(&self->p.peer, 0));
	ref_keys_free(&self->p.peer.tx);
	self->p.peer.tx = old;
	self->p.peer.tx.seq = 0;
	PEER_DATA(0, 10);
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 10, 0));
	EXPECT_EQ(EBADMSG, errno);
}

/* ---- ours -------------------------------------------------------------- */

TEST_F(rekey, on_demand)
{
	struct pair *p = &self->p;

	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(5, send(p->fd, self->data, 5, 0));
		ASSERT_EQ(0, tg_session_rekey(p->tg, i % 2 ? BY_FD(p->fd) : BY_ID(p->id)))
			TH_LOG("%s", p->tg->ack.msg);
		ASSERT_EQ(5, send(p->fd, self->data, 5, 0));
		ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 5));
		ASSERT_TRUE(peer_follows(&p->peer, NULL));
		ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 5));
		EXPECT_EQ(0, memcmp(self->data, self->got, 5));
	}
	expect_epochs(_metadata, p, &self->info, 10, 0);
}

TEST_F(rekey, is_announced)
{
	struct pair *p = &self->p;

	ASSERT_EQ(0, tg_session_rekey(p->tg, BY_ID(p->id)));
	ASSERT_EQ(0, tg_event(self->ear, TLSGATE_CMD_NTF_REKEYED, p->id, &self->info,
			      NET_DEADLINE));
	EXPECT_EQ(1, tg_num(&self->info, TLSGATE_A_TX_EPOCH));
	EXPECT_EQ(0, tg_num(&self->info, TLSGATE_A_RX_EPOCH));
	ASSERT_EQ(0, peer_key_update(&p->peer, 0));
	PEER_DATA(0, 1);
	ASSERT_EQ(1, recv(p->fd, self->got, 1, 0));
	ASSERT_EQ(0, tg_event(self->ear, TLSGATE_CMD_NTF_REKEYED, p->id, &self->info,
			      NET_DEADLINE));
	EXPECT_EQ(1, tg_num(&self->info, TLSGATE_A_RX_EPOCH));
}

TEST_F(rekey, both_at_once)
{
	struct pair *p = &self->p;

	ASSERT_EQ(0, tg_session_rekey(p->tg, BY_ID(p->id)));
	ASSERT_EQ(0, peer_key_update(&p->peer, 1));
	PEER_DATA(0, 10);
	ASSERT_EQ(10, recv(p->fd, self->got, 100, 0));
	ASSERT_TRUE(peer_follows(&p->peer, NULL));
	ASSERT_TRUE(peer_follows(&p->peer, NULL));
	ASSERT_EQ(10, send(p->fd, self->data, 10, 0));
	ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 10));
	expect_epochs(_metadata, p, &self->info, 2, 1);
}

/* While TCP takes nothing more: either refused for now, or queued and in order. */
TEST_F(rekey, on_demand_while_blocked)
{
	struct pair *p = &self->p;
	size_t sent = 0, got = 0;
	int updates = 0;
	ssize_t n;

	fcntl(p->fd, F_SETFL, O_NONBLOCK);
	sent = net_fill(p->fd, self->data, sizeof(self->data), SIZE_MAX, 0);
	for (int i = 0; i < 3; i++) {
		int err = tg_session_rekey(p->tg, BY_ID(p->id));

		EXPECT_TRUE(!err || err == -EAGAIN || err == -EBUSY) TH_LOG("%d", err);
		updates += !err;
	}
	while (got < sent) {
		uint8_t type;

		n = peer_recv(&p->peer, &type, self->got, sizeof(self->got));
		ASSERT_GT(n, 0);
		if (type != REF_HANDSHAKE) {
			got += n;
			continue;
		}
		ref_ratchet(&p->peer.rx);
		updates--;
	}
	while (updates-- > 0)
		ASSERT_TRUE(peer_follows(&p->peer, NULL));
	ASSERT_EQ(3, send(p->fd, self->data, 3, 0));
	ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 3));
}

TEST_F(rekey, after_the_end_is_refused)
{
	ASSERT_EQ(0, shutdown(self->p.fd, SHUT_WR));
	EXPECT_EQ(-ENOTCONN, tg_session_rekey(self->p.tg, BY_ID(self->p.id)));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

/* ---- malformed --------------------------------------------------------- */

static const struct {
	const char *what;
	uint8_t bytes[16];
	size_t len;
	uint8_t alert;
} malformed[] = {
	{ "KeyUpdate of no length", { KEY_UPDATE, 0, 0, 0 }, 4, TLS_DECODE_ERROR },
	{ "KeyUpdate of two bytes", { KEY_UPDATE, 0, 0, 2, 0, 0 }, 6, TLS_DECODE_ERROR },
	{ "KeyUpdate of 16 MiB", { KEY_UPDATE, 0xff, 0xff, 0xff, 0 }, 5, TLS_DECODE_ERROR },
	{ "KeyUpdate asking 2", { KEY_UPDATE, 0, 0, 1, 2 }, 5, TLS_ILLEGAL_PARAMETER },
	{ "KeyUpdate asking 255", { KEY_UPDATE, 0, 0, 1, 255 }, 5, TLS_ILLEGAL_PARAMETER },
	{ "KeyUpdate and more", { KEY_UPDATE, 0, 0, 1, 0, KEY_UPDATE, 0, 0, 1, 0 }, 10,
	  TLS_UNEXPECTED_MESSAGE },
	{ "KeyUpdate and a byte", { KEY_UPDATE, 0, 0, 1, 0, 4 }, 6, TLS_UNEXPECTED_MESSAGE },
	{ "empty handshake record", { 0 }, 0, TLS_UNEXPECTED_MESSAGE },
	{ "HelloRequest", { 0, 0, 0, 0 }, 4, TLS_UNEXPECTED_MESSAGE },
	{ "ClientHello", { 1, 0, 0, 1, 0 }, 5, TLS_UNEXPECTED_MESSAGE },
	{ "EndOfEarlyData", { 5, 0, 0, 0 }, 4, TLS_UNEXPECTED_MESSAGE },
	{ "Finished", { 20, 0, 0, 2, 0, 0 }, 6, TLS_UNEXPECTED_MESSAGE },
	{ "message 254", { 254, 0, 0, 0 }, 4, TLS_UNEXPECTED_MESSAGE },
};

TEST_F(rekey, malformed_messages)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++) {
		struct pair *p = &self->p;

		if (i)
			ASSERT_TRUE(pair_again(p));
		ASSERT_EQ(0, peer_send(&p->peer, REF_HANDSHAKE, malformed[i].bytes,
				       malformed[i].len));
		EXPECT_EQ(-1, recv(p->fd, self->got, 10, 0)) TH_LOG("%s", malformed[i].what);
		EXPECT_TRUE(peer_expect_alert(&p->peer, malformed[i].alert))
			TH_LOG("%s: alert %d", malformed[i].what, p->peer.last[1]);
		EXPECT_EQ(-1, send(p->fd, "x", 1, MSG_NOSIGNAL)) TH_LOG("%s", malformed[i].what);
	}
}

/* RFC 9846 section 5.1: no other type between the pieces of a message. */
TEST_F(rekey, data_within_a_message)
{
	uint8_t msg[] = { KEY_UPDATE, 0, 0, 1, 0 };

	ASSERT_EQ(0, peer_send(&self->p.peer, REF_HANDSHAKE, msg, 3));
	PEER_DATA(0, 10);
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 10, 0));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_UNEXPECTED_MESSAGE));
}

/*
 * A download whose reader asks for new keys now and then, and sends nothing else:
 * as long as data moves, in whatever direction, that is no flood.
 */
static void expect_download(struct __test_metadata *_metadata, struct pair *p, int fd,
			    const uint8_t *data, uint8_t *got)
{
	char c;

	for (int i = 0; i < 200; i++) {
		ASSERT_EQ(REF_PLAINTEXT, send(fd, data, REF_PLAINTEXT, MSG_NOSIGNAL))
			TH_LOG("round %d", i);
		ASSERT_TRUE(peer_recv_data(&p->peer, got, REF_PLAINTEXT)) TH_LOG("round %d", i);
		ASSERT_EQ(0, peer_key_update(&p->peer, 1));
		/* A socket's KeyUpdates are dealt with when somebody reads. */
		ASSERT_EQ(-1, recv(fd, &c, 1, MSG_DONTWAIT));
		ASSERT_EQ(EAGAIN, errno) TH_LOG("round %d", i);
		ASSERT_TRUE(peer_follows(&p->peer, NULL)) TH_LOG("round %d", i);
	}
}

TEST_F_TIMEOUT(rekey, asked_for_in_a_download, 60)
{
	struct pair *p = &self->p;

	expect_download(_metadata, p, p->fd, self->data, self->got);
	expect_epochs(_metadata, p, &self->info, 200, 200);
}

TEST_F_TIMEOUT(rekey, asked_for_in_a_relays_download, 60)
{
	struct pair *p = &self->p;
	int plain = pair_relay(p, AF_INET, 0);

	ASSERT_GE(plain, 0);
	expect_download(_metadata, p, plain, self->data, self->got);
	close(plain);
}

static uint32_t queued(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) ? UINT32_MAX
								  : info[SK_MEMINFO_WMEM_QUEUED];
}

#define ASKED		20000
#define ASKED_AT_ONCE	50
#define LITTLE		65536	/* bytes that its socket keeps to be sent */

/* Sends a byte of data and a KeyUpdate that asks for ours, many times, and reads nothing. */
static bool ask(struct peer *peer, const uint8_t *data)
{
	static const uint8_t message[] = { KEY_UPDATE, 0, 0, 1, 1 };
	uint8_t wire[ASKED_AT_ONCE * 100];
	size_t n = 0;

	for (int i = 0; i < ASKED_AT_ONCE; i++) {
		n += ref_seal(&peer->tx, REF_DATA, data + i, 1, 0, wire + n);
		n += ref_seal(&peer->tx, REF_HANDSHAKE, message, sizeof(message), 0, wire + n);
		ref_ratchet(&peer->tx);
	}
	return !net_write(peer->fd, wire, n);
}

/*
 * One answer serves all requests that came before it left (RFC 9846 section 4.7.3): what
 * the peer makes us queue ends with the socket's buffer.  The answer that is owed comes
 * when there is room again.
 */
static void expect_bounded(struct __test_metadata *_metadata, struct pair *p, int fd,
			   struct tg_info *info, const uint8_t *data, uint8_t *got)
{
	int size, epoch, updates = 0;
	uint32_t most = 0, now;
	size_t sent = 0, seen = 0;
	socklen_t len = sizeof(size);
	uint8_t type;
	ssize_t n;

	ASSERT_EQ(0, getsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &size, &len));
	while ((n = send(fd, data, 1 << 18, MSG_DONTWAIT)) > 0)
		sent += n;
	for (int i = 0; i < ASKED; i += ASKED_AT_ONCE) {
		ASSERT_TRUE(ask(&p->peer, data)) TH_LOG("after %d", i);
		ASSERT_EQ(0, net_read(fd, got, ASKED_AT_ONCE)) TH_LOG("after %d: %m", i);
		ASSERT_EQ(ASKED_AT_ONCE, pat_check(got, 0, ASKED_AT_ONCE, 1));
		now = queued(p->fd);
		most = now > most ? now : most;
	}
	EXPECT_GE(size + REF_PLAINTEXT, most) TH_LOG("%u bytes queued, SO_SNDBUF %d", most, size);
	ASSERT_EQ(0, tg_session_get(p->tg, BY_ID(p->id), info));
	epoch = tg_num(info, TLSGATE_A_TX_EPOCH);
	while (seen < sent || updates < epoch + 1) {
		n = peer_recv(&p->peer, &type, got, REF_PLAINTEXT);
		ASSERT_GT(n, 0) TH_LOG("%zu of %zu, %d of %d", seen, sent, updates, epoch + 1);
		seen += type == REF_DATA ? n : 0;
		if (type == REF_HANDSHAKE) {
			ref_ratchet(&p->peer.rx);
			updates++;
		}
	}
	EXPECT_EQ(sent, seen);
	EXPECT_EQ(epoch + 1, updates);
	ASSERT_EQ(100, send(fd, data, 100, 0));
	EXPECT_TRUE(peer_recv_data(&p->peer, got, 100));
}

TEST_F_TIMEOUT(rekey, asked_for_by_who_never_reads, 120)
{
	struct pair *p = &self->p;

	ASSERT_EQ(0, net_buffers(p->fd, LITTLE, 0));
	expect_bounded(_metadata, p, p->fd, &self->info, self->data, self->got);
}

TEST_F_TIMEOUT(rekey, asked_for_by_who_never_reads_in_a_relay, 120)
{
	struct pair *p = &self->p;
	int plain;

	/* Before the socket is the relay's. */
	ASSERT_EQ(0, net_buffers(p->fd, LITTLE, 0));
	plain = pair_relay(p, AF_INET, 0);
	ASSERT_GE(plain, 0);
	expect_bounded(_metadata, p, plain, &self->info, self->data, self->got);
	close(plain);
}

TEST_F(rekey, flood)
{
	int i;

	fcntl(self->p.fd, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 5000; i++) {
		if (peer_key_update(&self->p.peer, i % 2))
			break;
		ASSERT_EQ(-1, recv(self->p.fd, self->got, 1, 0));
		if (errno != EAGAIN)
			break;
	}
	EXPECT_GE(i, 4) TH_LOG("not one update is let through");
	EXPECT_LT(i, 5000) TH_LOG("updates without data are not limited");
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(TLSGATE_REASON_KEY_UPDATE_FLOOD, tg_num(&self->info, TLSGATE_A_REASON));
}

/* ---- tickets ----------------------------------------------------------- */

static size_t ticket(uint8_t *msg, size_t body)
{
	msg[0] = NEW_SESSION_TICKET;
	msg[1] = 0;
	msg[2] = body >> 8;
	msg[3] = body & 0xff;
	pat_fill(msg + 4, 0, body, 77);
	return 4 + body;
}

static void expect_message(struct __test_metadata *_metadata, struct tg *ear, uint32_t id,
			   struct tg_info *info, const uint8_t *msg, size_t len)
{
	struct nlattr *a;

	ASSERT_EQ(0, tg_event(ear, TLSGATE_CMD_NTF_MESSAGE, id, info, NET_DEADLINE));
	a = info->attr[TLSGATE_A_MESSAGE];
	ASSERT_NE(NULL, a);
	ASSERT_EQ(len, nla_len(a));
	EXPECT_EQ(0, memcmp(nla_data(a), msg, len));
}

TEST_F(rekey, ticket_is_for_listeners)
{
	uint8_t msg[300];
	size_t n = ticket(msg, 200);

	PEER_DATA(0, 10);
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_HANDSHAKE, msg, n));
	PEER_DATA(10, 10);
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 20));
	EXPECT_EQ(20, pat_check(self->got, 0, 20, 1));
	expect_message(_metadata, self->ear, self->p.id, &self->info, msg, n);
}

TEST_F(rekey, ticket_in_pieces)
{
	static uint8_t msg[TLSGATE_MESSAGE_MAX];
	size_t n = ticket(msg, TLSGATE_MESSAGE_MAX - 4);

	for (size_t at = 0, step = 1; at < n; at += step, step = step * 5 % 1999 + 1)
		ASSERT_EQ(0, peer_send(&self->p.peer, REF_HANDSHAKE, msg + at,
				       n - at < step ? n - at : step));
	PEER_DATA(0, 10);
	ASSERT_EQ(10, recv(self->p.fd, self->got, 20, 0));
	expect_message(_metadata, self->ear, self->p.id, &self->info, msg, n);
}

TEST_F(rekey, two_tickets_in_a_record)
{
	uint8_t msg[600];
	size_t n = ticket(msg, 200);
	size_t m = ticket(msg + n, 33);

	ASSERT_EQ(0, peer_send(&self->p.peer, REF_HANDSHAKE, msg, n + m));
	PEER_DATA(0, 10);
	ASSERT_EQ(10, recv(self->p.fd, self->got, 20, 0));
	expect_message(_metadata, self->ear, self->p.id, &self->info, msg, n);
	expect_message(_metadata, self->ear, self->p.id, &self->info, msg + n, m);
}

/* A ticket, and a KeyUpdate as the record's last message: legal. */
TEST_F(rekey, ticket_then_update_in_a_record)
{
	uint8_t msg[300];
	size_t n = ticket(msg, 100);

	memcpy(msg + n, (uint8_t[]){ KEY_UPDATE, 0, 0, 1, 0 }, 5);
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_HANDSHAKE, msg, n + 5));
	ref_ratchet(&self->p.peer.tx);
	PEER_DATA(0, 10);
	ASSERT_EQ(10, recv(self->p.fd, self->got, 20, 0));
	expect_message(_metadata, self->ear, self->p.id, &self->info, msg, n);
	expect_epochs(_metadata, &self->p, &self->info, 0, 1);
}

TEST_F(rekey, ticket_flood)
{
	uint8_t msg[100];
	size_t n = ticket(msg, 50);
	int i;

	fcntl(self->p.fd, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 5000; i++) {
		if (peer_send(&self->p.peer, REF_HANDSHAKE, msg, n))
			break;
		ASSERT_EQ(-1, recv(self->p.fd, self->got, 1, 0));
		if (errno != EAGAIN)
			break;
	}
	EXPECT_GE(i, 4);
	EXPECT_LT(i, 5000);
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(TLSGATE_REASON_MESSAGE_FLOOD, tg_num(&self->info, TLSGATE_A_REASON));
}

/* ---- TLS 1.2 ----------------------------------------------------------- */

/* Whoever sent all that he had, and waits for an answer, does not call again. */
TEST(peer_asks_while_a_record_waits)
{
	static uint8_t data[REF_PLAINTEXT], got[REF_PLAINTEXT];
	bool update = false;
	size_t all = 0;
	struct pair p;
	uint8_t type;
	ssize_t n;

	pat_fill(data, 0, sizeof(data), 1);
	ASSERT_TRUE(pair_connect_narrow(&p, 0x0304, 0x1301));
	ASSERT_EQ(0, pair_install(&p));
	ASSERT_EQ(sizeof(data), send(p.fd, data, sizeof(data), MSG_DONTWAIT));
	ASSERT_EQ(0, peer_key_update(&p.peer, 1));
	ASSERT_EQ(0, peer_send(&p.peer, REF_DATA, "x", 1));
	ASSERT_EQ(1, recv(p.fd, got, 1, 0));
	while (all < sizeof(data) || !update) {
		n = peer_recv(&p.peer, &type, got, sizeof(got));
		ASSERT_GT(n, 0) TH_LOG("%zd behind %zu bytes", n, all);
		if (type == REF_DATA) {
			ASSERT_EQ(n, pat_check(got, all, n, 1));
			all += n;
		} else {
			ref_ratchet(&p.peer.rx);
			update = true;
		}
	}
	pair_free(&p);
}

TEST(tls12_has_no_key_update)
{
	struct pair p;
	struct tg_info info;
	char c;

	ASSERT_TRUE(pair_start(&p, 0x0303, 0xc02f, AF_INET));
	EXPECT_EQ(-EOPNOTSUPP, tg_session_rekey(p.tg, BY_FD(p.fd)));
	EXPECT_NE(0, p.tg->ack.msg[0]);
	ASSERT_EQ(1, send(p.fd, "x", 1, 0));
	EXPECT_TRUE(peer_recv_data(&p.peer, &c, 1));
	ASSERT_EQ(0, peer_send(&p.peer, REF_HANDSHAKE, "\x18\0\0\1\0", 5));
	EXPECT_EQ(-1, recv(p.fd, &c, 1, 0));
	EXPECT_TRUE(peer_expect_alert(&p.peer, TLS_UNEXPECTED_MESSAGE));
	ASSERT_EQ(0, tg_session_get(p.tg, BY_FD(p.fd), &info));
	EXPECT_EQ(0, tg_num(&info, TLSGATE_A_RX_EPOCH));
	pair_free(&p);
}

/* Renegotiation is never done: a warning, or the end of the session, but no new handshake. */
TEST(tls12_does_not_renegotiate)
{
	static const uint8_t hello_request[4] = { 0 }, client_hello[] = { 1, 0, 0, 2, 3, 3 };
	struct pair p;
	uint8_t buf[100], type;
	ssize_t n;

	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(pair_start(&p, 0x0303, 0xc02f, AF_INET));
		ASSERT_EQ(0, peer_send(&p.peer, REF_HANDSHAKE, i ? client_hello : hello_request,
				       i ? sizeof(client_hello) : sizeof(hello_request)));
		ASSERT_EQ(0, peer_send(&p.peer, REF_DATA, "d", 1));
		n = recv(p.fd, buf, sizeof(buf), 0);
		EXPECT_TRUE(n == -1 || (n == 1 && buf[0] == 'd'));
		if (net_poll(p.peer.fd, POLLIN, n == -1 ? NET_DEADLINE : NET_QUIET)) {
			EXPECT_EQ(2, peer_recv(&p.peer, &type, buf, sizeof(buf)));
			EXPECT_EQ(REF_ALERT, type);
		}
		pair_free(&p);
	}
}

TEST_HARNESS_MAIN
