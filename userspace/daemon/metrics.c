// SPDX-License-Identifier: MIT
#include "daemon/metrics.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "daemon/backends.h"
#include "daemon/modstats.h"
#include "daemon/monitor.h"
#include "daemon/totals.h"
#include "lib/libtlsgate.h"
#include "tlsgate_version.h"

/* What the collectors of one answer share. */
struct source {
	struct monitor *monitor;
	const struct generation *live;
	uint64_t (*totals)[STATS];	/* by the live one's gates */
	struct modstats module;
	bool carried;			/* the kernel's sessions are known */
};

struct metric {
	const char *name;
	enum metric_type type;
	const char *help;
	void (*collect)(struct metrics_out *out, const struct source *source, unsigned int from);
	unsigned int from;		/* what it reads: an enum counter, an enum backends_number; of the module: which row */
};

static uint64_t sum(const struct source *source, const struct gate *gate, unsigned int counter)
{
	return source->totals[gate - source->live->gates][counter];
}

#define FOR_EACH_GATE(gate, source)								\
	for ((gate) = (source)->live->gates; (gate) < (source)->live->gates + (source)->live->built; (gate)++)

/* ---- of the daemon ---- */

static void build_info(struct metrics_out *out, const struct source *source, unsigned int from)
{
	(void)source;
	(void)from;
	metrics_sample(out, "", LABELS({ "version", TLSGATE_VERSION },
				       { "libcrypto", OpenSSL_version(OPENSSL_VERSION_STRING) }), 1);
}

static void start_time(struct metrics_out *out, const struct source *source, unsigned int from)
{
	(void)from;
	metrics_sample(out, "", NO_LABELS, (uint64_t)source->monitor->since);
}

static void workers(struct metrics_out *out, const struct source *source, unsigned int from)
{
	uint64_t count = 0;
	size_t i;

	(void)from;
	for (i = 0; i < source->live->worker_count; i++)
		count += source->live->workers[i].ready;
	metrics_sample(out, "", NO_LABELS, count);
}

static void restarts(struct metrics_out *out, const struct source *source, unsigned int from)
{
	(void)from;
	metrics_sample(out, "", NO_LABELS, totals_restarts(source->live));
}

static void reloads(struct metrics_out *out, const struct source *source, unsigned int from)
{
	(void)from;
	metrics_sample(out, "", LABELS({ "result", "done" }), source->monitor->reloads[true]);
	metrics_sample(out, "", LABELS({ "result", "refused" }), source->monitor->reloads[false]);
}

static void last_reload(struct metrics_out *out, const struct source *source, unsigned int from)
{
	(void)from;
	metrics_sample(out, "", NO_LABELS, !source->monitor->refused);
}

static void lines_lost(struct metrics_out *out, const struct source *source, unsigned int from)
{
	enum log_target target;

	(void)from;
	for (target = 0; target < LOG_TARGETS; target++)
		metrics_sample(out, "", LABELS({ "target", log_target_name(target) }),
			       log_lost(target) + totals_lost(source->live, target));
}

static void paused(struct metrics_out *out, const struct source *source, unsigned int from)
{
	(void)from;
	metrics_sample(out, "", NO_LABELS, pause_is_on(source->monitor->pause));
}

/* ---- of a gate, as workers count ---- */

static void per_gate(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct gate *gate;

	FOR_EACH_GATE(gate, source)
		metrics_sample(out, "", LABELS({ "gate", gate->settings->name }), sum(source, gate, from));
}

/* Only those that there were: of many hundred kinds a server sees a few. */
static void handshakes(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct gate *gate;
	struct tally_kind kind;
	uint64_t number;
	unsigned int i;

	FOR_EACH_GATE(gate, source) {
		for (i = 0; i < TALLY_KINDS; i++) {
			number = sum(source, gate, from + i);
			if (!number || !tally_kind_names(i, &kind))
				continue;
			metrics_sample(out, "", LABELS({ "gate", gate->settings->name },
						       { "version", kind.version }, { "suite", kind.suite },
						       { "group", kind.group },
						       { "resumed", kind.resumed ? "yes" : "no" },
						       { "client_certificate", kind.client_certificate ? "yes" : "no" }),
				       number);
		}
	}
}

