// SPDX-License-Identifier: MIT
/* A session's socket is used as any TCP socket: the calls programs make. */
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

#define FILE_SIZE	200001
#define BUF_SIZE	(1 << 18)

FIXTURE(calls)
{
	struct pair p;
	uint8_t data[BUF_SIZE], got[BUF_SIZE];
};

FIXTURE_VARIANT(calls)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(calls, v12_aes128, 0x0303, 0xc02f, AF_INET)
PAIR_VARIANT(calls, v13_aes128, 0x0304, 0x1301, AF_INET6)
PAIR_VARIANT(calls, v13_chacha, 0x0304, 0x1303, AF_INET)

FIXTURE_SETUP(calls)
{
	pat_fill(self->data, 0, BUF_SIZE, 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(calls)
{
	pair_free(&self->p);
}

#define PEER_SENDS(off, n) \
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data + (off), n))
#define GOT(off, n)	EXPECT_EQ((size_t)(n), pat_check(self->got, off, n, 1))

/* ---- receiving --------------------------------------------------------- */

TEST_F(calls, peek)
{
	int fd = self->p.fd;

	PEER_SENDS(0, 100);
	PEER_SENDS(100, 50);
	ASSERT_TRUE(net_poll(fd, POLLIN, NET_DEADLINE));
	EXPECT_EQ(10, recv(fd, self->got, 10, MSG_PEEK));
	GOT(0, 10);
	for (int i = 0; i < 2; i++) {
		ssize_t n = recv(fd, self->got, 150, MSG_PEEK);

		EXPECT_TRUE(n == 100 || n == 150) TH_LOG("peeked %zd", n);
		GOT(0, n);
	}
	EXPECT_EQ(60, recv(fd, self->got, 60, 0));
	GOT(0, 60);
	EXPECT_GE(recv(fd, self->got, 90, MSG_PEEK), 40);
	GOT(60, 40);
	EXPECT_EQ(0, net_read(fd, self->got, 90));
	GOT(60, 90);
	EXPECT_EQ(-1, recv(fd, self->got, 1, MSG_PEEK | MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(calls, peek_waits_for_all)
{
	PEER_SENDS(0, 100);
	PEER_SENDS(100, 50);
	EXPECT_EQ(150, recv(self->p.fd, self->got, 150, MSG_PEEK | MSG_WAITALL));
	GOT(0, 150);
	EXPECT_EQ(150, recv(self->p.fd, self->got, 150, MSG_WAITALL));
	GOT(0, 150);
}

struct peek {
	pthread_t thread;
	_Atomic pid_t tid;
	int fd;
	ssize_t n;
	uint8_t got[4096];
};

static void *peek_for_all(void *arg)
{
	struct peek *peek = arg;

	peek->tid = gettid();
	peek->n = recv(peek->fd, peek->got, sizeof(peek->got), MSG_PEEK | MSG_WAITALL);
	return NULL;
}

/* Another reader takes what a peek has seen while it waits for more. */
TEST_F(calls, peek_sees_what_is_there)
{
	struct peek peek = { .fd = self->p.fd, .n = -2 };

	PEER_SENDS(0, 1000);
	ASSERT_EQ(0, pthread_create(&peek.thread, NULL, peek_for_all, &peek));
	while (!peek.tid)
		sched_yield();
	ASSERT_TRUE(task_sleeps_in(peek.tid, SYS_recvfrom));
	ASSERT_EQ(0, net_read(self->p.fd, self->got, 1000));
	PEER_SENDS(1000, 5);
	ASSERT_EQ(0, shutdown(self->p.peer.fd, SHUT_WR));
	ASSERT_EQ(0, pthread_join(peek.thread, NULL));
	EXPECT_EQ(1000, peek.n);
	EXPECT_EQ(1000, pat_check(peek.got, 0, 1000, 1));
	EXPECT_EQ(5, recv(self->p.fd, self->got, 100, 0));
	GOT(1000, 5);
}

TEST_F(calls, several_records_in_one_read)
{
	PEER_SENDS(0, 100);
	PEER_SENDS(100, 100);
	PEER_SENDS(200, 100);
	EXPECT_EQ(300, recv(self->p.fd, self->got, 300, MSG_WAITALL));
	GOT(0, 300);
}

static void *send_late(void *arg)
{
	struct pair *p = arg;
	uint8_t data[300];

	pat_fill(data, 0, sizeof(data), 1);
	for (int i = 0; i < 3; i++) {
		poll(NULL, 0, 20);
		peer_send(&p->peer, REF_DATA, data + 100 * i, 100);
	}
	return NULL;
}

TEST_F(calls, waitall)
{
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, send_late, &self->p));
	EXPECT_EQ(250, recv(self->p.fd, self->got, 250, MSG_WAITALL));
	GOT(0, 250);
	EXPECT_EQ(50, recv(self->p.fd, self->got, 300, 0));
	GOT(250, 50);
	pthread_join(t, NULL);
}

/* A read that waits gives what there is, not what was asked for. */
TEST_F(calls, wakes_up_for_a_record)
{
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, send_late, &self->p));
	EXPECT_EQ(100, recv(self->p.fd, self->got, 300, 0));
	GOT(0, 100);
	pthread_join(t, NULL);
}

