// SPDX-License-Identifier: MIT
/*
 * Calls under way when keys and relays come.  Who sleeps in a call on either
 * socket, or holds or waits for its lock, makes SESSION_NEW and RELAY_NEW answer
 * EBUSY at once, and nothing is installed; who waits in epoll does not count.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/task.h"

#define BIG		(16 << 20)	/* more than a socket and its other end can hold */
#define AT_ONCE		2000		/* ms that an answer may take on a slow machine */

/* ---- calls under way ------------------------------------------------------------ */

struct sleeper {
	const struct call *call;
	pthread_t thread;
	pid_t tid;		/* 0: not yet there */
	int fd;
	struct trap *trap;
	uint8_t *big;
	ssize_t result;
};

struct call {
	const char *name;
	ssize_t (*run)(struct sleeper *s);
	long nr;		/* of the system call it sleeps in */
	bool trapped;		/* in a page fault there */
	bool data;		/* the other end has sent two bytes before */
	bool tcp_only;
	bool counts;		/* it is in the way of keys */
};

static ssize_t run_recv(struct sleeper *s)
{
	char c;

	return recv(s->fd, &c, 1, 0);
}

static ssize_t run_recv_all(struct sleeper *s)
{
	char buf[64];

	return recv(s->fd, buf, sizeof(buf), MSG_WAITALL);
}

static ssize_t run_peek_all(struct sleeper *s)
{
	char buf[64];

	return recv(s->fd, buf, sizeof(buf), MSG_WAITALL | MSG_PEEK);
}

static ssize_t run_read(struct sleeper *s)
{
	char c;

	return read(s->fd, &c, 1);
}

static ssize_t run_splice(struct sleeper *s)
{
	int pipefd[2];
	ssize_t n;

	if (pipe(pipefd))
		return -1;
	n = splice(s->fd, NULL, pipefd[1], NULL, 1, 0);
	close(pipefd[0]);
	close(pipefd[1]);
	return n;
}

static ssize_t run_write(struct sleeper *s)
{
	return write(s->fd, s->big, BIG);
}

static ssize_t run_sendfile(struct sleeper *s)
{
	int file = memfd_create("big", MFD_CLOEXEC);
	ssize_t n = -1;

	if (!ftruncate(file, BIG))
		n = sendfile(s->fd, file, NULL, BIG);
	close(file);
	return n;
}

static ssize_t run_recv_trap(struct sleeper *s)
{
	return recv(s->fd, s->trap->page, 1, 0);
}

static ssize_t run_peek_trap(struct sleeper *s)
{
	return recv(s->fd, s->trap->page, 1, MSG_PEEK);
}

static ssize_t run_send_trap(struct sleeper *s)
{
	return send(s->fd, s->trap->page, 1, MSG_NOSIGNAL);
}

static const struct timespec patience = { .tv_sec = NET_DEADLINE / 1000 };

static ssize_t run_poll(struct sleeper *s)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };

	return ppoll(&pfd, 1, &patience, NULL);
}

static ssize_t run_select(struct sleeper *s)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(s->fd, &set);
	return pselect(s->fd + 1, &set, NULL, NULL, &patience, NULL);
}

static ssize_t run_epoll(struct sleeper *s)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	ssize_t n = epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event);

	if (!n)
		n = epoll_pwait(epoll, &event, 1, NET_DEADLINE, NULL);
	close(epoll);
	return n;
}

static ssize_t run_uring_poll(struct sleeper *s)
{
	struct io_uring_params params = { };
	struct io_uring_sqe *sqes;
	int ring = syscall(SYS_io_uring_setup, 1, &params);
	uint8_t *sq;
	long n;

	if (ring < 0)
		return -1;
	sq = mmap(NULL, params.sq_off.array + 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		  ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		    ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqes == MAP_FAILED)
		return -1;
	*sqes = (struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD, .fd = s->fd,
				       .poll32_events = POLLIN };
	*(uint32_t *)(sq + params.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(sq + params.sq_off.tail), 1, __ATOMIC_RELEASE);
	n = syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	close(ring);
	munmap(sq, params.sq_off.array + 4);
	munmap(sqes, sizeof(*sqes));
	return n;
}

static const struct call calls[] = {
	{ "recv", run_recv, SYS_recvfrom, .counts = true },
	{ "read", run_read, SYS_read, .counts = true },
	{ "recv MSG_WAITALL, half done", run_recv_all, SYS_recvfrom, .data = true, .counts = true },
	{ "recv MSG_WAITALL | MSG_PEEK", run_peek_all, SYS_recvfrom, .data = true, .tcp_only = true,
	  .counts = true },
	{ "splice", run_splice, SYS_splice, .counts = true },
	{ "write", run_write, SYS_write, .counts = true },
	{ "sendfile", run_sendfile, SYS_sendfile, .counts = true },
	{ "recv in a page fault", run_recv_trap, SYS_recvfrom, .trapped = true, .data = true,
	  .counts = true },
	{ "recv MSG_PEEK in a page fault", run_peek_trap, SYS_recvfrom, .trapped = true,
	  .data = true, .counts = true },
	{ "send in a page fault", run_send_trap, SYS_sendto, .trapped = true, .tcp_only = true,
	  .counts = true },
	{ "poll", run_poll, SYS_ppoll, .counts = true },
	{ "select", run_select, SYS_pselect6, .counts = true },
	{ "epoll_wait", run_epoll, SYS_epoll_pwait },
	{ "io_uring's poll", run_uring_poll, SYS_io_uring_enter, .counts = true },
};

