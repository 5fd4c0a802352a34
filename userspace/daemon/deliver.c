// SPDX-License-Identifier: MIT
#include "daemon/deliver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/ipc.h"
#include "daemon/account.h"
#include "daemon/backend.h"
#include "daemon/conn.h"
#include "daemon/install.h"
#include "daemon/preface.h"

#define RETRY_MS_MIN	10
#define RETRY_MS_MAX	250	/* many may wait, and the server has to get at the CPU */
#define DETOUR_MS	1000	/* how often it is tried whether a refused kind is taken again */

enum outcome {
	REFUSE,
	WAIT,				/* it may pass */
	RELAY,				/* clients and load have no part in it */
};

static enum outcome outcome_of(int err)
{
	static const struct {
		int err;
		enum outcome outcome;
	} rows[] = {
		{ -EADDRNOTAVAIL, RELAY },	/* the server's address */
		{ -ESOCKTNOSUPPORT, RELAY },	/* its socket */
		{ -EPERM, RELAY },		/* the right to install */
		{ -EBADF, RELAY },		/* the handle */
		{ -EXDEV, RELAY },
		{ -ECONNREFUSED, WAIT },	/* nobody listens */
		{ -EAGAIN, WAIT },		/* the backlog is full */
		{ -ENOMEM, WAIT },
		{ -ENOBUFS, WAIT },
		{ -ENOSPC, WAIT },		/* as many sessions as may be */
		{ -ENODEV, WAIT },		/* the handle holds the module: only its family was not found */
		{ -EBUSY, WAIT },		/* somebody looks at the socket, as lsof does */
		{ -EINPROGRESS, WAIT },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (err == rows[i].err)
			return rows[i].outcome;
	return REFUSE;
}

/* waited: 0 where that would be no use. */
static void refuse(struct conn *conn, uint64_t waited, const char *why)
{
	char client[ADDR_TEXT_MAX], time[32] = "";

	if (waited)
		snprintf(time, sizeof(time), " within %.1f s", (double)waited / 1000);
	worker_count(conn->worker, conn->gate, STAT_FAILED, 1);
	worker_log_peer(conn->worker, warn, "%s: client %s: cannot be delivered to %s%s: %s; connection closed",
			conn->gate->settings->name, conn_client(conn, client),
			conn_backend(conn), time, why);
	account_reason(conn, "it cannot be delivered%s: %s", time, why);
	conn_abort(conn);
}

/* What the operator can do, where the kernel's sentence is for who tries again. */
static const char *advice(int err, const char *why)
{
	if (err == -EAGAIN)
		return "the server's backlog is full: raise that (listen backlog, net.core.somaxconn), or let the server accept faster";
	if (err == -ECONNREFUSED)
		return "nobody listens at the server's address: start the server";
	return why;
}

/* Soon at first, then ever less often. */
static bool wait_to_retry(struct conn *conn)
{
	const uint64_t limit = conn->gate->settings->connect_timeout;
	const uint64_t waited = clock_ms() - conn->tried;
	uint64_t next = waited / 2;

	if (limit && waited >= limit)
		return false;
	next = next < RETRY_MS_MIN ? RETRY_MS_MIN : next > RETRY_MS_MAX ? RETRY_MS_MAX : next;
	conn_deadline(conn, (uint32_t)(limit && next > limit - waited ? limit - waited : next));
	return true;
}

/* By the socket's own peer, whomever that one speaks for. */
static enum detour_kind kind_of(const struct conn *conn)
{
	const struct preface *preface = conn->preface;

	return detour_kind_of((const struct sockaddr *)(preface && preface->proxied ? &preface->proxy :
							&conn->client));
}

/* The monitor decides, for all workers.  A note that finds no room is sent by the next refusal. */
static void tell_monitor(const struct worker *worker, const struct gate *gate,
			 enum detour_kind kind, const char *why)
{
	struct ipc_note note = {
		.gate = (uint16_t)(gate - worker->gates), .kind = (uint8_t)kind, .refused = why != NULL,
	};

	if (why)
		memcpy(note.text, why, strnlen(why, sizeof(note.text)));
	(void)ipc_send_note(worker->control, &note);
}

static bool may_relay(const struct gate *gate)
{
	return gate->settings->deliver == DELIVER_AUTO;
}

/* Of a kind that is refused, a connection now and then finds out whether it still is. */
static bool is_due(const struct conn *conn)
{
	const size_t gate = (size_t)(conn->gate - conn->worker->gates);
	uint64_t *tried = &conn->worker->tried[gate * DETOURS + kind_of(conn)];

	if (detour_is_refused(conn->gate->detour, kind_of(conn)) && clock_ms() - *tried < DETOUR_MS)
		return false;
	*tried = clock_ms();
	return true;
}

/* A gate of deliver = auto relays what the configuration keeps from being delivered. */
static bool try(struct conn *conn)
{
	const struct gate *gate = conn->gate;
	struct worker *worker = conn->worker;
	const enum detour_kind kind = kind_of(conn);
	const bool due = is_due(conn);
	enum outcome outcome;
	const char *why;
	int err;

	if (may_relay(gate) && !due)
		return backend_start(conn);
	err = conn_deliver(conn, &why);
	if (!err && detour_is_refused(gate->detour, kind))
		tell_monitor(worker, gate, kind, NULL);
	if (!err)
		return false;
	outcome = outcome_of(err);
	if (outcome == RELAY && due)
		tell_monitor(worker, gate, kind, why);
	if (outcome == RELAY && may_relay(gate))
		return backend_start(conn);
	if (outcome == WAIT && wait_to_retry(conn))
		return false;
	worker_count(worker, gate, STAT_REFUSED, 1);
	worker_count(worker, gate, STAT_REFUSAL + tally_refusal(err), 1);
	refuse(conn, outcome == WAIT ? clock_ms() - conn->tried : 0, advice(err, why));
	return false;
}

bool deliver_timer(struct conn *conn)
{
	const bool paused = pause_is_on(conn->worker->paused);

	if (paused && may_relay(conn->gate))
		return backend_start(conn);
	if (!paused && conn_flush(conn) >= 0)
		return try(conn);
	refuse(conn, 0, paused ? "hand-overs are paused: tlsgate resume" : strerror(errno));
	return false;
}

bool deliver_start(struct conn *conn)
{
	conn->state = CONN_DELIVERING;
	conn->tried = clock_ms();
	conn_deadline(conn, 0);
	return deliver_timer(conn);
}