TEST_F(calls, dontwait)
{
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 10, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	PEER_SENDS(0, 10);
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE));
	EXPECT_EQ(10, recv(self->p.fd, self->got, 100, MSG_DONTWAIT));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 10, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(calls, waitall_without_waiting)
{
	PEER_SENDS(0, 10);
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE));
	EXPECT_EQ(10, recv(self->p.fd, self->got, 100, MSG_DONTWAIT | MSG_WAITALL));
}

TEST_F(calls, partial_reads)
{
	size_t at = 0;

	PEER_SENDS(0, 5000);
	PEER_SENDS(5000, 16384);
	for (size_t n = 1; at < 5000 + 16384; n = n * 3 % 1009) {
		ssize_t r = recv(self->p.fd, self->got + at, n, 0);

		ASSERT_GT(r, 0);
		at += r;
	}
	EXPECT_EQ(5000 + 16384, at);
	GOT(0, at);
}

TEST_F(calls, readv)
{
	struct iovec iov[4] = {
		{ self->got, 3 }, { self->got + 3, 0 }, { self->got + 3, 400 },
		{ self->got + 403, 5000 },
	};
	char control[64];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 4, .msg_control = control,
			      .msg_controllen = sizeof(control) };

	PEER_SENDS(0, 1000);
	ASSERT_EQ(1000, readv(self->p.fd, iov, 4));
	GOT(0, 1000);
	PEER_SENDS(0, 1000);
	ASSERT_EQ(1000, recvmsg(self->p.fd, &msg, 0));
	EXPECT_EQ(0, msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC | MSG_ERRQUEUE));
	EXPECT_EQ(0, msg.msg_controllen);
}

TEST_F(calls, bad_address)
{
	PEER_SENDS(0, 100);
	EXPECT_EQ(-1, recv(self->p.fd, (void *)8, 100, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, send(self->p.fd, (void *)8, 100, 0));
	EXPECT_EQ(EFAULT, errno);
	/* Neither lost a byte. */
	EXPECT_EQ(0, net_read(self->p.fd, self->got, 100));
	GOT(0, 100);
	EXPECT_EQ(100, send(self->p.fd, self->data, 100, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 100));
	GOT(0, 100);
}

TEST_F(calls, receive_timeout)
{
	uint64_t start = net_now();

	net_timeouts(self->p.fd, 100);
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 1, 0));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_GE(net_now() - start, 80);
	EXPECT_LT(net_now() - start, NET_DEADLINE / 2);
}

/* ---- readiness --------------------------------------------------------- */

