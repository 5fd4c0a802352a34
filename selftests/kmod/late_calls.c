// SPDX-License-Identifier: MIT
/*
 * A socket is handed over only while nobody else has it: neither another descriptor
 * nor a call that has begun, wherever it sleeps.  Nothing of such a call can come to
 * the socket afterwards.  And what a descriptor's holder can still set on a relay's
 * socket holds up nobody else.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/pair.h"
#include "lib/task.h"

#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE 35
#endif

#define MANY		150000	/* bytes that TCP has room for, and the peer has not */
#define OTHERS		3	/* relays that end after it */

FIXTURE(late)
{
	struct pair p;
	int plain[2];
	struct trap trap;
	pthread_t thread;
	int result;
};

typedef FIXTURE_DATA(late) late_data;

FIXTURE_SETUP(late)
{
	signal(SIGPIPE, SIG_IGN);
	if (!trap_new(&self->trap))
		SKIP(return, "this kernel has no userfaultfd");
	ASSERT_TRUE(net_namespace());
	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, AF_INET));
	ASSERT_EQ(0, net_tcp_pair(AF_INET, self->plain));
	ASSERT_EQ(0, net_buffers(self->p.peer.fd, 0, 4096));
}

FIXTURE_TEARDOWN(late)
{
	trap_free(&self->trap);
}

static bool relay_start(struct pair *p, int plain)
{
	if (pair_join(p, plain))
		return false;
	close(p->fd);
	close(plain);
	p->fd = -1;
	return true;
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

	ASSERT_EQ(0, pair_join(&self->p, self->plain[0]));
	/* Linux takes it before 6.7. */
	setsockopt(self->p.fd, SOL_SOCKET, SO_LINGER, &wait_long, sizeof(wait_long));
	close(self->p.fd);
	close(self->plain[0]);

	ASSERT_EQ(MANY, send(self->plain[1], data, MANY, 0));
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_CLOSE_NOTIFY));
	ASSERT_EQ(0, shutdown(self->plain[1], SHUT_WR));
	ASSERT_TRUE(net_until(pair_gone, &self->p));

	/* The first may yet be closed together with it, and before it. */
	for (int i = 0; i < OTHERS; i++)
		ASSERT_TRUE(other_is_closed());
}

/* With a value that lies in two pages: once it has the first, it holds the lock. */
static void *lock_thread(void *arg)
{
	late_data *self = arg;

	int err = setsockopt(self->plain[0], SOL_SOCKET, SO_LINGER,
			     self->trap.page + TRAP_SIZE - sizeof(int), sizeof(struct linger));

	__atomic_store_n(&self->result, err, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_asked_to_end(void *arg)
{
	struct pair *p = arg;
	int err = tg_session_del(p->tg, BY_ID(p->id), TLSGATE_CLOSE_RESET);

	return err == -ENOENT || err == -ENOTCONN;
}

static bool is_refused(void *arg)
{
	return __atomic_load_n((int *)arg, __ATOMIC_ACQUIRE);
}

/* A command by netlink returns, though nobody gets the plain socket's lock (before 6.7). */
TEST_F_TIMEOUT(late, lock_holds_up_no_command, 60)
{
	ASSERT_EQ(0, pair_join(&self->p, self->plain[0]));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, lock_thread, self));
	if (task_takes_sol_socket()) {
		ASSERT_TRUE(trap_holds(&self->trap) && trap_holds_second(&self->trap));
	} else {
		ASSERT_TRUE(net_until(is_refused, &self->result));
	}

	EXPECT_TRUE(net_until(is_asked_to_end, &self->p));
	trap_answer_second(&self->trap);
	ASSERT_EQ(0, pthread_join(self->thread, NULL));
	close(self->plain[0]);
	EXPECT_TRUE(net_until(far_end_is_closed, &self->plain[1]));
}

/* ---- a signal for the socket's owner, and its last close ---------------------------------- */

#define OWNERS		200	/* processes: as long as it takes to look at each one */
#define CLOSES		30	/* KASAN tells of one that comes too early */

struct urgent {
	int fd;
	int sends;		/* so far */
	int enough;
	bool stop;
};

