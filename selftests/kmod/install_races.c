// SPDX-License-Identifier: MIT
/*
 * Keys and relays that are installed while others install, and while the
 * sockets go away.  One of those who install wins, the others are told what is
 * in their way; whoever ends a socket under them, every call returns, and no
 * session and no relay is left behind.  That nothing is used after it is freed
 * or leaks shows on the debug kernel.
 *
 * ROUNDS in the environment chooses how often each pair of racers meets.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

#define RACERS		4
#define SWAPS		84	/* rounds with roles swapped, for each round of the others */

/* ---- racers -------------------------------------------------------------------- */

struct racer {
	pthread_t thread;
	pthread_barrier_t *start;
	int delay;		/* turns of a loop after the start */
	int (*run)(struct racer *r);
	struct tg *tg;
	struct nl_msg *msg;	/* for run_message(), which frees it */
	uint32_t id;		/* for run_timeouts() */
	int fd;			/* for the others */
	int result;		/* 0 or negative errno */
};

static int run_message(struct racer *r)
{
	return tg_call(r->tg, r->msg, NULL, NULL);
}

static int run_close(struct racer *r)
{
	return close(r->fd) ? -errno : 0;
}

static int run_reset(struct racer *r)
{
	net_reset(r->fd);
	return 0;
}

static int run_shutdown(struct racer *r)
{
	return shutdown(r->fd, SHUT_RDWR) ? -errno : 0;
}

static int run_half_shutdown(struct racer *r)
{
	return shutdown(r->fd, SHUT_WR) ? -errno : 0;
}

static int run_disconnect(struct racer *r)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	return connect(r->fd, &none, sizeof(none)) ? -errno : 0;
}

/* One after the other, long ones, until there is nobody to set them for. */
static int run_timeouts(struct racer *r)
{
	int err, n = 0;

	do
		err = tg_session_set(r->tg, BY_ID(r->id), TLSGATE_A_IDLE_TIMEOUT,
				     TLSGATE_IDLE_TIMEOUT_MAX - n, 4);
	while (!err && n++ < 200);
	return err;
}

static void *race_thread(void *arg)
{
	struct racer *r = arg;

	pthread_barrier_wait(r->start);
	for (volatile int i = 0; i < r->delay; i++)
		;
	r->result = r->run(r);
	return NULL;
}

/* All at once, but for a delay that shifts them against each other from round to round. */
static bool race(struct racer *r, int n, int round)
{
	pthread_barrier_t start;
	bool ok = !pthread_barrier_init(&start, NULL, n);

	for (int i = 0; i < n; i++) {
		r[i].start = &start;
		r[i].delay = i == round % n ? round * 37 % 2000 : 0;
		ok &= !pthread_create(&r[i].thread, NULL, race_thread, &r[i]);
	}
	for (int i = 0; i < n; i++)
		ok &= !pthread_join(r[i].thread, NULL);
	pthread_barrier_destroy(&start);
	return ok;
}

/* ---- what they race for ---------------------------------------------------------- */

FIXTURE(race)
{
	struct tg *tg[RACERS];
	struct ref_keys tx[RACERS], rx[RACERS];
	struct racer r[RACERS];
	struct tg_info info;
	int listener, counters, rounds, won;
	int tls[2][2], plain[2][2];	/* ours, the other end; two of each at most */
};

FIXTURE_SETUP(race)
{
	memset(self, 0, sizeof(*self));
	/* So that its counters are of this test alone. */
	ASSERT_TRUE(net_namespace());
	self->rounds = net_amount("ROUNDS", 60);
	self->listener = net_listener(AF_INET);
	self->counters = tg_counters();
	ASSERT_LE(0, self->listener);
	ASSERT_LE(0, self->counters);
	for (int i = 0; i < RACERS; i++) {
		self->tg[i] = tg_open();
		ASSERT_NE(NULL, self->tg[i]);
		ref_keys_random(&self->tx[i], ref_suite(0x0304, 0x1301));
		ref_keys_random(&self->rx[i], ref_suite(0x0304, 0x1301));
	}
}

static bool nothing_left(void *arg)
{
	int c = *(int *)arg;

	return tg_counter(c, "sessions_opened") == tg_counter(c, "sessions_closed") &&
	       tg_counter(c, "relays_opened") == tg_counter(c, "relays_closed");
}

