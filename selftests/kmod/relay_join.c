// SPDX-License-Identifier: MIT
/* How a TLS session and a plain socket are joined, whatever waits in them, and what cannot be. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/task.h"

#define BLOCK	65536

FIXTURE(joining)
{
	struct pair p;		/* connected, not installed */
	int plain[2];
	struct tg_install in;
	struct tg_info info;
	uint8_t data[BLOCK], got[BLOCK];
};

FIXTURE_VARIANT(joining)
{
	uint16_t version, suite;
};

FIXTURE_VARIANT_ADD(joining, v12_aes128) { .version = 0x0303, .suite = 0xc02f };
FIXTURE_VARIANT_ADD(joining, v13_aes128) { .version = 0x0304, .suite = 0x1301 };

FIXTURE_SETUP(joining)
{
	pat_fill(self->data, 0, BLOCK, 1);
	ASSERT_TRUE(pair_connect(&self->p, variant->version, variant->suite, AF_INET));
	ASSERT_EQ(0, net_tcp_pair(AF_INET, self->plain));
	self->in = tg_install_on(self->p.fd, &self->p.tx, &self->p.rx);
}

FIXTURE_TEARDOWN(joining)
{
	pair_free(&self->p);
	close(self->plain[0]);
	close(self->plain[1]);
}

TEST_F(joining, in_one_message)
{
	uint8_t wire[300];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 100, 0, wire);

	/* One record was read with the handshake, one waits in the socket. */
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + 100, 100));
	ASSERT_EQ(7, send(self->plain[1], "waiting", 7, 0));
	self->in.pending = wire;
	self->in.pending_len = n;
	self->in.relay_fd = self->plain[0];
	self->in.idle_timeout = 60000;
	ASSERT_EQ(0, tg_session_new(self->p.tg, &self->in, &self->p.id))
		TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_read(self->plain[1], self->got, 200));
	EXPECT_EQ(200, pat_check(self->got, 0, 200, 1));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 7));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(60000, tg_num(&self->info, TLSGATE_A_IDLE_TIMEOUT));
	ASSERT_EQ(0, tg_session_set(self->p.tg, BY_ID(self->p.id), TLSGATE_A_IDLE_TIMEOUT, 90000,
				    4));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(90000, tg_num(&self->info, TLSGATE_A_IDLE_TIMEOUT));
}

/* Half a record was read by its holder before: the relay carries on with the other half. */
TEST_F(joining, after_a_partial_read)
{
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 1000));
	ASSERT_EQ(300, recv(self->p.fd, self->got, 300, 0));
	ASSERT_EQ(4, send(self->p.fd, self->data, 4, 0));
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1))
		TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_read(self->plain[1], self->got, 700));
	EXPECT_EQ(700, pat_check(self->got, 300, 700, 1));
	ASSERT_EQ(4, send(self->plain[1], self->data + 4, 4, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 8));
	EXPECT_EQ(8, pat_check(self->got, 0, 8, 1));
}

/* Ends that came before them tell nobody of themselves again. */
TEST_F(joining, a_plain_side_that_has_ended)
{
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, shutdown(self->plain[1], SHUT_WR));
	ASSERT_TRUE(net_poll(self->plain[0], POLLRDHUP, NET_DEADLINE) & POLLRDHUP);
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_CLOSE_NOTIFY));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 100));
	EXPECT_EQ(0, net_read(self->plain[1], self->got, 100));
	EXPECT_EQ(100, pat_check(self->got, 0, 100, 1));
}

TEST_F(joining, a_tls_side_that_has_ended)
{
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1));
	EXPECT_EQ(0, recv(self->plain[1], self->got, 1, 0));
	ASSERT_EQ(100, send(self->plain[1], self->data, 100, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 100));
	EXPECT_EQ(100, pat_check(self->got, 0, 100, 1));
}

TEST_F(joining, a_tls_side_that_was_cut_off)
{
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, shutdown(self->p.peer.fd, SHUT_WR));
	ASSERT_TRUE(net_poll(self->p.fd, POLLRDHUP, NET_DEADLINE) & POLLRDHUP);
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1));
	EXPECT_EQ(-1, recv(self->plain[1], self->got, 1, 0));
	EXPECT_EQ(ECONNRESET, errno);
}

/* The same of the plain side's: what is left of a buffer goes on where it was left. */
TEST_F(joining, after_a_partial_read_of_a_unix_socket)
{
	int plain[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, plain));
	ASSERT_EQ(0, pair_install(&self->p));
	ASSERT_EQ(0, net_write(plain[1], self->data, 50000));
	ASSERT_EQ(0, net_write(plain[1], self->data + 50000, 100));
	ASSERT_EQ(0, net_read(plain[0], self->got, 12345));
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, plain[0], -1))
		TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_write(plain[1], self->data + 50100, 10000));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 60100 - 12345));
	EXPECT_EQ(60100 - 12345, pat_check(self->got, 12345, 60100 - 12345, 1));
	close(plain[0]);
	close(plain[1]);
}

