// SPDX-License-Identifier: MIT
/*
 * The public holes of in-tree net/tls, one test each by its number: what was
 * done to it there is done to a session here.  What a use after free or a leak
 * would show is the guest's to find (KASAN, kmemleak, a module that unloads).
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/rofile.h"

#define ROUNDS	40
#define BIG	60000

FIXTURE(cve)
{
	struct pair p;
	uint8_t data[1 << 18], got[1 << 18];
};

FIXTURE_VARIANT(cve)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(cve, v12_aes128, 0x0303, 0xc02f, AF_INET)
PAIR_VARIANT(cve, v13_aes128, 0x0304, 0x1301, AF_INET6)

FIXTURE_SETUP(cve)
{
	pat_fill(self->data, 0, sizeof(self->data), 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(cve)
{
	pair_free(&self->p);
}

/* A warning that is passed over, whatever the version. */
static int harmless(struct pair *p)
{
	return peer_alert(&p->peer, 1, TLS_USER_CANCELED);
}

/* A socket with a context became a listener, whose children shared it. */
TEST_F(cve, cve_2023_0461_listener_inherits)
{
	struct pair *p = &self->p;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct tg_install in = tg_install_on(-1, &p->tx, &p->rx);
	int listener = net_listener(variant->family);

	in.fd = listener;
	EXPECT_EQ(-ENOTCONN, tg_session_new(p->tg, &in, NULL));
	EXPECT_EQ(-1, setsockopt(listener, IPPROTO_TCP, TCP_ULP, "tlsgate", 7));
	close(listener);
	EXPECT_EQ(-1, connect(p->fd, &none, sizeof(none)));
	EXPECT_EQ(-1, listen(p->fd, 1));
	net_reset(p->peer.fd);
	p->peer.fd = -1;
	ASSERT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & POLLHUP);
	connect(p->fd, &none, sizeof(none));
	EXPECT_EQ(-1, listen(p->fd, 1));
}

/* Pages of a record read in part were given up while decryption still wrote to them. */
TEST_F(cve, cve_2024_26582_partial_reads)
{
	struct pair *p = &self->p;

	for (int i = 0; i < ROUNDS; i++) {
		size_t first = 1 + i * 397;

		ASSERT_EQ(0, peer_send_data(&p->peer, self->data, BIG));
		ASSERT_EQ(0, net_read(p->fd, self->got, first));
		ASSERT_LT(0, recv(p->fd, self->got + first, 10, MSG_PEEK));
		ASSERT_EQ(0, net_read(p->fd, self->got + first, BIG - first));
		ASSERT_EQ(BIG, pat_check(self->got, 0, BIG, 1));
	}
	/* And closed with a part unread. */
	ASSERT_EQ(0, peer_send_data(&p->peer, self->data, BIG));
	ASSERT_EQ(0, net_read(p->fd, self->got, 100));
}

/* Fills the socket, so that sealed records wait for room. */
static void fill_up(int fd, const uint8_t *data, size_t len)
{
	net_buffers(fd, 20000, 0);
	net_fill(fd, data, len, SIZE_MAX, 0);
}

/* Transmit work was scheduled while the socket closed. */
TEST_F_TIMEOUT(cve, cve_2024_26585_close_with_work_pending, 60)
{
	for (int i = 0; i < ROUNDS / 4; i++) {
		fill_up(self->p.fd, self->data, sizeof(self->data));
		close(self->p.fd);
		self->p.fd = -1;
		if (i % 2)
			EXPECT_NE(PEER_BAD, peer_drain(&self->p.peer));
		ASSERT_TRUE(pair_again(&self->p));
	}
}

/* A control record among data: recv went on behind it and mixed the two. */
TEST_F(cve, cve_2024_58239_control_record_among_data)
{
	struct pair *p = &self->p;

	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data, 100));
		ASSERT_EQ(0, harmless(p));
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data + 100, 100));
		ASSERT_EQ(200, recv(p->fd, self->got, 200, MSG_PEEK | MSG_WAITALL));
		ASSERT_EQ(200, pat_check(self->got, 0, 200, 1));
		ASSERT_EQ(50, recv(p->fd, self->got, 50, 0));
		ASSERT_EQ(150, recv(p->fd, self->got + 50, 200, 0));
		ASSERT_EQ(200, pat_check(self->got, 0, 200, 1));
	}
}