#define CALLS		((int)(sizeof(calls) / sizeof(*calls)))

static void interrupted(int sig)
{
}

static void *sleeper_thread(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	s->result = s->call->run(s);
	return NULL;
}

static bool sleeper_there(void *arg)
{
	return __atomic_load_n((pid_t *)arg, __ATOMIC_ACQUIRE);
}

/* True once it sleeps where it is to sleep. */
static bool sleeper_start(struct sleeper *s)
{
	s->tid = 0;
	return !pthread_create(&s->thread, NULL, sleeper_thread, s) &&
	       net_until(sleeper_there, &s->tid) && task_sleeps_in(s->tid, s->call->nr) &&
	       (!s->call->trapped || trap_holds(s->trap));
}

/* ---- sockets --------------------------------------------------------------------- */

enum side { TLS, PLAIN, SIDES };

FIXTURE(busy)
{
	struct pair p;
	int plain[2];		/* the relay's, the other end */
	uint8_t *big;
};

FIXTURE_VARIANT(busy)
{
	enum pair_command command;
	enum side side;		/* on which somebody sleeps */
	int plain_family;
};

#define BUSY(name, ...)	FIXTURE_VARIANT_ADD(busy, name) { __VA_ARGS__ };
BUSY(keys, PAIR_KEYS, TLS, AF_INET)
BUSY(keys_and_relay, PAIR_KEYS_AND_RELAY, TLS, AF_INET)
BUSY(keys_and_relay_plain, PAIR_KEYS_AND_RELAY, PLAIN, AF_INET)
BUSY(keys_and_relay_plain6, PAIR_KEYS_AND_RELAY, PLAIN, AF_INET6)
BUSY(keys_and_relay_local, PAIR_KEYS_AND_RELAY, PLAIN, AF_UNIX)
BUSY(relay, PAIR_RELAY, TLS, AF_INET)
BUSY(relay_plain, PAIR_RELAY, PLAIN, AF_INET)
BUSY(relay_local, PAIR_RELAY, PLAIN, AF_UNIX)

typedef FIXTURE_DATA(busy) busy_data;

FIXTURE_SETUP(busy)
{
	struct sigaction interrupt = { .sa_handler = interrupted };

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGUSR1, &interrupt, NULL);
	self->big = calloc(1, BIG);
	ASSERT_NE(NULL, self->big);
	ASSERT_TRUE(net_namespace());
}

FIXTURE_TEARDOWN(busy)
{
	free(self->big);
}

static bool sockets_connect(busy_data *self, enum pair_command command, int plain_family)
{
	return pair_connect(&self->p, 0x0304, 0x1301, AF_INET) &&
	       !net_pair(plain_family, self->plain) &&
	       (command != PAIR_RELAY || !pair_install(&self->p));
}

static void sockets_free(busy_data *self)
{
	for (int i = 0; i < 2; i++) {
		if (self->plain[i] >= 0)
			close(self->plain[i]);
	}
	pair_free(&self->p);
}

/* Two bytes for who receives on this side. */
static bool sockets_feed(busy_data *self, enum pair_command command, enum side side)
{
	if (side == PLAIN)
		return send(self->plain[1], "zz", 2, 0) == 2;
	if (command == PAIR_RELAY)
		return !peer_send(&self->p.peer, REF_DATA, "zz", 2);
	return send(self->p.peer.fd, "zz", 2, 0) == 2;
}

/* ---- the command, which may hang -------------------------------------------------- */

struct asked {
	busy_data *self;
	enum pair_command command;
	pthread_t thread;
	bool done;
	int err;
};

