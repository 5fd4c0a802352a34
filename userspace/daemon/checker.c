// SPDX-License-Identifier: MIT
#include "daemon/checker.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/hurry.h"
#include "common/ipc.h"
#include "common/mem.h"
#include "daemon/backend.h"
#include "daemon/speak.h"
#include "daemon/worker.h"

#define LIMIT_LEAST	1000u	/* ms for a check, however often there is one */
#define FIRST_WITHIN	1000u	/* ms, for the first check */
#define JITTER		10u	/* percent of the time between two, so that no two stay in step */

/* Of one backend. */
struct check {
	const struct checker *checker;
	struct gate *gate;
	struct pool *pool;
	size_t number;			/* of the member in the pool */
	ev_timer timer;			/* for the next one; of one under way, its limit */
	ev_io io;			/* fd -1: none is under way */
	size_t address;			/* the next one that is tried */
	struct starttls *talk;		/* the server is being asked for TLS */
	struct tls_conn *tls;		/* the handshake has begun */
};

struct checker {
	struct worker *worker;
	struct check *checks;
	size_t count;
};

static const struct member *member_of(const struct check *check)
{
	return &check->pool->members[check->number];
}

static struct ev_loop *loop_of(const struct check *check)
{
	return check->checker->worker->loop;
}

static void set_timer(struct check *check, double ms)
{
	ev_timer_stop(loop_of(check), &check->timer);
	ev_timer_set(&check->timer, ms / 1000., 0.);
	ev_timer_start(loop_of(check), &check->timer);
}

static void watch(struct check *check, int events)
{
	const int fd = check->io.fd;

	ev_io_stop(loop_of(check), &check->io);
	ev_io_set(&check->io, fd, events);
	ev_io_start(loop_of(check), &check->io);
}

/* A UNIX server may have passed along what must not have the worker wait. */
static void close_socket(struct check *check)
{
	ev_io_stop(loop_of(check), &check->io);
	if (check->io.fd != -1 && member_of(check)->is_unix)
		hurry_close(check->io.fd);
	else if (check->io.fd != -1)
		close(check->io.fd);
	check->io.fd = -1;
	tls_conn_free(check->tls);
	check->tls = NULL;
	starttls_free(check->talk);
	check->talk = NULL;
}

static void wait_for_next(struct check *check)
{
	const uint32_t interval = check->pool->check;

	set_timer(check, interval + randombytes_uniform(interval / JITTER + 1));
}

/* why NULL: it answers.  The next one tells what the monitor has no room for. */
static void end(struct check *check, const char *why)
{
	const struct worker *worker = check->checker->worker;
	struct ipc_check outcome = {
		.gate = (uint16_t)(check->gate - worker->gates),
		.pool = (uint16_t)(check->pool - check->gate->pools),
		.member = (uint16_t)check->number,
		.failed = why != NULL,
	};

	if (why)
		snprintf(outcome.text, sizeof(outcome.text), "%s", why);
	close_socket(check);
	(void)ipc_send_check(worker->control, &outcome);
	wait_for_next(check);
}