/* A request of one kind was waited for as the other: a reader whose buffer is bad half way. */
TEST_F(cve, cve_2024_58240_reader_fails_half_way)
{
	struct pair *p = &self->p;
	struct iovec iov[2] = { { self->got, 700 }, { (void *)8, 5000 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	for (int i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data, 3000));
		ASSERT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & POLLIN);
		n = recvmsg(p->fd, &msg, 0);
		ASSERT_TRUE(n == 700 || (n == -1 && errno == EFAULT)) TH_LOG("%zd", n);
		n = n < 0 ? 0 : n;
		ASSERT_EQ(0, net_read(p->fd, self->got + n, 3000 - n));
		ASSERT_EQ(3000, pat_check(self->got, 0, 3000, 1));
	}
}

/* disconnect took the connection from under the context. */
static void *disconnect_often(void *arg)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd = *(int *)arg;

	for (int i = 0; i < 500; i++)
		connect(fd, &none, sizeof(none));
	return NULL;
}

TEST_F(cve, cve_2025_37756_disconnect)
{
	struct pair *p = &self->p;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, disconnect_often, &p->fd));
	for (int i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(100, send(p->fd, self->data, 100, 0));
		ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 100));
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data, 100));
		ASSERT_EQ(0, net_read(p->fd, self->got, 100));
	}
	pthread_join(thread, NULL);
}

/* Bytes of a record that was half there were taken from TCP's queue by somebody else. */
TEST_F(cve, cve_2025_38616_bytes_vanish_under_the_parser)
{
	struct pair *p = &self->p;
	uint8_t wire[20000], zc[64] = { };
	size_t n = ref_seal(&p->peer.tx, REF_DATA, self->data, 16000, 0, wire);
	void *buf = self->got;
	socklen_t len = 48;
	int on = 1, copy = 16384;

	ASSERT_EQ(0, net_write(p->peer.fd, wire, 9000));
	ASSERT_TRUE(net_quiet(p->fd, POLLIN));
	/* address, length, hint, queue, error, then where to copy to */
	memcpy(zc + 24, &buf, sizeof(buf));
	memcpy(zc + 32, &copy, sizeof(copy));
	EXPECT_EQ(-1, getsockopt(p->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, zc, &len));
	EXPECT_EQ(-1, setsockopt(p->fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)));
	EXPECT_EQ(-1, setsockopt(p->fd, IPPROTO_TCP, TCP_ULP, "tls", 3));
	EXPECT_EQ(-1, recv(p->fd, self->got, 100, MSG_OOB | MSG_DONTWAIT));
	EXPECT_EQ(-1, recv(p->fd, self->got, 100, MSG_TRUNC | MSG_DONTWAIT));
	ASSERT_EQ(0, net_write(p->peer.fd, wire + 9000, n - 9000));
	ASSERT_EQ(0, net_read(p->fd, self->got, 16000));
	EXPECT_EQ(16000, pat_check(self->got, 0, 16000, 1));
}

/* A record of no length on the list of opened ones, then one of another type. */
TEST_F(cve, cve_2025_39682_empty_record_then_another_type)
{
	struct pair *p = &self->p;

	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "", 0));
	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data, 100));
	ASSERT_EQ(100, recv(p->fd, self->got, 300, MSG_PEEK));
	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "", 0));
	ASSERT_EQ(0, harmless(p));
	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data + 100, 100));
	ASSERT_EQ(200, recv(p->fd, self->got, 200, MSG_WAITALL));
	EXPECT_EQ(200, pat_check(self->got, 0, 200, 1));
	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "", 0));
	ASSERT_EQ(0, peer_alert(&p->peer, 1, TLS_CLOSE_NOTIFY));
	EXPECT_EQ(0, recv(p->fd, self->got, 200, 0));
}

/* A header that promises too much, in pieces, to a reader with little room. */
TEST_F(cve, cve_2025_39946_bogus_header_length)
{
	static const uint8_t lengths[][2] = { { 0xff, 0xff }, { 0x80, 0 }, { 0x48, 1 }, { 0, 0 } };

	for (int i = 0; i < 4; i++) {
		struct pair *p = &self->p;
		uint8_t header[REF_HEADER] = { 23, 3, 3, lengths[i][0], lengths[i][1] };

		ASSERT_EQ(0, net_buffers(p->fd, 0, 1));
		ASSERT_TRUE(net_write_segments(p->peer.fd, header, sizeof(header), 1));
		net_write(p->peer.fd, self->data, 3000);
		ASSERT_EQ(-1, recv(p->fd, self->got, 100, 0));
		ASSERT_TRUE(errno == EMSGSIZE || errno == EBADMSG) TH_LOG("errno %d", errno);
		ASSERT_TRUE(pair_again(&self->p));
	}
}

