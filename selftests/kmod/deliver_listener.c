// SPDX-License-Identifier: MIT
/*
 * Delivered connections and the server's listening socket: who accepts them, and what comes of
 * those that nobody does, at any moment at which it can go.  Amounts by ROUNDS in the environment.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "kselftest_harness.h"
#include "lib/gate.h"
#include "lib/task.h"

#define QUEUED	3
#define THREADS	4

FIXTURE(listener)
{
	struct gate g;
	struct gated c[16];
	int counters;
	struct tg *events;
	struct tg_info info;
};

FIXTURE_SETUP(listener)
{
	unsigned int i;

	ASSERT_TRUE(net_namespace());
	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	self->counters = tg_counters();
	ASSERT_GE(self->counters, 0);
	self->events = tg_open_ear();
	ASSERT_NE(self->events, NULL);
	for (i = 0; i < sizeof(self->c) / sizeof(*self->c); i++)
		self->c[i] = (struct gated){ .fd = -1, .peer.fd = -1 };
}

FIXTURE_TEARDOWN(listener)
{
	unsigned int i;

	for (i = 0; i < sizeof(self->c) / sizeof(*self->c); i++)
		gated_free(&self->c[i]);
	gate_free(&self->g);
	tg_close(self->events);
	/* Nothing outlives its sockets. */
	EXPECT_TRUE(gate_sessions(self->counters, 0));
	close(self->counters);
}

static bool port_is(const struct tg_info *info, int attr, int fd,
		    int (*of)(int, struct sockaddr *, socklen_t *))
{
	const struct sockaddr_in *told = nla_data(info->attr[attr]);
	struct sockaddr_in is;
	socklen_t len = sizeof(is);

	return !of(fd, (void *)&is, &len) && told->sin_port == is.sin_port &&
	       told->sin_addr.s_addr == is.sin_addr.s_addr;
}

/* ---- nobody accepts ------------------------------------------------------------------ */

static void close_server(struct gate *g)
{
	close(g->server);
	g->server = -1;
}

static void shut_server(struct gate *g)
{
	shutdown(g->server, SHUT_RD);
}

static void stop_being_one(struct gate *g)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	connect(g->server, &none, sizeof(none));
}

static void (*const ways[])(struct gate *g) = { close_server, shut_server, stop_being_one };

TEST_F(listener, goes_with_connections_in_its_queue)
{
	struct gated *c = self->c;
	unsigned int way, i, j;

	for (way = 0; way < 3; way++) {
		for (i = 0; i < QUEUED; i++) {
			ASSERT_TRUE(gate_deliver(&self->g, &c[i]));
			ASSERT_EQ(peer_send_data(&c[i].peer, "request", 7), 0);
		}
		ways[way](&self->g);
		/* They end in any order. */
		for (i = 0; i < QUEUED; i++) {
			ASSERT_EQ(tg_event(self->events, TLSGATE_CMD_NTF_SESSION_CLOSED, 0,
					   &self->info, NET_DEADLINE), 0);
			for (j = 0; c[j].id != tg_num(&self->info, TLSGATE_A_ID); j++)
				ASSERT_LT(j, QUEUED - 1);
			EXPECT_EQ(tg_num(&self->info, TLSGATE_A_REASON),
				  TLSGATE_REASON_LISTENER_CLOSED);
			EXPECT_EQ(tg_num(&self->info, TLSGATE_A_DELIVERY),
				  TLSGATE_DELIVERY_QUEUED);
			EXPECT_TRUE(port_is(&self->info, TLSGATE_A_PEER, c[j].peer.fd,
					    getsockname));
			EXPECT_TRUE(port_is(&self->info, TLSGATE_A_LOCAL, self->g.listener,
					    getsockname));
		}
		for (i = 0; i < QUEUED; i++) {
			EXPECT_EQ(peer_drain(&c[i].peer), PEER_RESET);
			EXPECT_EQ(gate_delivery(&self->g, &c[i]), -1);
			gated_free(&c[i]);
		}
		EXPECT_EQ(tg_counter(self->counters, "reason_listener_closed"),
			  (way + 1) * QUEUED);
		EXPECT_TRUE(gate_sessions(self->counters, 0));
		gate_free(&self->g);
		ASSERT_TRUE(gate_open(&self->g, AF_INET));
	}
}