/* All of them, so that a rate sees the first one. */
static void by_reason(struct metrics_out *out, const struct source *source, unsigned int from,
		      const char * const names[], unsigned int count)
{
	const struct gate *gate;
	unsigned int i;

	FOR_EACH_GATE(gate, source)
		for (i = 0; i < count; i++)
			metrics_sample(out, "", LABELS({ "gate", gate->settings->name }, { "reason", names[i] }),
				       sum(source, gate, from + i));
}

static void handshake_failures(struct metrics_out *out, const struct source *source, unsigned int from)
{
	by_reason(out, source, from, tally_failures, FAILURES);
}

static void refusals(struct metrics_out *out, const struct source *source, unsigned int from)
{
	by_reason(out, source, from, tally_refusals, REFUSALS);
}

static void times_of(struct metrics_out *out, const struct source *source, const struct gate *gate,
		     unsigned int from)
{
	const char *name = gate->settings->name;
	uint64_t count = 0;
	unsigned int i;

	for (i = 0; i < TALLY_BUCKETS; i++) {
		count += sum(source, gate, from + i);
		metrics_sample(out, "_bucket", LABELS({ "gate", name }, { "le", tally_bound(i) }), count);
	}
	metrics_seconds(out, "_sum", LABELS({ "gate", name }), sum(source, gate, from + TALLY_SUM));
	metrics_sample(out, "_count", LABELS({ "gate", name }), count);
}

static void times(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct gate *gate;

	FOR_EACH_GATE(gate, source)
		times_of(out, source, gate, from);
}

/* Counters that differ in one label. */
struct part {
	const char *value;
	enum counter counter;
};

static void parts_of(struct metrics_out *out, const struct source *source, const char *label,
		     const struct part *parts, size_t count)
{
	const struct gate *gate;
	size_t i;

	FOR_EACH_GATE(gate, source)
		for (i = 0; i < count; i++)
			metrics_sample(out, "", LABELS({ "gate", gate->settings->name },
						       { label, parts[i].value }),
				       sum(source, gate, parts[i].counter));
}

static void handovers(struct metrics_out *out, const struct source *source, unsigned int from)
{
	static const struct part parts[] = {
		{ "relay", STAT_KERNEL }, { "delivery", STAT_DELIVERED },
	};

	(void)from;
	parts_of(out, source, "kind", parts, 2);
}

static void limits(struct metrics_out *out, const struct source *source, unsigned int from)
{
	static const struct part parts[] = {
		{ "handshakes", STAT_NO_HANDSHAKE_ROOM }, { "descriptors", STAT_NO_DESCRIPTOR },
		{ "connections", STAT_OVER_CONNECTIONS }, { "address", STAT_OVER_ADDRESS },
		{ "rate", STAT_OVER_RATE },
	};

	(void)from;
	parts_of(out, source, "limit", parts, sizeof(parts) / sizeof(parts[0]));
}

/* ---- of a gate, with what the kernel carries ---- */

static const char * const paths[CARRIED_PATHS] = {
	[CARRIED_KERNEL] = "kernel", [CARRIED_DELIVERED] = "delivered",
};

static void active(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct carried_gate *kernel;
	const struct gate *gate;
	enum carried_path path;

	FOR_EACH_GATE(gate, source) {
		metrics_sample(out, "", LABELS({ "gate", gate->settings->name }, { "path", "user" }),
			       sum(source, gate, from));
		kernel = source->carried ? carried_find(&source->monitor->carried, gate->settings->name) : NULL;
		for (path = 0; kernel && path < CARRIED_PATHS; path++)
			metrics_sample(out, "", LABELS({ "gate", gate->settings->name },
						       { "path", paths[path] }), kernel->sums[path].active);
	}
}

static void bytes_of(struct metrics_out *out, const char *gate, const char *path, uint64_t from_client,
		     uint64_t from_backend)
{
	metrics_sample(out, "", LABELS({ "gate", gate }, { "path", path }, { "from", "client" }), from_client);
	metrics_sample(out, "", LABELS({ "gate", gate }, { "path", path }, { "from", "backend" }),
		       from_backend);
}

