// SPDX-License-Identifier: MIT
/*
 * The module goes while it is used: under a SESSION_NEW on its way, between
 * installs, closes, relays and deliveries under traffic, and while others send to the far
 * ends of its UNIX sockets.  Either the module stays, or the call is told that
 * there is none: never both.  What else goes wrong the kernel complains of.
 *
 * UNLOADS in the environment chooses how often it goes; TLSGATE_MODULE names
 * its file, as the guest does.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "lib/flow.h"
#include "lib/gate.h"
#include "lib/task.h"

#define UNLOADS		10
#define WORKERS		4

/* ---- the module --------------------------------------------------------------- */

static bool module_loaded(void)
{
	return !access("/sys/module/tlsgate", F_OK);
}

static bool module_load(void)
{
	int fd = open(getenv("TLSGATE_MODULE"), O_RDONLY | O_CLOEXEC);
	bool done = !syscall(SYS_finit_module, fd, "", 0) || errno == EEXIST;

	close(fd);
	return done;
}

/* 0 or negative errno: EWOULDBLOCK while it is used. */
static int module_unload(void)
{
	return syscall(SYS_delete_module, "tlsgate", O_NONBLOCK) ? -errno : 0;
}

static bool module_unloads(void *arg)
{
	return !module_unload();
}

/* What may be told when the module is about to go, or gone. */
static bool told_of_none(int err)
{
	return err == -ENODEV || err == -ENOENT;
}

FIXTURE(unload)
{
	struct pair p;
	int plain[2];
};

FIXTURE_SETUP(unload)
{
	if (!getenv("TLSGATE_MODULE"))
		SKIP(return, "TLSGATE_MODULE does not name the module's file");
	signal(SIGPIPE, SIG_IGN);
	ASSERT_TRUE(net_namespace());
}

FIXTURE_TEARDOWN(unload)
{
	EXPECT_TRUE(module_load());
}

typedef FIXTURE_DATA(unload) unload_data;

/* ---- under a SESSION_NEW on its way ------------------------------------------------ */

struct caller {
	pthread_t thread;
	pid_t tid;
	bool done;
	int (*run)(unload_data *self);
	unload_data *self;
	int result;
};

static struct trap trap;
static int held;		/* the socket whose lock is */

static int hold_lock(unload_data *self)
{
	return recv(held, trap.page, 1, 0);
}

static int install(unload_data *self)
{
	struct tg_install in = tg_install_on(self->p.fd, &self->p.tx, &self->p.rx);

	in.relay_fd = self->plain[0];
	return tg_session_new(self->p.tg, &in, &self->p.id);
}

static int unload(unload_data *self)
{
	return module_unload();
}

static void *caller_thread(void *arg)
{
	struct caller *c = arg;

	__atomic_store_n(&c->tid, gettid(), __ATOMIC_RELEASE);
	c->result = c->run(c->self);
	__atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* It has its answer, or waits in the kernel for something. */
static bool caller_settled(void *arg)
{
	const struct caller *c = arg;
	pid_t tid = __atomic_load_n(&c->tid, __ATOMIC_ACQUIRE);

	return __atomic_load_n(&c->done, __ATOMIC_ACQUIRE) || (tid && task_sleeps(tid));
}

static bool caller_start(struct caller *c)
{
	return !pthread_create(&c->thread, NULL, caller_thread, c) &&
	       net_until(caller_settled, c);
}

static int in_flight(struct __test_metadata *_metadata, unload_data *self, int plain_family,
		     bool hold_plain)
{
	struct caller callers[] = {
		{ .run = hold_lock, .self = self }, { .run = install, .self = self },
		{ .run = unload, .self = self },
	};
	uint8_t type;
	char c;

	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, AF_INET));
	ASSERT_EQ(0, plain_family == AF_UNIX ? net_unix_pair(self->plain)
					     : net_tcp_pair(AF_INET, self->plain));
	/* The one byte that the holder is about to take. */
	ASSERT_EQ(1, send(hold_plain ? self->plain[1] : self->p.peer.fd, "z", 1, 0));
	held = hold_plain ? self->plain[0] : self->p.fd;
	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(caller_start(&callers[i]));
	trap_answer(&trap);
	for (int i = 0; i < 3; i++)
		pthread_join(callers[i].thread, NULL);
	if (callers[1].result) {
		EXPECT_TRUE(callers[1].result == -EBUSY || told_of_none(callers[1].result))
			TH_LOG("%s", strerror(-callers[1].result));
	} else {
		/* A session whose module has gone must not be touched. */
		ASSERT_TRUE(module_loaded());
		EXPECT_NE(0, callers[2].result);
		EXPECT_EQ(1, send(self->plain[1], "y", 1, 0));
		EXPECT_EQ(1, peer_recv(&self->p.peer, &type, &c, 1));
	}
	close(self->plain[0]);
	close(self->plain[1]);
	pair_free(&self->p);
	return callers[2].result;
}