/* Between SESSION_NEW and the close that would deliver. */
TEST_F(listener, is_gone_when_the_gate_closes)
{
	struct gated *c = self->c;
	uint64_t counted = tg_counter(self->counters, "reason_not_delivered");

	ASSERT_TRUE(gate_accept(&self->g, c));
	ASSERT_EQ(gate_install(&self->g, c), 0);
	EXPECT_EQ(gate_delivery(&self->g, c), TLSGATE_DELIVERY_WAITING);
	ASSERT_EQ(peer_send_data(&c->peer, "request", 7), 0);
	close_server(&self->g);
	gate_close(c);
	/* No close_notify: the request was seen by nobody. */
	EXPECT_EQ(peer_drain(&c->peer), PEER_RESET);
	ASSERT_EQ(tg_event(self->events, TLSGATE_CMD_NTF_SESSION_CLOSED, c->id, &self->info,
			   NET_DEADLINE), 0);
	EXPECT_EQ(tg_num(&self->info, TLSGATE_A_REASON), TLSGATE_REASON_NOT_DELIVERED);
	EXPECT_TRUE(port_is(&self->info, TLSGATE_A_PEER, c->peer.fd, getsockname));
	EXPECT_EQ(tg_counter(self->counters, "reason_not_delivered"), counted + 1);
}

