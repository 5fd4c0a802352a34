// SPDX-License-Identifier: MIT
/* Rarer calls and options on a session's socket, and the socket when memory is short. */
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/sockmap.h"

#define BUF_SIZE	(1 << 19)

FIXTURE(options)
{
	struct pair p;
	uint8_t data[BUF_SIZE], got[BUF_SIZE];
};

FIXTURE_VARIANT(options)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(options, v12_aes128, 0x0303, 0xc02f, AF_INET)
PAIR_VARIANT(options, v13_aes256, 0x0304, 0x1302, AF_INET6)

FIXTURE_SETUP(options)
{
	pat_fill(self->data, 0, BUF_SIZE, 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(options)
{
	pair_free(&self->p);
}

#define PEER_SENDS(off, n) \
	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data + (off), n))
#define GOT(off, n)	EXPECT_EQ((size_t)(n), pat_check(self->got, off, n, 1))

/* ---- a peer that reads at its leisure ---------------------------------------- */

struct reader {
	struct peer *peer;
	uint8_t *got;
	size_t len;
	int delay;		/* ms */
	bool all, end;
};

static void *read_later(void *arg)
{
	struct reader *r = arg;

	poll(NULL, 0, r->delay);
	r->all = peer_recv_data(r->peer, r->got, r->len);
	r->end = r->all && peer_expect_end(r->peer);
	return NULL;
}

/* ---- sending ------------------------------------------------------------------ */

TEST_F(options, end_of_record)
{
	ASSERT_EQ(100, send(self->p.fd, self->data, 100, MSG_EOR));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 100));
	ASSERT_EQ(100, send(self->p.fd, self->data, 100, MSG_MORE));
	ASSERT_EQ(100, send(self->p.fd, self->data + 100, 100, MSG_EOR));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 200));
	GOT(0, 200);
}

/* What a send says it took is what arrives, however far into a bad address it got. */
TEST_F(options, bad_address_behind_a_good_one)
{
	struct iovec iov[2] = { { self->data, 20000 }, { (void *)8, 5000 } };
	ssize_t n = writev(self->p.fd, iov, 2);

	ASSERT_GE(20000, n);
	ASSERT_LT(0, n);
	ASSERT_EQ(100, send(self->p.fd, self->data + n, 100, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, n + 100));
	GOT(0, n + 100);
}

TEST_F(options, vmsplice)
{
	uint8_t *pages = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = { pages + 100, 60000 };
	int pipefd[2];
	size_t n = 0;
	ssize_t r;

	ASSERT_NE(MAP_FAILED, pages);
	memcpy(pages + 100, self->data, 60000);
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_LE(60000, fcntl(pipefd[1], F_SETPIPE_SZ, 1 << 18));
	ASSERT_EQ(60000, vmsplice(pipefd[1], &iov, 1, 0));
	while (n < 60000 && (r = splice(pipefd[0], NULL, self->p.fd, NULL, 60000 - n, 0)) > 0)
		n += r;
	ASSERT_EQ(60000, n);
	/* What was sealed is what the page held then. */
	memset(pages, 0xee, 65536);
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 60000));
	GOT(0, 60000);
	munmap(pages, 65536);
	close(pipefd[0]);
	close(pipefd[1]);
}

TEST_F(options, smallest_buffers)
{
	struct reader r = { &self->p.peer, self->got, 200000, 0 };
	pthread_t thread;

	ASSERT_EQ(0, net_buffers(self->p.fd, 1, 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_later, &r));
	EXPECT_EQ(0, net_write(self->p.fd, self->data, 200000));
	shutdown(self->p.fd, SHUT_WR);
	pthread_join(thread, NULL);
	EXPECT_TRUE(r.all);
	EXPECT_TRUE(r.end);
	GOT(0, 200000);
	PEER_SENDS(0, 16384);
	EXPECT_EQ(0, net_read(self->p.fd, self->got, 16384));
	GOT(0, 16384);
}

/* How much is not acknowledged yet: all of it at first, nothing at last. */
static bool all_acked(void *fd)
{
	int left = -1;

	return !ioctl(*(int *)fd, SIOCOUTQ, &left) && !left;
}

