// SPDX-License-Identifier: MIT
/*
 * Whoever holds memory by sessions and relays is charged for it: it is in the
 * memory cgroup of the socket's owner and in TCP's own sum, and gone from both
 * after the end.  One that has used up its cgroup's memory takes no more from
 * the machine, and others live.
 *
 * SESSIONS in the environment chooses how many hold something.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/task.h"

#define SESSIONS	150
#define RECORD		16384
#define SHARE		80	/* percent that must be seen of what is held */
#define ROOT		"/tmp/tlsgate-cgroup"
#define SMALL		8192		/* bytes of a relay's sockets' buffers, not of the relay */
#define QUEUE		(256 << 10)	/* or of a UNIX socket's queue, next to which the rest is small: */
#define ROOM		(32 << 10)	/* TCP's, without which it goes by time-outs */
#define HOARDERS	4		/* times SESSIONS, where memory runs out */
#define TOO_MUCH	(12 << 20)	/* bytes that they may take from the machine */

/* ---- cgroups ----------------------------------------------------------------- */

static bool text_to(const char *group, const char *file, const char *text)
{
	char path[200];
	bool done;
	int fd;

	snprintf(path, sizeof(path), ROOT "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return done;
}

static long number_in(const char *path, const char *name)
{
	char line[256];
	long n = -1;
	FILE *f = fopen(path, "r");

	while (f && n < 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, strlen(name)))
			n = atol(line + strlen(name));
	}
	if (f)
		fclose(f);
	return n;
}

/* Bytes that it is charged. */
static long charged(const char *group)
{
	char path[200];

	snprintf(path, sizeof(path), ROOT "%s/memory.current", group);
	return number_in(path, "");
}

/* Those of sockets. */
static long charged_sock(const char *group)
{
	char path[200];

	snprintf(path, sizeof(path), ROOT "%s/memory.stat", group);
	return number_in(path, "sock ");
}

/* Bytes that TCP counts as its own, in all namespaces. */
static long tcp_bytes(void)
{
	long orphans, pages = -1;
	char line[256];
	FILE *f = fopen("/proc/net/sockstat", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "TCP: inuse %*d orphan %ld tw %*d alloc %*d mem %ld", &orphans,
			   &pages) == 2)
			break;
	}
	if (f)
		fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static long available(void)
{
	return number_in("/proc/meminfo", "MemAvailable:") << 10;
}

static bool groups_make(void)
{
	mkdir(ROOT, 0755);
	if (mount("none", ROOT, "cgroup2", 0, NULL) && errno != EBUSY)
		return false;
	if (!text_to("", "cgroup.subtree_control", "+memory"))
		return false;
	return !mkdir(ROOT "/culprit", 0755) && !mkdir(ROOT "/victim", 0755);
}

static void groups_remove(void)
{
	rmdir(ROOT "/culprit");
	rmdir(ROOT "/victim");
	umount2(ROOT, MNT_DETACH);
	rmdir(ROOT);
}

static bool group_join(const char *group)
{
	return text_to(group, "cgroup.procs", "0");
}

/* ---- what a session holds -------------------------------------------------------- */

struct held {
	struct pair p;
	int plain[2];
};

/* Each returns how many bytes of data are held in the kernel for it, -1: it went wrong. */

/* Records that were opened for a peek, and wait for a read. */
static long hold_peeked(struct held *h)
{
	static uint8_t data[4 * RECORD];

	if (pair_install(&h->p) || peer_send_data(&h->p.peer, data, sizeof(data)))
		return -1;
	if (recv(h->p.fd, data, sizeof(data), MSG_PEEK | MSG_WAITALL) != sizeof(data))
		return -1;
	return sizeof(data);
}

/* Records that the handshake had read: one that is whole, and most of one. */
static long hold_pending(struct held *h)
{
	static uint8_t data[RECORD], wire[REF_RECORD_MAX];
	struct tg_install in = tg_install_on(h->p.fd, &h->p.tx, &h->p.rx);
	size_t n = ref_seal(&h->p.peer.tx, REF_DATA, data, RECORD, 0, wire);

	ref_seal(&h->p.peer.tx, REF_DATA, data, RECORD, 0, wire + n);
	in.pending = wire;
	in.pending_len = TLSGATE_RX_PENDING_MAX;
	return tg_session_new(h->p.tg, &in, &h->p.id) ? -1 : TLSGATE_RX_PENDING_MAX;
}

/* What goes into a relay whose reader does not read, in blocks until no more goes. */
static long hold_up(struct held *h)
{
	static uint8_t data[RECORD];
	struct tg_install in = tg_install_on(h->p.fd, &h->p.tx, &h->p.rx);
	long all = 0;

	in.relay_fd = h->plain[0];
	if (tg_session_new(h->p.tg, &in, &h->p.id))
		return -1;
	/* Long enough for the relay to make room again. */
	net_timeouts(h->p.peer.fd, 100);
	while (!peer_send_data(&h->p.peer, data, RECORD))
		all += RECORD;
	return all;
}