TEST_F(calls, poll_readiness)
{
	int fd = self->p.fd;

	EXPECT_EQ(POLLOUT, net_poll(fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0));
	PEER_SENDS(0, 100);
	EXPECT_EQ(POLLIN, net_poll(fd, POLLIN, NET_DEADLINE));
	EXPECT_EQ(40, recv(fd, self->got, 40, 0));
	EXPECT_EQ(POLLIN, net_poll(fd, POLLIN, 0));	/* the rest of the record */
	EXPECT_EQ(60, recv(fd, self->got, 100, 0));
	EXPECT_EQ(0, net_poll(fd, POLLIN, 0));
	PEER_SENDS(0, 10);
	PEER_SENDS(10, 10);
	ASSERT_EQ(POLLIN, net_poll(fd, POLLIN, NET_DEADLINE));
	EXPECT_EQ(10, recv(fd, self->got, 10, 0));
	EXPECT_EQ(POLLIN, net_poll(fd, POLLIN, NET_DEADLINE));	/* the next record */
}

/* Which of select(2)'s three sets the socket is in within ms. */
enum { CAN_READ = 1, CAN_WRITE = 2, EXCEPTION = 4 };

static int in_sets(int fd, int ask, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	fd_set set[3];
	int sum = 0, n;

	for (int i = 0; i < 3; i++) {
		FD_ZERO(&set[i]);
		if (ask & 1 << i)
			FD_SET(fd, &set[i]);
	}
	n = select(fd + 1, &set[0], &set[1], &set[2], &tv);
	for (int i = 0; i < 3 && n > 0; i++)
		sum |= FD_ISSET(fd, &set[i]) ? 1 << i : 0;
	return sum;
}

TEST_F(calls, select)
{
	uint8_t wire[2000];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 1000, 0, wire);
	int fd = self->p.fd, all = CAN_READ | CAN_WRITE | EXCEPTION;

	EXPECT_EQ(CAN_WRITE, in_sets(fd, all, 0));
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, 600));
	EXPECT_EQ(0, in_sets(fd, CAN_READ | EXCEPTION, NET_QUIET));
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire + 600, n - 600));
	EXPECT_EQ(CAN_READ, in_sets(fd, CAN_READ, NET_DEADLINE));
	EXPECT_EQ(400, recv(fd, self->got, 400, 0));
	EXPECT_EQ(CAN_READ | CAN_WRITE, in_sets(fd, all, 0));	/* the rest of the record */
	EXPECT_EQ(600, recv(fd, self->got, 1000, 0));
	EXPECT_EQ(CAN_WRITE, in_sets(fd, all, 0));
	/* The end is readable, and can be written to. */
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_EQ(CAN_READ, in_sets(fd, CAN_READ, NET_DEADLINE));
	EXPECT_EQ(CAN_READ | CAN_WRITE, in_sets(fd, all, 0));
	EXPECT_EQ(0, recv(fd, self->got, 1, 0));
}

TEST_F(calls, select_full_and_failed)
{
	int fd = self->p.fd, all = CAN_READ | CAN_WRITE | EXCEPTION;
	uint8_t type, wire[100];
	size_t n;

	while (send(fd, self->data, BUF_SIZE, MSG_DONTWAIT) > 0)
		;
	EXPECT_EQ(0, in_sets(fd, all, 0));
	while (in_sets(fd, CAN_WRITE, 0) != CAN_WRITE)
		ASSERT_LT(0, peer_recv(&self->p.peer, &type, self->got, BUF_SIZE));
	n = ref_seal(&self->p.peer.tx, REF_DATA, "f", 1, 0, wire);
	wire[n - 1] ^= 1;
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, n));
	/* The record is there; what it is shows when it is read, and from then on. */
	EXPECT_EQ(CAN_READ, in_sets(fd, CAN_READ, NET_DEADLINE));
	EXPECT_EQ(-1, recv(fd, self->got, 1, 0));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_EQ(CAN_READ | CAN_WRITE, in_sets(fd, all, 0));
}

