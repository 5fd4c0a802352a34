// SPDX-License-Identifier: MIT
/* How connections end: in order, cut off, failed; what each side may and may not see. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

#define MIB	(1 << 20)

FIXTURE(end)
{
	struct pair p;
	struct tg_info info;
	uint8_t data[MIB], got[MIB];
};

FIXTURE_VARIANT(end)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(end)

FIXTURE_SETUP(end)
{
	pat_fill(self->data, 0, MIB, 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(end)
{
	pair_free(&self->p);
}

/* What recv() gives from now on, each time it is asked. */
static void expect_recv(struct __test_metadata *_metadata, int fd, ssize_t want, int error)
{
	for (int i = 0; i < 3; i++) {
		char buf[100];
		ssize_t n = recv(fd, buf, sizeof(buf), i == 1 ? MSG_DONTWAIT : 0);
		int err = n < 0 ? errno : 0;

		EXPECT_EQ(want, n) TH_LOG("call %d: errno %d", i, err);
		EXPECT_EQ(error, err) TH_LOG("call %d", i);
	}
}

/* ---- in order ---------------------------------------------------------- */

TEST_F(end, shutdown_sends_close_notify)
{
	struct pair *p = &self->p;

	ASSERT_EQ(5, send(p->fd, "bytes", 5, 0));
	ASSERT_EQ(0, shutdown(p->fd, SHUT_WR));
	EXPECT_TRUE(peer_recv_data(&p->peer, self->got, 5));
	EXPECT_TRUE(peer_expect_end(&p->peer));
	EXPECT_EQ(-1, send(p->fd, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
	/* The other direction is still open. */
	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "late", 4));
	EXPECT_EQ(4, recv(p->fd, self->got, 10, 0));
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_EQ(TLSGATE_STATE_TX_CLOSED, tg_num(&self->info, TLSGATE_A_STATE));
	ASSERT_EQ(0, peer_alert(&p->peer, 1, TLS_CLOSE_NOTIFY));
	expect_recv(_metadata, p->fd, 0, 0);
}

TEST_F(end, shutdown_both)
{
	ASSERT_EQ(0, shutdown(self->p.fd, SHUT_RDWR));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	EXPECT_EQ(-1, send(self->p.fd, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(EPIPE, errno);
}

TEST_F(end, shutdown_twice)
{
	ASSERT_EQ(0, shutdown(self->p.fd, SHUT_WR));
	EXPECT_EQ(0, shutdown(self->p.fd, SHUT_WR));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_EQ(PEER_EOF, peer_drain(&self->p.peer));
}

TEST_F(end, close_sends_close_notify)
{
	ASSERT_EQ(5, send(self->p.fd, "bytes", 5, 0));
	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 5));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

TEST_F(end, close_notify_is_end_of_file)
{
	struct pair *p = &self->p;

	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "last", 4));
	ASSERT_EQ(0, peer_alert(&p->peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_EQ(4, recv(p->fd, self->got, 4, 0));
	EXPECT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & POLLIN);
	expect_recv(_metadata, p->fd, 0, 0);
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_EQ(TLSGATE_STATE_RX_CLOSED, tg_num(&self->info, TLSGATE_A_STATE));
	/* RFC 9846 section 6.1: the write side is ours to close. */
	ASSERT_EQ(6, send(p->fd, "answer", 6, 0));
	EXPECT_TRUE(peer_recv_data(&p->peer, self->got, 6));
	shutdown(p->peer.fd, SHUT_WR);
	expect_recv(_metadata, p->fd, 0, 0);
	ASSERT_EQ(0, shutdown(p->fd, SHUT_WR));
	EXPECT_TRUE(peer_expect_end(&p->peer));
}

TEST_F(end, data_after_close_notify_is_ignored)
{
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "ghost", 5));
	ASSERT_EQ(0, net_write(self->p.peer.fd, "no record at all", 16));
	expect_recv(_metadata, self->p.fd, 0, 0);
	EXPECT_EQ(1, send(self->p.fd, "y", 1, MSG_NOSIGNAL));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 1));
}

/* RFC 9846 section 6.1: the level of a close_notify means nothing. */
TEST_F(end, close_notify_of_level_fatal)
{
	ASSERT_EQ(0, peer_alert(&self->p.peer, 2, TLS_CLOSE_NOTIFY));
	expect_recv(_metadata, self->p.fd, 0, 0);
}

