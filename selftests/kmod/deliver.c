// SPDX-License-Identifier: MIT
/*
 * A keyed socket is delivered: put into the accept queue of a server, which accepts a connection
 * from the peer's own address and talks plaintext.  Here is what a server gets, and what comes of
 * connections that it never accepts.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/gate.h"
#include "lib/ring.h"

FIXTURE(deliver)
{
	struct gate g;
	struct gated c;
	int counters;
	struct tg_info info;
};

FIXTURE_VARIANT(deliver)
{
	int family;
};

FIXTURE_VARIANT_ADD(deliver, v4) { .family = AF_INET };
FIXTURE_VARIANT_ADD(deliver, v6) { .family = AF_INET6 };

FIXTURE_SETUP(deliver)
{
	ASSERT_TRUE(net_namespace());
	ASSERT_TRUE(gate_open(&self->g, variant->family));
	self->counters = tg_counters();
	ASSERT_GE(self->counters, 0);
	self->c = (struct gated){ .fd = -1, .peer.fd = -1 };
}

FIXTURE_TEARDOWN(deliver)
{
	gated_free(&self->c);
	gate_free(&self->g);
	/* Nothing outlives its sockets. */
	EXPECT_TRUE(gate_sessions(self->counters, 0));
	close(self->counters);
}

/* ---- what a server gets ---------------------------------------------------------- */

static bool same_address(int a, int b, int (*of_a)(int, struct sockaddr *, socklen_t *),
			 int (*of_b)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage x = { 0 }, y = { 0 };
	socklen_t len_x = sizeof(x), len_y = sizeof(y);

	return !of_a(a, (void *)&x, &len_x) && !of_b(b, (void *)&y, &len_y) && len_x == len_y &&
	       !memcmp(&x, &y, len_x);
}

TEST_F(deliver, server_talks_plaintext_with_the_peer)
{
	int app;

	ASSERT_TRUE(gate_deliver(&self->g, &self->c));
	EXPECT_EQ(gate_delivery(&self->g, &self->c), TLSGATE_DELIVERY_QUEUED);
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	EXPECT_EQ(gate_delivery(&self->g, &self->c), TLSGATE_DELIVERY_ACCEPTED);
	EXPECT_TRUE(same_address(app, self->c.peer.fd, getpeername, getsockname));
	EXPECT_TRUE(same_address(app, self->c.peer.fd, getsockname, getpeername));
	EXPECT_TRUE(gate_talks(&self->c, app));
	/* It ends as any keyed socket. */
	close(app);
	EXPECT_TRUE(peer_expect_end(&self->c.peer));
	EXPECT_EQ(tg_counter(self->counters, "deliveries_queued"), 1);
	EXPECT_EQ(tg_counter(self->counters, "deliveries_accepted"), 1);
}

TEST_F(deliver, bulk_both_ways)
{
	const char *wrong;
	int app;

	ASSERT_TRUE(gate_deliver(&self->g, &self->c));
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	wrong = flow(&self->c.peer, app, 1 << 20, 1 << 20);
	EXPECT_EQ(wrong, NULL) TH_LOG("%s", wrong);
	close(app);
}

TEST_F(deliver, accepted_by_uring)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_ACCEPT, .fd = self->g.server,
				    .ioprio = IORING_ACCEPT_MULTISHOT };
	struct ring ring;
	unsigned int i;
	int app;

	if (!ring_open(&ring))
		SKIP(return, "this kernel has no io_uring: %s", strerror(errno));
	ring_submit(&ring, &sqe);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(gate_deliver(&self->g, &self->c));
		app = ring_wait(&ring);
		ASSERT_GE(app, 0);
		EXPECT_TRUE(ring.more);
		EXPECT_TRUE(gate_talks(&self->c, app));
		close(app);
		gated_free(&self->c);
	}
	close(ring.fd);
}