/* 0: all; 1: the socket is full; -1: errno says. */
static int flush(struct check *check)
{
	const uint8_t *data;
	size_t len;
	ssize_t n;

	while ((data = tls_conn_output(check->tls, &len)), len) {
		n = send(check->io.fd, data, len, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		tls_conn_output_done(check->tls, (size_t)n);
	}
	return 0;
}

static void end_engine(struct check *check, int err)
{
	char reason[TLS_REASON_TEXT], why[sizeof(reason) + 256];
	struct tls_conn_info info;
	bool known = tls_conn_reason(check->tls, err, reason);

	tls_conn_info(check->tls, &info);
	snprintf(why, sizeof(why), "handshake failed: %s%s%s%s%s", tls_strerror(err),
		 info.verify_error ? ": " : "", info.verify_error ? info.verify_error : "",
		 known ? ": " : "", known ? reason : "");
	(void)flush(check);		/* the alert that says so to the server */
	end(check, why);
}

/* True: look again at what the engine wants. */
static bool feed(struct check *check)
{
	struct worker *worker = check->checker->worker;
	size_t room = tls_conn_input_space(check->tls);
	ssize_t n;
	int err;

	if (room > sizeof(worker->wire))
		room = sizeof(worker->wire);
	n = member_of(check)->is_unix ? hurry_recv(check->io.fd, worker->wire, room) :
					recv(check->io.fd, worker->wire, room, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		watch(check, EV_READ);
		return false;
	}
	if (n <= 0) {
		end(check, n ? strerror(errno) : "the server closes the connection in the handshake");
		return false;
	}
	err = tls_conn_input(check->tls, worker->wire, (size_t)n);
	if (err)
		end_engine(check, err);
	return !err;
}

/*
 * Who wants a signature of ours has shown its own already, and that it has the key of its
 * certificate: keyd is not asked.
 */
static bool is_verified(const struct check *check)
{
	return tls_conn_established(check->tls) || tls_conn_wants(check->tls) & TLS_WANTS_PRIVATE_KEY;
}

static void shake_hands(struct check *check)
{
	int ret;

	do {
		if (is_verified(check)) {
			(void)tls_conn_close(check->tls);
			(void)flush(check);
			end(check, NULL);
			return;
		}
		ret = flush(check);
		if (ret > 0) {
			watch(check, EV_WRITE);
			return;
		}
		if (ret < 0) {
			end(check, strerror(errno));
			return;
		}
	} while (feed(check));
}

/* The time of one check, of which each address gets an equal share. */
static uint32_t limit_of(const struct check *check)
{
	const uint32_t longest = check->gate->settings->connect_timeout;
	const uint32_t limit = check->pool->check > LIMIT_LEAST ? check->pool->check : LIMIT_LEAST;

	return longest && longest < limit ? longest : limit;
}

static uint32_t share_of(const struct check *check)
{
	struct addr unused;
	uint32_t count = 0;

	while (places_get(member_of(check)->places, count, &unused))
		count++;
	return limit_of(check) / (count ? count : 1);
}

static void begin_tls(struct check *check)
{
	int err;

	check->tls = tls_conn_new(check->gate->config);
	err = check->tls ? tls_conn_set_server_name(check->tls, member_of(check)->server_name) :
			   TLS_ERR_NO_MEMORY;
	if (!err)
		err = tls_conn_start(check->tls);
	if (err)
		end(check, tls_strerror(err));
	else
		shake_hands(check);
}

static void ask_for_tls(struct check *check)
{
	struct worker *worker = check->checker->worker;
	struct speak_fault fault;
	int events;

	switch (speak(check->talk, check->io.fd, member_of(check)->is_unix, worker->wire, sizeof(worker->wire),
		      &events, &fault)) {
	case STARTTLS_MORE:
		watch(check, events);
		break;
	case STARTTLS_DONE:
		starttls_free(check->talk);
		check->talk = NULL;
		begin_tls(check);
		break;
	default:
		end(check, fault.why);
	}
}

static void connected(struct check *check)
{
	const struct gate_settings *set = check->gate->settings;

	if (set->mode == GATE_SERVE) {
		end(check, NULL);
		return;
	}
	set_timer(check, limit_of(check));
	if (!set->starttls) {
		begin_tls(check);
		return;
	}
	check->talk = starttls_new(set->starttls, STARTTLS_CLIENT, check->gate->host);
	if (check->talk)
		ask_for_tls(check);
	else
		end(check, tls_strerror(TLS_ERR_NO_MEMORY));
}

/* Tries the addresses that are left.  why: the last one could not be reached. */
static void connect_next(struct check *check, const char *why)
{
	struct addr addr;
	int error;

	while (places_get(member_of(check)->places, check->address++, &addr)) {
		error = backend_connect(check->gate, &addr, &check->io.fd);
		if (!error) {
			connected(check);
			return;
		}
		if (error == EINPROGRESS) {
			set_timer(check, share_of(check));
			watch(check, EV_WRITE);
			return;
		}
		close_socket(check);
		if (error == EAGAIN) {		/* the backlog of a UNIX socket is full: it is there */
			end(check, NULL);
			return;
		}
		why = strerror(error);
	}
	end(check, why);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct check *check = io->data;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)loop;
	(void)events;
	if (check->talk) {
		ask_for_tls(check);
		return;
	}
	if (check->tls) {
		shake_hands(check);
		return;
	}
	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (!error) {
		connected(check);
		return;
	}
	close_socket(check);
	connect_next(check, strerror(error));
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct check *check = timer->data;

	(void)loop;
	(void)events;
	if (check->talk || check->tls) {
		end(check, "the handshake takes too long");
	} else if (check->io.fd != -1) {
		close_socket(check);
		connect_next(check, strerror(ETIMEDOUT));
	} else {
		check->address = 0;
		connect_next(check, "its name is not resolved");
	}
}

/* Returns how many backends the gate wants checked; each gets an entry, from check on, unless that is NULL. */
static size_t add_checks(const struct checker *checker, struct gate *gate, struct check *check)
{
	const struct pool *last = gate->pools + gate->pool_count;
	size_t count = 0, i;
	struct pool *pool;

	for (pool = gate->pools; pool < last; pool++) {
		for (i = 0; i < pool->count && pool->check; i++, count++) {
			if (!check)
				continue;
			*check = (struct check){ .checker = checker, .gate = gate, .pool = pool, .number = i };
			ev_init(&check->io, on_io);
			ev_init(&check->timer, on_timer);
			check->io.fd = -1;
			check->io.data = check->timer.data = check;
			/* soon, but not all at once */
			set_timer(check++, randombytes_uniform(pool->check < FIRST_WITHIN ? pool->check : FIRST_WITHIN));
		}
	}
	return count;
}

struct checker *checker_start(struct worker *worker)
{
	struct gate *gate, *last = worker->gates + worker->gate_count;
	struct checker *checker;
	struct check *next;
	size_t count = 0;

	for (gate = worker->gates; gate < last; gate++)
		count += add_checks(NULL, gate, NULL);
	if (!count)
		return NULL;
	checker = xcalloc(1, sizeof(*checker));
	checker->worker = worker;
	checker->count = count;
	checker->checks = next = xcalloc(count, sizeof(*next));
	for (gate = worker->gates; gate < last; gate++)
		next += add_checks(checker, gate, next);
	return checker;
}

void checker_stop(struct checker *checker)
{
	size_t i;

	for (i = 0; checker && i < checker->count; i++) {
		close_socket(&checker->checks[i]);
		ev_timer_stop(checker->worker->loop, &checker->checks[i].timer);
	}
	if (checker)
		free(checker->checks);
	free(checker);
}