TEST_F(end, close_delivers_what_is_in_flight)
{
	struct pair *p = &self->p;
	size_t sent = net_fill(p->fd, self->data, MIB, MIB, 0);

	ASSERT_GT(sent, 65536);
	close(p->fd);
	p->fd = -1;
	EXPECT_TRUE(peer_recv_data(&p->peer, self->got, sent));
	EXPECT_EQ(0, memcmp(self->data, self->got, sent));
	EXPECT_TRUE(peer_expect_end(&p->peer));
}

TEST_F(end, shutdown_delivers_what_is_in_flight)
{
	struct pair *p = &self->p;
	size_t sent = net_fill(p->fd, self->data, MIB, MIB, 0);

	ASSERT_EQ(0, shutdown(p->fd, SHUT_WR));
	EXPECT_TRUE(peer_recv_data(&p->peer, self->got, sent));
	EXPECT_EQ(0, memcmp(self->data, self->got, sent));
	EXPECT_TRUE(peer_expect_end(&p->peer));
}

TEST_F(end, linger_zero_resets)
{
	net_reset(self->p.fd);
	self->p.fd = -1;
	EXPECT_EQ(PEER_RESET, peer_drain(&self->p.peer));
}

/* ---- cut off ----------------------------------------------------------- */

TEST_F(end, bare_fin_is_no_end_of_file)
{
	struct pair *p = &self->p;

	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "half a mess", 11));
	shutdown(p->peer.fd, SHUT_WR);
	EXPECT_EQ(11, recv(p->fd, self->got, 100, 0));
	EXPECT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & POLLIN);
	expect_recv(_metadata, p->fd, -1, ECONNRESET);
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_EQ(TLSGATE_REASON_TRUNCATED, tg_num(&self->info, TLSGATE_A_REASON));
}

TEST_F(end, fin_within_a_record)
{
	struct pair *p = &self->p;
	uint8_t wire[200];
	size_t n = ref_seal(&p->peer.tx, REF_DATA, self->data, 100, 0, wire);

	ASSERT_EQ(0, net_write(p->peer.fd, wire, n - 1));
	shutdown(p->peer.fd, SHUT_WR);
	expect_recv(_metadata, p->fd, -1, ECONNRESET);
}

TEST_F(end, fin_within_a_header)
{
	ASSERT_EQ(0, net_write(self->p.peer.fd, "\x17\x03", 2));
	shutdown(self->p.peer.fd, SHUT_WR);
	expect_recv(_metadata, self->p.fd, -1, ECONNRESET);
}

TEST_F(end, fin_wakes_a_reader_with_waitall)
{
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 10));
	shutdown(self->p.peer.fd, SHUT_WR);
	EXPECT_EQ(10, recv(self->p.fd, self->got, 100, MSG_WAITALL));
	expect_recv(_metadata, self->p.fd, -1, ECONNRESET);
}

TEST_F(end, reset)
{
	net_reset(self->p.peer.fd);
	self->p.peer.fd = -1;
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLHUP);
	expect_recv(_metadata, self->p.fd, -1, ECONNRESET);
	EXPECT_EQ(-1, send(self->p.fd, "x", 1, MSG_NOSIGNAL));
}

TEST_F(end, reset_wakes_a_reader)
{
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		poll(NULL, 0, 50);
		net_reset(self->p.peer.fd);
		_exit(0);
	}
	close(self->p.peer.fd);
	self->p.peer.fd = -1;
	expect_recv(_metadata, self->p.fd, -1, ECONNRESET);
	EXPECT_EQ(0, task_wait(child, NET_DEADLINE));
}

/* ---- forged ------------------------------------------------------------ */

/* After a failure nothing is readable and nothing leaves but the alert and FIN. */
static void expect_dead(struct __test_metadata *_metadata, struct pair *p, int error, int alert)
{
	struct iovec iov = { "plaintext", 9 };
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int pipefd[2];
	int err = 0;

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(9, write(pipefd[1], "plaintext", 9));
	expect_recv(_metadata, p->fd, -1, error);
	signal(SIGPIPE, SIG_IGN);
	EXPECT_EQ(-1, send(p->fd, "plaintext", 9, MSG_NOSIGNAL));
	err = errno;
	EXPECT_TRUE(err == EPIPE || err == error) TH_LOG("send: errno %d", err);
	EXPECT_EQ(-1, writev(p->fd, &iov, 1));
	EXPECT_EQ(-1, sendfile(p->fd, zero, NULL, 1000));
	EXPECT_EQ(-1, splice(pipefd[0], NULL, p->fd, NULL, 9, 0));
	EXPECT_EQ(-1, send(p->fd, "plaintext", 9, MSG_OOB | MSG_NOSIGNAL));
	EXPECT_TRUE(peer_expect_alert(&p->peer, alert));
	EXPECT_EQ(PEER_EOF, peer_drain(&p->peer));
	close(zero);
	close(pipefd[0]);
	close(pipefd[1]);
}