/* It never has a descriptor: what is in the table is all that holds it. */
TEST_F(deliver, accepted_as_direct_descriptors)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_ACCEPT, .fd = self->g.server,
				    .ioprio = IORING_ACCEPT_MULTISHOT,
				    .file_index = IORING_FILE_INDEX_ALLOC };
	struct gated *c = &self->c;
	char got[8] = "";
	struct ring ring;
	int i, slot;

	if (!ring_open(&ring) || ring_files(&ring, 4))
		SKIP(return, "this kernel has no io_uring: %s", strerror(errno));
	ring_submit(&ring, &sqe);
	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(gate_deliver(&self->g, c));
		slot = ring_wait(&ring);
		ASSERT_GE(slot, 0);
		EXPECT_EQ(ring_run_direct(&ring, IORING_OP_SEND, slot, "down", 5), 5);
		EXPECT_TRUE(peer_recv_data(&c->peer, got, 5));
		EXPECT_EQ(strcmp(got, "down"), 0);
		ASSERT_EQ(peer_send_data(&c->peer, "up", 3), 0);
		EXPECT_EQ(ring_run_direct(&ring, IORING_OP_RECV, slot, got, 3), 3);
		EXPECT_EQ(strcmp(got, "up"), 0);
		sqe = (struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .file_index = slot + 1 };
		ring_submit(&ring, &sqe);
		EXPECT_EQ(ring_wait(&ring), 0);
		EXPECT_TRUE(peer_expect_end(&c->peer));
		gated_free(c);
	}
	close(ring.fd);
}

/* ---- options: what TCP's own connection to the same socket has ------------------------- */

enum width { NUMBER, PAIR, TEXT };

struct option {
	const char *name;
	int level, option;
	int value[2];
	enum width width;
	bool grows;		/* TCP changes it by itself where nobody has set it */
	int family;		/* 0: either */
};

#define OF_SOCKET(opt, ...) { #opt, SOL_SOCKET, opt, { __VA_ARGS__ } }
#define OF_TCP(opt, ...) { #opt, IPPROTO_TCP, opt, { __VA_ARGS__ } }
#define OF_IP(opt, ...) { #opt, IPPROTO_IP, opt, { __VA_ARGS__ }, .family = AF_INET }
#define OF_IPV6(opt, ...) { #opt, IPPROTO_IPV6, opt, { __VA_ARGS__ }, .family = AF_INET6 }

