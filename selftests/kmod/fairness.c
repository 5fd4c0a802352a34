// SPDX-License-Identifier: MIT
/*
 * One user's relays cannot keep another user's waiting.  While hundreds of one
 * user's are held up, by every means that there is, relays of another move
 * their megabyte both ways and come to their end.
 *
 * HELD in the environment chooses how many are held up.
 */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/task.h"

#define HELD		300
#define MEGABYTE	(1 << 20)
#define STACK		(512 << 10)	/* thread-local records are on it */
#define SMALL		8192		/* bytes, of each socket's buffers: little fills them */
#define ENOUGH		(4 << 20)	/* bytes that no way out of a relay holds */

/* ---- one relay that is held up ---------------------------------------------------- */

/* TLS peer; the relay's TLS socket; its plain socket; that one's other end */
enum end { PEER, TLS, OURS, FAR, ENDS };

struct hold {
	int plain_family;
	enum end thread;	/* where a thread sits, */
	void *(*sit)(void *arg);
	bool before;		/* since before the hand-over */
	bool late;		/* it stays in the lock, where the call is taken (before 6.7) */
	bool fill_up, fill_down;	/* nobody reads what is sent that way */
	bool lingering;		/* descriptors that take their time to close are sent */
};

struct held {
	struct pair p;
	int plain[2];
};

static struct trap trap;
static int listener;

static bool there(void *arg)
{
	return __atomic_load_n((pid_t *)arg, __ATOMIC_ACQUIRE);
}

struct seat {
	pid_t tid;
	int fd;
};

static void *sit_in_recv(void *arg)
{
	struct seat *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	recv(s->fd, trap.page, 1, 0);
	return NULL;
}

static void *sit_in_send(void *arg)
{
	struct seat *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	send(s->fd, trap.page, 1, MSG_NOSIGNAL);
	return NULL;
}

/* With a value in two pages: once it has the first it takes the socket's lock. */
static void *sit_in_option(void *arg)
{
	struct seat *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	setsockopt(s->fd, SOL_SOCKET, SO_LINGER, trap.page + TRAP_SIZE - sizeof(int),
		   sizeof(struct linger));
	return NULL;
}

static long call_of(const struct hold *h)
{
	return h->sit == sit_in_recv ? SYS_recvfrom :
	       h->sit == sit_in_send ? SYS_sendto : SYS_setsockopt;
}

/* Lets it go where the call is refused, as it is on a relay's own socket. */
static bool sit(const struct hold *h, int fd)
{
	struct seat *seat = calloc(1, sizeof(*seat));
	pthread_attr_t attr;
	pthread_t thread;

	seat->fd = fd;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	return !pthread_create(&thread, &attr, h->sit, seat) && net_until(there, &seat->tid) &&
	       ((h->thread == OURS || h->thread == TLS) && !h->before ? true :
		task_sleeps_in(seat->tid, call_of(h)));
}

/* Whatever there is room for. */
static void fill(int fd)
{
	static const uint8_t data[65536];

	net_fill(fd, data, sizeof(data), ENOUGH, 0);
}

/* As records, which the relay opens. */
static void fill_records(struct peer *peer)
{
	static const uint8_t data[16384];
	struct timeval soon = { 0, 4000 };

	setsockopt(peer->fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	for (int i = 0; i < ENOUGH / 16384 && !peer_send_data(peer, data, sizeof(data)); i++)
		;
}

/* A TCP socket whose close waits, by SO_LINGER, for a peer that does not read. */
static int lingering(void)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 1000 };
	int fd[2];

	if (net_tcp_pair_at(listener, fd))
		return -1;
	setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	net_buffers(fd[0], SMALL, SMALL);
	net_buffers(fd[1], SMALL, SMALL);
	fill(fd[0]);
	return fd[0];
}

static bool connect_held(struct held *r, const struct hold *h, struct tg *tg)
{
	int fd[2];

	if (net_tcp_pair_at(listener, fd) ||
	    (h->plain_family == AF_UNIX ? net_unix_pair(r->plain)
					: net_tcp_pair_at(listener, r->plain)))
		return false;
	r->p.tg = tg;
	r->p.fd = fd[0];
	r->p.peer.fd = fd[1];
	pair_keys(&r->p, ref_suite(0x0304, 0x1301));
	for (int i = 0; i < 2; i++) {
		net_buffers(fd[i], SMALL, SMALL);
		net_buffers(r->plain[i], SMALL, SMALL);
	}
	return true;
}