static long hold_down(struct held *h)
{
	static uint8_t data[RECORD];
	struct tg_install in = tg_install_on(h->p.fd, &h->p.tx, &h->p.rx);
	long all = 0;
	ssize_t n;

	in.relay_fd = h->plain[0];
	if (tg_session_new(h->p.tg, &in, &h->p.id))
		return -1;
	net_timeouts(h->plain[1], 20);
	while ((n = send(h->plain[1], data, RECORD, MSG_NOSIGNAL)) > 0)
		all += n;
	return all;
}

/* ---- users --------------------------------------------------------------------------- */

struct kind {
	long (*hold)(struct held *h);
	uint16_t version, suite;
	int plain_family;	/* 0: no plain socket */
	bool queue;		/* most is held in the plain socket's queue */
};

struct users {
	struct held *held;
	int n, told[2], go[2];
	pid_t child;
};

/* What a child tells, and waits for an answer after each. */
struct report {
	long held;		/* bytes, -1: the last one did not go */
	int count;
};

static bool users_make(struct users *u, const struct kind *k, int n)
{
	struct rlimit many = { 100000, 100000 };

	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &many);
	/* Each of these holds much. */
	u->n = k->queue ? n / 5 : n;
	u->held = calloc(u->n, sizeof(*u->held));
	return u->held && !pipe(u->told) && !pipe(u->go);
}

static void users_free(struct users *u)
{
	close(u->go[1]);
	task_kill(u->child);
	free(u->held);
}

static void buffers(int fd, int size)
{
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
}

static bool connect_held(struct users *u, const struct kind *k)
{
	struct tg *tg = NULL;

	for (int i = 0; i < u->n; i++) {
		struct held *h = &u->held[i];

		if (!pair_connect(&h->p, k->version, k->suite, AF_INET))
			return false;
		/* One netlink socket for all. */
		if (tg) {
			tg_close(h->p.tg);
			h->p.tg = tg;
		}
		tg = h->p.tg;
		/* A reader that waits for what is not let in gives up. */
		net_timeouts(h->p.fd, 1000);
		if (!k->plain_family)
			continue;
		if (k->plain_family == AF_UNIX ? net_unix_pair(h->plain)
						     : net_tcp_pair(AF_INET, h->plain))
			return false;
		buffers(h->p.fd, k->queue ? ROOM : SMALL);
		buffers(h->p.peer.fd, k->queue ? ROOM : SMALL);
		buffers(h->plain[0], k->queue ? QUEUE : SMALL);
		buffers(h->plain[1], SMALL);
	}
	return true;
}

static void tell(struct users *u, long held, int count)
{
	struct report report = { held, count };
	char c;

	if (write(u->told[1], &report, sizeof(report)) != sizeof(report) ||
	    read(u->go[0], &c, 1) != 1)
		_exit(0);
}

/* In its cgroup: sockets, then what they hold; ends when it is told to. */
static void culprit(struct users *u, const struct kind *k)
{
	long all = 0, held = 0;
	int i = 0;

	close(u->go[1]);
	if (!group_join("/culprit") || !connect_held(u, k) || !task_become(TASK_NOBODY))
		_exit(1);
	tell(u, 0, 0);
	for (; i < u->n && held >= 0; i++) {
		held = k->hold(&u->held[i]);
		all += held > 0 ? held : 0;
	}
	tell(u, held < 0 ? -1 : all, i);
	_exit(0);
}

static bool culprit_told(struct users *u, struct report *report)
{
	return net_poll(u->told[0], POLLIN, 9 * NET_DEADLINE) & POLLIN &&
	       read(u->told[0], report, sizeof(*report)) == sizeof(*report);
}

static void culprit_start(struct users *u, const struct kind *k)
{
	u->child = fork();
	if (!u->child)
		culprit(u, k);
	close(u->told[1]);
	close(u->go[0]);
}

struct back {
	long sock, tcp;
};

/* What TCP's sum may lack, or have too much: each CPU keeps pages in stock. */
static long stock(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) << 20;
}

static bool uncharged(void *arg)
{
	const struct back *back = arg;

	return charged_sock("/culprit") <= back->sock && tcp_bytes() <= back->tcp;
}

FIXTURE(charge)
{
	struct users u;
};

FIXTURE_VARIANT(charge)
{
	struct kind kind;
};

