// SPDX-License-Identifier: MIT
/*
 * A network namespace ends when nothing but relays' own sockets is left of it,
 * and its sessions and relays end with it: rings, and relays that hold their
 * own far ends.  Whoever still holds a descriptor elsewhere keeps it, and all
 * goes on there until that is closed.  Nobody holds up the end by an epoll.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/task.h"

#define RINGS		3
#define SWITCH		"/proc/sys/net/tlsgate/allow_install"

/* ---- who watches it ------------------------------------------------------------------ */

/* Has its epoll's lock while it sleeps in a page fault. */
static struct watcher {
	int epoll;		/* -1: nobody watches */
	int ready[2];
	struct trap trap;
	pthread_t thread;
} watcher = { .epoll = -1 };

static bool watch(int fd)
{
	struct epoll_event in = { .events = EPOLLIN };

	return watcher.epoll < 0 || !epoll_ctl(watcher.epoll, EPOLL_CTL_ADD, fd, &in);
}

static void *watcher_thread(void *arg)
{
	epoll_wait(watcher.epoll, (void *)watcher.trap.page, 1, -1);
	return NULL;
}

/* After the last watch(), which wants that lock. */
static bool watcher_sleeps(void)
{
	return !pipe(watcher.ready) && write(watcher.ready[1], "x", 1) == 1 &&
	       watch(watcher.ready[0]) && trap_new(&watcher.trap) &&
	       !pthread_create(&watcher.thread, NULL, watcher_thread, NULL) &&
	       trap_holds(&watcher.trap);
}

static void watcher_ends(void)
{
	trap_answer(&watcher.trap);
	pthread_join(watcher.thread, NULL);
	trap_free(&watcher.trap);
	close(watcher.ready[0]);
	close(watcher.ready[1]);
	close(watcher.epoll);
	watcher.epoll = -1;
}

/* ---- what is left behind ---------------------------------------------------------- */

/* The child's; the parent has the keys, too. */
struct left {
	struct pair p;
	int plain[2];
};

static bool connect_left(struct left *l, int plain_family)
{
	int fd[2];

	l->p.tg = tg_open();
	if (!l->p.tg || net_tcp_pair(AF_INET, fd) || net_pair(plain_family, l->plain))
		return false;
	l->p.fd = fd[0];
	l->p.peer.fd = fd[1];
	return true;
}

/* Keys for one end of the TLS connection, and a relay with one end of the plain one. */
static bool relay(struct left *l, int fd, const struct ref_keys *tx, const struct ref_keys *rx,
		  int plain)
{
	struct tg_install in = tg_install_on(fd, tx, rx);

	in.relay_fd = plain;
	if (!watch(fd) || !watch(plain) || tg_session_new(l->p.tg, &in, NULL))
		return false;
	/* Their holder's close would wait for the watcher, as any socket's does. */
	if (watcher.epoll >= 0) {
		close(fd);
		close(plain);
	}
	return true;
}

/* Two relays whose plain ends are each other's, and bytes that go round. */
static bool leave_ring(struct left *l, int plain_family)
{
	static const uint8_t data[50000];

	return connect_left(l, plain_family) && !net_write(l->plain[0], data, sizeof(data)) &&
	       relay(l, l->p.fd, &l->p.tx, &l->p.rx, l->plain[1]) &&
	       relay(l, l->p.peer.fd, &l->p.rx, &l->p.tx, l->plain[0]);
}

static bool leave_tcp_ring(struct left *l)
{
	return leave_ring(l, AF_INET);
}

static bool leave_rings(struct left *l)
{
	for (int i = 0; i < RINGS; i++) {
		if (!leave_ring(l, AF_INET) || !leave_ring(l, AF_UNIX))
			return false;
	}
	return true;
}

/*
 * A relay both of whose far ends lie, as a message, in its own plain socket's
 * queue, behind more than TLS takes from there.
 */
static bool leave_ends(struct left *l, bool itself)
{
	static const uint8_t data[4096];
	int ends[3];

	if (!connect_left(l, AF_UNIX) || net_buffers(l->p.fd, 4096, 0) ||
	    net_buffers(l->p.peer.fd, 0, 4096) ||
	    !relay(l, l->p.fd, &l->p.tx, &l->p.rx, l->plain[0]))
		return false;
	net_fill(l->plain[1], data, sizeof(data), SIZE_MAX, NET_QUIET);
	net_buffers(l->plain[1], 1 << 20, 0);
	ends[0] = l->p.peer.fd;
	ends[1] = l->plain[1];
	ends[2] = l->plain[0];
	return net_send_fds(l->plain[1], "x", 1, 0, ends, itself ? 3 : 2) == 1;
}