FIXTURE_TEARDOWN(race)
{
	int count = -1;

	EXPECT_TRUE(net_until(nothing_left, &self->counters))
		TH_LOG("%lu sessions and %lu relays never ended",
		       tg_counter(self->counters, "sessions_opened") -
		       tg_counter(self->counters, "sessions_closed"),
		       tg_counter(self->counters, "relays_opened") -
		       tg_counter(self->counters, "relays_closed"));
	EXPECT_EQ(0, tg_session_dump(self->tg[0], 0, NULL, &count));
	EXPECT_EQ(0, count);
	for (int i = 0; i < RACERS; i++) {
		tg_close(self->tg[i]);
		ref_keys_free(&self->tx[i]);
		ref_keys_free(&self->rx[i]);
	}
	close(self->listener);
	close(self->counters);
}

typedef FIXTURE_DATA(race) race_data;

static bool connect_all(race_data *self, int round)
{
	for (int i = 0; i < 2; i++) {
		if (net_tcp_pair_at(self->listener, self->tls[i]) ||
		    (round & 1 ? net_unix_pair(self->plain[i])
			       : net_tcp_pair_at(self->listener, self->plain[i])))
			return false;
	}
	return true;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		net_reset(*fd);
	*fd = -1;
}

static void close_all(race_data *self)
{
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 2; j++) {
			close_one(&self->tls[i][j]);
			close_one(&self->plain[i][j]);
		}
	}
}

static void add(race_data *self, int n, int (*run)(struct racer *), int fd)
{
	self->r[n] = (struct racer){ .run = run, .fd = fd };
}

/* Racer n asks for keys of its own on a socket, and for a relay with another one >= 0. */
static void add_keys(race_data *self, int n, int fd, int relay_fd)
{
	struct tg_install in = tg_install_on(fd, &self->tx[n], &self->rx[n]);

	in.relay_fd = relay_fd;
	self->r[n] = (struct racer){
		.run = run_message, .tg = self->tg[n],
		.msg = tg_install_msg(self->tg[n], &in, NULL),
	};
}

/* The same on TLS socket i, with plain socket j >= 0. */
static void add_install(race_data *self, int n, int i, int j)
{
	add_keys(self, n, self->tls[i][0], j >= 0 ? self->plain[j][0] : -1);
}

/* Racer n gives a command about a session; attribute attr 0: without another one. */
static void add_command(race_data *self, int n, int cmd, struct tg_who who, int attr, int value)
{
	struct nl_msg *msg = tg_msg(self->tg[n], cmd, 0);

	nla_put_u32(msg, who.id ? TLSGATE_A_ID : TLSGATE_A_FD, who.id ? who.id : who.fd);
	if (attr)
		nla_put_u32(msg, attr, value);
	self->r[n] = (struct racer){ .run = run_message, .tg = self->tg[n], .msg = msg };
}

/* Or 0. */
static bool one_of(int result, const int *allowed)
{
	while (*allowed && *allowed != result)
		allowed++;
	return *allowed == result;
}

/* Who won, -1: nobody, or more than one, or somebody lost for another reason, or without a word. */
static int winner(race_data *self, int n, const int *allowed)
{
	int won = -1;

	for (int i = 0; i < n; i++) {
		int result = self->r[i].result;

		if (!result && won >= 0)
			return -1;
		if (!result)
			won = i;
		else if (!one_of(result, allowed) || !self->tg[i]->ack.msg[0])
			return -1;
	}
	return won;
}

#define NOBODY_WON \
	TH_LOG("round %d: %d '%s', %d '%s', %d '%s', %d '%s'", round, \
	       self->r[0].result, self->tg[0]->ack.msg, self->r[1].result, self->tg[1]->ack.msg, \
	       self->r[2].result, self->tg[2]->ack.msg, self->r[3].result, self->tg[3]->ack.msg)

/* ---- against each other -------------------------------------------------------------- */