TEST_F_TIMEOUT(unload, under_an_install_on_its_way, 240)
{
	static const struct { int family; bool plain; } rows[] = {
		{ AF_INET, false }, { AF_INET, true }, { AF_UNIX, false }, { AF_UNIX, true },
	};

	for (int i = 0; i < 4; i++) {
		if (!trap_new(&trap))
			SKIP(return, "this kernel has no userfaultfd");
		in_flight(_metadata, self, rows[i].family, rows[i].plain);
		trap_free(&trap);
		/* Nothing is left that would keep it. */
		if (module_loaded())
			EXPECT_TRUE(net_until(module_unloads, NULL));
		ASSERT_TRUE(module_load());
	}
}

/* ---- amid users ------------------------------------------------------------------------ */

struct user {
	pthread_t thread;
	bool *stop;
	int kind;
	long made;
	char why[400];		/* "": all went well */
};

/* Without the module, or when it goes, there is nothing to be had. */
static bool user_keys(struct user *u, struct pair *p)
{
	int err = pair_install(p);

	if (err && !told_of_none(err))
		snprintf(u->why, sizeof(u->why), "SESSION_NEW: %s %s", strerror(-err),
			 p->tg->ack.msg);
	return !err;
}

static void use_session(struct user *u, struct pair *p)
{
	uint8_t type;
	char c;

	if (send(p->fd, "s", 1, MSG_NOSIGNAL) != 1 || peer_recv(&p->peer, &type, &c, 1) != 1)
		snprintf(u->why, sizeof(u->why), "a session does not seal");
}

static void use_relay(struct user *u, struct pair *p, int plain_family)
{
	int plain = pair_relay(p, plain_family, -1);
	const char *why;

	if (plain < 0) {
		snprintf(u->why, sizeof(u->why), "RELAY_NEW: %s %s", strerror(errno),
			 p->tg->ack.msg);
		return;
	}
	close(p->fd);
	p->fd = -1;
	why = flow(&p->peer, plain, 20000, 20000);
	if (why)
		snprintf(u->why, sizeof(u->why), "%s", why);
	if (u->made % 2)
		net_reset(plain);
	else
		close(plain);
}

/* A server that is done with what it accepts before the gate's close has returned. */
static void *accept_and_close(void *arg)
{
	int fd = gate_server_accept(*(int *)arg);

	close(fd);
	return fd < 0 ? arg : NULL;
}

/* The handle keeps the module; when it is closed only what is on its way does. */
static void use_delivery(struct user *u)
{
	struct gate g;
	struct gated c = { .fd = -1, .peer.fd = -1 };
	void *failed = NULL;
	pthread_t server;

	if (gate_open(&g, AF_INET) && gate_accept(&g, &c) && !gate_install(&g, &c)) {
		__atomic_add_fetch(&u->made, 1, __ATOMIC_RELAXED);
		close(g.handle);
		g.handle = -1;
		if (u->made % 2)
			pthread_create(&server, NULL, accept_and_close, &g.server);
		gate_close(&c);
		if (u->made % 2)
			pthread_join(server, &failed);
		if (failed)
			snprintf(u->why, sizeof(u->why), "a connection is not delivered");
	}
	/* Half of them are in the queue that goes with the server. */
	gate_free(&g);
	gated_free(&c);
}