TEST_F(options, outq)
{
	int left = -1, more;

	net_fill(self->p.fd, self->data, 65536, SIZE_MAX, 0);
	ASSERT_EQ(0, ioctl(self->p.fd, SIOCOUTQ, &left));
	EXPECT_GT(left, 1000);
	ASSERT_EQ(0, ioctl(self->p.fd, SIOCOUTQNSD, &more));
	EXPECT_GT(more, 0);
	shutdown(self->p.fd, SHUT_WR);
	EXPECT_EQ(PEER_EOF, peer_drain(&self->p.peer));
	EXPECT_TRUE(net_until(all_acked, &self->p.fd));
}

/* ---- receiving ------------------------------------------------------------------ */

TEST_F(options, recvmmsg)
{
	struct iovec iov[3] = {
		{ self->got, 100 }, { self->got + 100, 100 }, { self->got + 200, 100 },
	};
	struct mmsghdr msg[3] = {
		{ { .msg_iov = &iov[0], .msg_iovlen = 1 } },
		{ { .msg_iov = &iov[1], .msg_iovlen = 1 } },
		{ { .msg_iov = &iov[2], .msg_iovlen = 1 } },
	};

	PEER_SENDS(0, 250);
	ASSERT_EQ(3, recvmmsg(self->p.fd, msg, 3, 0, NULL));
	EXPECT_EQ(100, msg[0].msg_len);
	EXPECT_EQ(100, msg[1].msg_len);
	EXPECT_EQ(50, msg[2].msg_len);
	GOT(0, 250);
}

TEST_F(options, sendmmsg)
{
	struct iovec iov[2] = { { self->data, 100 }, { self->data + 100, 20000 } };
	struct mmsghdr msg[2] = {
		{ { .msg_iov = &iov[0], .msg_iovlen = 1 } },
		{ { .msg_iov = &iov[1], .msg_iovlen = 1 } },
	};

	ASSERT_EQ(2, sendmmsg(self->p.fd, msg, 2, 0));
	EXPECT_EQ(20000, msg[1].msg_len);
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->got, 20100));
	GOT(0, 20100);
}

/* The kernel side of a read waits until so much plaintext is there. */
TEST_F(options, rcvlowat)
{
	int low = 300;

	ASSERT_EQ(0, setsockopt(self->p.fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	PEER_SENDS(0, 200);
	EXPECT_EQ(200, recv(self->p.fd, self->got, 1000, MSG_DONTWAIT | MSG_PEEK));
	PEER_SENDS(200, 200);
	EXPECT_LE(300, recv(self->p.fd, self->got, 1000, 0));
}

struct counting {
	int fd;
	uint64_t sum, count;
};

#define NUMBERS		20000

static void *count_numbers(void *arg)
{
	struct counting *c = arg;
	uint32_t n;

	while (recv(c->fd, &n, sizeof(n), MSG_WAITALL) == sizeof(n)) {
		c->sum += n;
		c->count++;
	}
	return NULL;
}

/* Two threads share what comes, each byte going to one of them. */
TEST_F(options, two_readers)
{
	struct counting c[2] = { { self->p.fd }, { dup(self->p.fd) } };
	uint32_t *numbers = (void *)self->data;
	pthread_t thread[2];

	for (uint32_t i = 0; i < NUMBERS; i++)
		numbers[i] = i;
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, count_numbers, &c[i]));
	for (int at = 0; at < NUMBERS * 4; at += 400)
		PEER_SENDS(at, 400);
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(NUMBERS, c[0].count + c[1].count);
	EXPECT_EQ(NUMBERS * (NUMBERS - 1ull) / 2, c[0].sum + c[1].sum);
	close(c[1].fd);
}

static int inq(int fd)
{
	int n = -1;

	return ioctl(fd, SIOCINQ, &n) ? -1 : n;
}

/* Plaintext that a read would give, never bytes of the wire. */
TEST_F(options, inq)
{
	EXPECT_EQ(0, inq(self->p.fd));
	PEER_SENDS(0, 300);
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	EXPECT_GE(300, inq(self->p.fd));
	EXPECT_LT(0, inq(self->p.fd));
	ASSERT_EQ(100, recv(self->p.fd, self->got, 100, 0));
	EXPECT_EQ(200, inq(self->p.fd));
	ASSERT_EQ(200, recv(self->p.fd, self->got, 300, 0));
	EXPECT_EQ(0, inq(self->p.fd));
}

