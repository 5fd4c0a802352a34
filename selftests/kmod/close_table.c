// SPDX-License-Identifier: MIT
/*
 * The table of docs/close-table.md, row by row: who ends, how, with the other
 * direction open or closed before, with data in flight or without; for a
 * session's socket, one that was delivered to a server, and for a relay to TCP
 * and to UNIX, in both versions.
 * The name of a row is the name of its test.
 *
 * "App" is whoever holds the plaintext: the process with the session's socket,
 * or the plain side of the relay.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/gate.h"

#define FLIGHT	50000	/* bytes, some records */

enum who { PEER, APP };

enum how {
	NOTIFY,		/* close_notify, no FIN yet; peer only */
	NOTIFY_FIN,	/* close_notify and FIN; peer only */
	FIN,		/* of the app: shutdown(SHUT_WR); of the peer: without close_notify */
	CLOSE,		/* app only */
	RESET,
};

FIXTURE(ends)
{
	struct pair p;
	int app;
	uint8_t data[FLIGHT], got[FLIGHT + REF_PLAINTEXT];
};

FIXTURE_VARIANT(ends)
{
	enum who who;
	enum how how;
	bool half;	/* the other direction was closed in order before */
	bool flight;	/* what the one who ends had sent is still under way */
};

#define ROW(name, w, h, half_, flight_)							\
	FIXTURE_VARIANT_ADD(ends, name) {						\
		.who = w, .how = h, .half = half_, .flight = flight_ };

ROW(peer_notify_open_idle, PEER, NOTIFY, false, false)
ROW(peer_notify_open_flight, PEER, NOTIFY, false, true)
ROW(peer_notify_half_idle, PEER, NOTIFY, true, false)
ROW(peer_notify_half_flight, PEER, NOTIFY, true, true)
ROW(peer_notify_fin_open_idle, PEER, NOTIFY_FIN, false, false)
ROW(peer_notify_fin_open_flight, PEER, NOTIFY_FIN, false, true)
ROW(peer_notify_fin_half_idle, PEER, NOTIFY_FIN, true, false)
ROW(peer_notify_fin_half_flight, PEER, NOTIFY_FIN, true, true)
ROW(peer_fin_open_idle, PEER, FIN, false, false)
ROW(peer_fin_open_flight, PEER, FIN, false, true)
ROW(peer_fin_half_idle, PEER, FIN, true, false)
ROW(peer_fin_half_flight, PEER, FIN, true, true)
ROW(peer_reset_open_idle, PEER, RESET, false, false)
ROW(peer_reset_open_flight, PEER, RESET, false, true)
ROW(peer_reset_half_idle, PEER, RESET, true, false)
ROW(peer_reset_half_flight, PEER, RESET, true, true)
ROW(app_fin_open_idle, APP, FIN, false, false)
ROW(app_fin_open_flight, APP, FIN, false, true)
ROW(app_fin_half_idle, APP, FIN, true, false)
ROW(app_fin_half_flight, APP, FIN, true, true)
ROW(app_close_open_idle, APP, CLOSE, false, false)
ROW(app_close_open_flight, APP, CLOSE, false, true)
ROW(app_close_half_idle, APP, CLOSE, true, false)
ROW(app_close_half_flight, APP, CLOSE, true, true)
ROW(app_reset_open_idle, APP, RESET, false, false)
ROW(app_reset_open_flight, APP, RESET, false, true)
ROW(app_reset_half_idle, APP, RESET, true, false)
ROW(app_reset_half_flight, APP, RESET, true, true)

FIXTURE_SETUP(ends)
{
	pat_fill(self->data, 0, FLIGHT, 1);
	self->app = -1;
	self->p.fd = -1;
	self->p.peer.fd = -1;
}

FIXTURE_TEARDOWN(ends)
{
}

typedef FIXTURE_DATA(ends) fixture;
typedef FIXTURE_VARIANT(ends) row;

/* ---- the acts ------------------------------------------------------------------ */

static void give_up(int *fd, bool reset)
{
	if (reset)
		net_reset(*fd);
	else
		close(*fd);
	*fd = -1;
}

static void half_close(struct __test_metadata *_metadata, fixture *self, const row *v)
{
	char c;

	if (v->who == PEER) {
		ASSERT_EQ(0, shutdown(self->app, SHUT_WR));
		ASSERT_TRUE(peer_expect_end(&self->p.peer));
	} else {
		ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
		ASSERT_EQ(0, recv(self->app, &c, 1, 0));
	}
}

static void end(struct __test_metadata *_metadata, fixture *self, const row *v)
{
	struct peer *peer = &self->p.peer;

	if (v->flight && v->who == PEER)
		ASSERT_EQ(0, peer_send_data(peer, self->data, FLIGHT));
	if (v->flight && v->who == APP)
		ASSERT_EQ(0, net_write(self->app, self->data, FLIGHT));
	if (v->who == APP && v->how == FIN) {
		ASSERT_EQ(0, shutdown(self->app, SHUT_WR));
	} else if (v->who == APP) {
		give_up(&self->app, v->how == RESET);
	} else if (v->how == RESET) {
		give_up(&peer->fd, true);
	} else {
		if (v->how != FIN)
			ASSERT_EQ(0, peer_alert(peer, 1, TLS_CLOSE_NOTIFY));
		if (v->how != NOTIFY)
			ASSERT_EQ(0, shutdown(peer->fd, SHUT_WR));
	}
}

