// SPDX-License-Identifier: MIT
/*
 * Sessions that end while threads are in their calls.  There is nothing to see
 * but that every call returns and that the kernel's log stays clean: the
 * guest's runner fails on any warning (CVE-2024-26582, 2024-26585, 2024-58239).
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define ROUNDS	40
#define CALLERS	4

FIXTURE(race)
{
	struct pair p;
};

FIXTURE_VARIANT(race)
{
	uint16_t version, suite;
};

FIXTURE_VARIANT_ADD(race, v12_aes128) { .version = 0x0303, .suite = 0xc02f };
FIXTURE_VARIANT_ADD(race, v13_aes128) { .version = 0x0304, .suite = 0x1301 };
FIXTURE_VARIANT_ADD(race, v13_chacha) { .version = 0x0304, .suite = 0x1303 };

FIXTURE_SETUP(race)
{
}

FIXTURE_TEARDOWN(race)
{
}

static void *reader(void *arg)
{
	char buf[5000];

	while (recv(*(int *)arg, buf, sizeof(buf), 0) > 0)
		;
	return NULL;
}

static void *peeker(void *arg)
{
	char buf[100];

	while (recv(*(int *)arg, buf, sizeof(buf), MSG_PEEK) > 0)
		sched_yield();
	return NULL;
}

static void *writer(void *arg)
{
	static const char buf[20000];

	while (send(*(int *)arg, buf, sizeof(buf), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void *poller(void *arg)
{
	while (!(net_poll(*(int *)arg, POLLIN | POLLOUT, 5) & (POLLERR | POLLHUP | POLLNVAL)) &&
	       fcntl(*(int *)arg, F_GETFD) >= 0)
		sched_yield();
	return NULL;
}

static void *(*const callers[CALLERS])(void *) = { reader, peeker, writer, poller };

/* How the connection ends in a round. */
enum ending {
	PEER_RESETS,
	PEER_ENDS,
	PEER_FORGES,
	WE_SHUT_DOWN,
	WE_DELETE,
	WE_RESET,
	ENDINGS,
};

static void end_it(struct pair *p, enum ending how)
{
	uint8_t wire[100];
	size_t n;

	switch (how) {
	case PEER_RESETS:
		break;
	case PEER_ENDS:
		peer_alert(&p->peer, 1, TLS_CLOSE_NOTIFY);
		break;
	case PEER_FORGES:
		n = ref_seal(&p->peer.tx, REF_DATA, "f", 1, 0, wire);
		wire[n - 1] ^= 1;
		net_write(p->peer.fd, wire, n);
		break;
	case WE_SHUT_DOWN:
		shutdown(p->fd, SHUT_RDWR);
		break;
	case WE_DELETE:
		tg_session_del(p->tg, BY_ID(p->id), TLSGATE_CLOSE_ALERT);
		break;
	case WE_RESET:
		tg_session_del(p->tg, BY_ID(p->id), TLSGATE_CLOSE_RESET);
		break;
	default:
		break;
	}
	net_reset(p->peer.fd);
	p->peer.fd = -1;
}

TEST_F_TIMEOUT(race, end_under_calls, 60)
{
	struct pair *p = &self->p;

	for (int round = 0; round < ROUNDS; round++) {
		pthread_t t[CALLERS];

		ASSERT_TRUE(pair_start(p, variant->version, variant->suite, AF_INET));
		for (int i = 0; i < CALLERS; i++)
			ASSERT_EQ(0, pthread_create(&t[i], NULL, callers[i], &p->fd));
		for (int i = 0; i < round % 7; i++)
			peer_send(&p->peer, REF_DATA, "data", 4);
		end_it(p, round % ENDINGS);
		for (int i = 0; i < CALLERS; i++)
			ASSERT_EQ(0, pthread_join(t[i], NULL));
		pair_free(p);
	}
}

static void *closer(void *arg)
{
	close(*(int *)arg);
	return NULL;
}

/* close() by one thread while another has just been given data, or is about to wait. */
TEST_F_TIMEOUT(race, close_under_calls, 60)
{
	struct pair *p = &self->p;

	for (int round = 0; round < ROUNDS; round++) {
		pthread_t t[3];
		char buf[10];

		ASSERT_TRUE(pair_start(p, variant->version, variant->suite, AF_INET));
		net_timeouts(p->fd, 50);
		int fd = dup(p->fd);

		ASSERT_EQ(0, pthread_create(&t[0], NULL, reader, &fd));
		ASSERT_EQ(0, pthread_create(&t[1], NULL, closer, &p->fd));
		peer_send(&p->peer, REF_DATA, "data", 4);
		ASSERT_EQ(0, pthread_create(&t[2], NULL, closer, &fd));
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(0, pthread_join(t[i], NULL));
		p->fd = -1;
		while (recv(p->peer.fd, buf, sizeof(buf), 0) > 0)
			;
		pair_free(p);
	}
}

struct admin {
	const struct tg *like;
	bool stop;
};

static void *dumper(void *arg)
{
	struct admin *a = arg;
	struct tg *tg = tg_open_like(a->like);

	while (tg && !__atomic_load_n(&a->stop, __ATOMIC_RELAXED))
		if (tg_session_dump(tg, 0, NULL, NULL))
			break;
	tg_close(tg);
	return NULL;
}

/* Listing while sessions come and go. */
TEST_F_TIMEOUT(race, dump_under_churn, 60)
{
	struct tg *tg = tg_open();
	struct admin a = { .like = tg };
	pthread_t t;

	ASSERT_NE(NULL, tg);
	ASSERT_EQ(0, pthread_create(&t, NULL, dumper, &a));
	for (int round = 0; round < ROUNDS; round++) {
		ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, AF_INET));
		tg_session_del(self->p.tg, BY_ID(self->p.id), round % 2);
		pair_free(&self->p);
	}
	__atomic_store_n(&a.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(t, NULL));
	tg_close(tg);
}

/* Two writers: each send is whole records, and the stream stays in order of records. */
TEST_F_TIMEOUT(race, two_writers, 60)
{
	struct pair *p = &self->p;
	static uint8_t got[REF_PLAINTEXT];
	pthread_t t[2];
	uint8_t type;

	ASSERT_TRUE(pair_start(p, variant->version, variant->suite, AF_INET));
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, writer, &p->fd));
	for (int i = 0; i < 100; i++)
		ASSERT_LT(0, peer_recv(&p->peer, &type, got, sizeof(got)));
	net_reset(p->peer.fd);
	p->peer.fd = -1;
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(t[i], NULL));
	pair_free(p);
}

TEST_HARNESS_MAIN