/* All of it is counted, for a reader that reads so much and then waits for an edge. */
TEST_F(options, inq_of_several_records)
{
	PEER_SENDS(0, 300);
	PEER_SENDS(300, 16384);
	PEER_SENDS(16684, 1);
	ASSERT_TRUE(net_until(all_acked, &self->p.peer.fd));
	EXPECT_EQ(16685, inq(self->p.fd));
	ASSERT_EQ(310, recv(self->p.fd, self->got, 310, 0));
	EXPECT_EQ(16375, inq(self->p.fd));
	ASSERT_EQ(16375, recv(self->p.fd, self->got + 310, BUF_SIZE - 310, 0));
	EXPECT_EQ(0, inq(self->p.fd));
	GOT(0, 16685);
}

#define BODY	(BUF_SIZE / 4)
#define CHUNK	4096

static void *send_body(void *arg)
{
	struct reader *r = arg;

	r->all = !peer_send_data(r->peer, r->got, r->len);
	return NULL;
}

/*
 * As nginx does: after a read that fills the buffer it asks how much there is, reads so much
 * and no more, and waits for an edge.  Bytes read until all are there or no edge comes.
 */
static size_t read_counted(int fd, uint8_t *to, size_t len)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(EPOLL_CLOEXEC), left;
	size_t done = 0;
	ssize_t n;

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	while (done < len && epoll_wait(epoll, &event, 1, NET_DEADLINE) == 1) {
		left = -1;
		do {
			n = recv(fd, to + done, CHUNK, MSG_DONTWAIT);
			if (n <= 0)
				break;
			done += n;
			left = n < CHUNK ? 0 : left < 0 ? inq(fd) : left - n;
		} while (left > 0);
	}
	close(epoll);
	return done;
}

TEST_F(options, who_counts_by_inq_gets_all)
{
	static const int room[] = { 5000, 20000, 40000, 100000 };

	for (size_t i = 0; i < sizeof(room) / sizeof(room[0]); i++) {
		struct reader r = { .peer = &self->p.peer, .got = self->data, .len = BODY };
		pthread_t thread;

		memset(self->got, 0, BODY);
		ASSERT_EQ(0, setsockopt(self->p.fd, SOL_SOCKET, SO_RCVBUF, &room[i], sizeof(room[i])));
		ASSERT_EQ(0, pthread_create(&thread, NULL, send_body, &r));
		EXPECT_EQ(BODY, read_counted(self->p.fd, self->got, BODY));
		if (pat_check(self->got, 0, BODY, 1) != BODY)
			shutdown(self->p.peer.fd, SHUT_RDWR);
		pthread_join(thread, NULL);
		ASSERT_TRUE(r.all);
		GOT(0, BODY);
	}
}

/* Each has a header and a tag; only of the first ones are they subtracted. */
TEST_F(options, inq_of_many_records)
{
	for (int i = 0; i < 200; i++)
		PEER_SENDS(i, 1);
	ASSERT_TRUE(net_until(all_acked, &self->p.peer.fd));
	for (int i = 0; i < 200; i++) {
		EXPECT_LE(200 - i, inq(self->p.fd));
		ASSERT_EQ(1, recv(self->p.fd, self->got + i, 1, 0));
	}
	EXPECT_EQ(0, inq(self->p.fd));
	GOT(0, 200);
}

/* An end that the read of the last data came to is an edge: a FIN of TCP's would be one, too. */
TEST_F(options, end_behind_data_is_an_edge)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	PEER_SENDS(0, 100);
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	ASSERT_TRUE(net_until(all_acked, &self->p.peer.fd));
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->p.fd, &event));
	ASSERT_EQ(1, epoll_wait(epoll, &event, 1, NET_DEADLINE));
	ASSERT_EQ(100, recv(self->p.fd, self->got, 1000, MSG_DONTWAIT));
	EXPECT_EQ(1, epoll_wait(epoll, &event, 1, 0));
	EXPECT_EQ(0, recv(self->p.fd, self->got, 1000, MSG_DONTWAIT));
	EXPECT_EQ(0, epoll_wait(epoll, &event, 1, 0));
	close(epoll);
}

/* struct tcp_zerocopy_receive of linux/tcp.h, which netinet/tcp.h has in part only. */
struct zerocopy {
	uint64_t address;
	uint32_t length, recv_skip_hint, inq;
	int32_t err;
	uint64_t copybuf_address;
	int32_t copybuf_len;
	uint32_t flags;
};