static const struct {
	const char *what;
	int at;			/* byte to change: from the start, or from the end if negative */
	uint8_t flip;
} forgeries[] = {
	{ "last bit of the tag", -1, 1 },
	{ "first byte of the tag", -16, 0x80 },
	{ "ciphertext", -17, 1 },
	{ "first byte of the payload", REF_HEADER, 1 },
};

TEST_F(end, forged_record)
{
	for (size_t i = 0; i < sizeof(forgeries) / sizeof(*forgeries); i++) {
		struct pair *p = &self->p;
		uint8_t wire[300];
		size_t n;

		if (i)
			ASSERT_TRUE(pair_again(p));
		n = ref_seal(&p->peer.tx, REF_DATA, self->data, 100, 0, wire);
		wire[forgeries[i].at < 0 ? n + forgeries[i].at : forgeries[i].at] ^=
			forgeries[i].flip;
		ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
		expect_dead(_metadata, p, EBADMSG, TLS_BAD_RECORD_MAC);
		ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
		EXPECT_EQ(TLSGATE_REASON_BAD_RECORD_MAC, tg_num(&self->info, TLSGATE_A_REASON))
			TH_LOG("%s", forgeries[i].what);
		EXPECT_EQ(0, tg_num(&self->info, TLSGATE_A_RX_BYTES));
	}
}

TEST_F(end, forged_after_a_good_one)
{
	struct pair *p = &self->p;
	uint8_t wire[300];
	size_t n = ref_seal(&p->peer.tx, REF_DATA, self->data, 20, 0, wire);
	size_t m = ref_seal(&p->peer.tx, REF_DATA, self->data, 20, 0, wire + n);

	wire[n + m - 1] ^= 1;
	ASSERT_EQ(0, net_write(p->peer.fd, wire, n + m));
	EXPECT_EQ(20, recv(p->fd, self->got, 100, 0));
	EXPECT_EQ(0, memcmp(self->data, self->got, 20));
	expect_dead(_metadata, p, EBADMSG, TLS_BAD_RECORD_MAC);
}

TEST_F(end, replayed_record)
{
	struct pair *p = &self->p;
	uint8_t wire[300];
	size_t n = ref_seal(&p->peer.tx, REF_DATA, self->data, 20, 0, wire);

	ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
	EXPECT_EQ(20, recv(p->fd, self->got, 100, 0));
	ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
	expect_dead(_metadata, p, EBADMSG, TLS_BAD_RECORD_MAC);
}

TEST_F(end, dropped_record)
{
	uint8_t wire[300];

	ref_seal(&self->p.peer.tx, REF_DATA, self->data, 20, 0, wire);
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 20));
	expect_dead(_metadata, &self->p, EBADMSG, TLS_BAD_RECORD_MAC);
}

TEST_F(end, forged_for_a_poller)
{
	uint8_t wire[300];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 20, 0, wire);

	wire[n - 1] ^= 1;
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, n));
	EXPECT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & (POLLIN | POLLERR));
	expect_dead(_metadata, &self->p, EBADMSG, TLS_BAD_RECORD_MAC);
}

/* Data that waits unsent when the session fails stays behind or comes as records. */
TEST_F(end, forged_while_sending_is_blocked)
{
	struct pair *p = &self->p;
	uint8_t wire[300];
	size_t n;
	ssize_t r;

	net_fill(p->fd, self->data, MIB, SIZE_MAX, 0);
	n = ref_seal(&p->peer.tx, REF_DATA, self->data, 20, 0, wire);
	wire[n - 1] ^= 1;
	ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
	ASSERT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & (POLLIN | POLLERR));
	expect_recv(_metadata, p->fd, -1, EBADMSG);
	EXPECT_EQ(-1, send(p->fd, "x", 1, MSG_NOSIGNAL));
	for (;;) {
		uint8_t type;

		r = peer_recv(&p->peer, &type, self->got, MIB);
		ASSERT_NE(PEER_BAD, r);
		ASSERT_NE(PEER_TIMEOUT, r);
		if (r < 0)
			break;
		if (type == REF_ALERT)
			EXPECT_EQ(TLS_BAD_RECORD_MAC, self->got[1]);
	}
}

/* ---- calls that must not undo a session -------------------------------- */

