// SPDX-License-Identifier: MIT
/*
 * What is delivered is what was authenticated.  One who forwards records, without
 * keys, gives them to the session from pages that it still writes to, and flips a
 * bit while they are opened.  Each record is delivered as it was sealed or refused.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

/* A record that a relay moves in a softirq as well; the bit is near its end. */
#define LEN		16000
#define FLIPPED		(REF_HEADER + LEN - 8)
#define PAUSE		200

struct flipper {
	pthread_t thread;
	volatile uint8_t *byte;
	atomic_bool on, quit;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->quit)) {
		if (!atomic_load(&f->on))
			continue;
		*f->byte ^= 1;
		for (volatile int i = 0; i < PAUSE; i++)
			;
	}
	return NULL;
}

FIXTURE(shared_pages)
{
	struct pair p;
	struct flipper f;
	uint8_t *page;
	uint8_t data[LEN], got[LEN], wire[REF_RECORD_MAX];
	long rounds, intact, refused, forged;
};

FIXTURE_VARIANT(shared_pages)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(shared_pages)

FIXTURE_SETUP(shared_pages)
{
	self->rounds = net_amount("ROUNDS", 250);
	pat_fill(self->data, 0, LEN, 1);
	self->page = mmap(NULL, 2 * LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	self->f.byte = self->page + FLIPPED;
	ASSERT_EQ(0, pthread_create(&self->f.thread, NULL, flip, &self->f));
}

FIXTURE_TEARDOWN(shared_pages)
{
	atomic_store(&self->f.quit, true);
	pthread_join(self->f.thread, NULL);
	munmap(self->page, 2 * LEN);
	TH_LOG("%ld rounds: intact %ld, refused %ld, forged and delivered %ld", self->rounds,
	       self->intact, self->refused, self->forged);
}

/* The pages themselves, not what is on them. */
static bool give_pages(int fd, uint8_t *page, size_t len)
{
	struct iovec v = { page, len };
	int pipefd[2];
	ssize_t n = 1;

	if (pipe(pipefd))
		return false;
	if (vmsplice(pipefd[1], &v, 1, 0) != (ssize_t)len)
		n = 0;
	for (; len && n > 0; len -= n)
		n = splice(pipefd[0], NULL, fd, NULL, len, SPLICE_F_MORE);
	close(pipefd[0]);
	close(pipefd[1]);
	return n > 0;
}

/* One record, of which all but the last byte is on the page; reader is where it comes out. */
#define ROUND(reader)									\
	do {										\
		size_t n_ = ref_seal(&self->p.peer.tx, REF_DATA, self->data, LEN, 0, self->wire); \
		memcpy(self->page, self->wire, n_ - 1);					\
		ASSERT_TRUE(give_pages(self->p.peer.fd, self->page, n_ - 1));		\
		atomic_store(&self->f.on, true);					\
		ASSERT_EQ(1, send(self->p.peer.fd, self->wire + n_ - 1, 1, 0));		\
		n_ = net_read(reader, self->got, LEN);					\
		atomic_store(&self->f.on, false);					\
		if (n_)									\
			self->refused++;						\
		else if (memcmp(self->got, self->data, LEN))				\
			self->forged++;							\
		else									\
			self->intact++;							\
	} while (0)

TEST_F_TIMEOUT(shared_pages, to_a_session, 1200)
{
	for (long i = 0; i < self->rounds; i++) {
		ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite,
				       variant->family));
		ROUND(self->p.fd);
		pair_free(&self->p);
	}
	EXPECT_EQ(0, self->forged);
	EXPECT_LT(0, self->intact);
}

TEST_F_TIMEOUT(shared_pages, into_a_relay, 1200)
{
	for (long i = 0; i < self->rounds; i++) {
		int plain;

		ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite,
				       variant->family));
		ASSERT_LE(0, plain = pair_relay(&self->p, AF_INET, 0));
		ROUND(plain);
		close(plain);
		pair_free(&self->p);
	}
	EXPECT_EQ(0, self->forged);
	EXPECT_LT(0, self->intact);
}

TEST_HARNESS_MAIN