/* Keys for one socket, from all racers: the winner's are those it seals with. */
TEST_F_TIMEOUT(race, installs_on_one_socket, 600)
{
	static const int lost[] = { -EEXIST, -EBUSY, 0 };
	static struct peer peer;
	uint8_t type, c;

	for (int round = 0; round < self->rounds; round++) {
		int won;

		ASSERT_TRUE(connect_all(self, round));
		for (int i = 0; i < RACERS; i++)
			add_install(self, i, 0, -1);
		ASSERT_TRUE(race(self->r, RACERS, round));
		won = winner(self, RACERS, lost);
		ASSERT_LE(0, won) NOBODY_WON;
		peer.fd = self->tls[0][1];
		ref_keys_copy(&peer.rx, &self->tx[won]);
		ASSERT_EQ(1, send(self->tls[0][0], "w", 1, 0));
		ASSERT_EQ(1, peer_recv(&peer, &type, &c, 1));
		ASSERT_EQ('w', c);
		ref_keys_free(&peer.rx);
		close_all(self);
	}
}

/* The same with a relay each: it is the winner's plain socket that is joined. */
TEST_F_TIMEOUT(race, installs_with_relays, 600)
{
	static const int lost[] = { -EEXIST, -EBUSY, 0 };

	for (int round = 0; round < self->rounds; round++) {
		ASSERT_TRUE(connect_all(self, round));
		for (int i = 0; i < 2; i++)
			add_install(self, i, 0, i);
		ASSERT_TRUE(race(self->r, 2, round));
		ASSERT_LE(0, winner(self, 2, lost)) NOBODY_WON;
		close_all(self);
	}
}

/* Two TLS sockets want the same plain one: the other's connection ends. */
TEST_F_TIMEOUT(race, installs_for_one_plain_socket, 600)
{
	static const int lost[] = { -EBUSY, 0 };

	for (int round = 0; round < self->rounds; round++) {
		ASSERT_TRUE(connect_all(self, round));
		for (int i = 0; i < 2; i++)
			add_install(self, i, i, 0);
		ASSERT_TRUE(race(self->r, 2, round));
		ASSERT_LE(0, winner(self, 2, lost)) NOBODY_WON;
		close_all(self);
	}
}

/* RELAY_NEW for one session and two plain sockets, then for two sessions and one plain one. */
TEST_F_TIMEOUT(race, relays, 600)
{
	static const int lost[] = { -EBUSY, 0 };

	for (int round = 0; round < self->rounds; round++) {
		bool one_session = round & 2;

		ASSERT_TRUE(connect_all(self, round));
		for (int i = 0; i < 2; i++) {
			add_install(self, i, i, -1);
			ASSERT_EQ(0, run_message(&self->r[i]));
		}
		for (int i = 0; i < 2; i++)
			add_command(self, i, TLSGATE_CMD_RELAY_NEW,
				    BY_FD(self->tls[one_session ? 0 : i][0]),
				    TLSGATE_A_RELAY_FD, self->plain[one_session ? i : 0][0]);
		ASSERT_TRUE(race(self->r, 2, round));
		ASSERT_LE(0, winner(self, 2, lost)) NOBODY_WON;
		close_all(self);
	}
}

/* Nothing was installed on it: what is sent is what arrives. */
static bool untouched(race_data *self, int pair[2])
{
	char c;

	return tg_session_get(self->tg[0], BY_FD(pair[0]), &self->info) == -ENOENT &&
	       send(pair[0], "u", 1, MSG_NOSIGNAL) == 1 && recv(pair[1], &c, 1, 0) == 1 && c == 'u';
}

/* What one may be told whose plain socket, or TLS socket, has just become the other's. */
static const int swapped[] = { -EEXIST, -EBUSY, 0 };

/* Each names the other's TLS socket as its plain one.  Both may be told that it is in use. */
TEST_F_TIMEOUT(race, installs_with_swapped_roles, 900)
{
	for (int round = 0; round < self->rounds * SWAPS; round++) {
		bool won[2];

		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, net_tcp_pair_at(self->listener, self->tls[i]));
		for (int i = 0; i < 2; i++)
			add_keys(self, i, self->tls[i][0], self->tls[!i][0]);
		ASSERT_TRUE(race(self->r, 2, round));
		for (int i = 0; i < 2; i++) {
			won[i] = !self->r[i].result;
			ASSERT_TRUE(one_of(self->r[i].result, swapped)) NOBODY_WON;
			ASSERT_TRUE(won[i] || self->tg[i]->ack.msg[0]);
		}
		ASSERT_FALSE(won[0] && won[1]) NOBODY_WON;
		for (int i = 0; i < 2; i++) {
			if (won[i])
				ASSERT_EQ(0, tg_session_get(self->tg[0], BY_FD(self->tls[i][0]),
							    &self->info));
			if (!won[0] && !won[1])
				ASSERT_TRUE(untouched(self, self->tls[i]))
					TH_LOG("round %d: half installed", round);
		}
		self->won += won[0] || won[1];
		for (int i = 0; i < 2; i++) {
			close_one(&self->tls[i][0]);
			close_one(&self->tls[i][1]);
		}
	}
	TH_LOG("%d of %d had a winner", self->won, self->rounds * SWAPS);
}