/* Another socket at the same place is found; one that does not do is not used. */
TEST_F(listener, is_another_when_the_gate_closes)
{
	struct sockaddr_in6 dual = { .sin6_family = AF_INET6 };
	struct gated *c = self->c;
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int one = 1, app, six;

	ASSERT_EQ(getsockname(self->g.server, (void *)&at, &len), 0);
	ASSERT_TRUE(gate_accept(&self->g, c));
	ASSERT_EQ(gate_install(&self->g, c), 0);
	close_server(&self->g);
	self->g.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(self->g.server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ASSERT_EQ(bind(self->g.server, (void *)&at, len), 0);
	ASSERT_EQ(listen(self->g.server, 4), 0);
	gate_close(c);
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	EXPECT_TRUE(gate_talks(c, app));
	close(app);
	gated_free(c);

	ASSERT_TRUE(gate_accept(&self->g, c));
	ASSERT_EQ(gate_install(&self->g, c), 0);
	close_server(&self->g);
	six = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(six, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	dual.sin6_port = at.sin_port;
	ASSERT_EQ(bind(six, (void *)&dual, sizeof(dual)), 0);
	ASSERT_EQ(listen(six, 4), 0);
	gate_close(c);
	EXPECT_EQ(peer_drain(&c->peer), PEER_RESET);
	EXPECT_EQ(net_poll(six, POLLIN, 0), 0);
	close(six);
}

/* What was under way when the backlog became full is still taken, up to as much again. */
TEST_F(listener, is_full_when_the_gate_closes)
{
	struct gated *c = self->c;
	unsigned int i, taken = 0;
	int app;

	ASSERT_EQ(listen(self->g.server, 2), 0);
	for (i = 0; i < 8; i++) {
		ASSERT_TRUE(gate_accept(&self->g, &c[i]));
		ASSERT_EQ(gate_install(&self->g, &c[i]), 0);
	}
	for (i = 0; i < 8; i++)
		gate_close(&c[i]);
	for (i = 0; i < 8; i++)
		taken += gate_delivery(&self->g, &c[i]) == TLSGATE_DELIVERY_QUEUED;
	/* Half of it, rounded down, is no more than 2. */
	EXPECT_EQ(taken, 6);
	EXPECT_EQ(tg_counter(self->counters, "reason_not_delivered"), 2);
	EXPECT_EQ(peer_drain(&c[7].peer), PEER_RESET);
	for (i = 0; i < taken; i++) {
		app = gate_server_accept(self->g.server);
		ASSERT_GE(app, 0);
		close(app);
	}
}

/* ---- who closes ------------------------------------------------------------------------- */

TEST_F(listener, last_descriptor_delivers)
{
	struct gated *c = self->c;
	int copy, way[2], app;

	ASSERT_TRUE(gate_accept(&self->g, c));
	ASSERT_EQ(gate_install(&self->g, c), 0);
	copy = dup(c->fd);
	ASSERT_EQ(net_unix_pair(way), 0);
	ASSERT_EQ(net_send_fd(way[0], c->fd), 0);
	gate_close(c);
	EXPECT_EQ(gate_delivery(&self->g, c), TLSGATE_DELIVERY_WAITING);
	close(copy);
	EXPECT_EQ(gate_delivery(&self->g, c), TLSGATE_DELIVERY_WAITING);
	/* It is on its way in a socket that nobody will read. */
	close(way[0]);
	close(way[1]);
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	EXPECT_TRUE(gate_talks(c, app));
	close(app);
}

TEST_F(listener, killed_gate_delivers)
{
	struct gated *c = self->c;
	int ready[2], app;
	char byte;
	pid_t pid;

	ASSERT_EQ(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		if (gate_accept(&self->g, c) && !gate_install(&self->g, c))
			(void)!write(ready[1], "x", 1);
		pause();
	}
	ASSERT_EQ(read(ready[0], &byte, 1), 1);
	EXPECT_EQ(tg_counter(self->counters, "deliveries_queued"), 0);
	ASSERT_TRUE(task_kill(pid));
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	close(app);
	close(ready[0]);
	close(ready[1]);
}

/* ---- who accepts ---------------------------------------------------------------------- */

struct accepter {
	int listener;
	unsigned int *left;	/* connections that nobody has accepted yet */
	unsigned int got;
	bool by_epoll;
};

static void *accept_all(void *arg)
{
	struct accepter *a = arg;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	int ep = epoll_create1(EPOLL_CLOEXEC), fd;
	struct timeval wait = { .tv_usec = 200 * 1000 };

	if (a->by_epoll)
		epoll_ctl(ep, EPOLL_CTL_ADD, a->listener, &ev);
	else
		setsockopt(a->listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	while (__atomic_load_n(a->left, __ATOMIC_RELAXED)) {
		if (a->by_epoll)
			epoll_wait(ep, &ev, 1, 200);
		fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		a->got++;
		__atomic_sub_fetch(a->left, 1, __ATOMIC_RELAXED);
		close(fd);
	}
	close(ep);
	return NULL;
}

/* True if all were accepted in time, each once. */
static bool all_accepted(struct gate *g, struct gated *c, unsigned int n, bool by_epoll)
{
	struct accepter a[THREADS];
	pthread_t t[THREADS];
	unsigned int left = n, i, got = 0;
	uint64_t end = net_now() + NET_DEADLINE;

	fcntl(g->server, F_SETFL, by_epoll ? O_NONBLOCK : 0);
	for (i = 0; i < THREADS; i++) {
		a[i] = (struct accepter){ g->server, &left, 0, by_epoll };
		pthread_create(&t[i], NULL, accept_all, &a[i]);
	}
	for (i = 0; i < n; i++)
		if (!gate_deliver(g, &c[i]))
			end = 0;
	while (__atomic_load_n(&left, __ATOMIC_RELAXED) && net_now() < end)
		poll(NULL, 0, 1);
	__atomic_store_n(&left, 0, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		got += a[i].got;
	}
	for (i = 0; i < n; i++)
		gated_free(&c[i]);
	return got == n;
}

TEST_F(listener, wakes_sleepers_in_accept)
{
	EXPECT_TRUE(all_accepted(&self->g, self->c, 16, false));
}

TEST_F(listener, wakes_exclusive_epolls)
{
	EXPECT_TRUE(all_accepted(&self->g, self->c, 16, true));
}

/* As for TCP's own: a client stays with one of the group, and what one had goes with it. */
static int group_open(int group[THREADS])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int one = 1, i;

	for (i = 0; i < THREADS; i++) {
		group[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(group[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		if (bind(group[i], (void *)&at, len) || listen(group[i], 16) ||
		    getsockname(group[i], (void *)&at, &len))
			return -1;
	}
	return 0;
}

/* Accepts what the group has, and says so with each. */
static unsigned int group_accept(int group[THREADS])
{
	unsigned int n = 0;
	int i, fd;

	for (i = 0; i < THREADS; i++) {
		while (group[i] >= 0 && net_poll(group[i], POLLIN, 0)) {
			fd = accept4(group[i], NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0 && !net_write(fd, "hello", 5))
				n++;
			close(fd);
		}
	}
	return n;
}

TEST_F(listener, one_of_a_group)
{
	unsigned int i, migrate, lost;
	struct gated *c = self->c;
	int group[THREADS], n;
	char got[5];

	for (migrate = 0; migrate < 2; migrate++) {
		ASSERT_EQ(task_write_file("/proc/sys/net/ipv4/tcp_migrate_req", migrate ? "1" : "0"), 0);
		gate_free(&self->g);
		ASSERT_EQ(group_open(group), 0);
		ASSERT_TRUE(gate_open_with(&self->g, net_listener(AF_INET), dup(group[0])));
		close(self->g.server);
		self->g.server = -1;
		for (i = 0; i < 16; i++)
			ASSERT_TRUE(gate_deliver(&self->g, &c[i]));
		for (n = 0, i = 0; i < THREADS; i++)
			n += net_poll(group[i], POLLIN, 0) != 0;
		EXPECT_GT(n, 1);
		/* Migrated, or reset. */
		for (i = 0; i < THREADS - 1; i++) {
			close(group[i]);
			group[i] = -1;
		}
		n = group_accept(group);
		for (i = 0, lost = 0; i < 16; i++) {
			lost += !peer_recv_data(&c[i].peer, got, 5);
			gated_free(&c[i]);
		}
		EXPECT_EQ(lost, 16 - n);
		EXPECT_EQ(n == 16, migrate);
		close(group[THREADS - 1]);
		EXPECT_TRUE(gate_sessions(self->counters, 0));
		ASSERT_EQ(task_write_file("/proc/sys/net/ipv4/tcp_migrate_req", "0"), 0);
	}
}

/* Which sees packets, of which there is none here: the peer's address chooses. */
TEST_F(listener, one_of_a_group_with_a_program)
{
	struct sock_filter first = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &first };
	struct gated *c = self->c;
	unsigned int i;
	int group[THREADS], n;

	gate_free(&self->g);
	ASSERT_EQ(group_open(group), 0);
	ASSERT_EQ(setsockopt(group[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program,
			     sizeof(program)), 0);
	ASSERT_TRUE(gate_open_with(&self->g, net_listener(AF_INET), dup(group[0])));
	for (i = 0; i < 16; i++)
		ASSERT_TRUE(gate_deliver(&self->g, &c[i]));
	for (n = 0, i = 0; i < THREADS; i++)
		n += net_poll(group[i], POLLIN, 0) != 0;
	EXPECT_GT(n, 1);
	EXPECT_EQ(group_accept(group), 16);
	for (i = 0; i < 16; i++)
		gated_free(&c[i]);
	for (i = 0; i < THREADS; i++)
		close(group[i]);
}

/* Go's since 1.24: whoever does not speak MPTCP is handed to TCP.  False: there is none. */
static bool mptcp_open(struct gate *g)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	gate_free(g);
	return fd >= 0 && !bind(fd, (void *)&at, sizeof(at)) && !listen(fd, 16) &&
	       gate_open_with(g, net_listener(AF_INET), fd);
}

/* Older kernels give the accepted socket its calls when it is too late. */
static bool mptcp_hands_over(void)
{
	struct utsname name;
	int major, minor;

	return !uname(&name) && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || minor >= 12);
}

TEST_F(listener, mptcp_accepts)
{
	struct gated *c = self->c;
	int app;

	if (!mptcp_open(&self->g))
		SKIP(return, "this kernel has no MPTCP");
	if (!mptcp_hands_over()) {
		ASSERT_TRUE(gate_accept(&self->g, c));
		EXPECT_EQ(gate_install(&self->g, c), -ESOCKTNOSUPPORT);
		EXPECT_EQ(tg_counter(self->counters, "reason_refused_listener"), 1);
		return;
	}
	ASSERT_TRUE(gate_deliver(&self->g, c));
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	EXPECT_TRUE(gate_talks(c, app));
	close(app);
	EXPECT_TRUE(peer_expect_end(&c->peer));
}

TEST_F(listener, mptcp_goes_with_connections_in_its_queue)
{
	struct gated *c = self->c;
	unsigned int i;

	if (!mptcp_open(&self->g) || !mptcp_hands_over())
		SKIP(return, "this kernel has no MPTCP, or hands nothing over");
	for (i = 0; i < QUEUED; i++)
		ASSERT_TRUE(gate_deliver(&self->g, &c[i]));
	close_server(&self->g);
	for (i = 0; i < QUEUED; i++)
		EXPECT_EQ(peer_drain(&c[i].peer), PEER_RESET);
	EXPECT_TRUE(gate_sessions(self->counters, 0));
}

/* ---- orders, and all of it at once --------------------------------------------------------- */

TEST_F(listener, orders_wait_for_the_server)
{
	struct gated *c = self->c;
	struct tg *tg = self->g.tg;
	unsigned int i;
	int app;

	ASSERT_TRUE(gate_accept(&self->g, c));
	ASSERT_EQ(gate_install(&self->g, c), 0);
	EXPECT_EQ(tg_relay_new(tg, c->fd, self->g.server, -1), -ENOTCONN);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(tg_session_rekey(tg, BY_ID(c->id)), -EINPROGRESS);
		EXPECT_EQ(tg_session_set(tg, BY_ID(c->id), TLSGATE_A_PADDING, 64, 2), -EINPROGRESS);
		EXPECT_EQ(tg_session_del(tg, BY_ID(c->id), -1), -EINPROGRESS);
		EXPECT_EQ(tg_session_del(tg, BY_ID(c->id), TLSGATE_CLOSE_RESET), -EINPROGRESS);
		EXPECT_NE(tg->ack.msg[0], 0);
		gate_close(c);
	}
	app = gate_server_accept(self->g.server);
	ASSERT_GE(app, 0);
	EXPECT_EQ(tg_session_rekey(tg, BY_ID(c->id)), 0);
	EXPECT_EQ(tg_session_set(tg, BY_ID(c->id), TLSGATE_A_PADDING, 64, 2), 0);
	EXPECT_EQ(tg_session_del(tg, BY_ID(c->id), TLSGATE_CLOSE_RESET), 0);
	EXPECT_EQ(peer_drain(&c->peer), PEER_RESET);
	close(app);
}

struct storm {
	struct gate *g;
	bool stop;
	unsigned int done;
};

/* Every order about every session, by an administrator who does not know how far each is. */
static void *give_orders(void *arg)
{
	struct storm *s = arg;
	struct tg_info *info = malloc(sizeof(*info));
	struct tg *tg = tg_open();
	uint32_t id = 0;
	int count;

	while (tg && info && !__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		if (!tg_session_dump(tg, 0, NULL, &count))
			id = __atomic_load_n(&s->done, __ATOMIC_RELAXED);
		tg_session_rekey(tg, BY_ID(id + 1));
		tg_session_set(tg, BY_ID(id), TLSGATE_A_RECORD_SIZE, 4096, 2);
		tg_session_get(tg, BY_ID(id), info);
		tg_session_del(tg, BY_ID(id), id % 2 ? TLSGATE_CLOSE_RESET : -1);
	}
	tg_close(tg);
	free(info);
	return NULL;
}

/* With a port that it keeps when it stops to listen. */
static int server_on_a_port(void)
{
	int any = net_listener(AF_INET), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	int one = 1;

	getsockname(any, (void *)&at, &len);
	close(any);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, (void *)&at, len) && !listen(fd, 16) && !fcntl(fd, F_SETFL, O_NONBLOCK))
		return fd;
	close(fd);
	return -1;
}