/* TCP's urgent data is no part of TLS: nobody is told of what cannot be read. */
TEST_F(calls, urgent_data_is_no_exception)
{
	uint8_t wire[100];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, "u", 1, 0, wire);

	ASSERT_EQ(n, send(self->p.peer.fd, wire, n, MSG_OOB));
	EXPECT_EQ(CAN_READ, in_sets(self->p.fd, CAN_READ, NET_DEADLINE));
	EXPECT_EQ(0, in_sets(self->p.fd, EXCEPTION, 0));
	EXPECT_EQ(0, net_poll(self->p.fd, POLLPRI, 0));
	EXPECT_EQ(1, recv(self->p.fd, self->got, 10, 0));
	EXPECT_EQ('u', self->got[0]);
}

/* Level-triggered: told of again as long as there is something. */
TEST_F(calls, epoll_level)
{
	struct epoll_event ev = { .events = EPOLLIN };
	uint8_t wire[2000];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 1000, 0, wire);
	int ep = epoll_create1(0);

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->p.fd, &ev));
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, 600));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, NET_QUIET));
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire + 600, n - 600));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(1, epoll_wait(ep, &ev, 1, NET_DEADLINE));
		EXPECT_EQ(EPOLLIN, ev.events);
		EXPECT_EQ(200, recv(self->p.fd, self->got, 200, MSG_DONTWAIT));
	}
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	close(ep);
}

TEST_F(calls, epoll_edge)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	uint8_t wire[2000];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 1000, 0, wire);
	int ep = epoll_create1(0);

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->p.fd, &ev));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, 600));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, NET_QUIET));
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire + 600, n - 600));
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, NET_DEADLINE));
	EXPECT_EQ(EPOLLIN, ev.events);
	EXPECT_EQ(1000, recv(self->p.fd, self->got, 2000, MSG_DONTWAIT));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	PEER_SENDS(0, 1);
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, NET_DEADLINE));
	close(ep);
}

/* A loop as event-driven servers have it: edge-triggered, read until EAGAIN. */
TEST_F(calls, epoll_edge_loses_nothing)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	uint8_t wire[4000];
	size_t at = 0, n = 0, sent = 0;
	int ep = epoll_create1(0);

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->p.fd, &ev));
	for (int i = 0; i < 10; i++)
		n += ref_seal(&self->p.peer.tx, REF_DATA, self->data + 100 * i, 100, 0, wire + n);
	while (at < 1000) {
		ssize_t r;

		if (sent < n) {
			size_t seg = n - sent < 61 ? n - sent : 61;

			ASSERT_EQ(0, net_write(self->p.peer.fd, wire + sent, seg));
			sent += seg;
		}
		if (epoll_wait(ep, &ev, 1, sent < n ? 1 : NET_DEADLINE) == 0) {
			ASSERT_LT(sent, n) TH_LOG("stuck after %zu bytes", at);
			continue;
		}
		while ((r = recv(self->p.fd, self->got + at, 77, MSG_DONTWAIT)) > 0)
			at += r;
		ASSERT_EQ(EAGAIN, errno);
	}
	GOT(0, 1000);
	close(ep);
}

/* ---- sending ----------------------------------------------------------- */

TEST_F(calls, writev)
{
	struct iovec iov[5] = {
		{ self->data, 1 }, { self->data + 1, 16384 }, { self->data, 0 },
		{ self->data + 16385, 5000 }, { self->data + 21385, 3 },
	};

	ASSERT_EQ(21388, writev(self->p.fd, iov, 5));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 21388));
	GOT(0, 21388);
}

TEST_F(calls, more)
{
	ASSERT_EQ(100, send(self->p.fd, self->data, 100, MSG_MORE));
	ASSERT_EQ(100, send(self->p.fd, self->data + 100, 100, MSG_MORE));
	ASSERT_EQ(100, send(self->p.fd, self->data + 200, 100, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 300));
	GOT(0, 300);
}