static void bytes(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct carried_gate *kernel;
	const struct gate *gate;
	enum carried_path path;

	(void)from;
	FOR_EACH_GATE(gate, source) {
		bytes_of(out, gate->settings->name, "user", sum(source, gate, STAT_FROM_CLIENT),
			 sum(source, gate, STAT_FROM_BACKEND));
		kernel = source->carried ? carried_find(&source->monitor->carried, gate->settings->name) : NULL;
		for (path = 0; kernel && path < CARRIED_PATHS; path++)
			bytes_of(out, gate->settings->name, paths[path], kernel->sums[path].from_client,
				 kernel->sums[path].from_backend);
	}
}

/* ---- of a gate's backends ---- */

static void per_backend(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct gate *gate;
	struct backends_sum *sums;
	size_t i;

	FOR_EACH_GATE(gate, source) {
		sums = backends_sums(gate);
		for (i = 0; i < gate->address_count; i++)
			if (sums[i].checked || (from != BACKENDS_UP && from != BACKENDS_CHECKS_FAILED))
				metrics_sample(out, "", LABELS({ "gate", gate->settings->name },
							       { "backend", sums[i].text }),
					       sums[i].numbers[from]);
		free(sums);
	}
}

/* ---- of a gate, as it is configured ---- */

static void wants_kernel(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct gate *gate;

	(void)from;
	FOR_EACH_GATE(gate, source)
		metrics_sample(out, "", LABELS({ "gate", gate->settings->name }), gate->kernel);
}

static void certificates(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct gate *gate;
	int64_t begin, end;
	size_t i;

	(void)from;
	FOR_EACH_GATE(gate, source)
		for (i = 0; i < gate->files.count; i++)
			if (!tls_certificate_validity(gate->certs[i], 0, &begin, &end) && end >= 0)
				metrics_sample(out, "", LABELS({ "gate", gate->settings->name },
							       { "file", gate->files.items[i].cert }),
					       (uint64_t)end);
}

static void ticket_keys(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct gate *gate;

	(void)from;
	FOR_EACH_GATE(gate, source)
		if (gate->tickets)
			metrics_sample(out, "", LABELS({ "gate", gate->settings->name }),
				       (uint64_t)tickets_age(gate->tickets));
}

/* ---- of the module ---- */

static void module_loaded(struct metrics_out *out, const struct source *source, unsigned int from)
{
	struct tlsgate *tlsgate;
	const char *why;
	const bool loaded = !tlsgate_open(&tlsgate, &why);

	(void)source;
	(void)from;
	tlsgate_close(tlsgate);
	metrics_sample(out, "", NO_LABELS, loaded);
}

static void of_module(struct metrics_out *out, const struct source *source, unsigned int from)
{
	if (source->module.known)
		metrics_sample(out, "", NO_LABELS, source->module.numbers[from]);
}

static void module_reasons(struct metrics_out *out, const struct source *source, unsigned int from)
{
	const struct tlsgate_reason_info *info = tlsgate_reasons();

	(void)from;
	for (; source->module.known && info->name; info++)
		if (info->reason != TLSGATE_REASON_NONE)
			metrics_sample(out, "", LABELS({ "reason", info->name }),
				       source->module.reasons[info->reason]);
}

/* ---- all ---- */