static const struct option options[] = {
	OF_SOCKET(SO_KEEPALIVE, 1),
	{ "SO_LINGER", SOL_SOCKET, SO_LINGER, { 1, 7 }, PAIR },
	OF_SOCKET(SO_OOBINLINE, 1),
	OF_SOCKET(SO_DONTROUTE, 1),
	OF_SOCKET(SO_RXQ_OVFL, 1),
	OF_SOCKET(SO_SELECT_ERR_QUEUE, 1),
	OF_SOCKET(SO_ZEROCOPY, 1),
	OF_SOCKET(SO_LOCK_FILTER, 1),
	OF_SOCKET(SO_RCVLOWAT, 9),
	{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, { 30000 }, .grows = true },
	{ "SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, { 30000 }, .grows = true },
	OF_SOCKET(SO_PRIORITY, 3),
	OF_SOCKET(SO_MARK, 11),
	OF_SOCKET(SO_MAX_PACING_RATE, 1 << 20),
	OF_SOCKET(SO_BUSY_POLL, 5),
	OF_SOCKET(SO_PREFER_BUSY_POLL, 1),
	OF_TCP(TCP_NODELAY, 1),
	OF_TCP(TCP_CORK, 1),
	OF_TCP(TCP_KEEPIDLE, 77),
	OF_TCP(TCP_KEEPINTVL, 78),
	OF_TCP(TCP_KEEPCNT, 5),
	OF_TCP(TCP_LINGER2, 9),
	OF_TCP(TCP_NOTSENT_LOWAT, 20000),
	OF_TCP(TCP_USER_TIMEOUT, 60000),
	OF_TCP(TCP_INQ, 1),
	OF_TCP(TCP_THIN_LINEAR_TIMEOUTS, 1),
	OF_TCP(TCP_TX_DELAY, 10),
	{ "TCP_CONGESTION", IPPROTO_TCP, TCP_CONGESTION, { 0x6f6e6572 /* reno */, 0 }, TEXT },
	OF_IP(IP_TOS, 0x10),
	OF_IP(IP_TTL, 33),
	OF_IP(IP_MINTTL, 5),
	OF_IP(IP_MTU_DISCOVER, IP_PMTUDISC_DO),
	OF_IP(IP_RECVERR, 1),
	OF_IPV6(IPV6_TCLASS, 0x10),
	OF_IPV6(IPV6_UNICAST_HOPS, 33),
	OF_IPV6(IPV6_MINHOPCOUNT, 5),
	OF_IPV6(IPV6_RECVERR, 1),
	OF_IPV6(IPV6_RECVPKTINFO, 1),
};

static bool option_set(int fd, const struct option *o)
{
	socklen_t len = o->width == TEXT ? 4 : o->width == PAIR ? 8 : 4;

	return !setsockopt(fd, o->level, o->option, o->value, len);
}

static bool option_same(int a, int b, const struct option *o)
{
	char of_a[16] = "", of_b[16] = "";
	socklen_t len_a = sizeof(of_a), len_b = sizeof(of_b);

	return !getsockopt(a, o->level, o->option, of_a, &len_a) &&
	       !getsockopt(b, o->level, o->option, of_b, &len_b) && len_a == len_b &&
	       !memcmp(of_a, of_b, len_a);
}

/* The server has it, or the gate, whose setting is not the server's. */
static const char *option_differs(struct gate *g, struct gated *c, const struct option *o,
				  bool of_server)
{
	int client = -1, own = -1, app = -1;
	const char *wrong = NULL;

	if (of_server && !option_set(g->server, o))
		return "cannot be set";
	if (!gate_accept(g, c) || (!of_server && !option_set(c->fd, o)) || gate_install(g, c))
		return "no session";
	gate_close(c);
	app = accept4(g->server, NULL, NULL, SOCK_CLOEXEC);
	client = net_connect_to(g->server);
	own = gate_server_accept(g->server);
	if (app < 0 || own < 0)
		wrong = "not accepted";
	else if (!option_same(app, own, o))
		wrong = of_server ? "the server's is not heeded" : "the gate's stays";
	close(app);
	close(own);
	close(client);
	gated_free(c);
	return wrong;
}

TEST_F(deliver, options_are_the_servers)
{
	struct gate *g = &self->g;
	unsigned int i, of_server;

	for (i = 0; i < sizeof(options) / sizeof(*options); i++) {
		const struct option *o = &options[i];

		if (o->family && o->family != variant->family)
			continue;
		for (of_server = !o->grows ? 0 : 1; of_server < 2; of_server++) {
			const char *wrong;

			gate_free(g);
			ASSERT_TRUE(gate_open(g, variant->family));
			wrong = option_differs(g, &self->c, o, of_server);
			EXPECT_EQ(wrong, NULL) TH_LOG("%s: %s", o->name, wrong);
		}
	}
}

TEST_F(deliver, timeouts_are_the_servers)
{
	struct timeval server = { 3, 0 }, got;
	socklen_t len = sizeof(got);
	int app;

	/* The gate's are NET_DEADLINE. */
	ASSERT_EQ(setsockopt(self->g.server, SOL_SOCKET, SO_SNDTIMEO, &server, len), 0);
	ASSERT_TRUE(gate_deliver(&self->g, &self->c));
	app = accept4(self->g.server, NULL, NULL, SOCK_CLOEXEC);
	ASSERT_GE(app, 0);
	ASSERT_EQ(getsockopt(app, SOL_SOCKET, SO_SNDTIMEO, &got, &len), 0);
	EXPECT_EQ(got.tv_sec, 3);
	ASSERT_EQ(getsockopt(app, SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
	EXPECT_EQ(got.tv_sec, 0);
	close(app);
}

/* ---- what comes before the server does ---------------------------------------------------- */

/* What the peer does; and what the server then reads, and how it ends: 0 or an errno. */
struct early {
	const char *name;
	bool (*act)(struct gated *c);
	const char *read;
	int end;		/* -1: it does not, and both can talk */
};

static bool sends(struct gated *c)
{
	return !peer_send_data(&c->peer, "early", 5);
}

static bool sends_and_ends(struct gated *c)
{
	return sends(c) && !peer_alert(&c->peer, 1, TLS_CLOSE_NOTIFY) &&
	       !shutdown(c->peer.fd, SHUT_WR);
}

static bool sends_and_is_cut_off(struct gated *c)
{
	return sends(c) && !shutdown(c->peer.fd, SHUT_WR);
}

static bool resets(struct gated *c)
{
	net_reset(c->peer.fd);
	c->peer.fd = -1;
	return true;
}

static bool updates_its_key(struct gated *c)
{
	return !peer_key_update(&c->peer, 0) && sends(c);
}

static bool forges(struct gated *c)
{
	uint8_t record[REF_RECORD_MAX];
	size_t n = ref_seal(&c->peer.tx, REF_DATA, "early", 5, 0, record);

	record[n - 1] ^= 1;
	return !net_write(c->peer.fd, record, n);
}

static const struct early early[] = {
	{ "data", sends, "early", -1 },
	{ "data and close_notify", sends_and_ends, "early", 0 },
	{ "data and FIN", sends_and_is_cut_off, "early", ECONNRESET },
	{ "RST", resets, "", ECONNRESET },
	{ "KeyUpdate and data", updates_its_key, "early", -1 },
	{ "a forged record", forges, "", EBADMSG },
};

static const char *early_differs(struct gate *g, struct gated *c, const struct early *e,
				 bool queued)
{
	char got[16] = "";
	int app;

	if (!gate_accept(g, c) || gate_install(g, c))
		return "no session";
	if (queued)
		gate_close(c);
	if (!e->act(c))
		return "the peer cannot send";
	gate_close(c);
	app = gate_server_accept(g->server);
	if (app < 0)
		return "not accepted";
	if (*e->read && (net_read(app, got, 5) || strcmp(got, e->read)))
		return "other bytes";
	if (e->end < 0 && !gate_talks(c, app))
		return "it cannot go on";
	if (e->end >= 0 && (read(app, got, 1) != (e->end ? -1 : 0) || (e->end && errno != e->end)))
		return "another end";
	close(app);
	if (e->act == forges && !peer_expect_alert(&c->peer, TLS_BAD_RECORD_MAC))
		return "no alert";
	gated_free(c);
	return NULL;
}

TEST_F(deliver, what_comes_before_the_server_does)
{
	unsigned int i, queued;

	for (i = 0; i < sizeof(early) / sizeof(*early); i++) {
		for (queued = 0; queued < 2; queued++) {
			const char *wrong = early_differs(&self->g, &self->c, &early[i], queued);

			EXPECT_EQ(wrong, NULL)
				TH_LOG("%s, %s: %s", early[i].name,
				       queued ? "queued" : "waiting", wrong);
			gated_free(&self->c);
		}
	}
}

/* The peer's first request may come with the end of its handshake. */
TEST_F(deliver, what_the_gate_has_read)
{
	uint8_t record[REF_RECORD_MAX];
	char got[16] = "";
	size_t n, cut;
	int app;

	/* Whole, and but for its end. */
	for (cut = 0; cut < 2; cut++) {
		ASSERT_TRUE(gate_accept(&self->g, &self->c));
		n = ref_seal(&self->c.peer.tx, REF_DATA, "early", 5, 0, record);
		ASSERT_EQ(gate_install_pending(&self->g, &self->c, record, n - cut), 0);
		gate_close(&self->c);
		app = gate_server_accept(self->g.server);
		ASSERT_GE(app, 0);
		EXPECT_EQ(net_poll(app, POLLIN, 0), cut ? 0 : POLLIN);
		ASSERT_EQ(net_write(self->c.peer.fd, record + n - cut, cut), 0);
		ASSERT_EQ(net_read(app, got, 5), 0);
		EXPECT_EQ(strcmp(got, "early"), 0);
		EXPECT_TRUE(gate_talks(&self->c, app));
		close(app);
		gated_free(&self->c);
		/* And of one that nobody accepts. */
		ASSERT_TRUE(gate_accept(&self->g, &self->c));
		n = ref_seal(&self->c.peer.tx, REF_DATA, "early", 5, 0, record);
		ASSERT_EQ(gate_install_pending(&self->g, &self->c, record, n), 0);
		gate_close(&self->c);
		close(self->g.server);
		EXPECT_EQ(peer_drain(&self->c.peer), PEER_RESET);
		gated_free(&self->c);
		gate_free(&self->g);
		ASSERT_TRUE(gate_open(&self->g, variant->family));
	}
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Of io_uring, which comes to TCP past the socket's calls (Linux 6.7). */
static int command(int fd, uint32_t number)
{
	struct ring ring;
	int err = -EOPNOTSUPP;

	if (ring_open(&ring))
		err = ring_command(&ring, fd, number);
	close(ring.fd);
	/* Before, and where there is no io_uring, nobody can. */
	return err == -EOPNOTSUPP ? -EBUSY : err;
}

/* The gate can do nothing with it but close it. */
TEST_F(deliver, waiting_socket_refuses)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd, one = 1, n, app;
	char byte;

	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	ASSERT_EQ(gate_install(&self->g, &self->c), 0);
	fd = self->c.fd;
	ASSERT_EQ(peer_send_data(&self->c.peer, "early", 5), 0);
	EXPECT_TRUE(net_quiet(fd, POLLIN | POLLOUT));
	EXPECT_EQ(read(fd, &byte, 1), -1);
	EXPECT_EQ(errno, EBUSY);
	EXPECT_EQ(write(fd, "x", 1), -1);
	EXPECT_EQ(errno, EBUSY);
	EXPECT_EQ(shutdown(fd, SHUT_RDWR), -1);
	EXPECT_EQ(errno, EBUSY);
	EXPECT_EQ(connect(fd, &none, sizeof(none)), -1);
	EXPECT_EQ(errno, EBUSY);
	EXPECT_EQ(listen(fd, 1), -1);
	EXPECT_EQ(errno, EBUSY);
	EXPECT_EQ(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), -1);
	EXPECT_EQ(errno, EBUSY);
	EXPECT_EQ(ioctl(fd, FIONREAD, &n), -1);
	EXPECT_EQ(errno, EBUSY);
	for (n = 0; n < 2; n++)		/* SIOCINQ, which would open a record, and SIOCOUTQ */
		EXPECT_EQ(command(fd, n), -EBUSY);
	gate_close(&self->c);
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	close(app);
}

/* What reaches past the keys on a TCP socket is refused as on every keyed one. */
TEST_F(deliver, accepted_socket_is_a_keyed_one)
{
	struct tcp_zerocopy_receive zc = { 0 };
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int app, one = 1, n, pipes[2], file;
	socklen_t len = sizeof(zc);
	char got[16];

	ASSERT_TRUE(gate_deliver(&self->g, &self->c));
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	EXPECT_EQ(setsockopt(app, IPPROTO_TCP, TCP_ULP, "tls", 4), -1);
	EXPECT_EQ(errno, EEXIST);
	EXPECT_EQ(setsockopt(app, IPPROTO_TCP, TCP_REPAIR, &one, sizeof(one)), -1);
	EXPECT_EQ(errno, EOPNOTSUPP);
	EXPECT_EQ(getsockopt(app, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len), -1);
	EXPECT_EQ(errno, EOPNOTSUPP);
	EXPECT_EQ(setsockopt(app, SOL_SOCKET, SO_PEEK_OFF, &one, sizeof(one)), -1);
	EXPECT_EQ(errno, EOPNOTSUPP);
	EXPECT_EQ(connect(app, &none, sizeof(none)), -1);
	setsockopt(app, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one));
	EXPECT_EQ(send(app, "zero", 4, MSG_ZEROCOPY), -1);
	EXPECT_EQ(errno, EOPNOTSUPP);

	/* It tells of plaintext. */
	EXPECT_TRUE(net_quiet(app, POLLIN));
	ASSERT_EQ(peer_send_data(&self->c.peer, "some", 4), 0);
	EXPECT_EQ(net_poll(app, POLLIN, NET_DEADLINE), POLLIN);
	EXPECT_EQ(ioctl(app, FIONREAD, &n), 0);
	EXPECT_EQ(n, 4);
	ASSERT_EQ(pipe(pipes), 0);
	EXPECT_EQ(splice(app, NULL, pipes[1], NULL, 16, 0), 4);
	EXPECT_EQ(read(pipes[0], got, 4), 4);
	EXPECT_EQ(memcmp(got, "some", 4), 0);
	file = memfd_create("page", MFD_CLOEXEC);
	ASSERT_EQ(write(file, "of a file", 9), 9);
	EXPECT_EQ(sendfile(app, file, &(off_t){ 0 }, 9), 9);
	EXPECT_TRUE(peer_recv_data(&self->c.peer, got, 9));
	EXPECT_EQ(memcmp(got, "of a file", 9), 0);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	close(app);
	EXPECT_TRUE(peer_expect_end(&self->c.peer));
}

TEST_F(deliver, uring_sends_no_pages_past_the_keys)
{
	struct ring ring;
	char page[64] = "of a process";
	int app;

	if (!ring_open(&ring))
		SKIP(return, "this kernel has no io_uring: %s", strerror(errno));
	ASSERT_TRUE(gate_deliver(&self->g, &self->c));
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	EXPECT_EQ(ring_run(&ring, IORING_OP_SEND_ZC, app, page, sizeof(page), 0), -EOPNOTSUPP);
	EXPECT_TRUE(gate_talks(&self->c, app));
	close(app);
	close(ring.fd);
}

TEST_HARNESS_MAIN
