// SPDX-License-Identifier: MIT
/*
 * No nonce is used twice: every run of the AEAD that seals, as the tracepoint
 * tlsgate_record_sealed tells it, by session, key epoch and sequence number,
 * while calls are short of memory, would block, are interrupted, and keys are
 * changed under them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define TRACING		"/sys/kernel/tracing/"
#define CHUNK		(1 << 18)
#define SEALED_MAX	(1 << 17)

/* ---- tracefs ---------------------------------------------------------------------- */

static bool trace_write(const char *name, const char *value)
{
	char path[200];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", name);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return false;
	n = write(fd, value, strlen(value));
	close(fd);
	return n >= 0;
}

static bool trace_start(void)
{
	if (access(TRACING "events", F_OK))
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	return trace_write("buffer_size_kb", "16384") && trace_write("trace", "") &&
	       trace_write("events/tlsgate/tlsgate_record_sealed/enable", "1") &&
	       trace_write("tracing_on", "1");
}

struct sealed {
	uint32_t id, epoch;
	unsigned long seq;
	bool failed;
};

static struct sealed *all;
static size_t count;

/* How many were told; false if some were lost. */
static bool trace_read(void)
{
	unsigned long overrun = 0, entries, written;
	FILE *f = fopen(TRACING "trace", "r");
	char line[400], dir[4];
	struct sealed s;
	int err;

	if (!f)
		return false;
	count = 0;
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, "tlsgate_record_sealed: ");

		if (sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu", &entries, &written)
		    == 2)
			overrun = written - entries;
		if (!at || sscanf(at, "tlsgate_record_sealed: id=%u dir=%3s epoch=%u seq=%lu len=%*u err=%d",
				  &s.id, dir, &s.epoch, &s.seq, &err) != 5)
			continue;
		s.failed = err;
		if (count < SEALED_MAX)
			all[count++] = s;
	}
	fclose(f);
	return !overrun && count < SEALED_MAX;
}

static int by_nonce(const void *a, const void *b)
{
	const struct sealed *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* ---- fixture ----------------------------------------------------------------------- */

FIXTURE(nonces)
{
	struct pair p;
	struct tg_info info;
	pthread_t thread;
	bool reading;
	uint8_t data[CHUNK];
};

FIXTURE_VARIANT(nonces)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(nonces, v12_aes128, 0x0303, 0xc02f, AF_INET)
PAIR_VARIANT(nonces, v13_aes128, 0x0304, 0x1301, AF_INET)
PAIR_VARIANT(nonces, v13_chacha, 0x0304, 0x1303, AF_INET6)

/* Opens all that comes, until the end. */
static void *read_all(void *arg)
{
	static _Thread_local uint8_t plain[REF_PLAINTEXT];
	struct peer *peer = arg;
	uint8_t type;
	ssize_t n;

	while ((n = peer_recv(peer, &type, plain, sizeof(plain))) >= 0)
		if (type == REF_HANDSHAKE)
			ref_ratchet(&peer->rx);
	return (void *)n;
}

FIXTURE_SETUP(nonces)
{
	if (!trace_start())
		SKIP(return, "this kernel has no tracefs, or the module no tracepoints");
	all = calloc(SEALED_MAX, sizeof(*all));
	pat_fill(self->data, 0, CHUNK, 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
	/* Little room, so that sends often wait or would have to. */
	ASSERT_EQ(0, net_buffers(self->p.fd, 20000, 0));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, read_all, &self->p.peer));
}

FIXTURE_TEARDOWN(nonces)
{
	trace_write("events/tlsgate/enable", "0");
	trace_write("buffer_size_kb", "1408");
	pair_free(&self->p);
	free(all);
}

/* ---- what goes wrong ------------------------------------------------------------------ */

static void without_blocking(struct pair *p, const uint8_t *data)
{
	for (int i = 0; i < 300; i++)
		if (send(p->fd, data, 1 + i * 151, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			net_poll(p->fd, POLLOUT, 20);
}

static void nothing(int sig)
{
}

static void interrupted(struct pair *p, const uint8_t *data)
{
	struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { };
	struct sigaction sa = { .sa_handler = nothing };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 100; i++)
		send(p->fd, data, 60000, MSG_NOSIGNAL);
	setitimer(ITIMER_REAL, &never, NULL);
}

static void rekeyed(struct pair *p, const uint8_t *data)
{
	for (int i = 0; i < 100; i++) {
		send(p->fd, data, 20000, MSG_DONTWAIT | MSG_NOSIGNAL);
		tg_session_rekey(p->tg, BY_FD(p->fd));
	}
}

static void bad_addresses(struct pair *p, const uint8_t *data)
{
	struct iovec iov[2] = { { (void *)data, 20000 }, { (void *)8, 1000 } };

	for (int i = 0; i < 50; i++) {
		iov[0].iov_len = 100 + i * 397;
		writev(p->fd, iov, 2);
	}
}

/* Memory fails at one allocation after the other; only kernels with fault injection. */
static int out_of_memory(struct pair *p, const uint8_t *data)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR), struck = 0;
	char text[16];

	if (fd < 0)
		return -1;
	for (int n = 1; n < 200; n++) {
		snprintf(text, sizeof(text), "%d", 1 + n % 40);
		pwrite(fd, text, strlen(text), 0);
		send(p->fd, data, 40000, MSG_DONTWAIT | MSG_NOSIGNAL);
		memset(text, 0, sizeof(text));
		pread(fd, text, sizeof(text) - 1, 0);
		struck += !atoi(text);
		pwrite(fd, "0", 1, 0);
		net_poll(p->fd, POLLOUT, 20);
	}
	close(fd);
	return struck;
}

TEST_F_TIMEOUT(nonces, never_twice, 120)
{
	struct pair *p = &self->p;
	size_t failed = 0;
	void *end;
	int struck;

	without_blocking(p, self->data);
	interrupted(p, self->data);
	bad_addresses(p, self->data);
	if (variant->version == TLSGATE_TLS_1_3)
		rekeyed(p, self->data);
	struck = out_of_memory(p, self->data);
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	shutdown(p->fd, SHUT_WR);
	pthread_join(self->thread, &end);
	EXPECT_NE(PEER_BAD, (ssize_t)end);

	ASSERT_TRUE(trace_read());
	qsort(all, count, sizeof(*all), by_nonce);
	for (size_t i = 1; i < count; i++) {
		ASSERT_NE(0, by_nonce(&all[i - 1], &all[i]))
			TH_LOG("epoch %u, seq %lu", all[i].epoch, all[i].seq);
	}
	for (size_t i = 0; i < count; i++)
		failed += all[i].failed;
	/* The tracepoint told of all of them: close_notify came after the report. */
	EXPECT_LE(tg_num(&self->info, TLSGATE_A_TX_RECORDS), count - failed);
	EXPECT_LT(200, count);
	TH_LOG("%zu nonces, %zu of records that failed, %d allocations failed", count, failed, struck);
}

TEST_HARNESS_MAIN