/* The same with RELAY_NEW for two sessions, neither of which is a plain socket. */
TEST_F(race, relays_of_two_sessions)
{
	for (int round = 0; round < self->rounds; round++) {
		ASSERT_TRUE(connect_all(self, 0));
		for (int i = 0; i < 2; i++) {
			add_install(self, i, i, -1);
			ASSERT_EQ(0, run_message(&self->r[i]));
		}
		for (int i = 0; i < 2; i++)
			add_command(self, i, TLSGATE_CMD_RELAY_NEW, BY_FD(self->tls[i][0]),
				    TLSGATE_A_RELAY_FD, self->tls[!i][0]);
		ASSERT_TRUE(race(self->r, 2, round));
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(-EBUSY, self->r[i].result) NOBODY_WON;
		close_all(self);
	}
}

/* ---- against the end of a socket ------------------------------------------------------ */

static const struct ending {
	const char *what;
	int (*run)(struct racer *r);
	bool peer;			/* it is the other end's */
	bool closes;
} endings[] = {
	{ "close", run_close, false, true },
	{ "close of the other end", run_close, true, true },
	{ "reset by the other end", run_reset, true, true },
	{ "shutdown", run_shutdown, false, false },
	{ "shutdown for writing", run_half_shutdown, false, false },
	{ "disconnect", run_disconnect, false, false },
};

#define ENDINGS		((int)(sizeof(endings) / sizeof(*endings)))

/* Racer n ends a pair of sockets. */
static void add_ending(race_data *self, int n, const struct ending *e, int pair[2])
{
	add(self, n, e->run, pair[e->peer]);
	if (e->closes)
		pair[e->peer] = -1;
}

/* What a command may be told when its socket goes away under it. */
static const int gone[] = {
	-EBADF, -ENOENT, -ENOTCONN, -ENOTSOCK, -EEXIST, -EBUSY, -EAGAIN, -EOPNOTSUPP, 0,
};

/* Nobody can promise that either comes first, but who reads this can see that both did. */
#define SAY_WHO_WON \
	TH_LOG("%d of %d were in time", self->won, self->rounds * ENDINGS)

#define LOST_BADLY(n) \
	TH_LOG("round %d, %s: %d '%s'", round, e->what, self->r[n].result, self->tg[n]->ack.msg)

TEST_F_TIMEOUT(race, install_against_the_end, 900)
{
	for (int round = 0; round < self->rounds * ENDINGS; round++) {
		const struct ending *e = &endings[round % ENDINGS];

		ASSERT_TRUE(connect_all(self, round));
		add_install(self, 0, 0, -1);
		add_ending(self, 1, e, self->tls[0]);
		ASSERT_TRUE(race(self->r, 2, round));
		ASSERT_TRUE(one_of(self->r[0].result, gone)) LOST_BADLY(0);
		self->won += !self->r[0].result;
		close_all(self);
	}
	SAY_WHO_WON;
}

/* Either socket of it. */
TEST_F_TIMEOUT(race, install_with_relay_against_the_end, 900)
{
	for (int round = 0; round < self->rounds * ENDINGS; round++) {
		const struct ending *e = &endings[round % ENDINGS];

		ASSERT_TRUE(connect_all(self, round));
		add_install(self, 0, 0, 0);
		add_ending(self, 1, e, round & 4 ? self->plain[0] : self->tls[0]);
		ASSERT_TRUE(race(self->r, 2, round));
		ASSERT_TRUE(one_of(self->r[0].result, gone)) LOST_BADLY(0);
		self->won += !self->r[0].result;
		close_all(self);
	}
	SAY_WHO_WON;
}