/* ---- what the other sees ---------------------------------------------------------- */

/* Whole if the end was in order; a socket also has what came before a bad end. */
static void expect_bytes(struct __test_metadata *_metadata, fixture *self, const row *v, size_t n,
			 bool whole)
{
	EXPECT_LE(n, v->flight ? FLIGHT : 0);
	EXPECT_EQ(n, pat_check(self->got, 0, n, 1));
	if (whole)
		EXPECT_EQ(v->flight ? FLIGHT : 0, n);
}

static void app_sees(struct __test_metadata *_metadata, fixture *self, const row *v, bool relay)
{
	bool in_order = v->how == NOTIFY || v->how == NOTIFY_FIN;
	size_t n = 0;
	ssize_t r;

	if (v->how == RESET)
		ASSERT_NE(0, net_poll(self->app, POLLIN, NET_DEADLINE));
	while ((r = recv(self->app, self->got + n, sizeof(self->got) - n, 0)) > 0)
		n += r;
	expect_bytes(_metadata, self, v, n, in_order || !relay);
	if (in_order) {
		EXPECT_EQ(0, r);
	} else {
		EXPECT_EQ(-1, r);
		EXPECT_EQ(ECONNRESET, errno);
		/* UNIX tells of the reset a moment before the other end is gone. */
		if (relay)
			EXPECT_TRUE(net_poll(self->app, 0, NET_DEADLINE) & POLLHUP);
		EXPECT_EQ(-1, send(self->app, "x", 1, MSG_NOSIGNAL));
		return;
	}
	if (v->half)
		return;
	/* RFC 9846 section 6.1: this direction is still open, and has an end of its own. */
	ASSERT_EQ(6, send(self->app, "answer", 6, 0));
	ASSERT_EQ(0, shutdown(self->app, SHUT_WR));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 6));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

static void peer_sees(struct __test_metadata *_metadata, fixture *self, const row *v)
{
	struct peer *peer = &self->p.peer;
	uint8_t type = 0;
	size_t n = 0;
	ssize_t r;

	while ((r = peer_recv(peer, &type, self->got + n, sizeof(self->got) - n)) >= 0 &&
	       type == REF_DATA)
		n += r;
	expect_bytes(_metadata, self, v, n, v->how != RESET);
	if (v->how == RESET) {
		EXPECT_EQ(PEER_RESET, r);
		return;
	}
	EXPECT_EQ(2, r);
	EXPECT_EQ(REF_ALERT, type);
	EXPECT_EQ(TLS_CLOSE_NOTIFY, peer->last[1]);
	EXPECT_EQ(PEER_EOF, peer_recv(peer, &type, self->got, sizeof(self->got)));
	if (v->half || v->how == CLOSE)
		return;
	ASSERT_EQ(0, peer_send(peer, REF_DATA, "answer", 6));
	ASSERT_EQ(0, peer_alert(peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_EQ(0, net_read(self->app, self->got, 6));
	EXPECT_EQ(0, recv(self->app, self->got, 6, 0));
}

static void run_row(struct __test_metadata *_metadata, fixture *self, const row *v, bool relay)
{
	if (v->half)
		half_close(_metadata, self, v);
	end(_metadata, self, v);
	if (v->who == PEER)
		app_sees(_metadata, self, v, relay);
	else
		peer_sees(_metadata, self, v);
	if (relay && self->app >= 0)
		close(self->app);
	if (!relay)
		self->p.fd = self->app;
	pair_free(&self->p);
}

static const struct {
	uint16_t version, suite;
} suites[] = { { 0x0303, 0xc02f }, { 0x0304, 0x1301 } };

TEST_F(ends, socket)
{
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(pair_start(&self->p, suites[i].version, suites[i].suite, AF_INET));
		self->app = self->p.fd;
		run_row(_metadata, self, variant, false);
	}
}

/* A server's socket of a connection that was delivered to it. */
TEST_F(ends, delivered)
{
	struct gate g;
	struct gated c;

	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(gate_open(&g, AF_INET));
		ASSERT_TRUE(gate_deliver_as(&g, &c, suites[i].version, suites[i].suite));
		self->app = gate_server_accept(g.server);
		ASSERT_LE(0, self->app);
		self->p = (struct pair){ .fd = -1, .tx = c.tx, .rx = c.rx, .peer = c.peer };
		run_row(_metadata, self, variant, false);
		gate_free(&g);
	}
}

static void relays(struct __test_metadata *_metadata, fixture *self, const row *v, int family)
{
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(pair_start(&self->p, suites[i].version, suites[i].suite, AF_INET));
		self->app = pair_relay(&self->p, family, 0);
		ASSERT_LE(0, self->app);
		give_up(&self->p.fd, false);
		run_row(_metadata, self, v, true);
	}
}

TEST_F(ends, relay_tcp)
{
	relays(_metadata, self, variant, AF_INET);
}

/*
 * A reset of a UNIX socket is what closing it unread does; SO_LINGER means
 * nothing to it, so the app's own reset is an end like any other.
 */
TEST_F(ends, relay_unix)
{
	row v = *variant;

	if (v.who == APP && v.how == RESET)
		v.how = CLOSE;
	relays(_metadata, self, &v, AF_UNIX);
}

TEST_HARNESS_MAIN