static void stall(struct held *r, const struct hold *h)
{
	if (h->fill_down)
		fill(r->plain[1]);
	if (h->fill_up)
		fill_records(&r->p.peer);
}

/* 0, negative errno of SESSION_NEW, or 1: something else went wrong. */
static int hold_one(struct held *r, const struct hold *h, struct tg *tg)
{
	int at[ENDS], fd, err;

	if (!connect_held(r, h, tg))
		return 1;
	at[PEER] = r->p.peer.fd;
	at[TLS] = r->p.fd;
	at[OURS] = r->plain[0];
	at[FAR] = r->plain[1];
	/* So that the calls below find something to copy. */
	if (h->before && (send(r->plain[1], "xx", 2, 0) != 2 || !sit(h, at[h->thread])))
		return 1;
	/* Before, so that it is the relay that closes it, and not we. */
	if (h->lingering) {
		fd = lingering();
		net_send_fd(r->plain[1], fd);
		close(fd);
	}
	err = pair_join(&r->p, r->plain[0]);
	if (err)
		return err;
	/* For who sits in recv at an end of it. */
	if (h->sit && !h->before)
		send(r->plain[1], "xx", 2, 0);
	if (h->sit == sit_in_recv && h->thread == FAR)
		peer_send_data(&r->p.peer, "xx", 2);
	if (h->sit && !h->before && !sit(h, at[h->thread]))
		return 1;
	if (!h->late)
		stall(r, h);
	return 0;
}

/* ---- users ------------------------------------------------------------------------- */

static void pin(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

struct count {
	int held, refused, failed;
};

/* Its relays are held up until it is killed. */
static void culprit(const struct hold *h, int told)
{
	struct tg *tg = tg_open();
	struct count count = { };
	int n = net_amount("HELD", HELD);
	struct held *held = calloc(n, sizeof(*held));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!tg || !trap_new(&trap) || !task_become(TASK_NOBODY))
		_exit(1);
	for (int i = 0; i < n; i++) {
		int err = hold_one(&held[i], h, tg);

		count.held += !err;
		count.refused += err == -EBUSY;
		count.failed += err && err != -EBUSY;
	}
	if (h->late && task_takes_sol_socket() &&
	    !(trap_holds_second(&trap) && trap_holds_many(&trap, count.held)))
		_exit(1);
	/* What moved since then has made room. */
	for (int i = 0; i < n && count.held == n; i++)
		stall(&held[i], h);
	if (write(told, &count, sizeof(count)) != sizeof(count))
		_exit(1);
	for (;;)
		pause();
}

/* NULL, or what became of a relay of its own. */
static const char *victim(uid_t uid, int plain_family)
{
	static char say[200];
	const char *why;
	struct pair p;
	int plain;

	if (!pair_start(&p, 0x0304, 0x1301, AF_INET))
		return "no session";
	if (!task_become(uid))
		return "cannot become another user";
	plain = pair_relay_alone(&p, plain_family, -1);
	if (plain < 0)
		return "no relay";
	why = flow(&p.peer, plain, MEGABYTE, MEGABYTE);
	if (why)
		return why;
	/* And its end, in order. */
	shutdown(plain, SHUT_WR);
	if (!peer_expect_end(&p.peer))
		return "the peer saw no end in order";
	peer_alert(&p.peer, 1, TLS_CLOSE_NOTIFY);
	shutdown(p.peer.fd, SHUT_WR);
	if (recv(plain, say, 1, 0))
		return "the backend saw no end in order";
	return NULL;
}

FIXTURE(fair)
{
	pid_t culprit;
	int told[2];
	struct count count;
};

FIXTURE_VARIANT(fair)
{
	struct hold hold;
};

#define FAIR(name, ...) FIXTURE_VARIANT_ADD(fair, name) { .hold = { __VA_ARGS__ } };
FAIR(reader_from_before_local, AF_UNIX, OURS, sit_in_recv, .before = true)
FAIR(reader_from_before_tcp, AF_INET, OURS, sit_in_recv, .before = true)
FAIR(far_reader_local, AF_UNIX, FAR, sit_in_recv, .fill_up = true)
FAIR(far_reader_tcp, AF_INET, FAR, sit_in_recv, .fill_up = true)
FAIR(far_writer, AF_UNIX, FAR, sit_in_send, .fill_up = true)
FAIR(peer_reader, AF_INET, PEER, sit_in_recv, .fill_down = true)
FAIR(nobody_reads_tcp, AF_INET, .fill_up = true, .fill_down = true)
FAIR(nobody_reads_local, AF_UNIX, .fill_up = true, .fill_down = true)
FAIR(lingering_descriptors, AF_UNIX, .lingering = true)
#define LATE(name, family, end) FAIR(name, family, end, sit_in_option, .late = true, \
				     .fill_up = true, .fill_down = true)