/* The transmit work was armed anew by write_space after close had cancelled it. */
static void *drain(void *arg)
{
	return (void *)(long)peer_drain(arg);
}

TEST_F_TIMEOUT(cve, cve_2026_23240_work_armed_after_cancel, 60)
{
	for (int i = 0; i < ROUNDS / 4; i++) {
		pthread_t thread;
		void *end;

		fill_up(self->p.fd, self->data, sizeof(self->data));
		/* Room comes all the time now. */
		ASSERT_EQ(0, pthread_create(&thread, NULL, drain, &self->p.peer));
		poll(NULL, 0, i % 4);
		close(self->p.fd);
		self->p.fd = -1;
		pthread_join(thread, &end);
		EXPECT_NE(PEER_BAD, (long)end);
		ASSERT_TRUE(pair_again(&self->p));
	}
}

/* What a failed decryption held on to was never let go: see kmemleak. */
TEST_F(cve, cve_2026_23414_failed_decryption_lets_go)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct pair *p = &self->p;
		uint8_t wire[8000];
		size_t n = ref_seal(&p->peer.tx, REF_DATA, self->data, 2000, 0, wire);
		size_t m = ref_seal(&p->peer.tx, REF_DATA, self->data, 2000, 0, wire + n);

		wire[n + m - 1 - i] ^= 1;
		m += ref_seal(&p->peer.tx, REF_DATA, self->data, 2000, 0, wire + n + m);
		ASSERT_EQ(0, net_write(p->peer.fd, wire, n + m));
		ASSERT_EQ(2000, recv(p->fd, self->got, 2000, MSG_WAITALL));
		if (i % 2)
			ASSERT_EQ(-1, recv(p->fd, self->got, 2000, 0));
		ASSERT_TRUE(pair_again(&self->p));
	}
}

/*
 * One record of which all but @own bytes come from a read-only file, as its pages;
 * read if @good, else refused.  True if the file is as it was.
 */
static bool record_from_file(struct pair *p, enum rofile_way way, size_t own, bool good,
			     const uint8_t *data, uint8_t *got)
{
	uint8_t wire[4000];
	size_t n = ref_seal(&p->peer.tx, REF_DATA, data, 3000, 0, wire);
	struct rofile f;
	bool ok;

	wire[n - 1] ^= !good;
	ok = rofile_make(&f, wire, n) && !net_write(p->peer.fd, wire, own) &&
	     !rofile_send(&f, way, NULL, p->peer.fd, own, n - own, 700) &&
	     (good ? !net_read(p->fd, got, 3000) && !memcmp(got, data, 3000)
		   : net_read(p->fd, got, 3000) && errno == EBADMSG) &&
	     rofile_same(&f);
	rofile_free(&f);
	return ok;
}

/* An AEAD wrote to the page cache: pages that splice had brought were chained to its destination. */
TEST_F(cve, cve_2026_31431_destination_of_spliced_pages)
{
	EXPECT_TRUE(record_from_file(&self->p, ROFILE_SPLICE, 0, true, self->data, self->got));
	EXPECT_TRUE(record_from_file(&self->p, ROFILE_SPLICE, 0, false, self->data, self->got));
}

/* Decrypted in place, in pages of a file; what does not authenticate had been written by then. */
TEST_F(cve, cve_2026_43284_in_place_in_pages_of_a_file)
{
	EXPECT_TRUE(record_from_file(&self->p, ROFILE_SENDFILE, 0, true, self->data, self->got));
	EXPECT_TRUE(record_from_file(&self->p, ROFILE_SENDFILE, 0, false, self->data, self->got));
}

/* The same where nothing marks the pages as shared. */
TEST_F(cve, cve_2026_43500_pages_without_a_mark)
{
	EXPECT_TRUE(record_from_file(&self->p, ROFILE_VMSPLICE, 0, true, self->data, self->got));
	EXPECT_TRUE(record_from_file(&self->p, ROFILE_VMSPLICE, 0, false, self->data, self->got));
}

/* The mark was lost where the receiver merged a buffer without it and one with it. */
TEST_F(cve, cve_2026_46300_mark_lost_by_merging)
{
	EXPECT_TRUE(record_from_file(&self->p, ROFILE_SENDFILE, 500, true, self->data, self->got));
	EXPECT_TRUE(record_from_file(&self->p, ROFILE_SENDFILE, 500, false, self->data, self->got));
}

TEST_HARNESS_MAIN