TEST_F(joining, with_everything_waiting)
{
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 40000));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	shutdown(self->p.peer.fd, SHUT_WR);
	ASSERT_EQ(0, net_write(self->plain[1], self->data, 30000));
	shutdown(self->plain[1], SHUT_WR);
	ASSERT_EQ(0, pair_join(&self->p, self->plain[0])) TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, net_read(self->plain[1], self->got, 40000));
	EXPECT_EQ(40000, pat_check(self->got, 0, 40000, 1));
	EXPECT_EQ(0, recv(self->plain[1], self->got, 1, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 30000));
	EXPECT_EQ(30000, pat_check(self->got, 0, 30000, 1));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

/* The process is gone; the connection is not. */
TEST_F(joining, survives_the_process)
{
	int alone[2], status;
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe(alone));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		close(alone[1]);
		if (!read(alone[0], &c, 1) && !pair_join(&self->p, self->plain[0]))
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	close(self->p.fd);
	self->p.fd = -1;
	close(self->plain[0]);
	self->plain[0] = -1;
	close(alone[0]);
	close(alone[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(NULL, flow(&self->p.peer, self->plain[1], 1 << 20, 1 << 20));
}

/* ---- what cannot be joined --------------------------------------------- */

static int udp_connected(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return connect(fd, (void *)&to, sizeof(to)) ? -1 : fd;
}

static int unix_datagram(void)
{
	int fd[2];

	return socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) ? -1 : fd[0];
}

static int unix_packets(void)
{
	int fd[2];

	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) ? -1 : fd[0];
}

static int listening(void)
{
	return net_listener(AF_INET);
}

static int unconnected(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int unix_unconnected(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int file(void)
{
	return open("/proc/self/exe", O_RDONLY);
}

static int closed(void)
{
	return 1000;
}

static const struct {
	const char *what;
	int (*make)(void);
	int error;
} bad_plain[] = {
	{ "UDP socket", udp_connected, EOPNOTSUPP },
	{ "UNIX datagram socket", unix_datagram, EOPNOTSUPP },
	{ "UNIX packet socket", unix_packets, EOPNOTSUPP },
	{ "listening socket", listening, ENOTCONN },
	{ "unconnected socket", unconnected, ENOTCONN },
	{ "unconnected UNIX socket", unix_unconnected, ENOTCONN },
	{ "regular file", file, ENOTSOCK },
	{ "closed descriptor", closed, EBADF },
};

TEST_F(joining, other_descriptors_are_refused)
{
	struct tg *tg = self->p.tg;
	char c;

	ASSERT_EQ(0, pair_install(&self->p));
	for (size_t i = 0; i < sizeof(bad_plain) / sizeof(*bad_plain); i++) {
		EXPECT_EQ(-bad_plain[i].error,
			  tg_relay_new(tg, self->p.fd, bad_plain[i].make(), -1))
			TH_LOG("%s", bad_plain[i].what);
		EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_RELAY_FD))
			TH_LOG("%s: '%s'", bad_plain[i].what, tg->ack.msg);
	}
	EXPECT_EQ(-EOPNOTSUPP, tg_relay_new(tg, self->p.fd, self->p.fd, -1));
	EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_RELAY_FD)) TH_LOG("'%s'", tg->ack.msg);
	/* The session is none the worse. */
	EXPECT_EQ(1, send(self->p.fd, "x", 1, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, &c, 1));
}

TEST_F(joining, sockets_in_use_are_refused)
{
	int spare[2], counters = tg_counters();
	struct pair other;
	uint64_t refused;

	ASSERT_EQ(0, net_tcp_pair(AF_INET, spare));
	ASSERT_TRUE(pair_start(&other, variant->version, variant->suite, AF_INET));
	ASSERT_EQ(0, pair_install(&self->p));
	EXPECT_EQ(-EBUSY, tg_relay_new(self->p.tg, self->p.fd, other.fd, -1));
	EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RELAY_FD));
	/* Taken, with not a word of a refusal. */
	refused = tg_counter(counters, "reason_no_memory");
	ASSERT_EQ(0, tg_relay_new(self->p.tg, self->p.fd, self->plain[0], -1));
	EXPECT_STREQ("", self->p.tg->ack.msg);
	EXPECT_EQ(refused, tg_counter(counters, "reason_no_memory"));
	close(counters);
	EXPECT_EQ(-EBUSY, tg_relay_new(self->p.tg, self->p.fd, spare[0], -1));
	EXPECT_EQ(-EBUSY, tg_relay_new(other.tg, other.fd, self->plain[0], -1));
	EXPECT_TRUE(tg_names(other.tg, 0, TLSGATE_A_RELAY_FD));
	/* A plain socket in a relay does not become a TLS socket underneath it. */
	self->in.fd = self->plain[0];
	EXPECT_NE(0, tg_session_new(self->p.tg, &self->in, NULL));
	ASSERT_EQ(1, send(self->plain[1], "x", 1, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 1));
	pair_free(&other);
	close(spare[0]);
	close(spare[1]);
}

