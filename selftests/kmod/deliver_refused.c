// SPDX-License-Identifier: MIT
/*
 * What cannot be delivered is refused by SESSION_NEW, before any key is in, with the attribute, a
 * sentence and a reason that tell whether to wait or to look at the configuration; and a handle is
 * for the connections that its gate accepted, and for whoever holds it.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/gate.h"
#include "lib/ring.h"
#include "lib/sockmap.h"
#include "lib/task.h"

static const struct sockaddr_in6 any6 = { .sin6_family = AF_INET6 };
static const struct sockaddr_in6 loopback6 = {
	.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT,
};
static const struct sockaddr_in6 mapped6 = {
	.sin6_family = AF_INET6,
	.sin6_addr.s6_addr = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 },
};
static const struct sockaddr_in any4 = { .sin_family = AF_INET };

/* Listens at the address, with a port of its own choice if that has none; or -1. */
static int listener_at(const void *addr, bool v6only, int backlog)
{
	const struct sockaddr *sa = addr;
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), only = v6only;
	socklen_t len = sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						  : sizeof(struct sockaddr_in);

	if (sa->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (!bind(fd, addr, len) && !listen(fd, backlog))
		return fd;
	close(fd);
	return -1;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	return getsockname(fd, (void *)&addr, &len) ? 0 : addr.sin6_port;
}

static struct sockaddr_in v4_end(const char *dotted, uint16_t port)
{
	struct sockaddr_in end = { .sin_family = AF_INET, .sin_port = port };
	uint8_t b[4];

	sscanf(dotted, "%hhu.%hhu.%hhu.%hhu", &b[0], &b[1], &b[2], &b[3]);
	memcpy(&end.sin_addr, b, 4);
	return end;
}

FIXTURE(refused)
{
	struct gate g;
	struct gated c;
	int counters;
};

FIXTURE_SETUP(refused)
{
	ASSERT_TRUE(net_namespace());
	self->counters = tg_counters();
	ASSERT_GE(self->counters, 0);
	self->c = (struct gated){ .fd = -1, .peer.fd = -1 };
}

FIXTURE_TEARDOWN(refused)
{
	gated_free(&self->c);
	gate_free(&self->g);
	EXPECT_TRUE(gate_sessions(self->counters, 0));
	close(self->counters);
}

/* Bytes go through as they are: nothing was installed, and the socket is its holder's. */
static bool still_plain(const struct gated *c)
{
	char got[8];

	return !net_write(c->peer.fd, "up", 3) && !net_read(c->fd, got, 3) &&
	       !strcmp(got, "up") && !net_write(c->fd, "down", 5) &&
	       !net_read(c->peer.fd, got, 5) && !strcmp(got, "down");
}

/* NULL, or what of the refusal is wrong. */
static const char *refused_with(struct gate *g, struct gated *c, int counters, int err, int attr,
				const char *reason)
{
	uint64_t before = reason ? tg_counter(counters, reason) : 0;
	int ret = gate_install(g, c);

	if (ret != -err)
		return ret ? strerror(-ret) : "taken";
	if (!tg_names(g->tg, 0, attr) || !g->tg->ack.msg[0])
		return "no sentence that names the attribute";
	if (reason && tg_counter(counters, reason) != before + 1)
		return "not counted";
	return still_plain(c) ? NULL : "the socket is not what it was";
}

#define EXPECT_ROW_REFUSED(row, err, attr, reason) do {					\
	const char *wrong = refused_with(&self->g, &self->c, self->counters, err, attr,	\
					 reason);					\
	EXPECT_EQ(wrong, NULL)								\
		TH_LOG("%s: %s (%s)", row, wrong, self->g.tg->ack.msg);			\
} while (0)
#define EXPECT_REFUSED(err, attr, reason) EXPECT_ROW_REFUSED("", err, attr, reason)

/* ---- what the server's socket is -------------------------------------------------- */

struct option {
	const char *name;
	int level, option;
	const void *value;
	socklen_t len;
};

static const struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, 0xffff) };
static const struct sock_fprog filter = { .len = 1, .filter = (void *)all };
static const int one = 1;
static const int stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
static const struct tcp_md5sig md5 = {
	.tcpm_addr.ss_family = AF_INET, .tcpm_keylen = 3, .tcpm_key = "key",
};