static bool leave_own_ends(struct left *l)
{
	return leave_ends(l, false);
}

/* The plain socket's own file is there as well: nobody but AF_UNIX's garbage collector frees it. */
static bool leave_own_ends_and_itself(struct left *l)
{
	return leave_ends(l, true);
}

/* One whose far ends somebody may hold. */
static bool leave_relay(struct left *l)
{
	return connect_left(l, AF_UNIX) &&
	       relay(l, l->p.fd, &l->p.tx, &l->p.rx, l->plain[0]);
}

/* The probe's two ends, and who listens at the first one's address, outside; -1: nobody. */
#define OUTSIDE		"192.0.2.1"
#define INSIDE		"192.0.2.2"
static int outside = -1;

static bool listen_outside(void)
{
	outside = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return outside >= 0 && !listen(outside, 1);
}

/* A relay whose TLS peer is outside, so that its socket keeps nothing here. */
static bool leave_relay_to_outside(struct left *l)
{
	struct sockaddr_in to;
	socklen_t len = sizeof(to);

	l->p.tg = tg_open();
	l->p.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (!l->p.tg || l->p.fd < 0 || getsockname(outside, (void *)&to, &len))
		return false;
	to.sin_addr.s_addr = inet_addr(OUTSIDE);
	return !connect(l->p.fd, (void *)&to, len) && !net_unix_pair(l->plain) &&
	       relay(l, l->p.fd, &l->p.tx, &l->p.rx, l->plain[0]);
}

/* ---- namespaces -------------------------------------------------------------------- */

FIXTURE(ns)
{
	struct left left;
	pid_t child;
	int talk[2];		/* ours, the child's */
	int ns;			/* -1, or a descriptor that keeps it */
	struct before {
		long refs;	/* of the module */
		char probe[IF_NAMESIZE];	/* its other end is in the namespace */
	} before;
};

FIXTURE_VARIANT(ns)
{
	bool user;		/* its user namespace is another one */
};

FIXTURE_VARIANT_ADD(ns, of_root) { .user = false };
FIXTURE_VARIANT_ADD(ns, of_user) { .user = true };

typedef FIXTURE_DATA(ns) ns_data;

FIXTURE_SETUP(ns)
{
	signal(SIGPIPE, SIG_IGN);
	ASSERT_TRUE(task_files(10000, 10000));
	self->ns = -1;
	self->before.refs = tg_module_refs();
	ASSERT_LE(0, self->before.refs);
	snprintf(self->before.probe, sizeof(self->before.probe), "tg%d", getpid());
	pair_keys(&self->left.p, ref_suite(0x0304, 0x1301));
	ASSERT_EQ(0, net_unix_pair(self->talk));
}

FIXTURE_TEARDOWN(ns)
{
	task_kill(self->child);
	close(self->talk[0]);
	if (self->ns >= 0)
		close(self->ns);
}

/* The child: a namespace, what it leaves there, and its end. */
static void inhabit(ns_data *self, bool user, bool (*leave)(struct left *l), bool hand_out)
{
	int ends[2];
	char c;

	if ((user && unshare(CLONE_NEWUSER)) || !net_namespace() ||
	    write(self->talk[1], "n", 1) != 1 || read(self->talk[1], &c, 1) != 1)
		_exit(1);
	if (!leave(&self->left)) {
		printf("# %s\n", self->left.p.tg ? self->left.p.tg->ack.msg : "no module");
		_exit(2);
	}
	ends[0] = self->left.p.peer.fd;
	ends[1] = self->left.plain[1];
	if (hand_out && net_send_fds(self->talk[1], "x", 1, 0, ends, 2) != 1)
		_exit(3);
	if (watcher.epoll >= 0 &&
	    (write(self->talk[1], "l", 1) != 1 || read(self->talk[1], &c, 1) != 1))
		_exit(4);
	_exit(0);
}