/* A server that stops and listens again, and accepts little. */
static void *listen_and_stop(void *arg)
{
	struct storm *s = arg;
	unsigned int n = 0;
	int fd;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		if (++n % 2) {
			fd = accept4(s->g->server, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0)
				close(fd);
		}
		shutdown(s->g->server, SHUT_RD);
		listen(s->g->server, 16);
		poll(NULL, 0, 2);
	}
	return NULL;
}

TEST_F_TIMEOUT(listener, orders_and_stops_at_any_moment, 120)
{
	long rounds = net_amount("ROUNDS", 100), i;
	struct storm s = { .g = &self->g };
	struct gated *c = self->c;
	pthread_t t[2];

	gate_free(&self->g);
	ASSERT_TRUE(gate_open_with(&self->g, net_listener(AF_INET), server_on_a_port()));
	pthread_create(&t[0], NULL, give_orders, &s);
	pthread_create(&t[1], NULL, listen_and_stop, &s);
	for (i = 0; i < rounds; i++) {
		struct gated *at = &c[i % 16];

		gated_free(at);
		ASSERT_TRUE(gate_accept(&self->g, at));
		if (!gate_install(&self->g, at))
			__atomic_store_n(&s.done, at->id, __ATOMIC_RELAXED);
		gate_close(at);
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	for (i = 0; i < 16; i++)
		gated_free(&c[i]);
	close_server(&self->g);
	EXPECT_TRUE(gate_sessions(self->counters, 0));
	EXPECT_GT(tg_counter(self->counters, "deliveries_queued"), 0);
	EXPECT_EQ(tg_counter(self->counters, "deliveries_queued"),
		  tg_counter(self->counters, "deliveries_accepted") +
		  tg_counter(self->counters, "reason_listener_closed"));
}

/* A server that is restarted again and again, on the same port. */
static void *close_and_listen(void *arg)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	struct storm *s = arg;
	int one = 1, fd;

	getsockname(s->g->server, (void *)&at, &len);
	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		close(s->g->server);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, (void *)&at, len) || listen(fd, 16))
			perror("the port is lost");
		s->g->server = fd;
	}
	return NULL;
}

