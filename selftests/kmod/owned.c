// SPDX-License-Identifier: MIT
/*
 * A relay owns both of its sockets.  Whoever still holds a descriptor of one
 * can close it and nothing else: each call is refused with EBUSY, from the
 * answer to RELAY_NEW on, after the relay's end too, and the relay's bytes
 * stay what they are.  Rows are calls; each is made on either socket, by the
 * process that made the relay and by one of another user.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/ring.h"
#include "lib/sockmap.h"
#include "lib/task.h"
#include "lib/zcrx.h"

#define PATIENCE	300	/* ms that a call may wait where it is not refused */
#define BULK		(1 << 20)

/* ---- calls ------------------------------------------------------------------- */

enum kinds { TCP = 1, LOCAL = 2, ALL = TCP | LOCAL };

/* 0 or more: the call was taken; else negative errno. */
struct call {
	const char *name;
	int (*run)(int fd, const struct call *c);
	enum kinds kinds;
	int arg;		/* flags, how, option, request */
	int level;
	const void *value;
	socklen_t len;
};

static int told(ssize_t result)
{
	return result < 0 ? -errno : 0;
}

static int do_read(int fd, const struct call *c)
{
	char buf[64];

	return told(read(fd, buf, sizeof(buf)));
}

static int do_readv(int fd, const struct call *c)
{
	char buf[64];
	struct iovec iov = { buf, sizeof(buf) };

	return told(readv(fd, &iov, 1));
}

static int do_recv(int fd, const struct call *c)
{
	char buf[64];

	return told(recv(fd, buf, sizeof(buf), c->arg));
}

static int do_recvmsg(int fd, const struct call *c)
{
	char buf[64], control[256];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };

	return told(recvmsg(fd, &msg, c->arg));
}

static int do_recvmmsg(int fd, const struct call *c)
{
	char buf[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	return told(recvmmsg(fd, &msg, 1, c->arg, NULL));
}

static int do_write(int fd, const struct call *c)
{
	return told(write(fd, "intruder", 8));
}

static int do_writev(int fd, const struct call *c)
{
	struct iovec iov = { "intruder", 8 };

	return told(writev(fd, &iov, 1));
}

static int do_send(int fd, const struct call *c)
{
	return told(send(fd, "intruder", 8, c->arg | MSG_NOSIGNAL));
}

static int do_send_nothing(int fd, const struct call *c)
{
	return told(send(fd, "", 0, MSG_NOSIGNAL));
}

static int do_sendmmsg(int fd, const struct call *c)
{
	struct iovec iov = { "intruder", 8 };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	return told(sendmmsg(fd, &msg, 1, MSG_NOSIGNAL));
}

static int do_sendto(int fd, const struct call *c)
{
	struct sockaddr_storage to = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(to);

	getpeername(fd, (struct sockaddr *)&to, &len);
	return told(sendto(fd, "intruder", 8, MSG_NOSIGNAL, (struct sockaddr *)&to, len));
}

static int do_send_fd(int fd, const struct call *c)
{
	return told(net_send_fds(fd, "intruder", 8, 0, &fd, 1));
}

static int do_disconnect(int fd, const struct call *c)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	return told(connect(fd, &none, sizeof(none)));
}

/* To the address it is connected to, or for want of one to a wrong one. */
static int do_connect(int fd, const struct call *c)
{
	struct sockaddr_storage to = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(to);

	getpeername(fd, (struct sockaddr *)&to, &len);
	return told(connect(fd, (struct sockaddr *)&to, len));
}

static int do_bind(int fd, const struct call *c)
{
	struct sockaddr_storage to = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(to);

	getsockname(fd, (struct sockaddr *)&to, &len);
	return told(bind(fd, (struct sockaddr *)&to, len));
}

static int do_listen(int fd, const struct call *c)
{
	return told(listen(fd, 8));
}

