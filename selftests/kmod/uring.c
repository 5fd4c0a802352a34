// SPDX-License-Identifier: MIT
/* io_uring on a session's socket: what its programs submit, over the bare system calls. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/ring.h"

#define BUF_SIZE	(1 << 17)

/* ---- fixture ------------------------------------------------------------------- */

FIXTURE(uring)
{
	struct pair p;
	struct ring ring;
	uint8_t data[BUF_SIZE], got[BUF_SIZE];
};

FIXTURE_VARIANT(uring)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(uring, v12_chacha, 0x0303, 0xcca8, AF_INET6)
PAIR_VARIANT(uring, v13_aes128, 0x0304, 0x1301, AF_INET)

FIXTURE_SETUP(uring)
{
	pat_fill(self->data, 0, BUF_SIZE, 1);
	if (!ring_open(&self->ring))
		SKIP(return, "this kernel has no io_uring: %s", strerror(errno));
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(uring)
{
	close(self->ring.fd);
	pair_free(&self->p);
}

#define GOT(off, n)	EXPECT_EQ((size_t)(n), pat_check(self->got, off, n, 1))

TEST_F(uring, send)
{
	ASSERT_EQ(40000, ring_run(&self->ring, IORING_OP_SEND, self->p.fd, self->data, 40000,
				  MSG_WAITALL));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 40000));
	GOT(0, 40000);
}

TEST_F(uring, recv_what_is_there)
{
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 1000));
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	ASSERT_EQ(1000, ring_run(&self->ring, IORING_OP_RECV, self->p.fd, self->got, 5000, 0));
	GOT(0, 1000);
}

/* Armed by poll, woken by a whole record only. */
TEST_F(uring, recv_that_waits)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_RECV, .fd = self->p.fd, .addr = (unsigned long)self->got,
		.len = 5000,
	};
	uint8_t wire[2000];
	size_t n = ref_seal(&self->p.peer.tx, REF_DATA, self->data, 1000, 0, wire);

	ring_submit(&self->ring, &sqe);
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire, n - 1));
	EXPECT_TRUE(net_quiet(self->ring.fd, POLLIN));
	ASSERT_EQ(0, net_write(self->p.peer.fd, wire + n - 1, 1));
	ASSERT_EQ(1000, ring_wait(&self->ring));
	GOT(0, 1000);
}

TEST_F(uring, recv_all)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_RECV, .fd = self->p.fd, .addr = (unsigned long)self->got,
		.len = 50000, .msg_flags = MSG_WAITALL,
	};

	ring_submit(&self->ring, &sqe);
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 20000));
	EXPECT_TRUE(net_quiet(self->ring.fd, POLLIN));
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data + 20000, 30000));
	ASSERT_EQ(50000, ring_wait(&self->ring));
	GOT(0, 50000);
}

TEST_F(uring, read_and_write)
{
	ASSERT_EQ(3000, ring_run(&self->ring, IORING_OP_WRITE, self->p.fd, self->data, 3000, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 3000));
	GOT(0, 3000);
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 3000));
	ASSERT_EQ(3000, ring_run(&self->ring, IORING_OP_READ, self->p.fd, self->got, 3000, 0));
	GOT(0, 3000);
}

static int ring_splice(struct ring *r, int from, int to, unsigned int len)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SPLICE, .fd = to, .splice_fd_in = from, .len = len,
		.off = -1, .splice_off_in = -1,
	};

	ring_submit(r, &sqe);
	return ring_wait(r);
}

TEST_F(uring, splice)
{
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(5000, write(pipefd[1], self->data, 5000));
	ASSERT_EQ(5000, ring_splice(&self->ring, pipefd[0], self->p.fd, 5000));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 5000));
	GOT(0, 5000);
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, 5000));
	ASSERT_EQ(5000, ring_splice(&self->ring, self->p.fd, pipefd[1], 5000));
	ASSERT_EQ(5000, read(pipefd[0], self->got, 6000));
	GOT(0, 5000);
	close(pipefd[0]);
	close(pipefd[1]);
}

/* Pages that go out by reference would go out in clear. */
TEST_F(uring, send_zerocopy_is_sealed_or_refused)
{
	int n = ring_run(&self->ring, IORING_OP_SEND_ZC, self->p.fd, self->data, 3000, 0);

	if (n < 0) {
		EXPECT_EQ(-EOPNOTSUPP, n);
		ASSERT_EQ(1, send(self->p.fd, self->data, 1, 0));
		n = 1;
	}
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, n));
	GOT(0, n);
}

TEST_F(uring, shutdown_and_end_of_file)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SHUTDOWN, .fd = self->p.fd, .len = SHUT_WR,
	};

	ring_submit(&self->ring, &sqe);
	ASSERT_EQ(0, ring_wait(&self->ring));
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_EQ(0, ring_run(&self->ring, IORING_OP_RECV, self->p.fd, self->got, 10, 0));
}

TEST_F(uring, truncation_is_an_error)
{
	shutdown(self->p.peer.fd, SHUT_WR);
	EXPECT_EQ(-ECONNRESET, ring_run(&self->ring, IORING_OP_RECV, self->p.fd, self->got, 10, 0));
}

/* Requests that are under way when the socket is closed must not keep it for ever. */
TEST_F(uring, close_with_a_receive_under_way)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_RECV, .fd = self->p.fd, .addr = (unsigned long)self->got,
		.len = 5000,
	};

	ring_submit(&self->ring, &sqe);
	shutdown(self->p.fd, SHUT_RDWR);
	EXPECT_LE(ring_wait(&self->ring), 0);
	EXPECT_TRUE(peer_expect_end(&self->p.peer));
}

TEST_HARNESS_MAIN