TEST_F(end, disconnect_is_refused)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "still", 5));
	EXPECT_EQ(-1, connect(self->p.fd, &none, sizeof(none)));
	EXPECT_EQ(5, recv(self->p.fd, self->got, 10, 0));
	EXPECT_EQ(4, send(self->p.fd, "here", 4, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 4));
}

TEST_F(end, disconnect_is_refused_after_the_end)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_in6 any = { .sin6_family = variant->family };

	net_reset(self->p.peer.fd);
	self->p.peer.fd = -1;
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLHUP);
	connect(self->p.fd, &none, sizeof(none));
	bind(self->p.fd, (void *)&any, sizeof(any));
	/* The context must not reach a listener, nor sockets accepted from it. */
	EXPECT_EQ(-1, listen(self->p.fd, 1));
}

TEST_F(end, listen_is_refused)
{
	EXPECT_EQ(-1, listen(self->p.fd, 1));
	EXPECT_EQ(4, send(self->p.fd, "here", 4, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 4));
}

TEST_F(end, reconnect_is_refused)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int listener = net_listener(variant->family);

	ASSERT_EQ(0, getsockname(listener, (void *)&addr, &len));
	EXPECT_EQ(-1, connect(self->p.fd, (void *)&addr, len));
	EXPECT_EQ(4, send(self->p.fd, "here", 4, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 4));
	close(listener);
}

/* ---- several holders --------------------------------------------------- */

TEST_F(end, dup_keeps_it_open)
{
	int other = dup(self->p.fd);

	close(self->p.fd);
	self->p.fd = other;
	EXPECT_TRUE(net_quiet(self->p.peer.fd, POLLIN));
	EXPECT_EQ(4, send(other, "here", 4, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 4));
}

TEST_F(end, fork_shares_it)
{
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child)
		_exit(send(self->p.fd, "child", 5, 0) != 5);
	ASSERT_EQ(0, task_wait(child, NET_DEADLINE));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 5));
	EXPECT_EQ(0, memcmp("child", self->got, 5));
	EXPECT_EQ(6, send(self->p.fd, "parent", 6, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 6));
	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

static const int fatal[] = { SIGKILL, SIGTERM, SIGSEGV };

/* What was sent arrives; that it is all must not be said by whoever did not live to say it. */
TEST_F(end, killed_is_no_end)
{
	uint8_t type;

	for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++) {
		struct pair p;
		int alone[2];
		pid_t child;

		ASSERT_TRUE(pair_start(&p, variant->version, variant->suite, variant->family));
		ASSERT_EQ(0, pipe(alone));
		child = fork();
		if (!child) {
			close(alone[1]);
			if (send(p.fd, "half", 4, 0) != 4 || read(alone[0], self->got, 1))
				_exit(1);
			raise(fatal[i]);
			_exit(2);
		}
		close(p.fd);
		p.fd = -1;
		close(alone[0]);
		close(alone[1]);
		ASSERT_EQ(-1, task_wait(child, NET_DEADLINE));
		EXPECT_TRUE(peer_recv_data(&p.peer, self->got, 4));
		EXPECT_EQ(PEER_EOF, peer_recv(&p.peer, &type, self->got, MIB)) TH_LOG("%d", fatal[i]);
		pair_free(&p);
	}
}

/* What TCP had no room for was sent, too, and arrives, as on TCP. */
TEST(killed_while_a_record_waits)
{
	static uint8_t data[REF_PLAINTEXT], got[REF_PLAINTEXT];
	struct pair p;
	uint8_t type;
	int alone[2];
	pid_t child;

	pat_fill(data, 0, sizeof(data), 1);
	ASSERT_TRUE(pair_connect_narrow(&p, 0x0304, 0x1301));
	ASSERT_EQ(0, pair_install(&p));
	ASSERT_EQ(0, pipe(alone));
	child = fork();
	if (!child) {
		close(alone[1]);
		if (send(p.fd, data, sizeof(data), MSG_DONTWAIT) != sizeof(data) ||
		    read(alone[0], got, 1))
			_exit(1);
		raise(SIGKILL);
	}
	close(p.fd);
	p.fd = -1;
	close(alone[0]);
	close(alone[1]);
	ASSERT_EQ(-1, task_wait(child, NET_DEADLINE));
	ASSERT_TRUE(peer_recv_data(&p.peer, got, sizeof(got)));
	EXPECT_EQ(sizeof(got), pat_check(got, 0, sizeof(got), 1));
	EXPECT_EQ(PEER_EOF, peer_recv(&p.peer, &type, got, sizeof(got)));
	pair_free(&p);
}

TEST_HARNESS_MAIN
