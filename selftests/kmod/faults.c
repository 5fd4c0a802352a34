// SPDX-License-Identifier: MIT
/*
 * Memory runs out at every single allocation of every call, one after the
 * other (Documentation/fault-injection, fail-nth).  A call may then fail; but
 * no byte is lost, doubled or in clear, and no nonce is used twice: the
 * reference, which counts records itself, opens all that comes.
 *
 * Needs a kernel with fault injection (the debug kernel of check-all); is
 * skipped elsewhere.
 */
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/gate.h"

#define FAULTS_MAX	400	/* allocations of one call */
#define CHUNK		40000	/* several records */

FIXTURE(fault)
{
	struct pair p;
	struct tg_info info;
	uint8_t data[1 << 20], got[1 << 20];
};

FIXTURE_VARIANT(fault)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(fault)

static void debug_write(const char *name, const char *value)
{
	int fd = open(name, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		perror(name);
	close(fd);
}

static int fault_fd = -1;

static bool fault_available(void)
{
	debug_write("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	debug_write("/sys/kernel/debug/failslab/verbose", "0");
	debug_write("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	debug_write("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	debug_write("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	debug_write("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	fault_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	return fault_fd >= 0;
}

/* The n-th allocation of this thread from now on fails. */
static void fault_at(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(fault_fd, text, len, 0) != len)
		abort();
}

/* Ends it.  True: the fault has struck. */
static bool fault_struck(void)
{
	char text[16] = "";

	if (pread(fault_fd, text, sizeof(text) - 1, 0) < 1)
		abort();
	fault_at(0);
	return atoi(text) == 0;
}

FIXTURE_SETUP(fault)
{
	if (!fault_available())
		SKIP(return, "this kernel has no fault injection");
	pat_fill(self->data, 0, sizeof(self->data), 1);
	/* Pages of ours that are still the parent's would be copied, or not, while a call writes. */
	memset(self->got, 0, sizeof(self->got));
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(fault)
{
	pair_free(&self->p);
}

static bool memory_error(int error)
{
	return error == ENOMEM || error == ENOBUFS || error == EAGAIN;
}

/* A call failed for good: the session is dead, and a new one takes its place. */
static void expect_dead(struct __test_metadata *_metadata, struct pair *p, int error)
{
	uint16_t version = p->suite->version, suite = p->suite->suite;

	ASSERT_EQ(EIO, error);
	ASSERT_EQ(-1, send(p->fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
	ASSERT_NE(PEER_BAD, peer_drain(&p->peer));
	pair_free(p);
	ASSERT_TRUE(pair_start(p, version, suite, AF_INET));
}

/* A refusal that has arrived says why. */
static void expect_sentence(struct __test_metadata *_metadata, const struct tg *tg, int err, int n)
{
	if (err && tg->raw_len)
		EXPECT_NE('\0', tg->ack.msg[0]) TH_LOG("fault %d: %d", n, err);
}

/* Whatever the call came to, what it took arrives, and nothing else. */
static void expect_arrival(struct __test_metadata *_metadata, struct pair *p, uint8_t *got,
			   uint64_t at, size_t n)
{
	uint8_t type = REF_DATA;
	size_t done = 0;
	ssize_t r;

	for (; done < n; done += r) {
		r = peer_recv(&p->peer, &type, got, REF_PLAINTEXT);
		ASSERT_GT(r, 0) TH_LOG("result %zd after %zu of %zu bytes at %lu", r, done, n, at);
		ASSERT_EQ(REF_DATA, type);
		ASSERT_EQ(r, pat_check(got, at + done, r, 1));
	}
	ASSERT_EQ(n, done);
}

TEST_F_TIMEOUT(fault, send, 120)
{
	size_t at = 0;
	bool struck = true;
	int n;

	for (n = 1; struck && n < FAULTS_MAX; n++) {
		ssize_t r;
		int err;

		pat_fill(self->data, at, CHUNK, 1);
		fault_at(n);
		r = send(self->p.fd, self->data, CHUNK, MSG_DONTWAIT);
		err = errno;
		struck = fault_struck();
		ASSERT_TRUE(r > 0 || memory_error(err)) TH_LOG("fault %d: %s", n, strerror(err));
		if (r <= 0)
			continue;
		expect_arrival(_metadata, &self->p, self->got, at, r);
		at += r;
	}
	EXPECT_GT(n, 2) TH_LOG("no allocation was made to fail");
	EXPECT_FALSE(struck);
}

TEST_F_TIMEOUT(fault, recv, 120)
{
	size_t at = 0, sealed = 0;
	bool struck = true;
	int n;

	for (n = 1; struck && n < FAULTS_MAX; n++) {
		ssize_t r;
		int err;

		if (sealed < at + CHUNK) {
			pat_fill(self->data, sealed, CHUNK, 1);
			ASSERT_EQ(0, peer_send_data(&self->p.peer, self->data, CHUNK));
			sealed += CHUNK;
		}
		ASSERT_TRUE(net_poll(self->p.fd, POLLIN, NET_DEADLINE) & POLLIN);
		fault_at(n);
		r = recv(self->p.fd, self->got, CHUNK, MSG_DONTWAIT);
		err = errno;
		struck = fault_struck();
		if (r < 0 && !memory_error(err)) {
			expect_dead(_metadata, &self->p, err);
			at = sealed;
		}
		if (r <= 0)
			continue;
		ASSERT_EQ(r, pat_check(self->got, at, r, 1)) TH_LOG("fault %d", n);
		at += r;
	}
	EXPECT_GT(n, 2) TH_LOG("no allocation was made to fail");
	/* All that was held back comes now. */
	ASSERT_EQ(0, net_read(self->p.fd, self->got, sealed - at));
	EXPECT_EQ(sealed - at, pat_check(self->got, at, sealed - at, 1));
}

/* A session is made or it is not: then the socket is as plain as it was. */
TEST_F_TIMEOUT(fault, install, 120)
{
	struct pair *p = &self->p;
	bool struck = true;
	int n, count;

	pair_free(p);
	for (n = 1; struck && n < FAULTS_MAX; n++) {
		uint8_t c = 0;
		int err;

		ASSERT_TRUE(pair_connect(p, variant->version, variant->suite, variant->family));
		fault_at(n);
		err = pair_install(p);
		struck = fault_struck();
		expect_sentence(_metadata, p->tg, err, n);
		if (!err) {
			EXPECT_EQ(1, send(p->fd, "s", 1, 0));
			EXPECT_TRUE(peer_recv_data(&p->peer, &c, 1)) TH_LOG("fault %d", n);
		} else if (tg_session_get(p->tg, BY_FD(p->fd), &self->info)) {
			EXPECT_EQ(1, send(p->fd, "p", 1, 0));
			EXPECT_EQ(0, net_read(p->peer.fd, &c, 1));
			EXPECT_EQ('p', c) TH_LOG("fault %d: %d", n, err);
		} else {
			/* Made, and only the answer was lost: then nothing plain leaves. */
			EXPECT_EQ(1, send(p->fd, "s", 1, 0));
			EXPECT_TRUE(peer_recv_data(&p->peer, &c, 1)) TH_LOG("fault %d", n);
		}
		pair_free(p);
	}
	EXPECT_GT(n, 10) TH_LOG("no allocation was made to fail");
	ASSERT_TRUE(pair_connect(p, variant->version, variant->suite, variant->family));
	ASSERT_EQ(0, tg_session_dump(p->tg, 0, NULL, &count));
	EXPECT_EQ(0, count);
}

/* New keys or the end, but never the old key again. */
TEST_F_TIMEOUT(fault, rekey, 120)
{
	struct pair *p = &self->p;
	uint8_t buf[REF_PLAINTEXT], type;
	bool struck = true;

	if (variant->version == 0x0303)
		return;
	for (int n = 1; struck && n < FAULTS_MAX; n++) {
		ssize_t r;
		int err;

		fault_at(n);
		err = tg_session_rekey(p->tg, BY_FD(p->fd));
		struck = fault_struck();
		expect_sentence(_metadata, p->tg, err, n);
		if (send(p->fd, "r", 1, MSG_NOSIGNAL) != 1) {
			EXPECT_EQ(PEER_EOF, peer_drain(&p->peer));
			pair_free(p);
			ASSERT_TRUE(pair_start(p, variant->version, variant->suite,
					       variant->family));
			continue;
		}
		r = peer_recv(&p->peer, &type, buf, sizeof(buf));
		if (r == 5 && type == REF_HANDSHAKE) {
			ref_ratchet(&p->peer.rx);
			r = peer_recv(&p->peer, &type, buf, sizeof(buf));
		}
		ASSERT_EQ(1, r) TH_LOG("fault %d", n);
		ASSERT_EQ(REF_DATA, type);
	}
	EXPECT_FALSE(struck);
}

TEST_F_TIMEOUT(fault, close, 120)
{
	struct pair *p = &self->p;
	bool struck = true;

	for (int n = 1; struck && n < FAULTS_MAX; n++) {
		int end;

		EXPECT_EQ(5, send(p->fd, self->data, 5, 0));
		fault_at(n);
		shutdown(p->fd, SHUT_WR);
		struck = fault_struck();
		close(p->fd);
		p->fd = -1;
		EXPECT_TRUE(peer_recv_data(&p->peer, self->got, 5));
		/* The alert may be lost, and TCP itself may lose its FIN; nothing else may come. */
		net_timeouts(p->peer.fd, 1000);
		end = peer_drain(&p->peer);
		EXPECT_NE(PEER_BAD, end) TH_LOG("fault %d", n);
		pair_free(p);
		ASSERT_TRUE(pair_start(p, variant->version, variant->suite, variant->family));
	}
	EXPECT_FALSE(struck);
}

/* Whoever follows events reads ENOBUFS in the place of one for which there was no memory. */
static bool told_of_loss(struct tg *ear)
{
	char message[8192];
	bool told = false;
	ssize_t r;

	do {
		r = recv(nl_socket_get_fd(ear->sk), message, sizeof(message), MSG_DONTWAIT);
		told |= r < 0 && errno == ENOBUFS;
	} while (r >= 0 || errno == ENOBUFS);
	return told;
}

TEST_F_TIMEOUT(fault, lost_event_is_told, 120)
{
	struct tg *ear = tg_open();
	int counters = tg_counters(), losses = 0;
	struct pair *p = &self->p;
	bool struck = true;

	ASSERT_NE(NULL, ear);
	ASSERT_EQ(0, tg_listen(ear));
	for (int n = 1; struck && n < FAULTS_MAX; n++) {
		uint64_t before = tg_counter(counters, "events_lost");
		bool lost;

		fault_at(n);
		close(p->fd);
		struck = fault_struck();
		p->fd = -1;
		/* That of the end is sent before close() returns. */
		lost = tg_counter(counters, "events_lost") != before;
		losses += lost;
		EXPECT_EQ(lost, told_of_loss(ear)) TH_LOG("fault %d", n);
		pair_free(p);
		ASSERT_TRUE(pair_start(p, variant->version, variant->suite, variant->family));
	}
	EXPECT_FALSE(struck);
	close(counters);
	tg_close(ear);
	if (!losses)
		SKIP(return, "no fault struck an event");
}

/* Joined or not; and if the refusal came late, the connection is cut, not left in between. */
TEST_F_TIMEOUT(fault, relay, 120)
{
	struct pair *p = &self->p;
	bool struck = true;

	for (int n = 1; struck && n < FAULTS_MAX; n++) {
		int fd[2], err;

		ASSERT_EQ(0, net_tcp_pair(AF_INET, fd));
		fault_at(n);
		err = tg_relay_new(p->tg, p->fd, fd[0], 1000);
		struck = fault_struck();
		expect_sentence(_metadata, p->tg, err, n);
		close(fd[0]);
		if (!err) {
			ASSERT_EQ(3, send(fd[1], "abc", 3, 0));
			ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 3)) TH_LOG("fault %d", n);
		} else if (send(p->fd, "abc", 3, MSG_NOSIGNAL) == 3) {
			ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 3)) TH_LOG("fault %d", n);
		}
		close(fd[1]);
		pair_free(p);
		ASSERT_TRUE(pair_start(p, variant->version, variant->suite, variant->family));
	}
	EXPECT_FALSE(struck);
}

/* ---- a relay's works ----------------------------------------------------------------- */

#define WORKERS		100
#define PIECE		1111	/* bytes: no multiple of an AEAD's block */
#define PIECES		20	/* more than a softirq moves */

struct workers {
	int fd[WORKERS], n;
};

static bool is_worker(const char *pid)
{
	char path[300], comm[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, comm, sizeof(comm) - 1) < 0)
		*comm = 0;
	close(fd);
	return !strncmp(comm, "kworker/", 8);
}

static void workers_find(struct workers *w)
{
	DIR *proc = opendir("/proc");
	char path[300];
	struct dirent *e;

	for (w->n = 0; (e = readdir(proc)) && w->n < WORKERS;) {
		if (!is_worker(e->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/fail-nth", e->d_name);
		w->fd[w->n] = open(path, O_RDWR | O_CLOEXEC);
		w->n += w->fd[w->n] >= 0;
	}
	closedir(proc);
}

/* The n-th allocation of each fails; 0: none does.  A worker may have ended. */
static void workers_fault_at(const struct workers *w, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	for (int i = 0; i < w->n; i++)
		if (pwrite(w->fd[i], text, len, 0) != len)
			continue;
}

/* As many pieces in one segment, each somewhere else on a page. */
static bool send_in_pieces(int fd, int other, const uint8_t *data)
{
	for (int i = 0; i < PIECES; i++)
		if (send(fd, data + i * PIECE, PIECE, i < PIECES - 1 ? MSG_MORE : 0) != PIECE ||
		    send(other, "odd", 3, 0) != 3)
			return false;
	return true;
}

/* They have nobody to tell: they try again, and all arrives, in both directions. */
TEST_F_TIMEOUT(fault, works, 240)
{
	const size_t len = PIECES * PIECE;
	struct pair *p = &self->p;
	struct workers w;
	int plain, other[2];
	size_t at = 0;

	ASSERT_LE(0, plain = pair_relay(p, AF_INET, -1));
	ASSERT_EQ(0, net_tcp_pair(AF_INET, other));
	for (int n = 1; n <= 30; n++, at += len) {
		pat_fill(self->data, at, len, 1);
		workers_find(&w);
		ASSERT_LT(0, w.n);
		workers_fault_at(&w, n);
		ASSERT_TRUE(send_in_pieces(plain, other[0], self->data));
		expect_arrival(_metadata, p, self->got, at, len);
		ASSERT_EQ(0, peer_send_data(&p->peer, self->data, len));
		ASSERT_EQ(0, net_read(plain, self->got, len)) TH_LOG("fault %d", n);
		ASSERT_EQ(0, memcmp(self->data, self->got, len));
		workers_fault_at(&w, 0);
		for (int i = 0; i < w.n; i++)
			close(w.fd[i]);
	}
	close(plain);
	close(other[0]);
	close(other[1]);
}

/* ---- what is sealed stays for long ---------------------------------------------------- */

#define LONGEST		16384
#define LAYOUTS		12	/* more pieces than are kept */

/*
 * TCP gets no buffer, whoever gives it something, and this task no two pages that lie
 * side by side: what is sealed waits, in as many pieces as it can have.
 */
static const struct {
	const char *name, *on, *off;
} starving[] = {
	{ "/proc/self/make-it-fail", "1", "0" },
	{ "/sys/kernel/slab/skbuff_fclone_cache/failslab", "1", "0" },
	{ "/sys/kernel/debug/failslab/cache-filter", "Y", "N" },
	{ "/sys/kernel/debug/failslab/times", "-1", "1" },
	{ "/sys/kernel/debug/failslab/probability", "100", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/task-filter", "Y", "N" },
	{ "/sys/kernel/debug/fail_page_alloc/min-order", "1", "0" },
	{ "/sys/kernel/debug/fail_page_alloc/times", "-1", "1" },
	{ "/sys/kernel/debug/fail_page_alloc/probability", "100", "0" },
};

#define STARVING	((int)(sizeof(starving) / sizeof(*starving)))

FIXTURE(starved)
{
	struct pair p;
	int knob[STARVING];	/* opening one takes memory */
	uint8_t data[LAYOUTS * 8192], got[REF_PLAINTEXT];
};

static void turn(int knob, const char *to)
{
	if (write(knob, to, strlen(to)) < 0)
		abort();
}

static void starve(FIXTURE_DATA(starved) *self)
{
	for (int i = 0; i < STARVING; i++)
		turn(self->knob[i], starving[i].on);
}

/* The filters last, without which all would fail. */
static void feed(FIXTURE_DATA(starved) *self)
{
	for (int i = STARVING - 1; i >= 0; i--)
		turn(self->knob[i], starving[i].off);
}

FIXTURE_SETUP(starved)
{
	if (!fault_available())
		SKIP(return, "this kernel has no fault injection");
	for (int i = 0; i < STARVING; i++) {
		self->knob[i] = open(starving[i].name, O_WRONLY | O_CLOEXEC);
		ASSERT_LE(0, self->knob[i]) TH_LOG("%s", starving[i].name);
	}
	pat_fill(self->data, 0, sizeof(self->data), 1);
}

FIXTURE_TEARDOWN(starved)
{
	feed(self);
	for (int i = 0; i < STARVING; i++)
		close(self->knob[i]);
}

/*
 * Sends records until no more is taken.  The first end where the last bytes of a page
 * are used by the next one, which so is in two pieces, and the longest in six.  Bytes taken.
 */
static size_t fill(FIXTURE_DATA(starved) *self, int layout)
{
	size_t at = 0, len = 1000;
	ssize_t n = 0;

	for (int i = 0; i < layout + 3 && n >= 0; i++, at += n > 0 ? n : 0) {
		n = send(self->p.fd, self->data + at, len, MSG_DONTWAIT);
		len = i == 0 ? 3005 : i < layout + 1 ? 4061 : LONGEST;
	}
	return at;
}

/* Starved, behind a KeyUpdate that is to be answered.  Bytes that wait. */
static size_t begin_full(struct __test_metadata *_metadata, FIXTURE_DATA(starved) *self,
			 int layout)
{
	struct pair *p = &self->p;
	int much = 1 << 20;
	size_t len;

	ASSERT_TRUE(pair_start(p, 0x0304, 0x1301, AF_INET));
	/* TCP that gets no memory would lower its limit. */
	ASSERT_EQ(0, setsockopt(p->fd, SOL_SOCKET, SO_SNDBUFFORCE, &much, sizeof(much)));
	ASSERT_EQ(0, peer_key_update(&p->peer, 1));
	ASSERT_TRUE(net_poll(p->fd, POLLIN, NET_DEADLINE) & POLLIN);
	starve(self);
	len = fill(self, layout);
	/* Pages it gets again. */
	turn(self->knob[0], "0");
	EXPECT_EQ(0, net_poll(p->peer.fd, POLLIN, 0));
	return len;
}

TEST_F_TIMEOUT(starved, end_finds_its_place, 120)
{
	struct pair *p = &self->p;

	for (int i = 0; i < LAYOUTS; i++) {
		size_t len = begin_full(_metadata, self, i);

		EXPECT_EQ(0, shutdown(p->fd, SHUT_WR)) TH_LOG("layout %d", i);
		feed(self);
		expect_arrival(_metadata, p, self->got, 0, len);
		EXPECT_TRUE(peer_expect_end(&p->peer)) TH_LOG("layout %d", i);
		pair_free(p);
	}
}

/* Its own place, or it waits; it is no reason for an end. */
TEST_F_TIMEOUT(starved, key_update_finds_its_place, 120)
{
	struct pair *p = &self->p;
	uint8_t type;

	for (int i = 0; i < LAYOUTS; i++) {
		size_t len = begin_full(_metadata, self, i);

		EXPECT_EQ(-1, recv(p->fd, self->got, 1, MSG_DONTWAIT));
		EXPECT_EQ(EAGAIN, errno) TH_LOG("layout %d", i);
		feed(self);
		expect_arrival(_metadata, p, self->got, 0, len);
		ASSERT_EQ(5, peer_recv(&p->peer, &type, self->got, sizeof(self->got)));
		ASSERT_EQ(REF_HANDSHAKE, type);
		ref_ratchet(&p->peer.rx);
		ASSERT_EQ(1, send(p->fd, self->data, 1, 0));
		expect_arrival(_metadata, p, self->got, 0, 1);
		EXPECT_EQ(0, shutdown(p->fd, SHUT_WR));
		EXPECT_TRUE(peer_expect_end(&p->peer)) TH_LOG("layout %d", i);
		pair_free(p);
	}
}

/* ---- delivery: a connection comes to the server or is reset, whatever fails -------------- */

FIXTURE(deliver_fault)
{
	struct gate g;
	struct gated c;
	int counters;
};

FIXTURE_SETUP(deliver_fault)
{
	if (!fault_available())
		SKIP(return, "this kernel has no fault injection");
	self->c = (struct gated){ .fd = -1, .peer.fd = -1 };
	self->counters = tg_counters();
	ASSERT_TRUE(gate_open(&self->g, AF_INET));
}

FIXTURE_TEARDOWN(deliver_fault)
{
	gated_free(&self->c);
	gate_free(&self->g);
	EXPECT_TRUE(gate_sessions(self->counters, 0));
	close(self->counters);
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

TEST_F_TIMEOUT(deliver_fault, handle, 120)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = 1 };
	int n, handle, files = open_files();
	bool struck = true;

	for (n = 1; struck && n < FAULTS_MAX; n++) {
		fault_at(n);
		handle = tg_deliver_new(self->g.tg, &at, sizeof(at), &at, sizeof(at));
		struck = fault_struck();
		expect_sentence(_metadata, self->g.tg, handle < 0 ? handle : 0, n);
		if (handle >= 0)
			close(handle);
		/* The answer that names it is there still, behind the error of an acknowledgement. */
		if (handle < 0 && !self->g.tg->raw_len)
			files = open_files();
		EXPECT_EQ(files, open_files()) TH_LOG("fault %d", n);
	}
	EXPECT_GT(n, 2) TH_LOG("no allocation was made to fail");
	EXPECT_FALSE(struck);
}

TEST_F_TIMEOUT(deliver_fault, install, 120)
{
	bool struck = true;
	int n, err, app;
	char got[4];

	for (n = 1; struck && n < FAULTS_MAX; n++) {
		ASSERT_TRUE(gate_accept(&self->g, &self->c));
		fault_at(n);
		err = gate_install(&self->g, &self->c);
		struck = fault_struck();
		if (err) {
			expect_sentence(_metadata, self->g.tg, err, n);
			/* Its answer may be lost after all was done. */
			if (send(self->c.fd, "here", 4, MSG_NOSIGNAL) == 4) {
				EXPECT_EQ(0, net_read(self->c.peer.fd, got, 4));
				EXPECT_EQ(0, memcmp(got, "here", 4));
				gated_free(&self->c);
				continue;
			}
		}
		gate_close(&self->c);
		app = gate_server_accept(self->g.server);
		ASSERT_LE(0, app) TH_LOG("fault %d", n);
		EXPECT_TRUE(gate_talks(&self->c, app)) TH_LOG("fault %d", n);
		close(app);
		gated_free(&self->c);
	}
	EXPECT_GT(n, 2) TH_LOG("no allocation was made to fail");
	EXPECT_FALSE(struck);
}

TEST_F_TIMEOUT(deliver_fault, close, 120)
{
	bool struck = true;
	int n, app, reset = 0;

	for (n = 1; struck && n < FAULTS_MAX; n++) {
		ASSERT_TRUE(gate_accept(&self->g, &self->c));
		ASSERT_EQ(0, gate_install(&self->g, &self->c));
		fault_at(n);
		gate_close(&self->c);
		struck = fault_struck();
		if (gate_delivery(&self->g, &self->c) == TLSGATE_DELIVERY_QUEUED) {
			app = gate_server_accept(self->g.server);
			ASSERT_LE(0, app);
			EXPECT_TRUE(gate_talks(&self->c, app)) TH_LOG("fault %d", n);
			close(app);
		} else {
			EXPECT_EQ(PEER_RESET, peer_drain(&self->c.peer)) TH_LOG("fault %d", n);
			reset++;
		}
		gated_free(&self->c);
	}
	EXPECT_FALSE(struck);
	/* What is allocated to be queued. */
	EXPECT_GT(reset, 0);
	EXPECT_EQ(reset, tg_counter(self->counters, "reason_not_delivered"));
}

TEST_F_TIMEOUT(deliver_fault, accept, 120)
{
	bool struck = true;
	int n, app;

	for (n = 1; struck && n < FAULTS_MAX; n++) {
		ASSERT_TRUE(gate_deliver(&self->g, &self->c));
		fault_at(n);
		app = accept4(self->g.server, NULL, NULL, SOCK_CLOEXEC);
		struck = fault_struck();
		/* It is still there. */
		if (app < 0)
			app = gate_server_accept(self->g.server);
		ASSERT_LE(0, app) TH_LOG("fault %d", n);
		EXPECT_TRUE(gate_talks(&self->c, app)) TH_LOG("fault %d", n);
		close(app);
		gated_free(&self->c);
	}
	EXPECT_GT(n, 2) TH_LOG("no allocation was made to fail");
	EXPECT_FALSE(struck);
}

TEST_HARNESS_MAIN
