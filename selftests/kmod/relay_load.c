// SPDX-License-Identifier: MIT
/*
 * Relays by the thousand: coming and going under load, and idle while others
 * work; what an idle one costs, by the kernel's slabs.
 *
 * RELAYS, IDLE and ACTIVE in the environment choose the numbers; issue 4's
 * are 2000, 10000 and 1000, the last two in a guest of 3 GiB.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

#define THREADS		4
#define COST_MAX	6144	/* bytes an idle session, or relay, may cost beyond its sockets */

/* ---- coming and going ------------------------------------------------------------ */

struct traffic {
	pthread_t thread;
	long rounds;
	unsigned int seed;
	const char *why;	/* NULL: all went well */
	uint8_t data[20000], got[20000];
};

static const char *carry(struct traffic *t, struct pair *p, int plain)
{
	size_t up = 1 + rand_r(&t->seed) % sizeof(t->data);
	size_t down = 1 + rand_r(&t->seed) % sizeof(t->data);

	if (net_write(plain, t->data, up) || peer_send_data(&p->peer, t->data, down))
		return "cannot be written";
	if (!peer_recv_data(&p->peer, t->got, up) || pat_check(t->got, 0, up, 1) != up)
		return "wrong bytes at the peer";
	if (net_read(plain, t->got, down) || pat_check(t->got, 0, down, 1) != down)
		return "wrong bytes at the plain side";
	return NULL;
}

/* In order from either side, or not; the next relay begins while this one ends. */
static const char *finish(struct traffic *t, struct pair *p, int *plain)
{
	char c;

	switch (rand_r(&t->seed) % 4) {
	case 0:
		shutdown(*plain, SHUT_WR);
		return peer_expect_end(&p->peer) ? NULL : "the peer saw no end in order";
	case 1:
		peer_alert(&p->peer, 1, TLS_CLOSE_NOTIFY);
		return recv(*plain, &c, 1, 0) ? "the plain side saw no end in order" : NULL;
	case 2:
		net_reset(*plain);
		*plain = -1;
		break;
	case 3:
		net_reset(p->peer.fd);
		p->peer.fd = -1;
		break;
	}
	return NULL;
}

static const char *come_and_go(struct traffic *t)
{
	const char *why;
	struct pair p;
	int plain;

	if (!pair_start(&p, 0x0304, 0x1301, AF_INET))
		return "no session";
	plain = pair_relay_alone(&p, rand_r(&t->seed) % 2 ? AF_UNIX : AF_INET, 5000);
	if (plain < 0)
		return "no relay";
	why = carry(t, &p, plain);
	if (!why)
		why = finish(t, &p, &plain);
	if (plain >= 0)
		close(plain);
	pair_free(&p);
	return why;
}

static void *run_traffic(void *arg)
{
	struct traffic *t = arg;

	pat_fill(t->data, 0, sizeof(t->data), 1);
	while (t->rounds-- && !t->why)
		t->why = come_and_go(t);
	return NULL;
}

/* So many connections that nobody listens to, idle all the while. */
struct crowd {
	struct tg *tg;
	struct ref_keys tx, rx;
	int listener, count;
	int (*fd)[4];		/* TLS: ours, the peer's; plain: the relay's, ours */
};

static bool crowd_connect(struct crowd *c, int n)
{
	const struct ref_suite *suite = ref_suite(0x0304, 0x1301);

	c->tg = tg_open();
	c->listener = net_listener(AF_INET);
	c->fd = calloc(n, sizeof(*c->fd));
	c->count = 0;
	if (!c->tg || c->listener < 0 || !c->fd)
		return false;
	ref_keys_random(&c->tx, suite);
	ref_keys_random(&c->rx, suite);
	for (; c->count < n; c->count++) {
		int *fd = c->fd[c->count];

		for (int i = 0; i < 4; i += 2) {
			fd[i] = net_connect_to(c->listener);
			fd[i + 1] = accept(c->listener, NULL, NULL);
			if (fd[i] < 0 || fd[i + 1] < 0)
				return false;
		}
	}
	return true;
}

static bool crowd_install(struct crowd *c)
{
	for (int i = 0; i < c->count; i++) {
		struct tg_install in = tg_install_on(c->fd[i][0], &c->tx, &c->rx);

		if (tg_session_new(c->tg, &in, NULL))
			return false;
	}
	return true;
}