/* One connection of IPv4, whose first end an AF_INET6 socket has. */
static int mapped_pair(int fd[2])
{
	int listener = net_listener(AF_INET);
	struct sockaddr_in6 mapped = {
		.sin6_family = AF_INET6,
		.sin6_addr.s6_addr = { [10] = 0xff, 0xff, 127, 0, 0, 1 },
	};
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int err;

	err = getsockname(listener, (void *)&addr, &len);
	mapped.sin6_port = addr.sin_port;
	fd[0] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!err)
		err = connect(fd[0], (void *)&mapped, sizeof(mapped));
	fd[1] = err ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return fd[1] < 0 ? -1 : 0;
}

static int v4_pair(int fd[2])
{
	return net_tcp_pair(AF_INET, fd);
}

static int v6_pair(int fd[2])
{
	return net_tcp_pair(AF_INET6, fd);
}

/* Bytes would go round in it, and nobody holds an end. */
TEST_F(joining, both_ends_of_one_connection_are_refused)
{
	int (*const pairs[])(int fd[2]) = { v4_pair, v6_pair, mapped_pair };
	int fd[2];

	for (int i = 0; i < 6; i++) {
		int tls = i % 2;

		ASSERT_EQ(0, pairs[i / 2](fd));
		self->in.fd = fd[tls];
		self->in.relay_fd = fd[!tls];
		EXPECT_EQ(-ELOOP, tg_session_new(self->p.tg, &self->in, NULL))
			TH_LOG("case %d", i);
		EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RELAY_FD))
			TH_LOG("'%s'", self->p.tg->ack.msg);
		close(fd[0]);
		close(fd[1]);
	}
}

/* In one message: keys and relay, or neither, and no plaintext on a socket meant for TLS. */
TEST_F(joining, refused_relay_in_session_new)
{
	self->in.relay_fd = listening();
	EXPECT_EQ(-ENOTCONN, tg_session_new(self->p.tg, &self->in, NULL));
	EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RELAY_FD));
	self->in.relay_fd = self->p.fd;
	EXPECT_NE(0, tg_session_new(self->p.tg, &self->in, NULL));
	EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_RELAY_FD));
	self->in.relay_fd = -1;
	EXPECT_EQ(0, tg_session_new(self->p.tg, &self->in, NULL));
}

/* ---- limits ------------------------------------------------------------ */

#define LIMIT	6
#define HARD	1000

struct retry {
	struct pair *p;
	int plain;
};

static bool again_allowed(void *arg)
{
	struct retry *r = arg;

	return !tg_relay_new(r->p->tg, r->p->fd, r->plain, -1);
}

/* Relays outlive their descriptors, so their number is what RLIMIT_NOFILE limits. */
static void use_up(struct __test_metadata *_metadata)
{
	struct pair p[LIMIT + 1];
	int fd[2];

	/* Keys come from sockets that root has opened. */
	for (int i = 0; i <= LIMIT; i++)
		ASSERT_TRUE(pair_connect(&p[i], 0x0304, 0x1301, AF_INET));
	ASSERT_TRUE(task_become(TASK_NOBODY));
	for (int i = 0; i <= LIMIT; i++) {
		task_files(500, HARD);
		ASSERT_EQ(0, pair_install(&p[i]));
		ASSERT_EQ(0, net_tcp_pair(AF_INET, fd));
		task_files(LIMIT, HARD);
		EXPECT_EQ(i < LIMIT ? 0 : -EDQUOT, tg_relay_new(p[i].tg, p[i].fd, fd[0], -1));
		close(fd[0]);
	}
	EXPECT_TRUE(tg_names(p[LIMIT].tg, 0, TLSGATE_A_RELAY_FD))
		TH_LOG("'%s'", p[LIMIT].tg->ack.msg);
	/* One ends, one more may start: its sockets are made before the limit is back. */
	task_files(500, HARD);
	ASSERT_EQ(0, net_tcp_pair(AF_INET, fd));
	net_reset(p[0].peer.fd);
	p[0].peer.fd = -1;
	task_files(LIMIT, HARD);
	struct retry r = { &p[LIMIT], fd[0] };

	EXPECT_TRUE(net_until(again_allowed, &r));
}

TEST_F(joining, relays_are_limited_per_user)
{
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		use_up(_metadata);
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(0, task_wait(child, 3 * NET_DEADLINE));
}

TEST_HARNESS_MAIN