/* What reaches into TCP's receive queue must not find the wire there. */
TEST_F(options, zerocopy_receive_is_refused)
{
	struct zerocopy zc = {
		.copybuf_address = (uint64_t)(unsigned long)self->got, .copybuf_len = 4096,
	};
	socklen_t len = sizeof(zc);

	PEER_SENDS(0, 100);
	ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
	EXPECT_EQ(-1, getsockopt(self->p.fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len));
	EXPECT_EQ(100, recv(self->p.fd, self->got, 1000, MSG_DONTWAIT));
	GOT(0, 100);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->p.fd, 0));
}

/* Repair mode shows and takes TCP's queues, and closes without a word. */
TEST_F(options, repair_is_refused)
{
	int on = 1, off = 0;

	EXPECT_EQ(-1, setsockopt(self->p.fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)));
	setsockopt(self->p.fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
	PEER_SENDS(0, 100);
	EXPECT_EQ(100, recv(self->p.fd, self->got, 100, 0));
}

/* A place to peek from that is not heeded would show the same bytes again and again. */
TEST_F(options, peek_offset_is_heeded_or_refused)
{
	int off = 10;

	if (setsockopt(self->p.fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off))) {
		EXPECT_EQ(EOPNOTSUPP, errno);
		return;
	}
	PEER_SENDS(0, 100);
	EXPECT_EQ(5, recv(self->p.fd, self->got, 5, MSG_PEEK));
	GOT(10, 5);
}

/* ---- ends ----------------------------------------------------------------------------- */

/* close() waits until the peer has all, close_notify and FIN included. */
TEST_F(options, linger_waits)
{
	struct reader r = { &self->p.peer, self->got, 65536, 300 };
	struct linger linger = { .l_onoff = 1, .l_linger = 10 };
	uint64_t began = net_now();
	pthread_t thread;

	ASSERT_EQ(0, net_buffers(self->p.peer.fd, 0, 4096));
	ASSERT_EQ(0, setsockopt(self->p.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_later, &r));
	ASSERT_EQ(0, net_write(self->p.fd, self->data, 65536));
	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_LE(250, net_now() - began);
	pthread_join(thread, NULL);
	EXPECT_TRUE(r.all);
	EXPECT_TRUE(r.end);
	GOT(0, 65536);
}

/* ---- sockmap ------------------------------------------------------------------------------ */

/* Its verdict programs would read the wire, and its redirections write on it. */
TEST_F(options, sockmap_is_refused)
{
	int map = sockmap_new();

	if (map < 0)
		SKIP(return, "this kernel has no sockmap: %s", strerror(errno));
	EXPECT_EQ(-1, sockmap_add(map, self->p.fd));
	EXPECT_EQ(0, sockmap_add(map, self->p.peer.fd));
	PEER_SENDS(0, 100);
	EXPECT_EQ(100, recv(self->p.fd, self->got, 100, 0));
	GOT(0, 100);
	close(map);
}

/* ---- errors of ICMP, which IP_RECVERR asks for --------------------------------- */

static uint32_t next_sent(int fd)
{
	int on = 1, off = -1, queue = TCP_SEND_QUEUE;
	socklen_t len = sizeof(uint32_t);
	uint32_t seq = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue));
	getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len);
	setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
	return seq;
}

/* "Host unreachable", of 127.0.0.1 or ::1, for a segment of fd's. */
struct unreachable {
	struct icmphdr icmp;
	union {
		struct {
			struct iphdr ip;
			uint16_t ports[2];
			uint32_t seq;
		} v4;
		struct {
			struct ip6_hdr ip;
			uint16_t ports[2];
			uint32_t seq;
		} v6;
	};
};

static size_t unreachable_4(struct unreachable *m, const uint16_t ports[2], uint32_t seq)
{
	struct in_addr local = { htonl(INADDR_LOOPBACK) };
	size_t len = offsetof(struct unreachable, v4) + sizeof(m->v4);
	uint16_t words[sizeof(*m) / 2];
	uint32_t sum = 0;

	m->icmp = (struct icmphdr){ .type = ICMP_DEST_UNREACH, .code = ICMP_HOST_UNREACH };
	m->v4.ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
				   .tot_len = htons(40), .saddr = local.s_addr,
				   .daddr = local.s_addr };
	memcpy(m->v4.ports, ports, sizeof(m->v4.ports));
	m->v4.seq = htonl(seq);
	memcpy(words, m, len);
	for (size_t i = 0; i < len / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	m->icmp.checksum = ~(sum + (sum >> 16));
	return len;
}