/* The cork is TCP's: records gather behind it, and all are out when it is pulled, or at the end. */
TEST_F(calls, cork)
{
	int on = 1, off = 0, fd = self->p.fd;

	ASSERT_EQ(0, setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(100, send(fd, self->data + 100 * i, 100, 0));
	ASSERT_EQ(0, setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1000));
	GOT(0, 1000);
	ASSERT_EQ(0, setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
	ASSERT_EQ(100, send(fd, self->data, 100, 0));
	ASSERT_EQ(0, shutdown(fd, SHUT_WR));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 100));
	GOT(0, 100);
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

/* What was sent "with more to come" goes out at the latest when the sender ends. */
TEST_F(calls, more_then_shutdown)
{
	ASSERT_EQ(100, send(self->p.fd, self->data, 100, MSG_MORE));
	ASSERT_EQ(0, shutdown(self->p.fd, SHUT_WR));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 100));
	GOT(0, 100);
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

TEST_F(calls, nonblocking_send_until_full)
{
	size_t sent = 0, got = 0;
	int fd = self->p.fd;

	ASSERT_EQ(0, net_buffers(fd, 1 << 16, 0));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (size_t n = 1; n; ) {
		size_t want = 1 + (sent * 7 + n) % 30000;
		uint8_t chunk[30000];
		ssize_t r;

		pat_fill(chunk, sent, want, 1);
		r = send(fd, chunk, want, 0);
		n = r > 0 ? r : 0;
		ASSERT_TRUE(r > 0 || errno == EAGAIN);
		sent += n;
		ASSERT_LT(sent, 64 << 20) TH_LOG("the socket takes everything");
	}
	EXPECT_EQ(0, net_poll(fd, POLLOUT, 0));
	while (got < sent) {
		uint8_t type;
		ssize_t n = peer_recv(&self->p.peer, &type, self->got, BUF_SIZE);

		ASSERT_GT(n, 0) TH_LOG("%zd after %zu of %zu", n, got, sent);
		ASSERT_EQ(n, pat_check(self->got, got, n, 1));
		got += n;
	}
	EXPECT_EQ(sent, got);
	EXPECT_TRUE(net_poll(fd, POLLOUT, NET_DEADLINE) & POLLOUT);
	EXPECT_EQ(10, send(fd, self->data, 10, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 10));
}

TEST_F(calls, send_timeout)
{
	uint64_t start = net_now();
	ssize_t n;

	net_timeouts(self->p.fd, 100);
	do
		n = send(self->p.fd, self->data, BUF_SIZE, 0);
	while (n > 0 && net_now() - start < NET_DEADLINE);
	EXPECT_EQ(-1, n);
	EXPECT_EQ(EAGAIN, errno);
}

static int data_file(const uint8_t *data, size_t len)
{
	int fd = memfd_create("data", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, data, len) == (ssize_t)len)
		return fd;
	return -1;
}

TEST_F(calls, sendfile)
{
	int file = data_file(self->data, FILE_SIZE);
	off_t off = 777;
	size_t left = FILE_SIZE - off;

	ASSERT_GE(file, 0);
	fcntl(self->p.fd, F_SETFL, O_NONBLOCK);
	for (size_t got = 777; got < FILE_SIZE; ) {
		ssize_t n = left ? sendfile(self->p.fd, file, &off, left) : 0;
		uint8_t type;

		ASSERT_TRUE(n >= 0 || errno == EAGAIN);
		left -= n > 0 ? n : 0;
		n = peer_recv(&self->p.peer, &type, self->got, BUF_SIZE);
		ASSERT_GT(n, 0) TH_LOG("%zd after %zu, %zu not yet taken", n, got, left);
		ASSERT_EQ(n, pat_check(self->got, got, n, 1));
		got += n;
	}
	EXPECT_EQ(FILE_SIZE, off);
	close(file);
}

