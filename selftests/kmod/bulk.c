// SPDX-License-Identifier: MIT
/* Two kernel sessions back to back, both directions at once, sizes that vary. */
#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define CHUNK	100000

FIXTURE(bulk)
{
	struct tg *tg;
	int fd[2];
	struct tg_info info;
};

FIXTURE_VARIANT(bulk)
{
	uint16_t version, suite;
	int family;
	size_t mib;
};

#define BULK(name, v, s, f, m) \
	FIXTURE_VARIANT_ADD(bulk, name) { .version = v, .suite = s, .family = f, .mib = m };
BULK(v12_aes128, 0x0303, 0xc02f, AF_INET, 4)
BULK(v12_aes256, 0x0303, 0xc030, AF_INET6, 2)
BULK(v12_chacha, 0x0303, 0xcca8, AF_INET, 2)
BULK(v13_aes128, 0x0304, 0x1301, AF_INET, 32)
BULK(v13_aes256, 0x0304, 0x1302, AF_INET, 2)
BULK(v13_chacha, 0x0304, 0x1303, AF_INET6, 2)

/* A connection, a session at each end. */
static int connect_sessions(struct tg *tg, int family, const struct ref_suite *suite, int fd[2])
{
	struct ref_keys a, b;
	struct tg_install in;
	int err = net_tcp_pair(family, fd);

	if (err)
		return err;
	ref_keys_random(&a, suite);
	ref_keys_random(&b, suite);
	in = tg_install_on(fd[0], &a, &b);
	err = tg_session_new(tg, &in, NULL);
	if (!err) {
		in = tg_install_on(fd[1], &b, &a);
		in.role = TLSGATE_ROLE_CLIENT;
		err = tg_session_new(tg, &in, NULL);
	}
	ref_keys_free(&a);
	ref_keys_free(&b);
	return err;
}

FIXTURE_SETUP(bulk)
{
	self->tg = tg_open();
	ASSERT_NE(NULL, self->tg);
	ASSERT_EQ(0, connect_sessions(self->tg, variant->family,
				      ref_suite(variant->version, variant->suite), self->fd));
}

FIXTURE_TEARDOWN(bulk)
{
	close(self->fd[0]);
	close(self->fd[1]);
	tg_close(self->tg);
}

struct mover {
	int fd;
	uint64_t total, done, seed;
	uint64_t sizes;		/* state of the sizes' sequence */
	bool ok;
	uint8_t sum[32];
	pthread_t thread;
};

/* Mostly bulk, now and then a few bytes. */
static size_t next_size(struct mover *m)
{
	size_t left = m->total - m->done, n;

	m->sizes = m->sizes * 6364136223846793005ull + 1442695040888963407ull;
	n = m->sizes >> 33;
	n = n % 4 ? n % CHUNK + 1 : n % 100 + 1;
	return n < left ? n : left;
}

static void *run(struct mover *m, bool send_it)
{
	uint8_t *buf = malloc(CHUNK);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned int n;

	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	m->ok = true;
	while (m->ok && m->done < m->total) {
		size_t want = next_size(m);
		ssize_t r;

		if (send_it)
			pat_fill(buf, m->done, want, m->seed);
		r = send_it ? send(m->fd, buf, want, MSG_NOSIGNAL) : recv(m->fd, buf, want, 0);
		m->ok = r > 0 && (send_it || pat_check(buf, m->done, r, m->seed) == (size_t)r);
		if (m->ok)
			m->done += r;
		if (m->ok)
			EVP_DigestUpdate(md, buf, r);
	}
	if (send_it)
		shutdown(m->fd, SHUT_WR);
	else
		m->ok = m->ok && recv(m->fd, buf, 1, 0) == 0;
	EVP_DigestFinal_ex(md, m->sum, &n);
	EVP_MD_CTX_free(md);
	free(buf);
	return NULL;
}

static void *run_send(void *arg)
{
	return run(arg, true);
}

static void *run_recv(void *arg)
{
	return run(arg, false);
}

TEST_F_TIMEOUT(bulk, both_ways, 90)
{
	uint64_t total = variant->mib << 20;
	struct mover m[4] = {
		{ .fd = self->fd[0], .total = total, .seed = 1, .sizes = 1 },
		{ .fd = self->fd[1], .total = total, .seed = 1, .sizes = 2 },
		{ .fd = self->fd[1], .total = total / 2, .seed = 2, .sizes = 3 },
		{ .fd = self->fd[0], .total = total / 2, .seed = 2, .sizes = 4 },
	};

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, i % 2 ? run_recv : run_send, &m[i]));
	for (int i = 0; i < 4; i++) {
		pthread_join(m[i].thread, NULL);
		EXPECT_TRUE(m[i].ok) TH_LOG("%s stopped at %lu of %lu", i % 2 ? "reader" : "writer",
					    m[i].done, m[i].total);
		EXPECT_EQ(m[i].total, m[i].done);
	}
	EXPECT_EQ(0, memcmp(m[0].sum, m[1].sum, 32));
	EXPECT_EQ(0, memcmp(m[2].sum, m[3].sum, 32));
	ASSERT_EQ(0, tg_session_get(self->tg, BY_FD(self->fd[0]), &self->info));
	EXPECT_EQ(total, tg_num(&self->info, TLSGATE_A_TX_BYTES));
	EXPECT_EQ(total / 2, tg_num(&self->info, TLSGATE_A_RX_BYTES));
}