static int do_accept(int fd, const struct call *c)
{
	int child = accept(fd, NULL, NULL);

	if (child < 0)
		return -errno;
	close(child);
	return 0;
}

static int do_shutdown(int fd, const struct call *c)
{
	return told(shutdown(fd, c->arg));
}

static int do_setsockopt(int fd, const struct call *c)
{
	int one = 1;

	return told(setsockopt(fd, c->level, c->arg, c->value ? c->value : &one,
			       c->value ? c->len : sizeof(one)));
}

static int do_getsockopt(int fd, const struct call *c)
{
	char value[512] = "";
	socklen_t len = c->len ? c->len : sizeof(value);

	return told(getsockopt(fd, c->level, c->arg, value, &len));
}

static int do_ioctl(int fd, const struct call *c)
{
	int value = 0;

	return told(ioctl(fd, c->arg, &value));
}

/* io_uring's own way to TCP's ioctl, past the socket's calls (Linux 6.7). */
static int do_command(int fd, const struct call *c)
{
	struct ring ring;
	int err = -EOPNOTSUPP;

	if (ring_open(&ring))
		err = ring_command(&ring, fd, c->arg);
	close(ring.fd);
	/* Before, and where there is no io_uring, nobody can. */
	return err == -EOPNOTSUPP ? -EBUSY : err;
}

static int do_splice_from(int fd, const struct call *c)
{
	int pipefd[2], err;

	if (pipe(pipefd))
		return 0;
	err = told(splice(fd, NULL, pipefd[1], NULL, 64, c->arg));
	close(pipefd[0]);
	close(pipefd[1]);
	return err;
}

static int splice_pipe(int fd, int pipefd[2])
{
	int err = told(splice(pipefd[0], NULL, fd, NULL, 8, 0));

	close(pipefd[0]);
	close(pipefd[1]);
	return err;
}

static int do_splice_to(int fd, const struct call *c)
{
	int pipefd[2];

	if (pipe(pipefd) || write(pipefd[1], "intruder", 8) != 8)
		return 0;
	return splice_pipe(fd, pipefd);
}

static int do_vmsplice_to(int fd, const struct call *c)
{
	struct iovec iov = { "intruder", 8 };
	int pipefd[2];

	if (pipe(pipefd) || vmsplice(pipefd[1], &iov, 1, 0) != 8)
		return 0;
	return splice_pipe(fd, pipefd);
}

static int do_sendfile(int fd, const struct call *c)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int err = told(sendfile(fd, file, NULL, 64));

	close(file);
	return err;
}