/* As newer headers have it. */
#ifndef TCP_AO_ADD_KEY
#define TCP_AO_ADD_KEY	38
struct tcp_ao_add {
	struct sockaddr_storage addr;
	char alg_name[64];
	int32_t ifindex;
	uint32_t flags;
	uint16_t reserved2;
	uint8_t prefix, sndid, rcvid, maclen, keyflags, keylen;
	uint8_t key[80];
} __attribute__((aligned(8)));
#endif

static const struct tcp_ao_add ao = {
	.addr.ss_family = AF_INET, .alg_name = "hmac(sha1)", .keylen = 3, .key = "key",
};

static const struct xfrm_userpolicy_info policy = {
	.sel.family = AF_INET, .dir = XFRM_POLICY_IN, .action = XFRM_POLICY_ALLOW,
};

static const struct option unfit[] = {
	{ "SO_ATTACH_FILTER", SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter) },
	{ "SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, "lo", 3 },
	{ "TCP_MD5SIG", IPPROTO_TCP, TCP_MD5SIG, &md5, sizeof(md5) },
	{ "TCP_AO_ADD_KEY", IPPROTO_TCP, TCP_AO_ADD_KEY, &ao, sizeof(ao) },
	{ "IP_XFRM_POLICY", IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof(policy) },
	{ "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP, &one, sizeof(one) },
	{ "SO_TIMESTAMPING", SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof(stamps) },
};

TEST_F(refused, options_of_the_servers_socket)
{
	struct gate *g = &self->g;
	unsigned int i, tried = 0;

	if (system("modprobe -q xfrm_user"))
		TH_LOG("SKIP IP_XFRM_POLICY: no xfrm_user");
	for (i = 0; i < sizeof(unfit) / sizeof(*unfit); i++) {
		const struct option *o = &unfit[i];

		ASSERT_TRUE(gate_open(g, AF_INET));
		if (setsockopt(g->server, o->level, o->option, o->value, o->len)) {
			TH_LOG("SKIP %s: %s", o->name, strerror(errno));
		} else {
			ASSERT_TRUE(gate_accept(g, &self->c));
			EXPECT_ROW_REFUSED(o->name, ESOCKTNOSUPPORT, TLSGATE_A_DELIVER_FD,
					   "reason_refused_listener");
			gated_free(&self->c);
			tried++;
		}
		gate_free(g);
	}
	EXPECT_GE(tried, 4);
}

/*
 * What listens in this namespace without being a program's: what accept() gives the kernel would
 * be read past the keys, or by nobody.
 */
static const struct kernels {
	const char *name, *command;	/* that has it listen */
	int family, port;
} kernels[] = {
	{ "MPTCP's path manager", "ip mptcp endpoint add 127.0.0.1 id 5 signal port 5555",
	  AF_INET, 5555 },
	{ "RDS", "modprobe -q rds_tcp", AF_INET6, 16385 },
};

/* A gate of its family, and a handle to it. */
static bool kernels_gate(struct gate *g, const struct kernels *k)
{
	struct sockaddr_in v4 = v4_end("127.0.0.1", htons(k->port));
	struct sockaddr_in6 v6 = loopback6, at;
	socklen_t len = sizeof(at);

	v6.sin6_port = htons(k->port);
	if (!gate_open(g, k->family) || getsockname(g->listener, (void *)&at, &len))
		return false;
	close(g->handle);
	g->handle = k->family == AF_INET ? tg_deliver_new(g->tg, &at, len, &v4, sizeof(v4))
					 : tg_deliver_new(g->tg, &at, len, &v6, sizeof(v6));
	return g->handle >= 0;
}

static int smc_listener(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = system("modprobe -q smc") ? -1 : socket(AF_SMC, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && !bind(fd, (void *)&at, sizeof(at)) && !listen(fd, 16) ? fd : -1;
}

TEST_F(refused, the_kernels_own)
{
	unsigned int i, tried = 0;
	struct gate *g = &self->g;

	for (i = 0; i < sizeof(kernels) / sizeof(*kernels); i++) {
		const struct kernels *k = &kernels[i];

		if (system(k->command)) {
			TH_LOG("SKIP %s: %s", k->name, k->command);
			continue;
		}
		ASSERT_TRUE(kernels_gate(g, k));
		ASSERT_TRUE(gate_accept(g, &self->c));
		EXPECT_ROW_REFUSED(k->name, ESOCKTNOSUPPORT, TLSGATE_A_DELIVER_FD,
				   "reason_refused_listener");
		gated_free(&self->c);
		gate_free(g);
		tried++;
	}
	if (gate_open_with(g, net_listener(AF_INET), smc_listener())) {
		ASSERT_TRUE(gate_accept(g, &self->c));
		EXPECT_ROW_REFUSED("SMC", ESOCKTNOSUPPORT, TLSGATE_A_DELIVER_FD,
				   "reason_refused_listener");
		tried++;
	} else {
		TH_LOG("SKIP SMC: %s", strerror(errno));
	}
	if (!tried)
		SKIP(return, "this kernel listens nowhere by itself");
}

/* A request of io_uring has the file, and reads when data comes, whoever has the socket by then. */
static bool installs(void *arg)
{
	FIXTURE_DATA(refused) *self = arg;

	return !gate_install(&self->g, &self->c);
}

TEST_F(refused, uring_that_reads)
{
	struct gated *c = &self->c;
	char got[8];
	struct io_uring_sqe sqe = { .opcode = IORING_OP_RECV, .addr = (uintptr_t)got,
				    .len = sizeof(got) };
	struct ring ring;

	if (!ring_open(&ring))
		SKIP(return, "this kernel has no io_uring: %s", strerror(errno));
	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	ASSERT_TRUE(gate_accept(&self->g, c));
	sqe.fd = c->fd;
	ring_submit(&ring, &sqe);
	EXPECT_EQ(-EBUSY, gate_install(&self->g, c));
	EXPECT_TRUE(tg_names(self->g.tg, 0, TLSGATE_A_FD)) TH_LOG("%s", self->g.tg->ack.msg);
	/* It is over: nobody else has the socket. */
	ASSERT_EQ(0, net_write(c->peer.fd, "up", 2));
	EXPECT_EQ(2, ring_wait(&ring));
	EXPECT_TRUE(net_until(installs, self));
	close(ring.fd);
}

TEST_F(refused, server_in_a_sockmap)
{
	int map = sockmap_new();

	ASSERT_GE(map, 0);
	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	ASSERT_EQ(sockmap_add(map, self->g.server), 0);
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	EXPECT_REFUSED(ESOCKTNOSUPPORT, TLSGATE_A_DELIVER_FD, "reason_refused_listener");
	close(map);
}

/* Gate's and server's addresses, and what comes of a client that connects to "to". */
static const struct {
	const char *name;
	const void *gate, *server, *to;
	bool v6only;
	int err;
} families[] = {
	{ "v4 to v4", &any4, &any4, &any4, false, 0 },
	{ "v4 to dual stack", &any4, &any6, &any4, false, ESOCKTNOSUPPORT },
	{ "v6 to dual stack", &any6, &any6, &loopback6, false, 0 },
	{ "v6 to v6 only", &any6, &any6, &loopback6, true, 0 },
	{ "v6 to v4", &any6, &any4, &loopback6, false, ESOCKTNOSUPPORT },
	{ "v4-mapped to dual stack", &any6, &any6, &mapped6, false, 0 },
	{ "v4-mapped to v6 only", &any6, &loopback6, &mapped6, true, ESOCKTNOSUPPORT },
	{ "v4-mapped to v4", &any6, &any4, &mapped6, false, ESOCKTNOSUPPORT },
	{ "v4-mapped to v4-mapped", &any6, &mapped6, &mapped6, false, 0 },
	{ "v6 to v4-mapped", &any6, &mapped6, &loopback6, false, ESOCKTNOSUPPORT },
};

/* By the address of which the server has to be reached: 127.0.0.1, or ::1 where only that is. */
static int handle_for(struct gate *g, const void *server, bool v6only)
{
	struct sockaddr_in to4 = v4_end("127.0.0.1", port_of(g->server));
	struct sockaddr_in6 to6 = loopback6, at = any6;

	to6.sin6_port = port_of(g->server);
	at.sin6_port = port_of(g->listener);
	return v6only || server == &loopback6
	       ? tg_deliver_new(g->tg, &at, sizeof(at), &to6, sizeof(to6))
	       : tg_deliver_new(g->tg, &at, sizeof(at), &to4, sizeof(to4));
}

static int connect_to(const void *to, uint16_t port)
{
	struct sockaddr_in6 addr = *(const struct sockaddr_in6 *)to;
	struct sockaddr_in v4 = v4_end("127.0.0.1", port);
	bool six = addr.sin6_family == AF_INET6;
	int fd = socket(addr.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin6_port = port;
	net_timeouts(fd, NET_DEADLINE);
	if (!connect(fd, six ? (void *)&addr : (void *)&v4, six ? sizeof(addr) : sizeof(v4)))
		return fd;
	close(fd);
	return -1;
}

/* As gate_accept(), by another address than the gate's. */
static bool accept_from(struct gate *g, struct gated *c, const void *to)
{
	struct gated keys;
	int client = connect_to(to, port_of(g->listener));

	if (client < 0 || !gate_accept(g, &keys))
		return false;
	/* The first to come is the first to be accepted. */
	*c = keys;
	close(keys.peer.fd);
	c->peer.fd = client;
	return true;
}

TEST_F(refused, families)
{
	struct gate *g = &self->g;
	unsigned int i;

	for (i = 0; i < sizeof(families) / sizeof(*families); i++) {
		ASSERT_TRUE(gate_open_with(g, listener_at(families[i].gate, false, 16),
					   listener_at(families[i].server, families[i].v6only,
						       16)));
		close(g->handle);
		g->handle = handle_for(g, families[i].server, families[i].v6only);
		ASSERT_GE(g->handle, 0);
		ASSERT_TRUE(accept_from(g, &self->c, families[i].to));
		if (families[i].err) {
			EXPECT_ROW_REFUSED(families[i].name, families[i].err,
					   TLSGATE_A_DELIVER_FD, "reason_refused_listener");
		} else {
			int app;

			EXPECT_EQ(gate_install(g, &self->c), 0)
				TH_LOG("%s: %s", families[i].name, g->tg->ack.msg);
			gate_close(&self->c);
			app = gate_server_accept(g->server);
			EXPECT_GE(app, 0);
			EXPECT_TRUE(gate_talks(&self->c, app));
			close(app);
		}
		gated_free(&self->c);
		gate_free(g);
	}
}

/* An IPv4 peer of a gate on [::] goes to a server of IPv4 once the gate has made it one's. */
TEST_F(refused, v4_mapped_made_v4)
{
	int family = AF_INET, app;
	struct gate *g = &self->g;

	ASSERT_TRUE(gate_open_with(g, listener_at(&any6, false, 16), net_listener(AF_INET)));
	ASSERT_TRUE(accept_from(g, &self->c, &mapped6));
	EXPECT_REFUSED(ESOCKTNOSUPPORT, TLSGATE_A_DELIVER_FD, "reason_refused_listener");
	ASSERT_EQ(setsockopt(self->c.fd, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)), 0);
	ASSERT_EQ(gate_install(g, &self->c), 0) TH_LOG("%s", g->tg->ack.msg);
	gate_close(&self->c);
	app = gate_server_accept(g->server);
	ASSERT_GE(app, 0);
	EXPECT_TRUE(gate_talks(&self->c, app));
	close(app);
	EXPECT_TRUE(peer_expect_end(&self->c.peer));
}

TEST_F(refused, address_of_another_machine)
{
	struct sockaddr_in at, to;
	struct gate *g = &self->g;

	/* Its port is open here, at every address. */
	ASSERT_TRUE(gate_open_with(g, net_listener(AF_INET), listener_at(&any4, false, 16)));
	close(g->handle);
	at = v4_end("127.0.0.1", port_of(g->listener));
	to = v4_end("192.0.2.1", port_of(g->server));
	g->handle = tg_deliver_new(g->tg, &at, sizeof(at), &to, sizeof(to));
	ASSERT_GE(g->handle, 0);
	ASSERT_TRUE(gate_accept(g, &self->c));
	EXPECT_REFUSED(EADDRNOTAVAIL, TLSGATE_A_DELIVER_FD, "reason_refused_listener");
}

TEST_F(refused, nobody_listens)
{
	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	close(self->g.server);
	self->g.server = -1;
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	EXPECT_REFUSED(ECONNREFUSED, TLSGATE_A_DELIVER_FD, "reason_refused_server");
}

/* A connection more than the backlog, as TCP counts; one that is accepted makes room. */
TEST_F(refused, backlog_is_full)
{
	struct gated first[2];
	unsigned int i;
	int app;

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	ASSERT_EQ(listen(self->g.server, 1), 0);
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(gate_deliver(&self->g, &first[i]));
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	EXPECT_REFUSED(EAGAIN, TLSGATE_A_DELIVER_FD, "reason_refused_server");
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	close(app);
	EXPECT_EQ(gate_install(&self->g, &self->c), 0);
	for (i = 0; i < 2; i++)
		gated_free(&first[i]);
}

/* ---- which socket a handle is for --------------------------------------------------- */

TEST_F(refused, role_client)
{
	struct tg_install in;

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	in = tg_install_on(self->c.fd, &self->c.tx, &self->c.rx);
	in.deliver_fd = self->g.handle;
	in.role = TLSGATE_ROLE_CLIENT;
	EXPECT_EQ(tg_session_new(self->g.tg, &in, NULL), -EACCES);
	EXPECT_TRUE(tg_names(self->g.tg, 0, TLSGATE_A_ROLE));
	EXPECT_EQ(tg_counter(self->counters, "reason_refused_perm"), 1);
	EXPECT_TRUE(still_plain(&self->c));
}

/* Exchanges the ends: the handle is tried on what was connected. */
static void turn(struct gated *c)
{
	int fd = c->fd;

	c->fd = c->peer.fd;
	c->peer.fd = fd;
}

TEST_F(refused, socket_that_was_connected)
{
	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	turn(&self->c);
	EXPECT_REFUSED(EACCES, TLSGATE_A_FD, "reason_refused_perm");
}

/* The gate is gone, and somebody has its port: a connection of his own choice to elsewhere. */
TEST_F(refused, socket_that_was_connected_from_the_gates_port)
{
	struct sockaddr_in at, to;
	int fd, other;

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	at = v4_end("127.0.0.1", port_of(self->g.listener));
	other = net_listener(AF_INET);
	to = v4_end("127.0.0.1", port_of(other));
	close(self->g.listener);
	self->g.listener = other;
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	close(self->c.peer.fd);
	close(self->c.fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ASSERT_EQ(bind(fd, (void *)&at, sizeof(at)), 0);
	ASSERT_EQ(connect(fd, (void *)&to, sizeof(to)), 0);
	net_timeouts(fd, NET_DEADLINE);
	self->c.fd = fd;
	self->c.peer.fd = gate_server_accept(other);
	ASSERT_GE(self->c.peer.fd, 0);
	EXPECT_REFUSED(EACCES, TLSGATE_A_FD, "reason_refused_perm");
}

TEST_F(refused, socket_of_another_gate)
{
	int other = net_listener(AF_INET), mine;

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	mine = self->g.listener;
	self->g.listener = other;
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	self->g.listener = mine;
	EXPECT_REFUSED(EACCES, TLSGATE_A_FD, "reason_refused_perm");
	close(other);
}

TEST_F(refused, socket_accepted_at_another_address)
{
	static const struct {
		const char *at;
		int err;
	} gates[] = { { "127.0.0.1", 0 }, { "127.0.0.2", EACCES }, { "0.0.0.0", 0 } };
	struct gate *g = &self->g;
	struct sockaddr_in at, to;
	unsigned int i;

	for (i = 0; i < sizeof(gates) / sizeof(*gates); i++) {
		ASSERT_TRUE(gate_open_with(g, listener_at(&any4, false, 16),
					   net_listener(AF_INET)));
		close(g->handle);
		at = v4_end(gates[i].at, port_of(g->listener));
		to = v4_end("127.0.0.1", port_of(g->server));
		g->handle = tg_deliver_new(g->tg, &at, sizeof(at), &to, sizeof(to));
		ASSERT_GE(g->handle, 0);
		ASSERT_TRUE(accept_from(g, &self->c, &any4));
		if (gates[i].err)
			EXPECT_ROW_REFUSED(gates[i].at, gates[i].err, TLSGATE_A_FD,
					   "reason_refused_perm");
		else
			EXPECT_EQ(gate_install(g, &self->c), 0) TH_LOG("%s", g->tg->ack.msg);
		gated_free(&self->c);
		gate_free(g);
	}
}

TEST_F(refused, options_of_the_tls_socket)
{
	static const struct option busy[] = {
		{ "SO_ATTACH_FILTER", SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter) },
		{ "SO_TIMESTAMPING", SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof(stamps) },
	};
	unsigned int i;

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	for (i = 0; i < sizeof(busy) / sizeof(*busy); i++) {
		ASSERT_TRUE(gate_accept(&self->g, &self->c));
		ASSERT_EQ(setsockopt(self->c.fd, busy[i].level, busy[i].option, busy[i].value,
				     busy[i].len), 0);
		EXPECT_ROW_REFUSED(busy[i].name, EBUSY, TLSGATE_A_FD, "reason_refused_ulp");
		gated_free(&self->c);
	}
}

/* Whoever has the socket then is told what became of these: that would be the server. */
static ssize_t send_zero_copy(int fd, void *data, size_t len)
{
	setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one));
	return send(fd, data, len, MSG_DONTWAIT | MSG_ZEROCOPY);
}