static int enter(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Runs there, in a process of its own, and returns what it returned, or -1. */
static int in_namespace(int ns, int (*run)(void))
{
	pid_t child = fork();

	if (!child)
		_exit(setns(ns, CLONE_NEWNET) ? 255 : run());
	return task_wait(child, NET_DEADLINE);
}

/* For who has CAP_NET_ADMIN in the initial user namespace to give. */
static int allow(void)
{
	int fd = open(SWITCH, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, "1", 1) != 1;
}

static bool add_probe(const char *name, pid_t pid)
{
	char command[400];

	snprintf(command, sizeof(command), "ip link add %s type veth peer name %s netns %d", name,
		 name, pid);
	if (system(command))
		return false;
	if (outside < 0)
		return true;
	snprintf(command, sizeof(command),
		 "up() { ip addr add $1/30 dev %s && ip link set %s up; } && up " OUTSIDE
		 " && nsenter -t %d -n sh -c 'ip addr add " INSIDE "/30 dev %s && ip link set %s up'",
		 name, name, pid, name, name);
	return !system(command);
}

/* Until the child has gone.  Its exit status; 255: it did not come so far. */
static int run_child(ns_data *self, bool user, bool (*leave)(struct left *l), bool keep,
		     bool hand_out)
{
	int ns, status;
	char c;

	self->child = fork();
	if (!self->child)
		inhabit(self, user, leave, hand_out);
	close(self->talk[1]);
	if (read(self->talk[0], &c, 1) != 1)
		return 255;
	ns = enter(self->child);
	if (in_namespace(ns, allow) || !add_probe(self->before.probe, self->child) ||
	    write(self->talk[0], "g", 1) != 1)
		return 255;
	if (watcher.epoll >= 0 && (read(self->talk[0], &c, 1) != 1 || !watcher_sleeps() ||
				   write(self->talk[0], "g", 1) != 1))
		return 255;
	if (keep)
		self->ns = ns;
	else
		close(ns);
	status = task_wait(self->child, 3 * NET_DEADLINE);
	self->child = 0;
	return status;
}

static bool all_gone(void *arg)
{
	const struct before *before = arg;

	return tg_module_refs() <= before->refs && !if_nametoindex(before->probe);
}

/* A relay that holds its own ends is given ten seconds of rest before. */
#define PATIENCE	3	/* times NET_DEADLINE */

static bool all_gone_at_last(struct before *before)
{
	for (int i = 0; i < PATIENCE; i++) {
		if (net_until(all_gone, before))
			return true;
	}
	return false;
}

#define EXPECT_ALL_GONE()							\
	EXPECT_TRUE(all_gone_at_last(&self->before))				\
		TH_LOG("%ld sockets of the module are left, and %s namespace", \
		       tg_module_refs() - self->before.refs,		\
		       if_nametoindex(self->before.probe) ? "the" : "no")

TEST_F_TIMEOUT(ns, rings_end_with_their_namespace, 120)
{
	ASSERT_EQ(0, run_child(self, variant->user, leave_rings, false, false));
	EXPECT_ALL_GONE();
}

TEST_F_TIMEOUT(ns, relays_that_hold_their_own_ends, 120)
{
	ASSERT_EQ(0, run_child(self, variant->user, leave_own_ends, false, false));
	EXPECT_ALL_GONE();
}

/* While the relay lives, the garbage collector must not empty the queue that it reads from. */
TEST_F_TIMEOUT(ns, relays_in_their_own_queue, 120)
{
	int fd[2];

	ASSERT_EQ(0, run_child(self, variant->user, leave_own_ends_and_itself, false, false));
	for (int i = 0; i < 50 && !all_gone(&self->before); i++) {
		/* It looks when a UNIX socket is closed. */
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
		close(fd[0]);
		close(fd[1]);
		net_until(all_gone, &self->before);
	}
	EXPECT_ALL_GONE();
}

/* What nobody holds ends without the namespace's help. */
TEST_F_TIMEOUT(ns, relays_that_nobody_holds, 120)
{
	ASSERT_EQ(0, run_child(self, variant->user, leave_relay, false, false));
	EXPECT_ALL_GONE();
}

/* Its far end is closed and its TLS peer, elsewhere, silent: no connection keeps a namespace. */
TEST_F_TIMEOUT(ns, relays_whose_peer_is_silent, 120)
{
	struct peer *peer = &self->left.p.peer;

	ASSERT_TRUE(listen_outside());
	ASSERT_EQ(0, run_child(self, variant->user, leave_relay_to_outside, false, false));
	peer->fd = accept(outside, NULL, NULL);
	ASSERT_LE(0, peer->fd);
	net_timeouts(peer->fd, NET_DEADLINE);
	EXPECT_TRUE(peer_expect_end(peer));
	EXPECT_ALL_GONE();
	close(peer->fd);
	close(outside);
	outside = -1;
}

static int sessions_there(void)
{
	int counters = tg_counters();

	return tg_counter(counters, "sessions_opened") - tg_counter(counters, "sessions_closed");
}

/* A descriptor of the namespace is enough, as with ip netns. */
TEST_F_TIMEOUT(ns, rings_live_while_the_namespace_is_held, 120)
{
	ASSERT_EQ(0, run_child(self, variant->user, leave_rings, true, false));
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(4 * RINGS, in_namespace(self->ns, sessions_there));
	EXPECT_NE(0, if_nametoindex(self->before.probe));
	close(self->ns);
	self->ns = -1;
	EXPECT_ALL_GONE();
}

#define MOUNT_POINT	"/run/tlsgate-test-netns"

/* By a mount alone, which is what ip netns leaves of it; in a mount namespace that ends with us. */
static bool hold_by_mount(int ns)
{
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", ns);
	fd = open(MOUNT_POINT, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
	return fd >= 0 && !close(fd) && !unshare(CLONE_NEWNS) &&
	       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount(path, MOUNT_POINT, NULL, MS_BIND, NULL);
}

TEST_F_TIMEOUT(ns, rings_live_while_the_namespace_is_mounted, 120)
{
	int ns;

	ASSERT_EQ(0, run_child(self, variant->user, leave_rings, true, false));
	ASSERT_TRUE(hold_by_mount(self->ns));
	close(self->ns);
	self->ns = -1;
	for (int i = 0; i < 5; i++) {
		ns = open(MOUNT_POINT, O_RDONLY | O_CLOEXEC);
		EXPECT_EQ(4 * RINGS, in_namespace(ns, sessions_there));
		close(ns);
	}
	EXPECT_NE(0, if_nametoindex(self->before.probe));
	ASSERT_EQ(0, umount(MOUNT_POINT));
	unlink(MOUNT_POINT);
	EXPECT_ALL_GONE();
}

/* So is a socket of it in another's hands: bytes move for whoever has the far ends. */
TEST_F_TIMEOUT(ns, relays_live_while_their_far_ends_are_held, 120)
{
	struct left *l = &self->left;
	int ends[2];

	ASSERT_EQ(0, run_child(self, variant->user, leave_relay, false, true));
	ASSERT_EQ(0, net_receive_fds(self->talk[0], ends, 2));
	l->p.peer.fd = ends[0];
	EXPECT_EQ(NULL, flow(&l->p.peer, ends[1], 100000, 100000));
	EXPECT_NE(0, if_nametoindex(self->before.probe));
	/* The plain end alone does not keep it: its own end is told. */
	close(ends[0]);
	EXPECT_TRUE(net_poll(ends[1], POLLIN, NET_DEADLINE) & (POLLIN | POLLHUP | POLLERR));
	close(ends[1]);
	EXPECT_ALL_GONE();
}

/* All of them at once leave nothing to the one that comes after. */
TEST_F_TIMEOUT(ns, ends_again_and_again, 180)
{
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, run_child(self, variant->user, i % 2 ? leave_relay : leave_rings,
				       false, false));
		EXPECT_ALL_GONE();
		close(self->talk[0]);
		ASSERT_EQ(0, net_unix_pair(self->talk));
	}
	close(self->talk[1]);
}