/* The kernel puts in the checksum. */
static size_t unreachable_6(struct unreachable *m, const uint16_t ports[2], uint32_t seq)
{
	m->icmp = (struct icmphdr){ .type = ICMP6_DST_UNREACH, .code = ICMP6_DST_UNREACH_ADDR };
	m->v6.ip = (struct ip6_hdr){ .ip6_vfc = 6 << 4, .ip6_nxt = IPPROTO_TCP, .ip6_hlim = 64,
				     .ip6_plen = htons(20), .ip6_src = in6addr_loopback,
				     .ip6_dst = in6addr_loopback };
	memcpy(m->v6.ports, ports, sizeof(m->v6.ports));
	m->v6.seq = htonl(seq);
	return offsetof(struct unreachable, v6) + sizeof(m->v6);
}

static void ask_for_errors(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &one, sizeof(one));
}

static bool send_unreachable(int fd, uint32_t seq)
{
	struct sockaddr_in6 from, to;
	socklen_t len = sizeof(from);
	struct unreachable m = { };
	uint16_t ports[2];
	bool six, sent;
	int raw;

	getsockname(fd, (struct sockaddr *)&from, &len);
	getpeername(fd, (struct sockaddr *)&to, &len);
	/* Where sockaddr_in has its own. */
	ports[0] = from.sin6_port;
	ports[1] = to.sin6_port;
	from.sin6_port = 0;
	six = from.sin6_family == AF_INET6;
	raw = socket(from.sin6_family, SOCK_RAW | SOCK_CLOEXEC,
		     six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	len = six ? unreachable_6(&m, ports, seq) : unreachable_4(&m, ports, seq);
	sent = sendto(raw, &m, len, 0, (struct sockaddr *)&from, sizeof(from)) == (ssize_t)len;
	close(raw);
	return sent;
}

/* True: the error that fd's owner asked for is there. */
static bool unreachable(int fd, uint32_t seq)
{
	ask_for_errors(fd);
	return send_unreachable(fd, seq) && net_poll(fd, 0, NET_DEADLINE) & POLLERR;
}

FIXTURE(icmp)
{
	struct pair p;
	uint32_t seq;		/* of p.fd, before anything is sent by TLS */
};

FIXTURE_VARIANT(icmp)
{
	int family;
};

FIXTURE_VARIANT_ADD(icmp, v4) { .family = AF_INET };
FIXTURE_VARIANT_ADD(icmp, v6) { .family = AF_INET6 };

FIXTURE_SETUP(icmp)
{
	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, variant->family));
	self->seq = next_sent(self->p.fd);
	ASSERT_EQ(0, pair_install(&self->p));
}

FIXTURE_TEARDOWN(icmp)
{
	pair_free(&self->p);
}

#define UNREACHABLE()		ASSERT_TRUE(unreachable(self->p.fd, self->seq))
#define SAYS(error, call) do {							\
	EXPECT_EQ(-1, call);							\
	EXPECT_EQ(error, errno);						\
} while (0)

TEST_F(icmp, error_is_told_once_and_ends_nothing)
{
	struct pair *p = &self->p;
	char got[8];
	uint8_t type;

	UNREACHABLE();
	SAYS(EHOSTUNREACH, recv(p->fd, got, 4, 0));
	SAYS(EAGAIN, recv(p->fd, got, 4, MSG_DONTWAIT));

	UNREACHABLE();
	SAYS(EHOSTUNREACH, send(p->fd, "lost", 4, 0));

	/* What the session sends by itself takes no error along. */
	UNREACHABLE();
	EXPECT_EQ(0, tg_session_rekey(p->tg, BY_FD(p->fd)));
	EXPECT_EQ(5, peer_recv(&p->peer, &type, got, sizeof(got)));
	ref_ratchet(&p->peer.rx);
	SAYS(EHOSTUNREACH, send(p->fd, "lost", 4, 0));

	EXPECT_EQ(4, send(p->fd, "down", 4, 0));
	EXPECT_TRUE(peer_recv_data(&p->peer, got, 4));
	EXPECT_EQ(0, memcmp(got, "down", 4));
	EXPECT_EQ(0, peer_send(&p->peer, REF_DATA, "upup", 4));
	EXPECT_EQ(4, recv(p->fd, got, 4, 0));
	EXPECT_EQ(0, memcmp(got, "upup", 4));
}

