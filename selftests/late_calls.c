// SPDX-License-Identifier: MIT
/*
 * A call on a relay's socket that has begun before the hand-over, and goes on after
 * it: it has its socket's calls already, but not all of its argument.  What it sets
 * must hold up nobody else.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

#define MANY		150000	/* bytes that TCP has room for, and the peer has not */
#define OTHERS		3	/* relays that end after it */

FIXTURE(late)
{
	struct pair p, other;
	int plain[2];
	struct trap trap;
	pthread_t thread;
	int result;
};

typedef FIXTURE_DATA(late) late_data;

FIXTURE_SETUP(late)
{
	int small = 4096;

	signal(SIGPIPE, SIG_IGN);
	if (!trap_new(&self->trap))
		SKIP(return, "this kernel has no userfaultfd");
	ASSERT_TRUE(net_namespace());
	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, AF_INET));
	ASSERT_EQ(0, net_tcp_pair(AF_INET, self->plain));
	setsockopt(self->p.peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
}

FIXTURE_TEARDOWN(late)
{
	trap_free(&self->trap);
}

/* SO_LINGER, whose value the kernel waits for. */
static void *linger_thread(void *arg)
{
	late_data *self = arg;

	self->result = setsockopt(self->p.fd, SOL_SOCKET, SO_LINGER, self->trap.page,
				  sizeof(struct linger));
	return NULL;
}

static bool relay_start(struct pair *p, int plain)
{
	struct tg_install in = tg_install_on(p->fd, &p->tx, &p->rx);

	in.relay_fd = plain;
	if (tg_session_new(p->tg, &in, &p->id))
		return false;
	close(p->fd);
	close(plain);
	p->fd = -1;
	return true;
}

static bool session_gone(void *arg)
{
	struct pair *p = arg;
	struct tg_info info;

	return tg_session_get(p->tg, BY_ID(p->id), &info) == -ENOENT;
}

static bool far_end_is_closed(void *arg)
{
	return send(*(int *)arg, "x", 1, MSG_NOSIGNAL) < 0 && (errno == EPIPE || errno == ECONNRESET);
}

/* A relay that its peer ends, so that a work closes it: its far end hears of that. */
static bool other_is_closed(void)
{
	struct pair p;
	int plain[2];

	if (!pair_connect(&p, 0x0304, 0x1301, AF_INET) || net_unix_pair(plain) ||
	    !relay_start(&p, plain[0]))
		return false;
	net_reset(p.peer.fd);
	return net_until(far_end_is_closed, &plain[1]);
}

/*
 * Relays are closed by a worker that closes files for the whole machine: were it to
 * linger for one whose peer does not read, no other relay's sockets would be closed.
 */
TEST_F_TIMEOUT(late, linger_holds_up_nobody, 60)
{
	static const struct linger wait_long = { .l_onoff = 1, .l_linger = 1000 };
	static const uint8_t data[MANY];

	ASSERT_EQ(0, pthread_create(&self->thread, NULL, linger_thread, self));
	ASSERT_TRUE(trap_holds(&self->trap));
	/* The late call keeps the file for itself. */
	ASSERT_TRUE(relay_start(&self->p, self->plain[0]));
	trap_answer_with(&self->trap, &wait_long, sizeof(wait_long));
	ASSERT_EQ(0, pthread_join(self->thread, NULL));

	ASSERT_EQ(MANY, send(self->plain[1], data, MANY, 0));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	ASSERT_EQ(0, shutdown(self->plain[1], SHUT_WR));
	ASSERT_TRUE(net_until(session_gone, &self->p));

	/* The first may yet be closed together with it, and before it. */
	for (int i = 0; i < OTHERS; i++)
		ASSERT_TRUE(other_is_closed());
}

/* The same of a value that lies in two pages: once it has the first, it holds the lock. */
static void *lock_thread(void *arg)
{
	late_data *self = arg;

	self->result = setsockopt(self->plain[0], SOL_SOCKET, SO_LINGER,
				  self->trap.page + TRAP_SIZE - sizeof(int),
				  sizeof(struct linger));
	return NULL;
}

static bool is_asked_to_end(void *arg)
{
	struct pair *p = arg;
	int err = tg_session_del(p->tg, BY_ID(p->id), TLSGATE_CLOSE_RESET);

	return err == -ENOENT || err == -ENOTCONN;
}

/* A command by netlink returns, though nobody gets the plain socket's lock. */
TEST_F_TIMEOUT(late, lock_holds_up_no_command, 60)
{
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, lock_thread, self));
	ASSERT_TRUE(trap_holds(&self->trap));
	/* The late call keeps the file for itself. */
	ASSERT_TRUE(relay_start(&self->p, self->plain[0]));
	ASSERT_TRUE(trap_holds_second(&self->trap));

	EXPECT_TRUE(net_until(is_asked_to_end, &self->p));
	trap_answer_second(&self->trap);
	ASSERT_EQ(0, pthread_join(self->thread, NULL));
	EXPECT_TRUE(net_until(far_end_is_closed, &self->plain[1]));
}

