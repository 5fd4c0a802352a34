// SPDX-License-Identifier: MIT
/* Which sockets take keys, from whom, and in which namespace. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

FIXTURE(socket)
{
	struct pair p;		/* connected, not installed */
	struct tg_info info;
};

FIXTURE_VARIANT(socket)
{
	int family;
};

FIXTURE_VARIANT_ADD(socket, ipv4) { .family = AF_INET };
FIXTURE_VARIANT_ADD(socket, ipv6) { .family = AF_INET6 };

FIXTURE_SETUP(socket)
{
	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, variant->family));
}

FIXTURE_TEARDOWN(socket)
{
	pair_free(&self->p);
}

/* ---- descriptors that are no connected TCP socket ---------------------- */

static int closed_fd(int family)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static int no_fd(int family)
{
	return -1;
}

static int regular_file(int family)
{
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static int pipe_end(int family)
{
	int fd[2];

	return pipe(fd) ? -1 : fd[0];
}

static int udp(int family)
{
	return socket(family, SOCK_DGRAM, 0);
}

static int unconnected(int family)
{
	return socket(family, SOCK_STREAM, 0);
}

static int unix_stream(int family)
{
	int fd[2];

	return net_unix_pair(fd) ? -1 : fd[0];
}

static int netlink(int family)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static const struct {
	const char *what;
	int (*make)(int family);
	int error;
} bad_fds[] = {
	{ "closed descriptor", closed_fd, EBADF },
	{ "descriptor -1", no_fd, EBADF },
	{ "regular file", regular_file, ENOTSOCK },
	{ "pipe", pipe_end, ENOTSOCK },
	{ "UDP socket", udp, EOPNOTSUPP },
	{ "UNIX socket", unix_stream, EOPNOTSUPP },
	{ "netlink socket", netlink, EOPNOTSUPP },
	{ "listening TCP socket", net_listener, ENOTCONN },
	{ "unconnected TCP socket", unconnected, ENOTCONN },
};

TEST_F(socket, other_descriptors_are_refused)
{
	struct pair *p = &self->p;

	for (size_t i = 0; i < sizeof(bad_fds) / sizeof(*bad_fds); i++) {
		struct tg_install in = tg_install_on(bad_fds[i].make(variant->family), &p->tx,
						     &p->rx);

		EXPECT_EQ(-bad_fds[i].error, tg_session_new(p->tg, &in, NULL))
			TH_LOG("%s", bad_fds[i].what);
		EXPECT_TRUE(tg_names(p->tg, 0, TLSGATE_A_FD))
			TH_LOG("%s: '%s'", bad_fds[i].what, p->tg->ack.msg);
	}
}

TEST_F(socket, closed_connection_is_refused)
{
	struct pair *p = &self->p;

	shutdown(p->fd, SHUT_WR);
	EXPECT_EQ(-ENOTCONN, pair_install(p));
	EXPECT_TRUE(tg_names(p->tg, 0, TLSGATE_A_FD)) TH_LOG("'%s'", p->tg->ack.msg);
}

TEST_F(socket, reset_connection_is_refused)
{
	struct pair *p = &self->p;

	net_reset(p->peer.fd);
	p->peer.fd = -1;
	ASSERT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & POLLHUP);
	EXPECT_EQ(-ENOTCONN, pair_install(p));
}

/* The peer may have sent its close_notify and FIN while we made the keys. */
TEST_F(socket, half_closed_by_the_peer_is_taken)
{
	struct pair *p = &self->p;
	char c;

	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "z", 1));
	ASSERT_EQ(0, peer_alert(&p->peer, 1, TLS_CLOSE_NOTIFY));
	shutdown(p->peer.fd, SHUT_WR);
	ASSERT_TRUE(net_poll(p->fd, POLLRDHUP, NET_DEADLINE) & POLLRDHUP);
	ASSERT_EQ(0, pair_install(p)) TH_LOG("%s", p->tg->ack.msg);
	EXPECT_EQ(1, recv(p->fd, &c, 1, 0));
	EXPECT_EQ(0, recv(p->fd, &c, 1, 0));
	EXPECT_EQ(1, send(p->fd, "y", 1, 0));
	EXPECT_TRUE(peer_recv_data(&p->peer, &c, 1));
}