/* Bytes not sent yet right after sendfile() was asked for more than the file has. */
static int held_back(int fd, int file)
{
	off_t off = 0;
	int left;

	if (sendfile(fd, file, &off, BUF_SIZE) != 1000 || ioctl(fd, SIOCOUTQNSD, &left))
		return -1;
	return left;
}

/* The file's end ends what MSG_MORE says of its last piece: as on TCP, nothing waits for more. */
TEST_F(calls, sendfile_to_the_files_end)
{
	int file = data_file(self->data, 1000), tcp[2];

	ASSERT_GE(file, 0);
	ASSERT_EQ(0, net_tcp_pair(AF_INET, tcp));
	EXPECT_EQ(held_back(tcp[0], file), held_back(self->p.fd, file));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1000));
	GOT(0, 1000);
	close(tcp[0]);
	close(tcp[1]);
	close(file);
}

/* The file changes after sendfile() returned: what was sealed then is what arrives whole. */
TEST_F(calls, sendfile_then_overwrite)
{
	int file = data_file(self->data, 1000);
	off_t off = 0;

	ASSERT_GE(file, 0);
	ASSERT_EQ(1000, sendfile(self->p.fd, file, &off, 1000));
	memset(self->got, 0xee, 1000);
	ASSERT_EQ(1000, pwrite(file, self->got, 1000, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1000));
	GOT(0, 1000);
	/* Nor did sealing touch the file's pages. */
	ASSERT_EQ(1000, pread(file, self->got, 1000, 0));
	for (int i = 0; i < 1000; i++)
		ASSERT_EQ(0xee, self->got[i]);
	close(file);
}

TEST_F(calls, splice_to)
{
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	for (size_t at = 0; at < 60000; at += 10000) {
		ASSERT_EQ(10000, write(pipefd[1], self->data + at, 10000));
		for (size_t done = 0; done < 10000; ) {
			ssize_t n = splice(pipefd[0], NULL, self->p.fd, NULL, 10000 - done,
					   at < 50000 ? SPLICE_F_MORE : 0);

			ASSERT_GT(n, 0) TH_LOG("%s", strerror(errno));
			done += n;
		}
	}
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 60000));
	GOT(0, 60000);
	close(pipefd[0]);
	close(pipefd[1]);
}

/* Pages that the kernel has allocated since boot. */
static unsigned long pages_allocated(void)
{
	unsigned long sum = 0, n;
	FILE *f = fopen("/proc/vmstat", "r");
	char name[64];

	while (f && fscanf(f, "%63s %lu", name, &n) == 2)
		if (!strncmp(name, "pgalloc_", 8))
			sum += n;
	if (f)
		fclose(f);
	return sum;
}

#define SPLICES		100
#define PIPE_SIZE	(1 << 20)