/* ---- a receive on a UNIX socket that was woken, and does not come to run --------------- */

struct idler {
	late_data *late;
	size_t before;		/* bytes that the peer gets before the first record */
	pthread_t thread;
	pid_t tid;
	ssize_t got;
};

static void *idler_thread(void *arg)
{
	static const struct sched_param none;
	struct idler *r = arg;

	if (!sched_setscheduler(0, SCHED_IDLE, &none))
		__atomic_store_n(&r->tid, gettid(), __ATOMIC_RELEASE);
	r->got = recv(r->late->plain[0], r->late->trap.page, 1, 0);
	return NULL;
}

static bool idler_there(void *arg)
{
	return __atomic_load_n((pid_t *)arg, __ATOMIC_ACQUIRE);
}

/* True if the relay was made between its being woken and its running: it has the lock then. */
static bool relay_under(late_data *self, struct idler *r)
{
	struct tg_install in = tg_install_on(self->p.fd, &self->p.tx, &self->p.rx);
	bool made;

	*r = (struct idler){ .late = self, .before = r->before };
	in.relay_fd = self->plain[0];
	if (pthread_create(&r->thread, NULL, idler_thread, r) || !net_until(idler_there, &r->tid) ||
	    !task_sleeps_in(r->tid, SYS_recvfrom))
		return false;
	made = send(self->plain[1], "x", 1, 0) == 1 && !tg_session_new(self->p.tg, &in, &self->p.id);
	if (!trap_holds(&self->trap) || made)
		return made;
	trap_answer(&self->trap);
	pthread_join(r->thread, NULL);
	trap_set(&self->trap);
	return false;
}

static void pin(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

#define TRIES		50

/* Until there is no room any more, and none comes.  Bytes sent. */
static size_t stuff(int fd)
{
	static const uint8_t data[MANY];
	size_t all = 0;
	int small = 4096;
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	do {
		n = send(fd, data, sizeof(data), MSG_DONTWAIT);
		all += n > 0 ? n : 0;
	} while (n > 0 || !net_quiet(fd, POLLOUT));
	return all;
}

/* What makes room for records again. */
static bool unstuff(int fd, size_t all)
{
	uint8_t data[4096];
	ssize_t n = 1;

	for (; all && n > 0; all -= n)
		n = recv(fd, data, all < sizeof(data) ? all : sizeof(data), 0);
	return !all;
}

static bool late_reader(late_data *self, struct idler *r)
{
	/* The first one of a user sleeps, until there is a queue. */
	if (!pair_connect(&self->other, 0x0304, 0x1301, AF_INET) ||
	    !relay_start(&self->other, self->plain[0]))
		return false;
	pin();
	if (net_unix_pair(self->plain))
		return false;
	/* There is no room for a record: the relay leaves the byte to the reader. */
	*r = (struct idler){ .before = stuff(self->p.fd) };
	for (int i = 0; i < TRIES; i++)
		if (relay_under(self, r))
			return true;
	return false;
}

/* The relay ends, though nobody may receive from its plain socket. */
TEST_F_TIMEOUT(late, reader_is_in_no_ends_way, 60)
{
	struct idler r;

	ASSERT_TRUE(late_reader(self, &r)) TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_TRUE(unstuff(self->p.peer.fd, r.before));
	ASSERT_EQ(2, send(self->plain[1], "yz", 2, 0));
	EXPECT_TRUE(net_until(is_asked_to_end, &self->p));
	EXPECT_TRUE(net_until(session_gone, &self->p));
	trap_answer(&self->trap);
	ASSERT_EQ(0, pthread_join(r.thread, NULL));
}

/* And it goes on behind what the reader took. */
TEST_F_TIMEOUT(late, reader_is_waited_for, 60)
{
	struct idler r;
	char got[2];

	ASSERT_TRUE(late_reader(self, &r)) TH_LOG("%s", self->p.tg->ack.msg);
	ASSERT_TRUE(unstuff(self->p.peer.fd, r.before));
	ASSERT_EQ(2, send(self->plain[1], "yz", 2, 0));
	trap_answer(&self->trap);
	ASSERT_EQ(0, pthread_join(r.thread, NULL));
	EXPECT_EQ(1, r.got);
	ASSERT_TRUE(peer_recv_data(&self->p.peer, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(got, "yz", sizeof(got)));
}

TEST_HARNESS_MAIN