/* Who takes the one for the other relays what a restart should only delay. */
TEST_F_TIMEOUT(listener, that_closes_is_none_and_not_unfit, 120)
{
	long rounds = net_amount("ROUNDS", 100) * 50, i;
	struct storm s = { .g = &self->g };
	struct gated *c = self->c;
	pthread_t t;
	int err = 0;

	gate_free(&self->g);
	ASSERT_TRUE(gate_open_with(&self->g, net_listener(AF_INET), server_on_a_port()));
	ASSERT_TRUE(gate_accept(&self->g, c));
	pthread_create(&t, NULL, close_and_listen, &s);
	for (i = 0; i < rounds; i++) {
		err = gate_install(&self->g, c);
		if (err && err != -ECONNREFUSED && err != -EAGAIN)
			break;
		if (err)
			continue;
		gate_close(c);
		gated_free(c);
		if (!gate_accept(&self->g, c))
			break;
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	EXPECT_EQ(i, rounds)
		TH_LOG("round %ld: %d", i, err);
	gated_free(c);
	close_server(&self->g);
	EXPECT_TRUE(gate_sessions(self->counters, 0));
}

/* ---- and again ---------------------------------------------------------------------------- */

/* Objects of a kind that are in use; those of the allocator's own are counted, too. */
static long slab(const char *name)
{
	char line[256], is[64];
	long n, found = 0;
	FILE *f = fopen("/proc/slabinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", is, &n) == 2 && !strcmp(is, name))
			found = n;
	if (f)
		fclose(f);
	return found;
}

