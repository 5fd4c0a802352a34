// SPDX-License-Identifier: MIT
#include "daemon/limits.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/tcp.h"
#include "daemon/conn.h"
#include "daemon/ledger.h"

/* ---- in the monitor ---- */

static bool has_limit(const struct gate_settings *set)
{
	return set->max_connections || set->max_per_address || set->handshake_rate;
}

bool limits_wanted(const struct gate *gates, size_t count, const struct settings *settings)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (has_limit(gates[i].settings))
			return true;
	return settings->max_handshakes;
}

static int prepare_gate(struct census *census, struct gate *gate)
{
	if (!has_limit(gate->settings))
		return 0;
	gate->census = census_gate(census, gate->settings->name);
	if (gate->census == CENSUS_NONE)
		return gate_refuse(gate->settings, NULL, NULL,
				   "too many other names of gates with limits still have connections: keep the names that there were");
	gate->limited = true;
	gate->counted |= gate->settings->max_connections || gate->settings->max_per_address;
	return 0;
}

int limits_prepare(struct census *census, struct gate *gates, size_t count,
		   const struct settings *settings)
{
	int ret = 0;
	size_t i;

	if (!limits_wanted(gates, count, settings))
		return 0;
	if (census_open(census)) {
		log_error("no memory to count connections in: %s: set no limits, or free some memory", strerror(errno));
		return -1;
	}
	for (i = 0; i < count; i++)
		ret |= prepare_gate(census, &gates[i]);
	return ret;
}

void limits_release(struct census *census, struct gate *gates, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (gates[i].limited)
			census_put_gate(census, gates[i].census);
		gates[i].limited = false;
	}
}

void limits_carried(struct census *census, const struct ledger_entry *entry, bool begins)
{
	size_t gate;
	uint64_t hash;

	if (!census->memory.ours)
		return;
	gate = census_find_gate(census, entry->gate);
	if (gate == CENSUS_NONE)
		return;
	hash = census_hash(census, gate, &entry->client);
	census_add_connections(census, gate, begins ? 1 : -1);
	if (begins)
		(void)census_add_address(census, hash);
	else
		census_remove_address(census, hash);
}

static void count_one(void *arg, struct ledger_entry *entry)
{
	limits_carried(arg, entry, true);
}

void limits_recount(struct census *census, struct ledger *ledger)
{
	if (!census->memory.ours)
		return;
	census_clear(census);
	ledger_each_counted(ledger, count_one, census);
}

/* ---- in a worker ---- */

static bool is_full(const struct worker *worker, struct census_sum sum, uint64_t limit)
{
	return census_is_full(sum, limit, worker->workers);
}

void limits_refuse(struct conn *conn, enum counter counter)
{
	const bool serves = conn->gate->settings->mode == GATE_SERVE;
	char client[ADDR_TEXT_MAX];

	worker_count(conn->worker, conn->gate, STAT_FAILED, 1);
	worker_count(conn->worker, conn->gate, counter, 1);
	if (log_is_verbose())
		worker_log_peer(conn->worker, info, "%s: client %s: refused by a limit",
				conn->gate->settings->name, conn_client(conn, client));
	conn->shed = true;
	tcp_reset(serves ? conn->tls_io.fd : conn->plain_io.fd);
	conn_free(conn);
}

bool limits_begin(struct conn *conn)
{
	const struct worker *worker = conn->worker;
	const struct gate *gate = conn->gate;
	const uint32_t limit = gate->settings->max_connections;

	if (!gate->limited)
		return true;
	if (limit && is_full(worker, census_connections(worker->census, gate->census), limit)) {
		limits_refuse(conn, STAT_OVER_CONNECTIONS);
		return false;
	}
	census_add_connections(worker->census, gate->census, 1);
	conn->in_census = true;
	return true;
}

static void leave_address(struct conn *conn)
{
	if (conn->address_in_census)
		census_remove_address(conn->worker->census, conn->client_hash);
	conn->address_in_census = false;
}

bool limits_admit(struct conn *conn)
{
	const struct gate_settings *set = conn->gate->settings;
	const struct worker *worker = conn->worker;
	const uint64_t now = clock_ms();

	if ((!set->max_per_address && !set->handshake_rate) || conn->client.sin6_family == AF_UNIX)
		return true;
	leave_address(conn);
	conn->client_hash = census_hash(worker->census, conn->gate->census, &conn->client);
	if (set->max_per_address &&
	    is_full(worker, census_address(worker->census, conn->client_hash), set->max_per_address)) {
		limits_refuse(conn, STAT_OVER_ADDRESS);
		return false;
	}
	if (set->handshake_rate &&
	    is_full(worker, census_starts(worker->census, conn->client_hash, now), set->handshake_rate)) {
		limits_refuse(conn, STAT_OVER_RATE);
		return false;
	}
	if (set->handshake_rate)
		census_add_start(worker->census, conn->client_hash, now);
	if (set->max_per_address)
		conn->address_in_census = census_add_address(worker->census, conn->client_hash);
	return true;
}

void limits_end(struct conn *conn)
{
	leave_address(conn);
	if (conn->in_census)
		census_add_connections(conn->worker->census, conn->gate->census, -1);
	conn->in_census = false;
}

void limits_handshakes(const struct worker *worker, int32_t number)
{
	if (worker->settings->max_handshakes)
		census_add_handshakes(worker->census, number);
}

/* The newest of them is counted already. */
bool limits_is_full(const struct worker *worker)
{
	const uint32_t limit = worker->settings->max_handshakes;

	if (!limit)
		return worker->handshakes > WORKER_MAX_HANDSHAKES;
	return is_full(worker, census_handshakes(worker->census), (uint64_t)limit + 1);
}