static void *asked_thread(void *arg)
{
	struct asked *a = arg;

	a->err = pair_give(&a->self->p, a->command, a->self->plain[0]);
	__atomic_store_n(&a->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool asked_done(void *arg)
{
	return __atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE);
}

/* True if the answer came while the sleeper slept. */
static bool ask(struct asked *a)
{
	uint64_t began = net_now();

	a->done = false;
	return !pthread_create(&a->thread, NULL, asked_thread, a) &&
	       net_until(asked_done, &a->done) && net_now() - began < AT_ONCE;
}

/* Whoever still sleeps gets what it waits for. */
static void wake(busy_data *self, struct sleeper *s, struct asked *a)
{
	trap_answer(s->trap);
	pthread_join(a->thread, NULL);
	/* The far ends, so that no close of ours is among what races. */
	shutdown(self->p.peer.fd, SHUT_RDWR);
	shutdown(self->plain[1], SHUT_RDWR);
	net_reset(self->p.peer.fd);
	self->p.peer.fd = -1;
	net_reset(self->plain[1]);
	self->plain[1] = -1;
	/* Nothing of a relay's sockets wakes who polls on them. */
	pthread_kill(s->thread, SIGUSR1);
	pthread_join(s->thread, NULL);
}

static bool applies(const struct call *c, enum pair_command command, enum side side, int plain_family)
{
	return !(side == PLAIN && plain_family == AF_UNIX && c->tcp_only);
}

TEST_F_TIMEOUT(busy, calls_under_way, 300)
{
	struct tg_info info;
	struct trap trap;

	for (int i = 0; i < CALLS; i++) {
		const struct call *c = &calls[i];
		struct sleeper s = { .call = c, .trap = &trap, .big = self->big };
		struct asked a = { .self = self, .command = variant->command };
		int want = c->counts ? -EBUSY : 0;

		if (!applies(c, variant->command, variant->side, variant->plain_family))
			continue;
		if (!trap_new(&trap))
			SKIP(return, "this kernel has no userfaultfd");
		ASSERT_TRUE(sockets_connect(self, variant->command, variant->plain_family));
		s.fd = variant->side == TLS ? self->p.fd : self->plain[0];
		if (c->data)
			ASSERT_TRUE(sockets_feed(self, variant->command, variant->side));
		ASSERT_TRUE(sleeper_start(&s)) TH_LOG("%s: does not sleep", c->name);
		EXPECT_TRUE(ask(&a)) TH_LOG("%s: no answer while it sleeps", c->name);
		if (a.done) {
			EXPECT_EQ(want, a.err) TH_LOG("%s: %s", c->name, self->p.tg->ack.msg);
			EXPECT_TRUE(!want || self->p.tg->ack.msg[0])
				TH_LOG("%s: refused without a word", c->name);
			if (want && variant->command != PAIR_RELAY)
				EXPECT_EQ(-ENOENT, tg_session_get(self->p.tg, BY_FD(self->p.fd),
								  &info))
					TH_LOG("%s: half installed", c->name);
		}
		wake(self, &s, &a);
		sockets_free(self);
		trap_free(&trap);
	}
}

/* The lock's holder is in a page fault, and another waits for the lock. */
TEST_F(busy, a_queue_for_the_lock)
{
	static const struct call holder = { "holder", run_recv_trap, SYS_recvfrom, true };
	static const struct call waiter = { "waiter", run_recv, SYS_recvfrom };
	struct trap trap;
	struct sleeper s[] = {
		{ .call = &holder, .trap = &trap }, { .call = &waiter, .trap = &trap },
	};
	struct asked a = { .self = self, .command = variant->command };

	if (!trap_new(&trap))
		SKIP(return, "this kernel has no userfaultfd");
	ASSERT_TRUE(sockets_connect(self, variant->command, variant->plain_family));
	ASSERT_TRUE(sockets_feed(self, variant->command, variant->side));
	for (int i = 0; i < 2; i++) {
		s[i].fd = variant->side == TLS ? self->p.fd : self->plain[0];
		ASSERT_TRUE(sleeper_start(&s[i]));
	}
	EXPECT_TRUE(ask(&a)) TH_LOG("no answer while they sleep");
	if (a.done)
		EXPECT_EQ(-EBUSY, a.err) TH_LOG("%s", self->p.tg->ack.msg);
	wake(self, &s[1], &a);
	pthread_join(s[0].thread, NULL);
	sockets_free(self);
	trap_free(&trap);
}

/* A refusal leaves both sockets as they were; once nobody sleeps there, the same is taken. */
TEST_F(busy, taken_once_nobody_sleeps)
{
	static const struct call receive = { "recv", run_recv, SYS_recvfrom };
	struct sleeper s = { .call = &receive };
	char got[2];

	ASSERT_TRUE(sockets_connect(self, variant->command, variant->plain_family));
	s.fd = variant->side == TLS ? self->p.fd : self->plain[0];
	ASSERT_TRUE(sleeper_start(&s));
	EXPECT_EQ(-EBUSY, pair_give(&self->p, variant->command, self->plain[0]));
	ASSERT_TRUE(sockets_feed(self, variant->command, variant->side));
	pthread_join(s.thread, NULL);
	EXPECT_EQ(1, s.result);
	EXPECT_EQ(1, recv(s.fd, got, sizeof(got), 0));
	EXPECT_EQ('z', got[0]);
	ASSERT_EQ(0, pair_give(&self->p, variant->command, self->plain[0]))
		TH_LOG("%s", self->p.tg->ack.msg);
	if (variant->command != PAIR_KEYS)
		EXPECT_EQ(NULL, flow_some(&self->p.peer, self->plain[1]));
	sockets_free(self);
}

TEST_HARNESS_MAIN
