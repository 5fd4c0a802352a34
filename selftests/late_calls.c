// SPDX-License-Identifier: MIT
/*
 * A call on a relay's socket that has begun before the hand-over, and goes on after
 * it: it has its socket's calls already, but not all of its argument.  What it sets
 * must hold up nobody else.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

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

TEST_HARNESS_MAIN