#define CHARGE(name, ...) FIXTURE_VARIANT_ADD(charge, name) { .kind = { __VA_ARGS__ } };
CHARGE(peeked_12, hold_peeked, 0x0303, 0xc02f)
CHARGE(peeked_13, hold_peeked, 0x0304, 0x1301)
CHARGE(pending, hold_pending, 0x0304, 0x1302)
CHARGE(up_tcp, hold_up, 0x0304, 0x1301, AF_INET)
CHARGE(up_local, hold_up, 0x0304, 0x1301, AF_UNIX)
CHARGE(up_queue, hold_up, 0x0304, 0x1301, AF_UNIX, true)
CHARGE(down_tcp, hold_down, 0x0304, 0x1301, AF_INET)
CHARGE(down_local, hold_down, 0x0304, 0x1301, AF_UNIX)

FIXTURE_SETUP(charge)
{
	if (!groups_make())
		SKIP(return, "no memory controller of cgroup2 here");
	ASSERT_TRUE(users_make(&self->u, &variant->kind, net_amount("SESSIONS", SESSIONS)));
}

FIXTURE_TEARDOWN(charge)
{
	users_free(&self->u);
	groups_remove();
}

TEST_F_TIMEOUT(charge, all_that_is_held_is_charged, 180)
{
	struct users *u = &self->u;
	long cgroup, tcp, of_group, of_tcp;
	struct report report;
	struct back back;

	back = (struct back){ stock(), tcp_bytes() + stock() };
	culprit_start(u, &variant->kind);
	ASSERT_TRUE(culprit_told(u, &report));
	cgroup = charged("/culprit");
	tcp = tcp_bytes();
	ASSERT_EQ(1, write(u->go[1], "g", 1));
	ASSERT_TRUE(culprit_told(u, &report));
	ASSERT_LT(0, report.held) TH_LOG("number %d does not take it", report.count);
	of_group = (charged("/culprit") - cgroup) * 100 / report.held;
	of_tcp = (tcp_bytes() - tcp + stock()) * 100 / report.held;
	TH_LOG("%d hold %ld bytes: the cgroup sees %ld %%, TCP %ld %%", report.count, report.held,
	       of_group, of_tcp);
	EXPECT_LE(SHARE, of_group);
	/* What a UNIX socket holds is not TCP's. */
	if (variant->kind.plain_family != AF_UNIX)
		EXPECT_LE(SHARE, of_tcp);
	ASSERT_EQ(1, write(u->go[1], "g", 1));
	EXPECT_EQ(0, task_wait(u->child, NET_DEADLINE));
	EXPECT_TRUE(net_until(uncharged, &back))
		TH_LOG("sockets of the cgroup are charged %ld, TCP %ld more than before",
		       charged_sock("/culprit"), tcp_bytes() - back.tcp + stock());
}

/* ---- a cgroup that is full --------------------------------------------------------------- */

FIXTURE(full)
{
	struct users u;
};

FIXTURE_VARIANT(full)
{
	struct kind kind;
};

#define FULL(name, ...)	FIXTURE_VARIANT_ADD(full, name) { .kind = { __VA_ARGS__ } };
FULL(peeked, hold_peeked, 0x0304, 0x1301)
FULL(pending, hold_pending, 0x0304, 0x1302)

FIXTURE_SETUP(full)
{
	if (!groups_make())
		SKIP(return, "no memory controller of cgroup2 here");
	ASSERT_TRUE(users_make(&self->u, &variant->kind, HOARDERS * net_amount("SESSIONS", SESSIONS)));
}

FIXTURE_TEARDOWN(full)
{
	users_free(&self->u);
	groups_remove();
}

/* In a cgroup of its own, beside the one that is full. */
static int victim(void)
{
	struct pair p;
	int plain;

	if (!group_join("/victim") || !pair_start(&p, 0x0304, 0x1301, AF_INET))
		return 1;
	plain = pair_relay(&p, AF_INET, -1);
	return plain < 0 || flow(&p.peer, plain, 1 << 20, 1 << 20);
}

/*
 * The culprit is refused, made to wait or killed by its cgroup.  What it holds
 * in no case comes out of the memory of others.
 */
TEST_F_TIMEOUT(full, takes_no_more, 180)
{
	struct users *u = &self->u;
	/* A fraction of what would be held. */
	long before, room = (long)u->n * RECORD / 2;
	struct report report = { };
	char limit[32];
	pid_t child;

	culprit_start(u, &variant->kind);
	ASSERT_TRUE(culprit_told(u, &report));
	snprintf(limit, sizeof(limit), "%ld", charged("/culprit") + room);
	before = available();
	ASSERT_TRUE(text_to("/culprit", "memory.max", limit));
	ASSERT_EQ(1, write(u->go[1], "g", 1));
	/* Its report, or its death. */
	net_poll(u->told[0], POLLIN, 3 * NET_DEADLINE);
	EXPECT_GE(TOO_MUCH, before - available())
		TH_LOG("%ld bytes less are available; the cgroup may have %ld more",
		       before - available(), room);
	child = fork();
	if (!child)
		_exit(victim());
	EXPECT_EQ(0, task_wait(child, 3 * NET_DEADLINE));
}

TEST_HARNESS_MAIN