static const struct linger reset_at_close = { .l_onoff = 1, .l_linger = 0 };
static const struct linger wait_for_ever = { .l_onoff = 1, .l_linger = 100000 };
static const int many = 1000;
static struct sock_filter no_bytes[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
static const struct sock_fprog drop_all = { 1, no_bytes };
static const struct tcp_md5sig md5 = { .tcpm_keylen = 3, .tcpm_key = "key" };
static const struct tls12_crypto_info_aes_gcm_128 ktls = {
	.info = { TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128 },
};

#define RECV(flags)	{ "recv " #flags, do_recv, ALL, flags }
#define SEND(flags)	{ "send " #flags, do_send, ALL, flags }
#define COMMAND(number)	{ "io_uring command " #number, do_command, TCP, number }
#define SHUT(how)	{ "shutdown " #how, do_shutdown, ALL, how }
#define IOCTL(request)	{ "ioctl " #request, do_ioctl, ALL, request }
#define SET(kinds, level, opt) \
	{ "setsockopt " #level " " #opt, do_setsockopt, kinds, opt, level }
#define SET_TO(kinds, level, opt, value) \
	{ "setsockopt " #level " " #opt " " #value, do_setsockopt, kinds, opt, level, &(value), \
	  sizeof(value) }
#define GET(level, opt, len) \
	{ "getsockopt " #level " " #opt, do_getsockopt, TCP, opt, level, NULL, len }

static const char tls[] = "tls", reno[] = "reno";

/* Newer than the headers that this is built with. */
enum { SOCKET_URING_OP_SIOCINQ, SOCKET_URING_OP_SIOCOUTQ };

static const struct call calls[] = {
	{ "read", do_read, ALL },
	{ "readv", do_readv, ALL },
	RECV(0), RECV(MSG_PEEK), RECV(MSG_DONTWAIT), RECV(MSG_WAITALL), RECV(MSG_TRUNC),
	RECV(MSG_OOB), RECV(MSG_ERRQUEUE), RECV(MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC),
	{ "recvmsg", do_recvmsg, ALL },
	{ "recvmsg MSG_ERRQUEUE", do_recvmsg, ALL, MSG_ERRQUEUE },
	{ "recvmmsg", do_recvmmsg, ALL },
	{ "splice from", do_splice_from, ALL },
	{ "splice from SPLICE_F_NONBLOCK", do_splice_from, ALL, SPLICE_F_NONBLOCK },
	{ "write", do_write, ALL },
	{ "writev", do_writev, ALL },
	SEND(0), SEND(MSG_DONTWAIT), SEND(MSG_MORE), SEND(MSG_EOR), SEND(MSG_OOB),
	SEND(MSG_ZEROCOPY), SEND(MSG_FASTOPEN),
	{ "send of nothing", do_send_nothing, ALL },
	{ "sendmmsg", do_sendmmsg, ALL },
	{ "sendto an address", do_sendto, ALL },
	{ "sendmsg SCM_RIGHTS", do_send_fd, ALL },
	{ "splice to", do_splice_to, ALL },
	{ "vmsplice to", do_vmsplice_to, ALL },
	{ "sendfile to", do_sendfile, ALL },
	{ "connect AF_UNSPEC", do_disconnect, ALL },
	{ "connect", do_connect, ALL },
	{ "bind", do_bind, ALL },
	{ "listen", do_listen, ALL },
	{ "accept", do_accept, ALL },
	SHUT(SHUT_RD), SHUT(SHUT_WR), SHUT(SHUT_RDWR),
	SET_TO(ALL, SOL_SOCKET, SO_RCVLOWAT, many),
	SET_TO(ALL, SOL_SOCKET, SO_LINGER, reset_at_close),
	SET_TO(ALL, SOL_SOCKET, SO_LINGER, wait_for_ever),
	SET_TO(ALL, SOL_SOCKET, SO_ATTACH_FILTER, drop_all),
	SET(ALL, SOL_SOCKET, SO_RCVBUF), SET(ALL, SOL_SOCKET, SO_SNDBUF),
	SET(ALL, SOL_SOCKET, SO_OOBINLINE), SET(ALL, SOL_SOCKET, SO_KEEPALIVE),
	SET(ALL, SOL_SOCKET, SO_DONTROUTE), SET(ALL, SOL_SOCKET, SO_PASSCRED),
	SET(ALL, SOL_SOCKET, SO_TIMESTAMPNS), SET(ALL, SOL_SOCKET, SO_PEEK_OFF),
	SET(ALL, SOL_SOCKET, SO_ZEROCOPY), SET(ALL, SOL_SOCKET, SO_MAX_PACING_RATE),
	SET(ALL, SOL_SOCKET, SO_REUSEPORT), SET(ALL, SOL_SOCKET, SO_MARK),
	SET(TCP, SOL_IP, IP_TOS), SET(TCP, SOL_IP, IP_RECVERR), SET(TCP, SOL_IPV6, IPV6_RECVERR),
	SET(TCP, SOL_IPV6, IPV6_ADDRFORM),
	SET(TCP, SOL_TCP, TCP_NODELAY), SET(TCP, SOL_TCP, TCP_CORK), SET(TCP, SOL_TCP, TCP_REPAIR),
	SET(TCP, SOL_TCP, TCP_WINDOW_CLAMP), SET(TCP, SOL_TCP, TCP_USER_TIMEOUT),
	SET(TCP, SOL_TCP, TCP_MAXSEG), SET(TCP, SOL_TCP, TCP_LINGER2), SET(TCP, SOL_TCP, TCP_INQ),
	SET_TO(TCP, SOL_TCP, TCP_ULP, tls), SET_TO(TCP, SOL_TCP, TCP_CONGESTION, reno),
	SET_TO(TCP, SOL_TCP, TCP_MD5SIG, md5), SET_TO(TCP, SOL_TLS, TLS_TX, ktls),
	GET(SOL_TCP, TCP_INFO, 0), GET(SOL_TCP, TCP_ULP, 16), GET(SOL_TCP, TCP_CONGESTION, 16),
	GET(SOL_TCP, TCP_NODELAY, 4), GET(SOL_TCP, TCP_ZEROCOPY_RECEIVE, 64),
	GET(SOL_IP, IP_TOS, 4), GET(SOL_IPV6, IPV6_V6ONLY, 4), GET(SOL_TLS, TLS_TX, 40),
	IOCTL(SIOCINQ), IOCTL(SIOCOUTQ), IOCTL(SIOCATMARK), IOCTL(SIOCOUTQNSD),
	COMMAND(SOCKET_URING_OP_SIOCINQ), COMMAND(SOCKET_URING_OP_SIOCOUTQ),
};

#define CALLS		((int)(sizeof(calls) / sizeof(*calls)))

/* ---- relays -------------------------------------------------------------------- */

enum side { TLS, PLAIN, SIDES };

FIXTURE(owned)
{
	struct pair p;
	int held[SIDES];	/* descriptors of the relay's own sockets */
	int plain;		/* the other end of the plain one */
	int *results;		/* [SIDES][CALLS], which a child may write */
};

FIXTURE_VARIANT(owned)
{
	int family, plain_family;
	bool late;		/* RELAY_NEW, not SESSION_NEW with a relay */
};

FIXTURE_VARIANT_ADD(owned, v4) { .family = AF_INET, .plain_family = AF_INET };
FIXTURE_VARIANT_ADD(owned, v6) { .family = AF_INET6, .plain_family = AF_INET6 };
FIXTURE_VARIANT_ADD(owned, local) { .family = AF_INET, .plain_family = AF_UNIX };
FIXTURE_VARIANT_ADD(owned, late) { .family = AF_INET, .plain_family = AF_INET, .late = true };

typedef FIXTURE_DATA(owned) owned_data;
typedef FIXTURE_VARIANT(owned) owned_variant;

FIXTURE_SETUP(owned)
{
	signal(SIGPIPE, SIG_IGN);
	ASSERT_TRUE(net_namespace());
	self->results = mmap(NULL, sizeof(int) * SIDES * CALLS, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->results);
}

FIXTURE_TEARDOWN(owned)
{
	munmap(self->results, sizeof(int) * SIDES * CALLS);
}

static int relay_keys(struct pair *p, int plain, bool late)
{
	if (!late)
		return pair_join(p, plain);
	return pair_install(p) ? : tg_relay_new(p->tg, p->fd, plain, -1);
}

static bool relay_start(owned_data *self, const owned_variant *variant)
{
	int fd[2];

	if (!pair_connect(&self->p, 0x0304, 0x1301, variant->family) ||
	    net_pair(variant->plain_family, fd))
		return false;
	self->held[TLS] = self->p.fd;
	self->held[PLAIN] = fd[0];
	self->plain = fd[1];
	for (int side = 0; side < SIDES; side++)
		net_timeouts(self->held[side], PATIENCE);
	return !relay_keys(&self->p, fd[0], variant->late);
}

/* In order, both ways.  False: it does not come to its end. */
static bool relay_end(owned_data *self)
{
	peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY);
	shutdown(self->p.peer.fd, SHUT_WR);
	shutdown(self->plain, SHUT_WR);
	return net_until(pair_gone, &self->p);
}

/* Of plaintext for a TLS peer that does not read, until there is no room left anywhere. */
static void fill(owned_data *self)
{
	static const uint8_t data[BULK];
	int size = 8192;

	setsockopt(self->p.peer.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	net_fill(self->plain, data, sizeof(data), SIZE_MAX, NET_QUIET);
}

static void relay_free(owned_data *self)
{
	close(self->held[PLAIN]);
	close(self->plain);
	pair_free(&self->p);
}

/*
 * Before 6.7 nobody but the kernel itself deals with SOL_SOCKET.  What an option
 * does there is undone or without effect, but for a filter of one's own.
 */
static bool kernel_takes(const struct call *c)
{
	return c->run == do_setsockopt && c->level == SOL_SOCKET && task_takes_sol_socket();
}

static enum kinds kind_of(const owned_variant *variant, enum side side)
{
	return side == PLAIN && variant->plain_family == AF_UNIX ? LOCAL : TCP;
}

/* ---- one call at a time ------------------------------------------------------------ */

static void call_both(owned_data *self, const owned_variant *variant, int row, int *results)
{
	for (int side = 0; side < SIDES; side++) {
		int err = -EBUSY;

		if (calls[row].kinds & kind_of(variant, side))
			err = calls[row].run(self->held[side], &calls[row]);
		results[side] = kernel_takes(&calls[row]) ? -EBUSY : err;
	}
}

static void call_as_other(owned_data *self, const owned_variant *variant, int row, int *results)
{
	pid_t child;

	results[TLS] = results[PLAIN] = 0;
	child = fork();
	if (!child) {
		if (task_become(TASK_OTHER))
			call_both(self, variant, row, results);
		_exit(0);
	}
	task_wait(child, NET_DEADLINE);
}

#define ALL_REFUSED(when, who) do {						\
	for (int side = 0; side < SIDES; side++) {				\
		EXPECT_EQ(-EBUSY, self->results[side])				\
			TH_LOG("%s, %s, on the %s socket, %s: %s", calls[row].name, who, \
			       side == TLS ? "TLS" : "plain", when,		\
			       self->results[side] ? strerror(-self->results[side]) : "taken"); \
	}									\
} while (0)

TEST_F_TIMEOUT(owned, each_call_is_refused, 300)
{
	const char *why;

	for (int row = 0; row < CALLS; row++) {
		if (kernel_takes(&calls[row]))
			TH_LOG("%s: this kernel does not ask the module", calls[row].name);
		ASSERT_TRUE(relay_start(self, variant)) TH_LOG("%s", self->p.tg->ack.msg);
		call_both(self, variant, row, self->results);
		ALL_REFUSED("relayed", "its user");
		call_as_other(self, variant, row, self->results);
		ALL_REFUSED("relayed", "another");
		why = flow_some(&self->p.peer, self->plain);
		EXPECT_EQ(NULL, why) TH_LOG("after %s: %s", calls[row].name, why);
		EXPECT_TRUE(relay_end(self)) TH_LOG("after %s: no end", calls[row].name);
		call_both(self, variant, row, self->results);
		ALL_REFUSED("ended", "its user");
		call_as_other(self, variant, row, self->results);
		ALL_REFUSED("ended", "another");
		relay_free(self);
	}
}

/* ---- all of them, while bytes move ------------------------------------------------------ */

struct intruder {
	owned_data *self;
	const owned_variant *variant;
	bool stop;
	long made, taken;
	const char *name;	/* of one that was taken */
};

static void *intrude(void *arg)
{
	struct intruder *i = arg;
	int results[SIDES];

	while (!__atomic_load_n(&i->stop, __ATOMIC_RELAXED) || i->made < SIDES * CALLS) {
		int row = i->made / SIDES % CALLS;

		i->made += SIDES;
		if (kernel_takes(&calls[row]))
			continue;
		call_both(i->self, i->variant, row, results);
		for (int side = 0; side < SIDES; side++) {
			if (results[side] == -EBUSY)
				continue;
			i->taken++;
			i->name = calls[row].name;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(owned, bytes_move_unharmed_meanwhile, 120)
{
	struct intruder i = { self, variant };
	pthread_t thread;
	const char *why;

	ASSERT_TRUE(relay_start(self, variant)) TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_EQ(0, pthread_create(&thread, NULL, intrude, &i));
	why = flow(&self->p.peer, self->plain, BULK, BULK);
	EXPECT_EQ(NULL, why) TH_LOG("%s", why);
	__atomic_store_n(&i.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, i.taken) TH_LOG("%ld of %ld calls, %s among them", i.taken, i.made, i.name);
	EXPECT_TRUE(relay_end(self));
	relay_free(self);
}

/* ---- waiting for it ------------------------------------------------------------------------ */

#define EVENTS		(EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP)

static int epoll_on(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	return epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -1 : epoll;
}

/* Events of one wake-up within ms, 0: none. */
static uint32_t epoll_woken(int epoll, int ms)
{
	struct epoll_event event = { };

	return epoll_wait(epoll, &event, 1, ms) == 1 ? event.events : 0;
}

/*
 * Nothing, to who began to wait before and after: an event loop that closed its
 * descriptor still has the entry, since the relay keeps the file, and must not
 * spin on it.
 */
TEST_F(owned, poll_tells_nothing)
{
	static const uint32_t modes[] = { EPOLLET, 0 };
	int epolls[SIDES][4];
	int fd[2], n = 0;

	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, variant->family));
	ASSERT_EQ(0, net_pair(variant->plain_family, fd));
	self->held[TLS] = self->p.fd;
	self->held[PLAIN] = fd[0];
	self->plain = fd[1];
	for (; n < 2; n++) {
		for (int side = 0; side < SIDES; side++) {
			epolls[side][n] = epoll_on(self->held[side], EVENTS | modes[n]);
			ASSERT_LE(0, epolls[side][n]);
			EXPECT_EQ(EPOLLOUT, epoll_woken(epolls[side][n], 0));
		}
	}
	ASSERT_EQ(0, relay_keys(&self->p, fd[0], variant->late));
	for (; n < 4; n++) {
		for (int side = 0; side < SIDES; side++) {
			epolls[side][n] = epoll_on(self->held[side], EVENTS | modes[n - 2]);
			ASSERT_LE(0, epolls[side][n]);
		}
	}
	EXPECT_EQ(NULL, flow(&self->p.peer, self->plain, BULK, BULK));
	for (int round = 0; round < 2; round++) {
		for (int side = 0; side < SIDES; side++) {
			EXPECT_EQ(0, net_poll(self->held[side], POLLIN | POLLOUT | POLLPRI, 0));
			for (int i = 0; i < n; i++)
				EXPECT_EQ(0, epoll_woken(epolls[side][i], round ? NET_QUIET : 0));
		}
		if (!round)
			EXPECT_TRUE(relay_end(self));
	}
	for (int i = 0; i < n; i++) {
		close(epolls[TLS][i]);
		close(epolls[PLAIN][i]);
	}
	relay_free(self);
}

/* ---- other kernel users ------------------------------------------------------------------------ */

TEST_F(owned, sockmap_is_refused)
{
	int map = sockmap_new();

	if (map < 0)
		SKIP(return, "this kernel has no sockmap: %s", strerror(errno));
	ASSERT_TRUE(relay_start(self, variant));
	EXPECT_EQ(-1, sockmap_add(map, self->held[TLS]));
	EXPECT_EQ(-1, sockmap_add(map, self->held[PLAIN]));
	EXPECT_EQ(NULL, flow_some(&self->p.peer, self->plain));
	EXPECT_TRUE(relay_end(self));
	EXPECT_EQ(-1, sockmap_add(map, self->held[TLS]));
	EXPECT_EQ(-1, sockmap_add(map, self->held[PLAIN]));
	relay_free(self);
	close(map);
}

#define KCM_FAMILY	41
#define KCM_ATTACH	SIOCPROTOPRIVATE

/* A parser that finds no message. */
static int kcm_parser(void)
{
	static const struct bpf_insn none[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insns = (unsigned long)none,
		.insn_cnt = 2, .license = (unsigned long)"GPL",
	};

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int kcm_attach(int kcm, int fd, int parser)
{
	struct { int fd, bpf_fd; } attach = { fd, parser };

	return ioctl(kcm, KCM_ATTACH, &attach);
}

TEST_F(owned, kcm_is_refused)
{
	int kcm, parser = kcm_parser();

	if (system("modprobe -q kcm 2>/dev/null"))
		TH_LOG("no module kcm");
	kcm = socket(KCM_FAMILY, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (kcm < 0 || parser < 0)
		SKIP(return, "this kernel has no KCM: %s", strerror(errno));
	ASSERT_TRUE(relay_start(self, variant));
	EXPECT_EQ(-1, kcm_attach(kcm, self->held[TLS], parser));
	EXPECT_EQ(-1, kcm_attach(kcm, self->held[PLAIN], parser));
	EXPECT_EQ(NULL, flow_some(&self->p.peer, self->plain));
	EXPECT_TRUE(relay_end(self));
	EXPECT_EQ(-1, kcm_attach(kcm, self->held[TLS], parser));
	EXPECT_EQ(-1, kcm_attach(kcm, self->held[PLAIN], parser));
	relay_free(self);
	close(parser);
	close(kcm);
}

/*
 * Of io_uring, which finds TCP by the struct proto: while bytes wait in either socket, since
 * the TLS peer does not read.
 */
TEST_F(owned, zero_copy_receive_is_refused)
{
	if (!zcrx_open())
		SKIP(return, "this kernel has no zero-copy receive without a device: %s",
		     strerror(errno));
	ASSERT_TRUE(relay_start(self, variant));
	fill(self);
	EXPECT_EQ(-EPROTONOSUPPORT, zcrx_recv(self->held[TLS]));
	EXPECT_EQ(-EPROTONOSUPPORT, zcrx_recv(self->held[PLAIN]));
	EXPECT_EQ(0, tg_session_del(self->p.tg, BY_ID(self->p.id), TLSGATE_CLOSE_RESET));
	EXPECT_EQ(-EPROTONOSUPPORT, zcrx_recv(self->held[TLS]));
	EXPECT_EQ(-EPROTONOSUPPORT, zcrx_recv(self->held[PLAIN]));
	relay_free(self);
	zcrx_close();
}

/* ---- children ----------------------------------------------------------------------------------- */

/*
 * The way in that a listener was: the plain socket, whose peer has ended its
 * side while bytes wait in it, is shut down, disconnected and made to listen.
 */
TEST_F(owned, plain_socket_becomes_no_listener)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	if (variant->plain_family == AF_UNIX)
		SKIP(return, "a UNIX socket cannot be disconnected");
	ASSERT_TRUE(relay_start(self, variant));
	fill(self);
	ASSERT_EQ(0, shutdown(self->plain, SHUT_WR));
	EXPECT_EQ(-1, shutdown(self->held[PLAIN], SHUT_WR));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(-1, connect(self->held[PLAIN], &none, sizeof(none)));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(-1, listen(self->held[PLAIN], 8));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(-1, net_connect_to(self->held[PLAIN]));
	EXPECT_EQ(0, tg_session_del(self->p.tg, BY_ID(self->p.id), TLSGATE_CLOSE_RESET));
	EXPECT_EQ(-1, listen(self->held[PLAIN], 8));
	EXPECT_EQ(EBUSY, errno);
	relay_free(self);
}

TEST_HARNESS_MAIN