/* Asked for more than there is, it has no memory allocated for all that. */
TEST_F(calls, splice_from_costs_what_it_gives)
{
	unsigned long before;
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(PIPE_SIZE, fcntl(pipefd[1], F_SETPIPE_SZ, PIPE_SIZE));
	before = pages_allocated();
	for (int i = 0; i < SPLICES; i++) {
		PEER_SENDS(0, 1000);
		ASSERT_EQ(1000, splice(self->p.fd, NULL, pipefd[1], NULL, PIPE_SIZE, 0));
		ASSERT_EQ(0, net_read(pipefd[0], self->got, 1000));
		GOT(0, 1000);
	}
	EXPECT_GT(SPLICES * PIPE_SIZE / 4096 / 4, pages_allocated() - before);
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(calls, splice_from)
{
	int pipefd[2];
	size_t at = 0;

	ASSERT_EQ(0, pipe(pipefd));
	PEER_SENDS(0, 16384);
	PEER_SENDS(16384, 1000);
	PEER_SENDS(17384, 1);
	while (at < 17385) {
		ssize_t n = splice(self->p.fd, NULL, pipefd[1], NULL, 65536, 0);

		ASSERT_GT(n, 0) TH_LOG("%s after %zu", strerror(errno), at);
		ASSERT_EQ(0, net_read(pipefd[0], self->got + at, n))
			TH_LOG("%s, splice gave %zd after %zu", strerror(errno), n, at);
		at += n;
	}
	EXPECT_EQ(17385, at);
	GOT(0, at);
	/* A time-out would end a wait with EAGAIN, too: without one only the harness' does. */
	net_timeouts(self->p.fd, 0);
	EXPECT_EQ(-1, splice(self->p.fd, NULL, pipefd[1], NULL, 65536, SPLICE_F_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, fcntl(self->p.fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-1, splice(self->p.fd, NULL, pipefd[1], NULL, 65536, 0));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, fcntl(self->p.fd, F_SETFL, 0));
	PEER_SENDS(17385, 10);
	ASSERT_NE(0, net_poll(self->p.fd, POLLIN, NET_DEADLINE));
	EXPECT_EQ(10, splice(self->p.fd, NULL, pipefd[1], NULL, 65536, SPLICE_F_NONBLOCK));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_EQ(0, splice(self->p.fd, NULL, pipefd[1], NULL, 65536, 0));
	close(pipefd[0]);
	close(pipefd[1]);
}

/* ---- doors that may not lead round the sealing ------------------------- */

/* True if nothing but records of the reference's keys arrives for a while. */
static bool only_records(struct peer *peer)
{
	uint8_t data[REF_PLAINTEXT], type;

	while (net_poll(peer->fd, POLLIN | POLLPRI, NET_QUIET))
		if (peer_recv(peer, &type, data, sizeof(data)) < 0)
			return false;
	return true;
}

static ssize_t send_with(int fd, int level, int type, size_t len)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .hdr = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level,
			       .cmsg_type = type } };
	struct iovec iov = { "\1\0", 2 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	*CMSG_DATA(&control.hdr) = REF_ALERT;
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/*
 * What programs do on a socket of kTLS: here a type cannot be chosen, and a sent alert would
 * be two bytes of data.  What else there is, is refused as TCP refuses it.
 */
TEST_F(calls, control_messages)
{
	static const struct {
		int level, type, error;
		size_t len;
	} refused[] = {
		{ 282 /* SOL_TLS */, 1 /* TLS_SET_RECORD_TYPE */, EOPNOTSUPP, 1 },
		{ 282, 2 /* TLS_GET_RECORD_TYPE */, EOPNOTSUPP, 1 },
		{ SOL_SOCKET, 9999, EINVAL, 4 },
		{ SOL_SOCKET, SO_TIMESTAMPING, EINVAL, 1 },
	};
	int fd = self->p.fd, tcp[2];

	ASSERT_EQ(0, net_tcp_pair(AF_INET, tcp));
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		if (refused[i].level == SOL_SOCKET) {
			EXPECT_EQ(-1, send_with(tcp[0], refused[i].level, refused[i].type,
						refused[i].len));
			EXPECT_EQ(refused[i].error, errno) TH_LOG("TCP, row %zu", i);
		}
		EXPECT_EQ(-1, send_with(fd, refused[i].level, refused[i].type, refused[i].len))
			TH_LOG("row %zu", i);
		EXPECT_EQ(refused[i].error, errno) TH_LOG("row %zu", i);
	}
	/* None of that was sent. */
	ASSERT_EQ(1, send(fd, "d", 1, 0));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, self->got, 1));
	EXPECT_EQ('d', self->got[0]);
	close(tcp[0]);
	close(tcp[1]);
}