static const struct metric metrics[] = {
	{ "tlsgated_build_info", METRIC_INFO,
	  "The running tlsgated.", build_info, 0 },
	{ "tlsgated_start_time_seconds", METRIC_GAUGE,
	  "When tlsgated was started, in seconds since 1970.", start_time, 0 },
	{ "tlsgated_workers", METRIC_GAUGE,
	  "Worker processes that accept connections.", workers, 0 },
	{ "tlsgated_worker_restarts_total", METRIC_COUNTER,
	  "Workers that were started for one that died.", restarts, 0 },
	{ "tlsgated_reloads_total", METRIC_COUNTER,
	  "Reloads, also those by a change in cert-dir, by what came of them.", reloads, 0 },
	{ "tlsgated_last_reload_successful", METRIC_GAUGE,
	  "0 while the last reload was refused.", last_reload, 0 },
	{ "tlsgated_log_lines_lost_total", METRIC_COUNTER,
	  "Lines of the log that their target did not take.", lines_lost, 0 },
	{ "tlsgated_handovers_paused", METRIC_GAUGE,
	  "1 between tlsgate pause and tlsgate resume.", paused, 0 },
	{ "tlsgated_gate_wants_kernel", METRIC_GAUGE,
	  "1 for a gate whose data-path is auto or kernel.", wants_kernel, 0 },
	{ "tlsgated_connections_accepted_total", METRIC_COUNTER,
	  "Connections accepted.", per_gate, STAT_ACCEPTED },
	{ "tlsgated_connections_active", METRIC_GAUGE,
	  "Connections open now, by who carries them.", active, STAT_OPEN },
	{ "tlsgated_connections_failed_total", METRIC_COUNTER,
	  "Connections that ended before both sides were connected.", per_gate, STAT_FAILED },
	{ "tlsgated_connections_broken_total", METRIC_COUNTER,
	  "Connections in a worker that ended later and not in order.", per_gate, STAT_BROKEN },
	{ "tlsgated_connections_kept_total", METRIC_COUNTER,
	  "Connections that a worker relayed up to the end.", per_gate, STAT_USER },
	{ "tlsgated_connections_passed_total", METRIC_COUNTER,
	  "Connections whose TLS a worker relayed as it is.", per_gate, STAT_PASSED },
	{ "tlsgated_handshakes_total", METRIC_COUNTER,
	  "Handshakes completed, by what they agreed on.", handshakes, STAT_KIND },
	{ "tlsgated_handshake_failures_total", METRIC_COUNTER,
	  "Handshakes failed, by reason.", handshake_failures, STAT_FAILURE },
	{ "tlsgated_handshake_seconds", METRIC_HISTOGRAM,
	  "Time of a completed handshake, with the network's and keyd's share.", times, STAT_HANDSHAKE_TIME },
	{ "tlsgated_handovers_total", METRIC_COUNTER,
	  "Connections handed over to the kernel, to be relayed or delivered.", handovers, 0 },
	{ "tlsgated_handovers_refused_total", METRIC_COUNTER,
	  "Hand-overs that the kernel refused, by reason.", refusals, STAT_REFUSAL },
	{ "tlsgated_backend_connect_seconds", METRIC_HISTOGRAM,
	  "Time until the backend was connected.", times, STAT_CONNECT_TIME },
	{ "tlsgated_backend_connect_failures_total", METRIC_COUNTER,
	  "Connections for which no address of the backend could be reached.", per_gate, STAT_NO_BACKEND },
	{ "tlsgated_backend_up", METRIC_GAUGE,
	  "1 for a backend whose last check found it up.", per_backend, BACKENDS_UP },
	{ "tlsgated_backend_drained", METRIC_GAUGE,
	  "1 for a backend that tlsgate drain keeps from new connections.", per_backend, BACKENDS_DRAINED },
	{ "tlsgated_backend_connections_active", METRIC_GAUGE,
	  "Connections to a backend, in workers and in the kernel.", per_backend, BACKENDS_CONNECTIONS },
	{ "tlsgated_backend_checks_failed_total", METRIC_COUNTER,
	  "Checks that found a backend down.", per_backend, BACKENDS_CHECKS_FAILED },
	{ "tlsgated_bytes_total", METRIC_COUNTER,
	  "Bytes of plaintext, by who carried them and where they came from.", bytes, 0 },
	{ "tlsgated_limits_hit_total", METRIC_COUNTER,
	  "How often a limit of the daemon ended or held back connections.", limits, 0 },
	{ "tlsgated_certificate_not_after_timestamp_seconds", METRIC_GAUGE,
	  "When a certificate of a gate ends, in seconds since 1970.", certificates, 0 },
	{ "tlsgated_ticket_key_age_seconds", METRIC_GAUGE,
	  "How long the key that seals session tickets has been in use.", ticket_keys, 0 },
	{ "tlsgate_module_loaded", METRIC_GAUGE,
	  "1 while a module of this release is loaded.", module_loaded, 0 },
	{ "tlsgate_module_sessions_opened_total", METRIC_COUNTER,
	  "Sessions in the kernel, of this network namespace.", of_module, MODSTAT_SESSIONS_OPENED },
	{ "tlsgate_module_sessions_closed_total", METRIC_COUNTER,
	  "Sessions that ended.", of_module, MODSTAT_SESSIONS_CLOSED },
	{ "tlsgate_module_relays_opened_total", METRIC_COUNTER,
	  "Relays in the kernel.", of_module, MODSTAT_RELAYS_OPENED },
	{ "tlsgate_module_relays_closed_total", METRIC_COUNTER,
	  "Relays that ended.", of_module, MODSTAT_RELAYS_CLOSED },
	{ "tlsgate_module_deliveries_queued_total", METRIC_COUNTER,
	  "Connections put into a server's accept queue.", of_module, MODSTAT_DELIVERIES_QUEUED },
	{ "tlsgate_module_deliveries_accepted_total", METRIC_COUNTER,
	  "Of these, those that the server accepted.", of_module, MODSTAT_DELIVERIES_ACCEPTED },
	{ "tlsgate_module_sent_records_total", METRIC_COUNTER,
	  "Records sealed.", of_module, MODSTAT_TX_RECORDS },
	{ "tlsgate_module_sent_bytes_total", METRIC_COUNTER,
	  "Bytes of plaintext sealed.", of_module, MODSTAT_TX_BYTES },
	{ "tlsgate_module_received_records_total", METRIC_COUNTER,
	  "Records opened.", of_module, MODSTAT_RX_RECORDS },
	{ "tlsgate_module_received_bytes_total", METRIC_COUNTER,
	  "Bytes of plaintext opened.", of_module, MODSTAT_RX_BYTES },
	{ "tlsgate_module_sent_rekeys_total", METRIC_COUNTER,
	  "KeyUpdates sent.", of_module, MODSTAT_TX_REKEYS },
	{ "tlsgate_module_received_rekeys_total", METRIC_COUNTER,
	  "KeyUpdates received.", of_module, MODSTAT_RX_REKEYS },
	{ "tlsgate_module_keys_past_limit_total", METRIC_COUNTER,
	  "TLS 1.2 keys that sealed more than their limit.", of_module, MODSTAT_TX_PAST_LIMIT },
	{ "tlsgate_module_relay_direct_total", METRIC_COUNTER,
	  "Messages that a relay moved in the softirq that brought them.", of_module, MODSTAT_RELAY_DIRECT },
	{ "tlsgate_module_records_stashed_total", METRIC_COUNTER,
	  "Records copied out of TCP's queue to be opened.", of_module, MODSTAT_RX_STASHED },
	{ "tlsgate_module_events_lost_total", METRIC_COUNTER,
	  "Events for which there was no memory, or no room at a listener.", of_module, MODSTAT_EVENTS_LOST },
	{ "tlsgate_module_reasons_total", METRIC_COUNTER,
	  "Sessions ended and requests refused, by reason.", module_reasons, 0 },
};

/* Without memory, or before anything serves, there are none. */
static void collect(struct metrics_out *out, struct monitor *monitor)
{
	struct source source = { .monitor = monitor, .live = monitor->generations };
	size_t i;

	source.totals = source.live ? calloc(source.live->built, sizeof(*source.totals)) : NULL;
	if (!source.totals)
		return;
	totals_of_all(source.live, source.totals);
	modstats_read(&source.module);
	source.carried = carried_update(&monitor->carried);
	for (i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
		metrics_family(out, metrics[i].name, metrics[i].type, metrics[i].help);
		metrics[i].collect(out, &source, metrics[i].from);
	}
	free(source.totals);
}

char *metrics_write(struct monitor *monitor, enum metrics_format format, size_t *len)
{
	struct metrics_out out;

	if (metrics_open(&out, format))
		return NULL;
	collect(&out, monitor);
	return metrics_text(&out, len);
}

struct json_object *metrics_families(struct monitor *monitor)
{
	struct metrics_out out;

	if (metrics_open(&out, METRICS_JSON))
		return NULL;
	collect(&out, monitor);
	return metrics_json(&out);
}
