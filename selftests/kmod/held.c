// SPDX-License-Identifier: MIT
/*
 * A softirq opens a data record and the control record behind it, gives away what
 * of the data the plain socket takes, and leaves the rest, the control record
 * included, to a work.  Before that runs the session fails.  The data which was
 * opened is delivered; the control record is no data.
 *
 * The works of a relay run on the CPU that queued them, so a real-time thread on
 * that CPU keeps them waiting for as long as it does not sleep.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define WINDOW	8192	/* bytes: half of it at most is a segment, which fills the plain socket */
#define LONG	6000
#define REST	100

FIXTURE(held)
{
	struct pair p;
	int plain, counters;
	uint8_t data[LONG], got[LONG];
};

FIXTURE_VARIANT(held)
{
	uint16_t version, suite;
	int family;
};

/* Nothing but a KeyUpdate fails a session at once when TCP is gone. */
PAIR_VARIANTS_13(held)

/* A relay that takes a segment for the backend at a time. */
static int relay_narrow(struct pair *p)
{
	int fd[2], err;

	if (net_narrow_pair(WINDOW, fd))
		return -1;
	err = tg_relay_new(p->tg, p->fd, fd[0], -1);
	close(fd[0]);
	close(p->fd);
	p->fd = -1;
	return err ? -1 : fd[1];
}

/* From now on works wait until this thread sleeps, which no page fault of its makes it. */
static bool run_first(void)
{
	struct sched_param first = { .sched_priority = 1 };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	return !mlockall(MCL_CURRENT | MCL_FUTURE) && !sched_setaffinity(0, sizeof(one), &one) &&
	       !sched_setscheduler(0, SCHED_FIFO, &first);
}

FIXTURE_SETUP(held)
{
	pat_fill(self->data, 0, LONG, 1);
	self->counters = tg_counters();
	ASSERT_LE(0, self->counters);
	ASSERT_TRUE(run_first());
}

FIXTURE_TEARDOWN(held)
{
	close(self->counters);
}

static bool starts(FIXTURE_DATA(held) *self, const FIXTURE_VARIANT(held) *variant)
{
	if (!pair_start(&self->p, variant->version, variant->suite, variant->family))
		return false;
	self->plain = relay_narrow(&self->p);
	return self->plain >= 0;
}

static void ends(FIXTURE_DATA(held) *self)
{
	close(self->plain);
	pair_free(&self->p);
}

/* Makes TCP acknowledge what it has at once. */
static void acknowledge(int fd)
{
	int now = 1;

	setsockopt(fd, SOL_TCP, TCP_QUICKACK, &now, sizeof(now));
}

/*
 * Without an answer a softirq leaves the next request to a work.  Its ACK kicks a
 * work, which has run when nothing else happens any more.
 */
static bool answers(FIXTURE_DATA(held) *self)
{
	if (net_write(self->plain, "x", 1) || !peer_recv_data(&self->p.peer, self->got, 1))
		return false;
	acknowledge(self->p.peer.fd);
	return net_quiet(self->plain, POLLIN);
}

static bool warms_up(FIXTURE_DATA(held) *self)
{
	return !peer_send_data(&self->p.peer, self->data, 1) &&
	       !net_read(self->plain, self->got, 1) && answers(self);
}

/* Sends a record of data and an alert that ends nothing.  Bytes with the backend at once. */
static int moved_at_once(FIXTURE_DATA(held) *self, size_t len)
{
	static const uint8_t user_canceled[] = { 1, TLS_USER_CANCELED };
	struct peer *peer = &self->p.peer;
	uint8_t records[2 * REF_RECORD_MAX];
	size_t n = ref_seal(&peer->tx, REF_DATA, self->data, len, 0, records);
	int unread = -1;

	n += ref_seal(&peer->tx, REF_ALERT, user_canceled, sizeof(user_canceled), 0, records + n);
	if (net_write(peer->fd, records, n) || ioctl(self->plain, FIONREAD, &unread))
		return -1;
	/* Makes room for the rest. */
	acknowledge(self->plain);
	return unread;
}

static size_t reads_to_the_end(FIXTURE_DATA(held) *self)
{
	size_t all = 0;
	ssize_t n;

	while (all < LONG && (n = recv(self->plain, self->got + all, LONG - all, 0)) > 0)
		all += n;
	return all;
}

/* Bytes that the plain socket takes at once of more, 0: it is not a softirq that gives them. */
static int room_of(FIXTURE_DATA(held) *self)
{
	uint64_t direct = tg_counter(self->counters, "relay_direct");
	int room = moved_at_once(self, LONG);

	return room > 0 && room + REST <= LONG &&
	       tg_counter(self->counters, "relay_direct") == direct + 1 &&
	       !net_read(self->plain, self->got, LONG) &&
	       pat_check(self->got, 0, LONG, 1) == LONG && answers(self) ? room : 0;
}

/* TCP is gone, and the session finds that when it is to send. */
static bool fails(FIXTURE_DATA(held) *self)
{
	net_reset(self->p.peer.fd);
	self->p.peer.fd = -1;
	return !tg_session_rekey(self->p.tg, BY_ID(self->p.id));
}

/*
 * The other work, if it is there first, ends the relay and with it the rest, as a reset
 * may: then once more.
 */
TEST_F_TIMEOUT(held, control_record_is_no_data, 60)
{
	uint64_t end = net_now() + NET_DEADLINE;
	size_t got;
	int room;

	do {
		ASSERT_TRUE(starts(self, variant));
		ASSERT_TRUE(warms_up(self));
		room = room_of(self);
		ASSERT_LT(0, room);
		ASSERT_EQ(room, moved_at_once(self, room + REST));
		ASSERT_TRUE(fails(self));
		/* Here the works run. */
		got = reads_to_the_end(self);
		EXPECT_EQ(ECONNRESET, errno);
		ends(self);
	} while (got == room && net_now() < end);
	EXPECT_EQ(room + REST, got);
	EXPECT_EQ(got, pat_check(self->got, 0, got, 1));
}

TEST_HARNESS_MAIN