/* Nobody's epoll keeps a TCP relay, nor makes the end of its namespace wait. */
TEST_F_TIMEOUT(ns, relays_that_a_sleeper_watches, 120)
{
	watcher.epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_EQ(0, run_child(self, variant->user, leave_tcp_ring, false, false));
	EXPECT_ALL_GONE();
	watcher_ends();
}

/* One that watches a UNIX socket keeps its namespace, and makes no other one wait. */
TEST_F_TIMEOUT(ns, unix_relays_that_a_sleeper_watches, 120)
{
	struct before first = self->before;
	int epoll;

	watcher.epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_EQ(0, run_child(self, variant->user, leave_relay, false, false));
	self->before.refs = tg_module_refs();
	snprintf(self->before.probe, sizeof(self->before.probe), "tgo%d", getpid());
	close(self->talk[0]);
	ASSERT_EQ(0, net_unix_pair(self->talk));
	epoll = watcher.epoll;
	watcher.epoll = -1;
	ASSERT_EQ(0, run_child(self, variant->user, leave_tcp_ring, false, false));
	EXPECT_ALL_GONE();
	EXPECT_NE(0, if_nametoindex(first.probe));
	watcher.epoll = epoll;
	watcher_ends();
	self->before = first;
	EXPECT_ALL_GONE();
}

TEST_HARNESS_MAIN