/* Memory that records are put in again is nobody's any more, however long somebody waits with it. */
TEST_F_TIMEOUT(bulk, others_leave_what_waits, 90)
{
	struct mover m[2] = {
		{ .total = 8 << 20, .seed = 1, .sizes = 1 },
		{ .total = 8 << 20, .seed = 1, .sizes = 2 },
	};
	struct mover waits = { .fd = self->fd[1], .seed = 3, .sizes = 3 };
	uint8_t *buf = malloc(CHUNK);
	int fd[2];
	ssize_t n;

	do {
		pat_fill(buf, waits.total, CHUNK, waits.seed);
		n = send(self->fd[0], buf, CHUNK, MSG_NOSIGNAL | MSG_DONTWAIT);
		waits.total += n > 0 ? n : 0;
	} while (n > 0);
	free(buf);
	EXPECT_EQ(EAGAIN, errno);
	shutdown(self->fd[0], SHUT_WR);

	ASSERT_EQ(0, connect_sessions(self->tg, variant->family,
				      ref_suite(variant->version, variant->suite), fd));
	for (int i = 0; i < 2; i++) {
		m[i].fd = fd[i];
		ASSERT_EQ(0, pthread_create(&m[i].thread, NULL, i ? run_recv : run_send, &m[i]));
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(m[i].thread, NULL);
		EXPECT_TRUE(m[i].ok) TH_LOG("stopped at %lu of %lu", m[i].done, m[i].total);
	}

	EXPECT_LT(1 << 20, waits.total);
	run_recv(&waits);
	EXPECT_TRUE(waits.ok) TH_LOG("stopped at %lu of %lu", waits.done, waits.total);
	close(fd[0]);
	close(fd[1]);
}

#define IDLE		400
#define PAGES		8	/* that each end took for its records */

/* Pages that nobody has: the allocator's, and those that each CPU keeps before it. */
static long free_pages(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	long pages = 0, n;
	char line[200];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " pages free %ld", &n) == 1 || sscanf(line, " count: %ld", &n) == 1)
			pages += n;
	if (f)
		fclose(f);
	return pages;
}

/* But for half of what all ends took, so that nothing else that happens is taken for it. */
static bool given_back(void *arg)
{
	return free_pages() > *(long *)arg - IDLE * PAGES;
}

/* Its pages go back once nothing of a session is on its way. */
TEST_F_TIMEOUT(bulk, idle_sessions_keep_no_page, 60)
{
	const struct ref_suite *suite = ref_suite(variant->version, variant->suite);
	uint8_t buf[REF_PLAINTEXT] = { };
	int fd[IDLE][2];
	long before;

	for (int i = 0; i < IDLE; i++)
		ASSERT_EQ(0, connect_sessions(self->tg, variant->family, suite, fd[i]));
	before = free_pages();
	for (int i = 0; i < IDLE; i++) {
		ASSERT_EQ(sizeof(buf), send(fd[i][0], buf, sizeof(buf), MSG_NOSIGNAL));
		ASSERT_EQ(sizeof(buf), recv(fd[i][1], buf, sizeof(buf), MSG_WAITALL));
	}
	EXPECT_TRUE(net_until(given_back, &before)) TH_LOG("%ld pages less are free",
							   before - free_pages());
	for (int i = 0; i < IDLE; i++) {
		ASSERT_EQ(100, send(fd[i][0], buf, 100, MSG_NOSIGNAL));
		ASSERT_EQ(100, recv(fd[i][1], buf, 100, MSG_WAITALL));
		close(fd[i][0]);
		close(fd[i][1]);
	}
}

/* Nor the memory in which what it was to send was to wait, where that could not be read. */
TEST_F_TIMEOUT(bulk, a_bad_address_keeps_nothing, 60)
{
	const struct ref_suite *suite = ref_suite(variant->version, variant->suite);
	const long each = REF_PLAINTEXT / getpagesize();
	int fd[IDLE][2];
	long before;

	for (int i = 0; i < IDLE; i++)
		ASSERT_EQ(0, connect_sessions(self->tg, variant->family, suite, fd[i]));
	before = free_pages();
	for (int i = 0; i < IDLE; i++) {
		ASSERT_EQ(-1, send(fd[i][0], (void *)8, 100, MSG_MORE | MSG_NOSIGNAL));
		ASSERT_EQ(EFAULT, errno);
	}
	EXPECT_LT(before - free_pages(), IDLE * each / 2);
	for (int i = 0; i < IDLE; i++) {
		close(fd[i][0]);
		close(fd[i][1]);
	}
}

TEST_HARNESS_MAIN