static bool crowd_relay(struct crowd *c)
{
	for (int i = 0; i < c->count; i++) {
		if (tg_relay_new(c->tg, c->fd[i][0], c->fd[i][2], 0))
			return false;
	}
	return true;
}

/* As the daemon does: the relays have both sockets then. */
static void crowd_let_go(struct crowd *c)
{
	for (int i = 0; i < c->count; i++) {
		for (int j = 0; j < 4; j += 2) {
			close(c->fd[i][j]);
			c->fd[i][j] = -1;
		}
	}
}

static void crowd_free(struct crowd *c)
{
	for (int i = 0; i < c->count; i++) {
		for (int j = 0; j < 4; j++)
			close(c->fd[i][j]);
	}
	close(c->listener);
	tg_close(c->tg);
	free(c->fd);
}

/* ---- what the kernel holds ---------------------------------------------------------- */

/* Bytes of all objects in use, in all slabs; 0 if the kernel does not say. */
static long slab_bytes(void)
{
	unsigned long active, total, size, sum = 0;
	char line[400], name[100];
	FILE *f = fopen("/proc/slabinfo", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%99s %lu %lu %lu", name, &active, &total, &size) == 4)
			sum += active * size;
	}
	if (f)
		fclose(f);
	return sum;
}

struct base {
	long bytes;		/* of the sockets alone */
	int count;
};

static bool costs_little(void *arg)
{
	const struct base *b = arg;

	return (slab_bytes() - b->bytes) / b->count <= COST_MAX;
}

static void raise_limits(void)
{
	struct rlimit many = { 200000, 200000 };

	setrlimit(RLIMIT_NOFILE, &many);
}

FIXTURE(load) {};

FIXTURE_SETUP(load)
{
	raise_limits();
}

FIXTURE_TEARDOWN(load)
{
}

TEST_F_TIMEOUT(load, idle_ones_cost_little, 900)
{
	long before, sockets, sessions, relays;
	int n = net_amount("IDLE", 600);
	struct base base;
	struct crowd c;

	before = slab_bytes();
	ASSERT_TRUE(crowd_connect(&c, n));
	sockets = slab_bytes();
	ASSERT_TRUE(crowd_install(&c)) TH_LOG("%s", c.tg->ack.msg);
	sessions = slab_bytes();
	ASSERT_TRUE(crowd_relay(&c)) TH_LOG("%s", c.tg->ack.msg);
	crowd_let_go(&c);
	/* What was closed goes after a grace period. */
	base = (struct base){ sockets, n };
	net_until(costs_little, &base);
	relays = slab_bytes();
	TH_LOG("%d: two TCP connections %ld bytes, a session %ld more, a relay %ld more", n,
	       (sockets - before) / n, (sessions - sockets) / n, (relays - sessions) / n);
	if (!before || task_has_kasan())
		SKIP(return, "no /proc/slabinfo here, or KASAN, which pads every object");
	EXPECT_GE(COST_MAX, (sessions - sockets) / n);
	EXPECT_GE(COST_MAX, (relays - sockets) / n);
	crowd_free(&c);
}

static void run_threads(struct __test_metadata *_metadata, long relays)
{
	struct traffic *t = calloc(THREADS, sizeof(*t));

	for (int i = 0; i < THREADS; i++) {
		t[i].rounds = relays / THREADS;
		t[i].seed = net_now() + i;
		ASSERT_EQ(0, pthread_create(&t[i].thread, NULL, run_traffic, &t[i]));
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i].thread, NULL);
		EXPECT_EQ(NULL, t[i].why) TH_LOG("%s", t[i].why);
	}
	free(t);
}

TEST_F_TIMEOUT(load, come_and_go, 600)
{
	run_threads(_metadata, net_amount("RELAYS", 400));
}

/* Data through ACTIVE of the relays, a few at a time, while all the others are idle. */
TEST_F_TIMEOUT(load, amid_idle_ones, 1200)
{
	struct crowd c;

	ASSERT_TRUE(crowd_connect(&c, net_amount("IDLE", 600)));
	ASSERT_TRUE(crowd_install(&c)) TH_LOG("%s", c.tg->ack.msg);
	ASSERT_TRUE(crowd_relay(&c)) TH_LOG("%s", c.tg->ack.msg);
	run_threads(_metadata, net_amount("ACTIVE", 100));
	crowd_free(&c);
}

TEST_HARNESS_MAIN