static void *urgent_thread(void *arg)
{
	struct urgent *u = arg;

	while (!__atomic_load_n(&u->stop, __ATOMIC_ACQUIRE)) {
		send(u->fd, "!", 1, MSG_OOB | MSG_NOSIGNAL | MSG_DONTWAIT);
		__atomic_add_fetch(&u->sends, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static bool has_sent(void *arg)
{
	struct urgent *u = arg;

	return __atomic_load_n(&u->sends, __ATOMIC_ACQUIRE) >= u->enough;
}

/* So many processes in a group of their own, which end with the pipe.  Its number, or -1. */
static pid_t owners_fork(int pipefd[2])
{
	pid_t group = 0, child;
	char c;

	if (pipe(pipefd))
		return -1;
	for (int i = 0; i < OWNERS; i++) {
		child = fork();
		if (!child) {
			close(pipefd[1]);
			_exit(read(pipefd[0], &c, 1));
		}
		group = group ?: child;
		if (child < 0 || setpgid(child, group))
			return -1;
	}
	return group;
}

/* The clock looks at once whether anybody else has the UNIX socket, and closes it. */
static bool closed_under_urgent_bytes(struct pair *p, pid_t owners)
{
	struct urgent u = { .enough = 10 };
	pthread_t thread;
	int plain[2];
	bool sent;

	if (!pair_connect(p, 0x0304, 0x1301, AF_INET) || net_unix_pair(plain) ||
	    fcntl(plain[0], F_SETOWN, -owners) || !relay_start(p, plain[0]))
		return false;
	u.fd = plain[1];
	if (pthread_create(&thread, NULL, urgent_thread, &u))
		return false;
	sent = net_until(has_sent, &u);
	/* Any time-out: the clock is set anew. */
	tg_session_set(p->tg, BY_ID(p->id), TLSGATE_A_IDLE_TIMEOUT, 60000, 4);
	u.enough = u.sends + 50;
	sent = sent && net_until(has_sent, &u);
	__atomic_store_n(&u.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	close(plain[1]);
	close(p->peer.fd);
	return sent;
}

/* The far end of a UNIX socket looks for whom to tell of an urgent byte: not in a file that goes. */
TEST_F_TIMEOUT(late, owner_is_told_while_it_is_closed, 120)
{
	int pipefd[2];
	pid_t owners = owners_fork(pipefd);

	ASSERT_GT(owners, 0);
	for (int i = 0; i < CLOSES; i++)
		EXPECT_TRUE(closed_under_urgent_bytes(&self->p, owners));
	close(pipefd[1]);
}

/* Before 6.7 the holder can turn SO_OOBINLINE off again: no urgent byte may leave the stream. */
static bool urgent_bytes_arrive(struct pair *p, int plain[2])
{
	static const int off;
	uint8_t got[400];

	if (pair_join(p, plain[0]))
		return false;
	setsockopt(plain[0], SOL_SOCKET, SO_OOBINLINE, &off, sizeof(off));
	for (int i = 0; i < 400; i++)
		if (send(plain[1], i % 2 ? "y" : "x", 1, MSG_OOB) != 1)
			return false;
	if (!peer_recv_data(&p->peer, got, sizeof(got)))
		return false;
	for (int i = 0; i < 400; i++)
		if (got[i] != (i % 2 ? 'y' : 'x'))
			return false;
	return true;
}

TEST_F_TIMEOUT(late, urgent_bytes_stay_in_the_stream, 60)
{
	int local[2];
	struct pair p;

	EXPECT_TRUE(urgent_bytes_arrive(&self->p, self->plain));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	ASSERT_EQ(0, net_unix_pair(local));
	EXPECT_TRUE(urgent_bytes_arrive(&p, local));
}

/* ---- who else has the socket ------------------------------------------------------------ */

/* Has it until told to let go, and what it does with it then is done when let_go() returns. */
struct other {
	int fd;
	struct trap *trap;
	int pipefd[2];		/* closed: let go */
	int kept;		/* a descriptor, or of a socket that one is on its way in */
	pid_t child;
	pthread_t thread;
	pid_t tid;
	ssize_t result;
};

struct holder {
	const char *name;
	bool (*take)(struct other *o);
	void (*let_go)(struct other *o);
	void *(*call)(void *arg);	/* or a call of another thread, which sleeps */
	bool unix_only, tcp_only;
};

static bool take_dup(struct other *o)
{
	o->kept = dup(o->fd);
	return o->kept >= 0;
}

static void drop_kept(struct other *o)
{
	close(o->kept);
}

static bool take_child(struct other *o)
{
	char c;

	if (pipe(o->pipefd))
		return false;
	o->child = fork();
	if (!o->child) {
		close(o->pipefd[1]);
		_exit(read(o->pipefd[0], &c, 1));
	}
	close(o->pipefd[0]);
	return o->child > 0;
}

static void drop_child(struct other *o)
{
	close(o->pipefd[1]);
	task_wait(o->child, NET_DEADLINE);
}

/* Both descriptors of the way stay open. */
static bool take_on_its_way(struct other *o)
{
	return !socketpair(AF_UNIX, SOCK_STREAM, 0, o->pipefd) && !net_send_fd(o->pipefd[0], o->fd);
}

static void drop_on_its_way(struct other *o)
{
	close(o->pipefd[0]);
	close(o->pipefd[1]);
}

static bool asleep(void *arg)
{
	struct other *o = arg;

	return __atomic_load_n(&o->tid, __ATOMIC_ACQUIRE);
}

static void *call_zerocopy(void *arg)
{
	struct other *o = arg;
	socklen_t len = 64;

	o->result = getsockopt(o->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, o->trap->page, &len);
	return NULL;
}

static void *call_linger(void *arg)
{
	struct other *o = arg;

	o->result = setsockopt(o->fd, SOL_SOCKET, SO_LINGER, o->trap->page, sizeof(struct linger));
	return NULL;
}

static void *call_send(void *arg)
{
	struct other *o = arg;

	o->result = send(o->fd, o->trap->page, 8, MSG_NOSIGNAL);
	return NULL;
}

static void *call_poll(void *arg)
{
	struct other *o = arg;
	struct pollfd fds[] = { { .fd = o->fd, .events = POLLRDHUP }, { .fd = o->pipefd[0] } };

	__atomic_store_n(&o->tid, gettid(), __ATOMIC_RELEASE);
	ppoll(fds, 2, NULL, NULL);
	return NULL;
}

static void drop_trapped(struct other *o)
{
	trap_answer(o->trap);
	pthread_join(o->thread, NULL);
	trap_set(o->trap);
}

static bool take_poll(struct other *o)
{
	return !pipe(o->pipefd) && !pthread_create(&o->thread, NULL, call_poll, o) &&
	       net_until(asleep, o) && task_sleeps_in(o->tid, SYS_ppoll);
}

static void drop_poll(struct other *o)
{
	close(o->pipefd[1]);
	pthread_join(o->thread, NULL);
	close(o->pipefd[0]);
}

static const struct holder holders[] = {
	{ "dup()", take_dup, drop_kept },
	{ "a forked child", take_child, drop_child },
	{ "a descriptor on its way", take_on_its_way, drop_on_its_way },
	{ "poll() of another thread", take_poll, drop_poll },
	{ "zero-copy receive in a page fault", .call = call_zerocopy, .tcp_only = true },
	{ "setsockopt() in a page fault", .call = call_linger },
	{ "send() in a page fault", .call = call_send, .unix_only = true },
};

static bool holder_takes(const struct holder *h, struct other *o)
{
	if (!h->call)
		return h->take(o);
	return !pthread_create(&o->thread, NULL, h->call, o) && trap_holds(o->trap);
}

FIXTURE(had)
{
	late_data late;
};

FIXTURE_VARIANT(had)
{
	enum pair_command command;
	bool plain;		/* the socket that somebody else has */
	int plain_family;
};

FIXTURE_VARIANT_ADD(had, keys) { PAIR_KEYS, false, AF_INET };
FIXTURE_VARIANT_ADD(had, tls) { PAIR_KEYS_AND_RELAY, false, AF_INET };
FIXTURE_VARIANT_ADD(had, plain) { PAIR_KEYS_AND_RELAY, true, AF_INET };
FIXTURE_VARIANT_ADD(had, local) { PAIR_KEYS_AND_RELAY, true, AF_UNIX };
FIXTURE_VARIANT_ADD(had, keyed) { PAIR_RELAY, false, AF_UNIX };
FIXTURE_VARIANT_ADD(had, keyed_plain) { PAIR_RELAY, true, AF_INET };

FIXTURE_SETUP(had)
{
	signal(SIGPIPE, SIG_IGN);
	if (!trap_new(&self->late.trap))
		SKIP(return, "this kernel has no userfaultfd");
	ASSERT_TRUE(net_namespace());
}

FIXTURE_TEARDOWN(had)
{
	trap_free(&self->late.trap);
}

/* Nothing is half done: once nobody else has it, the same is taken, and all bytes are right. */
TEST_F_TIMEOUT(had, by_somebody_else, 120)
{
	late_data *l = &self->late;

	for (size_t i = 0; i < sizeof(holders) / sizeof(*holders); i++) {
		const struct holder *h = &holders[i];
		struct other o = { .trap = &l->trap };
		bool local = variant->plain && variant->plain_family == AF_UNIX;

		/* A keyed socket has no zero-copy receive. */
		if ((h->unix_only && !local) ||
		    (h->tcp_only && (local || (variant->command == PAIR_RELAY && !variant->plain))))
			continue;
		ASSERT_TRUE(pair_connect(&l->p, 0x0304, 0x1301, AF_INET));
		ASSERT_EQ(0, net_pair(variant->plain_family, l->plain));
		if (variant->command == PAIR_RELAY)
			ASSERT_EQ(0, pair_install(&l->p));
		o.fd = variant->plain ? l->plain[0] : l->p.fd;
		ASSERT_TRUE(holder_takes(h, &o)) TH_LOG("%s", h->name);
		EXPECT_EQ(-EBUSY, pair_give(&l->p, variant->command, l->plain[0]))
			TH_LOG("%s", h->name);
		EXPECT_TRUE(l->p.tg->ack.msg[0]) TH_LOG("%s: refused without a word", h->name);
		(h->call ? drop_trapped : h->let_go)(&o);
		/* What was sent before belongs to the stream, before what follows. */
		if (h->call == call_send) {
			char got[8];

			EXPECT_EQ(8, o.result);
			EXPECT_EQ(0, net_read(l->plain[1], got, sizeof(got)));
		}
		EXPECT_EQ(0, pair_give(&l->p, variant->command, l->plain[0]))
			TH_LOG("%s: %s", h->name, l->p.tg->ack.msg);
		if (variant->command != PAIR_KEYS)
			EXPECT_EQ(NULL, flow_some(&l->p.peer, l->plain[1])) TH_LOG("%s", h->name);
		close(l->plain[0]);
		close(l->plain[1]);
		pair_free(&l->p);
	}
}

TEST_HARNESS_MAIN