static void *user_thread(void *arg)
{
	struct user *u = arg;
	struct pair p;

	while (!*u->why && !__atomic_load_n(u->stop, __ATOMIC_RELAXED)) {
		if (u->kind == 3) {
			use_delivery(u);
			continue;
		}
		if (pair_connect(&p, 0x0304, 0x1301, AF_INET) && user_keys(u, &p)) {
			__atomic_add_fetch(&u->made, 1, __ATOMIC_RELAXED);
			if (u->kind == 0)
				use_session(u, &p);
			else
				use_relay(u, &p, u->kind == 1 ? AF_INET : AF_UNIX);
		}
		pair_free(&p);
	}
	return NULL;
}

struct progress {
	const struct user *users;
	long made;
};

static long made(const struct user *users)
{
	long sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += __atomic_load_n(&users[i].made, __ATOMIC_RELAXED);
	return sum;
}

static bool used_again(void *arg)
{
	const struct progress *p = arg;

	return made(p->users) > p->made;
}

/* How often it went, of rounds, each time in the midst of its use; *why it was not tried more. */
static int go(const struct user *users, long rounds, const char **why)
{
	int gone = 0;

	while (rounds--) {
		struct progress p = { users, made(users) };

		if (!net_until(used_again, &p)) {
			*why = "nobody gets to use it again";
			break;
		}
		gone += net_until(module_unloads, NULL);
		if (!module_load()) {
			*why = strerror(errno);
			break;
		}
	}
	return gone;
}

TEST_F_TIMEOUT(unload, amid_installs_relays_and_deliveries, 1500)
{
	long rounds = net_amount("UNLOADS", UNLOADS);
	struct user users[WORKERS] = { };
	const char *why = NULL;
	bool stop = false;
	int gone;

	for (int i = 0; i < WORKERS; i++) {
		users[i].stop = &stop;
		users[i].kind = i;
		ASSERT_EQ(0, pthread_create(&users[i].thread, NULL, user_thread, &users[i]));
	}
	gone = go(users, rounds, &why);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(users[i].thread, NULL);
		EXPECT_EQ(0, users[i].why[0]) TH_LOG("%s", users[i].why);
	}
	TH_LOG("went %d of %ld times, amid %ld, %ld, %ld and %ld connections", gone, rounds,
	       users[0].made, users[1].made, users[2].made, users[3].made);
	/* Where it never comes to rest, it stays. */
	EXPECT_LE(rounds / 2, gone);
	EXPECT_EQ(NULL, why) TH_LOG("%s", why);
}

/* ---- amid senders ------------------------------------------------------------------------ */

struct sender {
	pthread_t thread;
	int fd;
};

static void *sender_thread(void *arg)
{
	struct sender *s = arg;
	static const char data[64];

	while (send(s->fd, data, sizeof(data), MSG_NOSIGNAL | MSG_DONTWAIT) > 0 ||
	       errno == EAGAIN)
		;
	return NULL;
}

/* They are in the midst of a relay's callbacks when it ends and the module goes. */
TEST_F_TIMEOUT(unload, amid_senders_to_its_sockets, 1500)
{
	long rounds = net_amount("UNLOADS", UNLOADS);

	for (int i = 0; i < rounds; i++) {
		struct sender senders[2];
		struct pair p[2];

		for (int j = 0; j < 2; j++) {
			ASSERT_TRUE(pair_start(&p[j], 0x0304, 0x1301, AF_INET));
			senders[j].fd = pair_relay(&p[j], i % 4 ? AF_UNIX : AF_INET, -1);
			ASSERT_LE(0, senders[j].fd);
			ASSERT_EQ(0, pthread_create(&senders[j].thread, NULL, sender_thread,
						    &senders[j]));
		}
		for (int j = 0; j < 2; j++) {
			EXPECT_EQ(0, tg_session_del(p[j].tg, BY_ID(p[j].id), TLSGATE_CLOSE_RESET));
			pair_free(&p[j]);
		}
		EXPECT_TRUE(net_until(module_unloads, NULL));
		for (int j = 0; j < 2; j++) {
			pthread_join(senders[j].thread, NULL);
			close(senders[j].fd);
		}
		ASSERT_TRUE(module_load());
	}
}

TEST_HARNESS_MAIN