static const char *const slabs[] = { "tg_session", "TCP", "request_sock_TCP", "filp" };

struct before {
	long n[4];
	long may;	/* more, for what the allocator keeps at hand */
};

static bool slabs_are_back(void *arg)
{
	const struct before *b = arg;

	for (int i = 0; i < 4; i++)
		if (slab(slabs[i]) > b->n[i] + b->may)
			return false;
	return true;
}

/* Three in four are accepted, of the rest one is forgotten and one finds nobody. */
static bool come_and_go(struct gate *g, struct gated *c, long i)
{
	bool well = gate_accept(g, c) && !gate_install(g, c);
	int app;

	if (i % 8 == 7)
		shutdown(g->server, SHUT_RD);
	gate_close(c);
	if (i % 8 == 3)
		shutdown(g->server, SHUT_RD);
	if (i % 4 == 3) {
		well = well && !listen(g->server, 16);
	} else {
		app = accept4(g->server, NULL, NULL, SOCK_CLOEXEC);
		well = well && app >= 0;
		close(app);
	}
	gated_free(c);
	return well;
}

/* DELIVERIES in the environment chooses how many. */
TEST_F_TIMEOUT(listener, many_leave_nothing, 3600)
{
	long n = net_amount("DELIVERIES", 800), i;
	struct before b = { .may = 200 + n / 100 };
	struct linger reset = { 1, 0 };

	gate_free(&self->g);
	ASSERT_TRUE(gate_open_with(&self->g, net_listener(AF_INET), server_on_a_port()));
	/* Ports are free again at once. */
	setsockopt(self->g.server, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	for (i = 0; i < 4; i++)
		b.n[i] = slab(slabs[i]);
	if (!b.n[1] || task_has_kasan())
		SKIP(return, "no /proc/slabinfo here, or KASAN, which keeps what is freed");
	for (i = 0; i < n; i++)
		ASSERT_TRUE(come_and_go(&self->g, self->c, i)) TH_LOG("connection %ld", i);
	EXPECT_TRUE(gate_sessions(self->counters, 0));
	EXPECT_TRUE(net_until(slabs_are_back, &b)) {
		for (i = 0; i < 4; i++)
			TH_LOG("%s: %ld before, %ld after", slabs[i], b.n[i], slab(slabs[i]));
	}
	EXPECT_EQ(tg_counter(self->counters, "deliveries_accepted"), n / 4 * 3);
	EXPECT_EQ(tg_counter(self->counters, "reason_listener_closed"), n / 8);
	EXPECT_EQ(tg_counter(self->counters, "reason_not_delivered"), n / 8);
}

#define IDLE		300
#define IDLE_MAX	5632	/* bytes that one may cost beyond its two sockets */

/* Bytes of all objects in use. */
static long slab_bytes(void)
{
	unsigned long active, size, sum = 0;
	char line[256];
	FILE *f = fopen("/proc/slabinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %lu %*u %lu", &active, &size) == 2)
			sum += active * size;
	if (f)
		fclose(f);
	return sum;
}