/* ---- ULPs -------------------------------------------------------------- */

TEST_F(socket, setsockopt_is_no_way_in)
{
	struct pair *p = &self->p;
	char c = 0;

	EXPECT_EQ(-1, setsockopt(p->fd, IPPROTO_TCP, TCP_ULP, "tlsgate", 7));
	EXPECT_EQ(EOPNOTSUPP, errno);
	/* Still a plain socket. */
	EXPECT_EQ(1, send(p->fd, "p", 1, 0));
	EXPECT_EQ(0, net_read(p->peer.fd, &c, 1));
	EXPECT_EQ('p', c);
	EXPECT_EQ(0, pair_install(p));
}

TEST_F(socket, second_install_is_refused)
{
	struct pair *p = &self->p;
	uint32_t id;
	char name[16] = "";
	socklen_t len = sizeof(name);
	char c = 0;

	ASSERT_EQ(0, pair_install(p));
	id = p->id;
	EXPECT_EQ(-EEXIST, pair_install(p));
	EXPECT_TRUE(tg_names(p->tg, 0, TLSGATE_A_FD)) TH_LOG("'%s'", p->tg->ack.msg);
	EXPECT_EQ(0, getsockopt(p->fd, IPPROTO_TCP, TCP_ULP, name, &len));
	EXPECT_STREQ("tlsgate", name);
	/* The first one lives. */
	EXPECT_EQ(0, tg_session_get(p->tg, BY_ID(id), &self->info));
	EXPECT_EQ(0, peer_send(&p->peer, REF_DATA, "a", 1));
	EXPECT_EQ(1, recv(p->fd, &c, 1, 0));
	EXPECT_EQ('a', c);
}

TEST_F(socket, no_ulp_on_top_of_ours)
{
	struct pair *p = &self->p;

	ASSERT_EQ(0, pair_install(p));
	EXPECT_EQ(-1, setsockopt(p->fd, IPPROTO_TCP, TCP_ULP, "tls", 3));
	EXPECT_EQ(-1, setsockopt(p->fd, IPPROTO_TCP, TCP_ULP, "tlsgate", 7));
	EXPECT_EQ(EEXIST, errno);
}

TEST_F(socket, in_tree_ulp_is_refused)
{
	struct pair *p = &self->p;

	if (setsockopt(p->fd, IPPROTO_TCP, TCP_ULP, "tls", 3))
		SKIP(return, "the kernel has no 'tls' ULP: %s", strerror(errno));
	EXPECT_EQ(-EEXIST, pair_install(p));
	EXPECT_TRUE(tg_names(p->tg, 0, TLSGATE_A_FD)) TH_LOG("'%s'", p->tg->ack.msg);
}

/* ---- privilege --------------------------------------------------------- */

/*
 * Runs as nobody on a session of its own and on the id of root's, with a netlink
 * socket that root opened: it may install, but not list, follow or act by id.
 */
static void unprivileged(struct __test_metadata *_metadata, struct pair *root,
			 struct tg_info *info)
{
	struct pair p;
	int count = 0;

	ASSERT_TRUE(pair_connect(&p, 0x0303, 0xc02f, AF_INET));
	ASSERT_TRUE(task_become(TASK_NOBODY));
	ASSERT_EQ(0, pair_install(&p)) TH_LOG("%s", p.tg->ack.msg);
	EXPECT_EQ(0, tg_session_get(p.tg, BY_FD(p.fd), info));
	EXPECT_EQ(TASK_NOBODY, tg_num(info, TLSGATE_A_UID));
	EXPECT_EQ(0, tg_session_set(p.tg, BY_FD(p.fd), TLSGATE_A_RECORD_SIZE, 512, 2));
	EXPECT_EQ(-EOPNOTSUPP, tg_session_rekey(p.tg, BY_FD(p.fd)));