/* An entry of the error queue, here of a time stamp, is of the socket's own family. */
TEST_F(calls, error_queue)
{
	int fd = self->p.fd, flags = SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE;
	bool six = variant->family == AF_INET6;
	char control[512], got[100];
	struct iovec iov = { got, sizeof(got) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;
	struct sock_extended_err *ee = NULL;

	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)));
	ASSERT_EQ(1, send(fd, "d", 1, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1));
	ASSERT_TRUE(net_poll(fd, POLLERR, NET_DEADLINE) & POLLERR);
	ASSERT_LE(0, recvmsg(fd, &msg, MSG_ERRQUEUE));
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg))
		if (cmsg->cmsg_level == (six ? SOL_IPV6 : SOL_IP) &&
		    cmsg->cmsg_type == (six ? IPV6_RECVERR : IP_RECVERR))
			ee = (struct sock_extended_err *)CMSG_DATA(cmsg);
	ASSERT_NE(NULL, ee);
	EXPECT_EQ(SO_EE_ORIGIN_TIMESTAMPING, ee->ee_origin);
}

/* Reads len bytes at most; what TCP_INQ tells, -1 if nothing. */
static int read_inq(int fd, void *got, size_t len)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { got, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int inq = -1;

	if (recvmsg(fd, &msg, 0) < 0 || !CMSG_FIRSTHDR(&msg) ||
	    control.hdr.cmsg_type != TCP_CM_INQ)
		return -1;
	memcpy(&inq, CMSG_DATA(&control.hdr), sizeof(inq));
	return inq;
}

/* How much there is still to read: who is told 0 waits for readiness, who is not reads on. */
TEST_F(calls, inq)
{
	int fd = self->p.fd, one = 1;

	PEER_SENDS(0, 100);
	ASSERT_EQ(0, setsockopt(fd, SOL_TCP, TCP_INQ, &one, sizeof(one)));
	EXPECT_EQ(60, read_inq(fd, self->got, 40));
	PEER_SENDS(100, 50);
	EXPECT_EQ(50, read_inq(fd, self->got, 60));
	EXPECT_EQ(0, read_inq(fd, self->got, 50));
	PEER_SENDS(0, 10);
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_LE(1, read_inq(fd, self->got, 10));
	EXPECT_EQ(0, recv(fd, self->got, 10, 0));
}

TEST_F(calls, out_of_band_data)
{
	char c;

	EXPECT_EQ(-1, send(self->p.fd, "!", 1, MSG_OOB | MSG_NOSIGNAL));
	EXPECT_TRUE(only_records(&self->p.peer));
	/* One end of the peer's urgent data: it must not come out as plaintext. */
	EXPECT_EQ(-1, recv(self->p.fd, &c, 1, MSG_OOB | MSG_DONTWAIT));
}

TEST_F(calls, zerocopy)
{
	int one = 1;
	ssize_t n;

	ASSERT_EQ(0, setsockopt(self->p.fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)));
	n = send(self->p.fd, self->data, 1000, MSG_ZEROCOPY);
	if (n < 0) {
		EXPECT_TRUE(errno == EOPNOTSUPP || errno == EINVAL);
		EXPECT_TRUE(only_records(&self->p.peer));
		return;
	}
	ASSERT_EQ(1000, n);
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 1000));
	GOT(0, 1000);
}

TEST_F(calls, tcp_options_still_work)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int v = 1;

	EXPECT_EQ(0, setsockopt(self->p.fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)));
	EXPECT_EQ(0, setsockopt(self->p.fd, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)));
	EXPECT_EQ(0, getsockopt(self->p.fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	EXPECT_EQ(TCP_ESTABLISHED, info.tcpi_state);
	len = sizeof(v);
	EXPECT_EQ(0, getsockopt(self->p.fd, SOL_SOCKET, SO_ERROR, &v, &len));
	EXPECT_EQ(0, v);
	/* in-tree TLS's options mean nothing here */
	EXPECT_EQ(-1, setsockopt(self->p.fd, 282 /* SOL_TLS */, 1, &v, sizeof(v)));
}

TEST_HARNESS_MAIN