LATE(option_tcp, AF_INET, OURS)
LATE(option_tls, AF_INET, TLS)
LATE(option_tls_local, AF_UNIX, TLS)

FIXTURE_SETUP(fair)
{
	signal(SIGPIPE, SIG_IGN);
	ASSERT_TRUE(task_files(100000, 100000));
	ASSERT_TRUE(net_namespace());
	/* Who is held up would else be so on several CPUs, a few on each. */
	pin();
	listener = net_listener(AF_INET);
	ASSERT_LE(0, listener);
	ASSERT_EQ(0, pipe(self->told));
}

FIXTURE_TEARDOWN(fair)
{
	EXPECT_TRUE(task_kill(self->culprit));
	close(listener);
	close(self->told[0]);
	close(self->told[1]);
}

static bool let_go(void *arg)
{
	return tg_module_refs() <= *(long *)arg;
}

static const char *victim_in_child(uid_t uid, int plain_family)
{
	static char say[200];
	long before = tg_module_refs();
	int told[2];
	pid_t child;
	ssize_t n;

	if (pipe(told))
		return "no pipe";
	child = fork();
	if (!child) {
		const char *why = victim(uid, plain_family) ? : "";

		if (write(told[1], why, strlen(why) + 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(told[1]);
	n = net_poll(told[0], POLLIN, 6 * NET_DEADLINE) ? read(told[0], say, sizeof(say) - 1) : -1;
	close(told[0]);
	if (!task_kill(child))
		return "it got stuck for good";
	if (n <= 0)
		return "it got stuck";
	if (*say)
		return say;
	return net_until(let_go, &before) ? NULL : "its sockets are not closed";
}

/* A ring of two relays of the user's, which nothing but itself holds. */
static int leave_ring(void)
{
	struct pair p;
	int plain[2];
	struct tg_install in[2];

	if (!net_namespace() || !pair_connect(&p, 0x0304, 0x1301, AF_INET) || net_unix_pair(plain) ||
	    !task_become(TASK_NOBODY))
		return 1;
	in[0] = tg_install_on(p.fd, &p.tx, &p.rx);
	in[1] = tg_install_on(p.peer.fd, &p.peer.tx, &p.peer.rx);
	in[1].role = TLSGATE_ROLE_CLIENT;
	for (int i = 0; i < 2; i++) {
		in[i].relay_fd = plain[i];
		if (tg_session_new(p.tg, &in[i], NULL))
			return 2;
	}
	return 0;
}

/* The end of a namespace waits for none of those that are held up. */
static const char *ring_in_child(void)
{
	long before = tg_module_refs();
	pid_t child = fork();

	if (!child)
		_exit(leave_ring());
	if (task_wait(child, NET_DEADLINE))
		return "no ring";
	return net_until(let_go, &before) ? NULL : "its namespace does not end";
}

TEST_F_TIMEOUT(fair, relays_of_another_user_go_on, 240)
{
	static const int families[] = { AF_INET, AF_UNIX };
	const char *why;

	self->culprit = fork();
	if (!self->culprit)
		culprit(&variant->hold, self->told[1]);
	close(self->told[1]);
	self->told[1] = -1;
	ASSERT_TRUE(net_poll(self->told[0], POLLIN, 12 * NET_DEADLINE) & POLLIN);
	ASSERT_EQ(sizeof(self->count), read(self->told[0], &self->count, sizeof(self->count)))
		TH_LOG("the culprit could not begin: no userfaultfd here?");
	TH_LOG("%d held up, %d refused", self->count.held, self->count.refused);
	EXPECT_EQ(0, self->count.failed);
	for (int i = 0; i < 2; i++) {
		why = victim_in_child(TASK_OTHER, families[i]);
		EXPECT_EQ(NULL, why) TH_LOG("%s", why);
		/* Nor does a call that stays in the lock hold up a worker. */
		why = variant->hold.late ? victim_in_child(TASK_NOBODY, families[i]) : NULL;
		EXPECT_EQ(NULL, why) TH_LOG("its own: %s", why);
	}
	why = variant->hold.late ? ring_in_child() : NULL;
	EXPECT_EQ(NULL, why) TH_LOG("a ring of its own: %s", why);
}

TEST_HARNESS_MAIN