/* What was read before it is given first, and the error to the next call, as TCP does. */
TEST_F(icmp, error_ends_a_read_of_all)
{
	struct pair *p = &self->p;
	char got[8];

	EXPECT_EQ(0, peer_send(&p->peer, REF_DATA, "upup", 4));
	ASSERT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & POLLIN);
	UNREACHABLE();
	EXPECT_EQ(4, recv(p->fd, got, sizeof(got), MSG_WAITALL));
	SAYS(EHOSTUNREACH, recv(p->fd, got, sizeof(got), MSG_WAITALL));
	SAYS(EAGAIN, recv(p->fd, got, sizeof(got), MSG_WAITALL | MSG_DONTWAIT));
}

TEST_F(icmp, error_is_told_by_splice)
{
	struct pair *p = &self->p;
	int fds[2];

	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	UNREACHABLE();
	SAYS(EHOSTUNREACH, splice(p->fd, NULL, fds[1], NULL, 4, SPLICE_F_NONBLOCK));
	SAYS(EAGAIN, splice(p->fd, NULL, fds[1], NULL, 4, SPLICE_F_NONBLOCK));
	close(fds[0]);
	close(fds[1]);
}

TEST_F(icmp, error_ends_no_relay)
{
	struct pair *p = &self->p;
	uint32_t plain_seq;
	int plain[2];
	char got[4];

	ASSERT_EQ(0, net_tcp_pair(variant->family, plain));
	plain_seq = next_sent(plain[0]);
	/* Nobody can any more once they are a relay's, nor see the errors. */
	ask_for_errors(p->fd);
	ask_for_errors(plain[0]);
	ASSERT_EQ(0, tg_relay_new(p->tg, p->fd, plain[0], 0));

	EXPECT_TRUE(send_unreachable(p->fd, self->seq));
	EXPECT_TRUE(send_unreachable(plain[0], plain_seq));
	EXPECT_EQ(0, net_write(plain[1], "down", 4));
	EXPECT_TRUE(peer_recv_data(&p->peer, got, 4));
	EXPECT_EQ(0, memcmp(got, "down", 4));
	EXPECT_EQ(0, peer_send(&p->peer, REF_DATA, "upup", 4));
	EXPECT_EQ(0, net_read(plain[1], got, 4));
	EXPECT_EQ(0, memcmp(got, "upup", 4));
	close(plain[0]);
	close(plain[1]);
}

/* ---- memory is short ------------------------------------------------------------------------- */

static char tcp_mem_before[100];

static bool tcp_mem(const char *value)
{
	int fd = open("/proc/sys/net/ipv4/tcp_mem", O_RDWR);
	ssize_t n;

	if (fd < 0)
		return false;
	if (!tcp_mem_before[0] && read(fd, tcp_mem_before, sizeof(tcp_mem_before) - 1) <= 0)
		return false;
	n = pwrite(fd, value, strlen(value), 0);
	close(fd);
	return n > 0;
}

static void transfer(struct __test_metadata *_metadata, FIXTURE_DATA(options) *self)
{
	struct reader r = { &self->p.peer, self->got, BUF_SIZE, 100 };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, read_later, &r));
	EXPECT_EQ(0, net_write(self->p.fd, self->data, BUF_SIZE));
	shutdown(self->p.fd, SHUT_WR);
	pthread_join(thread, NULL);
	EXPECT_TRUE(r.all);
	EXPECT_TRUE(r.end);
	GOT(0, BUF_SIZE);
}

/* TCP under pressure, and then at its limit: slower, but all of it arrives. */
TEST_F_TIMEOUT(options, memory_pressure, 60)
{
	ASSERT_TRUE(tcp_mem("1 1 100000"));
	transfer(_metadata, self);
	tcp_mem(tcp_mem_before);
}

TEST_F_TIMEOUT(options, memory_limit, 60)
{
	ASSERT_TRUE(tcp_mem("8 12 24"));
	transfer(_metadata, self);
	tcp_mem(tcp_mem_before);
}

TEST_HARNESS_MAIN