static ssize_t send_stamped(int fd, void *data, size_t len)
{
	const uint32_t when = SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_ACK;
	union {
		char buf[CMSG_SPACE(sizeof(when))];
		struct cmsghdr align;
	} control = { };
	struct iovec iov = { data, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	control.align = (struct cmsghdr) {
		.cmsg_level = SOL_SOCKET, .cmsg_type = SO_TIMESTAMPING,
		.cmsg_len = CMSG_LEN(sizeof(when)),
	};
	memcpy(CMSG_DATA(&control.align), &when, sizeof(when));
	return sendmsg(fd, &msg, MSG_DONTWAIT);
}

static const struct {
	const char *name;
	ssize_t (*send)(int fd, void *data, size_t len);
} told[] = {
	{ "MSG_ZEROCOPY", send_zero_copy },
	{ "SO_TIMESTAMPING of a call", send_stamped },
};

static bool is_taken(void *arg)
{
	FIXTURE_DATA(refused) *self = arg;

	return !gate_install(&self->g, &self->c);
}

TEST_F(refused, sends_that_are_told_of)
{
	static char data[65536];
	ssize_t n, sent;
	unsigned int i;

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	for (i = 0; i < sizeof(told) / sizeof(*told); i++) {
		ASSERT_TRUE(gate_accept(&self->g, &self->c));
		/* More than the peer takes before it reads. */
		for (sent = 0; (n = told[i].send(self->c.fd, data, sizeof(data))) > 0; sent += n)
			;
		ASSERT_GT(sent, 0) TH_LOG("%s: %s", told[i].name, strerror(errno));
		EXPECT_EQ(gate_install(&self->g, &self->c), -EBUSY) TH_LOG("%s", told[i].name);
		EXPECT_TRUE(tg_names(self->g.tg, 0, TLSGATE_A_FD));
		EXPECT_NE(self->g.tg->ack.msg[0], 0);
		for (; sent > 0; sent -= n) {
			n = recv(self->c.peer.fd, data, sizeof(data), 0);
			ASSERT_GT(n, 0);
		}
		EXPECT_TRUE(net_until(is_taken, self)) TH_LOG("%s", self->g.tg->ack.msg);
		gated_free(&self->c);
	}
}

TEST_F(refused, what_is_a_relays)
{
	int values[][2] = { { -1, -1 }, { -1, 1000 } };
	static const int attrs[] = { TLSGATE_A_RELAY_FD, TLSGATE_A_IDLE_TIMEOUT };
	struct tg_install in;
	unsigned int i;

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	values[0][0] = self->g.server;
	for (i = 0; i < 2; i++) {
		in = tg_install_on(self->c.fd, &self->c.tx, &self->c.rx);
		in.deliver_fd = self->g.handle;
		in.relay_fd = values[i][0];
		in.idle_timeout = values[i][1];
		EXPECT_EQ(tg_session_new(self->g.tg, &in, NULL), -EINVAL);
		EXPECT_TRUE(tg_names(self->g.tg, 0, attrs[i]));
		EXPECT_TRUE(still_plain(&self->c));
	}
}

/* ---- handles ---------------------------------------------------------------------------- */

TEST_F(refused, what_is_no_handle)
{
	int handle, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	ASSERT_TRUE(gate_accept(&self->g, &self->c));
	handle = self->g.handle;
	self->g.handle = null;
	EXPECT_REFUSED(EBADF, TLSGATE_A_DELIVER_FD, "reason_refused_fd");
	self->g.handle = self->c.fd;
	EXPECT_REFUSED(EBADF, TLSGATE_A_DELIVER_FD, "reason_refused_fd");
	/* Closed, it is revoked. */
	close(handle);
	self->g.handle = handle;
	EXPECT_REFUSED(EBADF, TLSGATE_A_DELIVER_FD, "reason_refused_fd");
	self->g.handle = null;
}

TEST_F(refused, handle_of_another_namespace)
{
	struct gate *g = &self->g;
	struct sockaddr_in at, to;
	int handle;

	/* The same addresses and ports in both. */
	ASSERT_TRUE(gate_open(g, AF_INET));
	at = v4_end("127.0.0.1", port_of(g->listener));
	to = v4_end("127.0.0.1", port_of(g->server));
	handle = g->handle;
	g->handle = -1;
	gate_free(g);
	ASSERT_TRUE(net_namespace());
	close(self->counters);
	self->counters = tg_counters();
	ASSERT_TRUE(gate_open_with(g, listener_at(&at, false, 16), listener_at(&to, false, 16)));
	close(g->handle);
	g->handle = handle;
	ASSERT_TRUE(gate_accept(g, &self->c));
	EXPECT_REFUSED(EXDEV, TLSGATE_A_DELIVER_FD, "reason_refused_netns");
}

static const struct sockaddr_in good = { .sin_family = AF_INET, .sin_port = 0x901f };
static const struct sockaddr_in portless = { .sin_family = AF_INET };
static const struct sockaddr_in6 good6 = { .sin6_family = AF_INET6, .sin6_port = 0x901f };
static const struct sockaddr_in wrong = { .sin_family = AF_UNIX, .sin_port = 0x901f };

static const struct {
	const void *local, *server;
	size_t local_len, server_len;
	int attr;
} bad_handles[] = {
	{ NULL, &good, 0, sizeof(good), TLSGATE_A_LOCAL },
	{ &good, NULL, sizeof(good), 0, TLSGATE_A_SERVER },
	{ &good, &good, 8, sizeof(good), TLSGATE_A_LOCAL },
	{ &good, &good, 0, sizeof(good), TLSGATE_A_LOCAL },
	{ &good, &portless, sizeof(good), sizeof(good), TLSGATE_A_SERVER },
	{ &portless, &good, sizeof(good), sizeof(good), TLSGATE_A_LOCAL },
	{ &good, &wrong, sizeof(good), sizeof(good), TLSGATE_A_SERVER },
	{ &good, &good6, sizeof(good), sizeof(good), TLSGATE_A_SERVER },
	{ &good, &good, sizeof(good), 2, TLSGATE_A_SERVER },
};

TEST_F(refused, handles_that_name_nothing)
{
	unsigned int i;

	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	for (i = 0; i < sizeof(bad_handles) / sizeof(*bad_handles); i++) {
		EXPECT_EQ(tg_deliver_new(self->g.tg, bad_handles[i].local,
					 bad_handles[i].local_len, bad_handles[i].server,
					 bad_handles[i].server_len), -EINVAL)
			TH_LOG("row %u", i);
		EXPECT_TRUE(tg_names(self->g.tg, 0, bad_handles[i].attr)) TH_LOG("row %u", i);
	}
}

/* Who sends must have the capability, not only who opened the socket; a handle needs none. */
TEST_F(refused, handle_without_privilege)
{
	struct gate *g = &self->g;
	int status;
	pid_t pid;

	ASSERT_TRUE(gate_open(g, AF_INET));
	ASSERT_TRUE(gate_accept(g, &self->c));
	pid = fork();
	if (!pid) {
		bool ok = task_become(TASK_NOBODY) &&
			  tg_deliver_new(g->tg, &good, sizeof(good), &good, sizeof(good)) ==
			  -EPERM && g->tg->ack.msg[0];
		struct tg *mine = tg_open();

		/* Opened by one without privilege. */
		_exit(!(ok && mine &&
			tg_deliver_new(mine, &good, sizeof(good), &good, sizeof(good)) == -EPERM));
	}
	status = task_wait(pid, NET_DEADLINE);
	EXPECT_EQ(status, 0);

	/* Accepts itself, since nobody else may have the socket. */
	gated_free(&self->c);
	pid = fork();
	if (!pid)
		_exit(!(task_become(TASK_NOBODY) && gate_deliver(g, &self->c)));
	status = task_wait(pid, NET_DEADLINE);
	EXPECT_EQ(status, 0);
	status = gate_server_accept(g->server);
	EXPECT_GE(status, 0);
	close(status);
}

TEST_HARNESS_MAIN