/* Two RELAY_NEW, and the end of either socket. */
TEST_F_TIMEOUT(race, relays_against_the_end, 900)
{
	for (int round = 0; round < self->rounds * ENDINGS; round++) {
		const struct ending *e = &endings[round % ENDINGS];

		ASSERT_TRUE(connect_all(self, round));
		add_install(self, 0, 0, -1);
		ASSERT_EQ(0, run_message(&self->r[0]));
		add_command(self, 0, TLSGATE_CMD_RELAY_NEW, BY_FD(self->tls[0][0]),
			    TLSGATE_A_RELAY_FD, self->plain[0][0]);
		add_command(self, 1, TLSGATE_CMD_RELAY_NEW, BY_FD(self->tls[0][0]),
			    TLSGATE_A_RELAY_FD, self->plain[1][0]);
		add_ending(self, 2, e, round & 4 ? self->plain[0] : self->tls[0]);
		ASSERT_TRUE(race(self->r, 3, round));
		for (int i = 0; i < 2; i++) {
			ASSERT_TRUE(one_of(self->r[i].result, gone))
				LOST_BADLY(i);
		}
		ASSERT_FALSE(!self->r[0].result && !self->r[1].result)
			TH_LOG("round %d: two relays of one session", round);
		self->won += !self->r[0].result || !self->r[1].result;
		close_all(self);
	}
	SAY_WHO_WON;
}

/* What may be asked of a session, three at a time, while it ends. */
TEST_F_TIMEOUT(race, commands_against_the_end, 900)
{
	static const uint8_t commands[] = {
		TLSGATE_CMD_SESSION_GET, TLSGATE_CMD_SESSION_REKEY, TLSGATE_CMD_SESSION_DEL,
		TLSGATE_CMD_SESSION_SET,
	};
	uint32_t id;

	for (int round = 0; round < self->rounds * ENDINGS; round++) {
		const struct ending *e = &endings[round % ENDINGS];

		ASSERT_TRUE(connect_all(self, round));
		add_install(self, 0, 0, round & 4 ? 0 : -1);
		ASSERT_EQ(0, run_message(&self->r[0]));
		ASSERT_EQ(0, tg_session_get(self->tg[0], BY_FD(self->tls[0][0]), &self->info));
		id = tg_num(&self->info, TLSGATE_A_ID);
		for (int i = 0; i < 3; i++)
			add_command(self, i, commands[(round / ENDINGS + i) % sizeof(commands)],
				    i & 1 ? BY_FD(self->tls[0][0]) : BY_ID(id), 0, 0);
		add_ending(self, 3, e, self->tls[0]);
		ASSERT_TRUE(race(self->r, RACERS, round));
		for (int i = 0; i < 3; i++) {
			ASSERT_TRUE(one_of(self->r[i].result, gone))
				LOST_BADLY(i);
		}
		close_all(self);
	}
}

/* Sockets of any kind in this namespace. */
static long sockets_used(void)
{
	return task_read_number("/proc/net/sockstat", "sockets: used ");
}

static bool sockets_are_back(void *arg)
{
	return sockets_used() <= *(long *)arg;
}

/* A time-out that is set while the relay ends keeps neither of its sockets. */
TEST_F_TIMEOUT(race, timeouts_against_the_end, 900)
{
	long before = sockets_used();
	uint32_t id;

	for (int round = 0; round < self->rounds * ENDINGS; round++) {
		/* The one that ends most relays at once. */
		const struct ending *e = &endings[2];

		ASSERT_TRUE(connect_all(self, round));
		add_install(self, 0, 0, 0);
		ASSERT_EQ(0, run_message(&self->r[0]));
		ASSERT_EQ(0, tg_session_get(self->tg[0], BY_FD(self->tls[0][0]), &self->info));
		id = tg_num(&self->info, TLSGATE_A_ID);
		/* One that runs out while another is set, every other time. */
		if (round & 2)
			ASSERT_EQ(0, tg_session_set(self->tg[0], BY_ID(id), TLSGATE_A_IDLE_TIMEOUT,
						    1, 4));
		for (int i = 0; i < 2; i++)
			self->r[i] = (struct racer){
				.run = run_timeouts, .tg = self->tg[i], .id = id,
			};
		add_ending(self, 2, e, round & 4 ? self->plain[0] : self->tls[0]);
		ASSERT_TRUE(race(self->r, 3, round));
		for (int i = 0; i < 2; i++) {
			ASSERT_TRUE(one_of(self->r[i].result, gone))
				LOST_BADLY(i);
		}
		close_all(self);
	}
	EXPECT_TRUE(net_until(sockets_are_back, &before))
		TH_LOG("%ld sockets more than before", sockets_used() - before);
}

TEST_HARNESS_MAIN