	EXPECT_EQ(-EPERM, tg_session_get(p.tg, BY_ID(root->id), info));
	EXPECT_EQ(-EPERM, tg_session_get(p.tg, BY_ID(p.id), info));
	EXPECT_EQ(-EPERM, tg_session_set(p.tg, BY_ID(root->id), TLSGATE_A_RECORD_SIZE, 512, 2));
	EXPECT_EQ(-EPERM, tg_session_rekey(p.tg, BY_ID(root->id)));
	EXPECT_EQ(-EPERM, tg_session_del(p.tg, BY_ID(root->id), -1));
	/* No oracle for which ids there are. */
	EXPECT_EQ(-EPERM, tg_session_get(p.tg, BY_ID(root->id + 1000), info));
	EXPECT_EQ(-EPERM, tg_session_dump(p.tg, 0, NULL, &count));
	EXPECT_EQ(0, count);
	EXPECT_EQ(-EPERM, tg_listen(p.tg));
	EXPECT_EQ(0, tg_call(p.tg, tg_msg(p.tg, TLSGATE_CMD_CIPHER_GET, NLM_F_DUMP), NULL, NULL));
	EXPECT_EQ(0, tg_session_del(p.tg, BY_FD(p.fd), -1));
	EXPECT_TRUE(peer_expect_alert(&p.peer, TLS_INTERNAL_ERROR));
	pair_free(&p);
}

TEST_F(socket, without_privilege)
{
	pid_t child;

	ASSERT_EQ(0, pair_install(&self->p));
	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		unprivileged(_metadata, &self->p, &self->info);
		_exit(_metadata->exit_code);
	}
	EXPECT_EQ(0, task_wait(child, 3 * NET_DEADLINE));
	EXPECT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(TLSGATE_STATE_ESTABLISHED, tg_num(&self->info, TLSGATE_A_STATE));
}

/* ---- namespaces -------------------------------------------------------- */

TEST_F(socket, of_another_namespace)
{
	struct pair *here = &self->p;
	struct pair there;
	int count = -1;
	uint32_t id;

	ASSERT_EQ(0, pair_install(here));
	ASSERT_TRUE(net_namespace());
	ASSERT_TRUE(pair_connect(&there, 0x0304, 0x1301, AF_INET));

	/* here's netlink socket, there's TCP socket, and the other way round */
	struct tg_install in = tg_install_on(there.fd, &there.tx, &there.rx);

	EXPECT_EQ(-EXDEV, tg_session_new(here->tg, &in, NULL));
	EXPECT_TRUE(tg_names(here->tg, 0, TLSGATE_A_FD)) TH_LOG("'%s'", here->tg->ack.msg);
	EXPECT_EQ(-EXDEV, tg_session_get(there.tg, BY_FD(here->fd), &self->info));

	EXPECT_EQ(0, tg_session_dump(there.tg, 0, NULL, &count));
	EXPECT_EQ(0, count);
	/* By id root of the machine reaches it (others: reach.c). */
	EXPECT_EQ(0, tg_session_get(there.tg, BY_ID(here->id), &self->info));
	id = here->id;
	EXPECT_EQ(0, pair_install(&there));
	EXPECT_EQ(0, tg_session_dump(there.tg, 0, NULL, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(0, tg_session_dump(here->tg, id, &self->info, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(id, tg_num(&self->info, TLSGATE_A_ID));
	pair_free(&there);
}

TEST_F(socket, namespace_goes_with_sessions_in_it)
{
	struct pair there;
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		if (!net_namespace() || !pair_start(&there, 0x0304, 0x1301, AF_INET))
			_exit(1);
		_exit(0);	/* nothing closed: exit does */
	}
	EXPECT_EQ(0, task_wait(child, NET_DEADLINE));
}

TEST_HARNESS_MAIN