static bool costs_little(void *arg)
{
	long *before = arg;

	return slab_bytes() - *before <= (long)IDLE * IDLE_MAX;
}

TEST_F_TIMEOUT(listener, idle_ones_cost_little, 600)
{
	struct gated *c = calloc(IDLE, sizeof(*c));
	int i, app[IDLE];
	long before;

	ASSERT_TRUE(task_files(4 * IDLE, 4 * IDLE));
	gate_free(&self->g);
	ASSERT_TRUE(gate_open_with(&self->g, net_listener(AF_INET), server_on_a_port()));
	for (i = 0; i < IDLE; i++)
		ASSERT_TRUE(gate_accept(&self->g, &c[i]));
	before = slab_bytes();
	if (!before || task_has_kasan())
		SKIP(return, "no /proc/slabinfo here, or KASAN, which pads every object");
	for (i = 0; i < IDLE; i++) {
		ASSERT_EQ(0, gate_install(&self->g, &c[i]));
		gate_close(&c[i]);
		app[i] = gate_server_accept(self->g.server);
		ASSERT_LE(0, app[i]);
	}
	/* What was closed goes after a grace period. */
	EXPECT_TRUE(net_until(costs_little, &before));
	TH_LOG("a delivered connection costs %ld bytes beyond its sockets",
	       (slab_bytes() - before) / IDLE);
	for (i = 0; i < IDLE; i++) {
		close(app[i]);
		gated_free(&c[i]);
	}
	free(c);
}

TEST_HARNESS_MAIN
