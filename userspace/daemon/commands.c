// SPDX-License-Identifier: MIT
#include "daemon/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/backends.h"
#include "daemon/delivery.h"
#include "daemon/gates.h"
#include "daemon/gather.h"
#include "daemon/metrics.h"
#include "daemon/monitor.h"
#include "daemon/passed.h"
#include "daemon/totals.h"

#define LINES_MAX	65536		/* bytes of them that are passed on */

/* Without memory an answer lacks something; nothing else can be done about it. */
static void add(struct json_object *object, const char *key, struct json_object *value)
{
	if (json_object_object_add(object, key, value))
		json_object_put(value);
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	add(object, key, json_object_new_string(text));
}

static void append_text(struct json_object *array, const char *text, size_t len)
{
	struct json_object *item = json_object_new_string_len(text, (int)len);

	if (json_object_array_add(array, item))
		json_object_put(item);
}

/* ---- reload and upgrade ---- */

static struct json_object *split_lines(const char *text, size_t len)
{
	struct json_object *lines = json_object_new_array();
	const char *end;

	while (lines && (end = memchr(text, '\n', len))) {
		append_text(lines, text, (size_t)(end - text));
		len -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	return lines;
}

/* What was copied of the log. */
static void add_lines(struct json_object *answer)
{
	static char text[LINES_MAX];	/* the monitor has one thread */
	int fd = log_copy();
	ssize_t len = fd == -1 ? 0 : pread(fd, text, sizeof(text), 0);

	add(answer, "lines", split_lines(text, len < 0 ? 0 : (size_t)len));
	log_copy_close();
}

static void tell_outcome(struct monitor *monitor, const char *command, bool done)
{
	struct json_object *answer = json_object_new_object();

	add_lines(answer);
	control_answer(&monitor->control, command, done ? CONTROL_OK : CONTROL_REFUSED, answer);
}

/*
 * The errors and warnings, those of keyd and of the next daemon as well, are the answer.
 * start() says whether told() will be called.
 */
static enum control_outcome change(struct monitor *monitor, struct json_object *answer,
				   bool (*start)(struct monitor *monitor,
						 void (*told)(struct monitor *monitor, bool done)),
				   void (*told)(struct monitor *monitor, bool done))
{
	if (monitor_is_busy(monitor)) {
		add_text(answer, "reason", monitor_is_busy(monitor));
		return CONTROL_REFUSED;
	}
	/* by O_APPEND's rule for one description: children add to the same offset */
	log_copy_to(memfd_create("tlsgated-outcome", MFD_CLOEXEC));
	if (start(monitor, told))
		return CONTROL_LATER;
	add_lines(answer);
	return CONTROL_REFUSED;
}

static void tell_reload(struct monitor *monitor, bool done)
{
	tell_outcome(monitor, "reload", done);
}

static enum control_outcome do_reload(void *arg, const char *operand, struct json_object *answer)
{
	(void)operand;
	return change(arg, answer, monitor_reload, tell_reload);
}

static void tell_upgrade(struct monitor *monitor, bool done)
{
	tell_outcome(monitor, "upgrade", done);
}

static enum control_outcome do_upgrade(void *arg, const char *operand, struct json_object *answer)
{
	(void)operand;
	return change(arg, answer, monitor_upgrade, tell_upgrade);
}

/* ---- gates ---- */

static struct json_object *list_of(const struct text_list *list)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; array && i < list->count; i++)
		append_text(array, list->items[i], strlen(list->items[i]));
	return array;
}

static struct json_object *certificates_of(const struct gate *gate)
{
	struct json_object *array = json_object_new_array(), *item;
	int64_t from, until;
	size_t i;

	for (i = 0; array && i < gate->files.count; i++) {
		item = json_object_new_object();
		add_text(item, "file", gate->files.items[i].cert);
		if (!tls_certificate_validity(gate->certs[i], 0, &from, &until))
			add(item, "ends", json_object_new_int64(until));
		if (json_object_array_add(array, item))
			json_object_put(item);
	}
	return array;
}

/* So is one without listeners: its generation is retired, as the daemon ends. */
/* But for what cannot be drained. */
static bool is_drained(const struct gate *gate)
{
	bool drained = !gate->listeners;
	size_t i;

	for (i = 0; gate->listeners && i < gate->settings->listen.count; i++) {
		if (!gate->listeners[i]->drained && !listener_why_kept(gate->listeners[i]))
			return false;
		drained |= gate->listeners[i]->drained;
	}
	return drained;
}

static const char *delivery_text(enum deliver deliver)
{
	return deliver == DELIVER_NO ? "no" : deliver == DELIVER_AUTO ? "auto" : "always";
}

static struct json_object *undelivered(const struct gate *gate)
{
	struct delivery_exception list[DETOURS];
	struct json_object *array = json_object_new_array(), *item;
	size_t i, count = delivery_exceptions(gate, list);

	for (i = 0; array && i < count; i++) {
		item = json_object_new_object();
		add_text(item, "who", list[i].who);
		add_text(item, "why", list[i].why);
		if (json_object_array_add(array, item))
			json_object_put(item);
	}
	return array;
}

/* Where connections go now: none, where its name is not resolved.  A UNIX backend has none. */
static void append_addresses(struct json_object *array, const struct member *member)
{
	char text[ADDR_TEXT_MAX];
	struct addr addr;
	size_t i;

	for (i = 0; array && !member->is_unix && places_get(member->places, i, &addr); i++) {
		(void)addr_format(&addr.sa, sizeof(addr), text);
		append_text(array, text, strlen(text));
	}
}

static struct json_object *addresses_of(const struct pool *pool)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < pool->count; i++)
		append_addresses(array, &pool->members[i]);
	return array;
}

static struct json_object *describe_member(const struct pool *pool, const struct member *member)
{
	struct json_object *object = json_object_new_object(), *addresses = json_object_new_array();
	const size_t number = (size_t)(member - pool->members);
	const bool up = health_is_up(pool->health, number);

	append_addresses(addresses, member);
	add_text(object, "backend", member->text);
	add(object, "weight", json_object_new_int64(member->weight));
	add(object, "addresses", addresses);
	add(object, "drained", json_object_new_boolean(health_is_drained(pool->health, number)));
	add(object, "connections", json_object_new_int64(backends_connections(pool, member)));
	add_text(object, "state", !member->since ? "unchecked" : up ? "up" : "down");
	if (!member->since)
		return object;
	add(object, "since", json_object_new_int64(member->since));
	add(object, "checks-failed", json_object_new_uint64(member->failures));
	if (!up)
		add_text(object, "why", member->why);
	return object;
}

static struct json_object *backends_of(const struct pool *pool)
{
	struct json_object *array = json_object_new_array(), *item;
	size_t i;

	for (i = 0; array && i < pool->count; i++) {
		item = describe_member(pool, &pool->members[i]);
		if (json_object_array_add(array, item))
			json_object_put(item);
	}
	return array;
}

static void add_backend(struct json_object *object, const struct pool *pool)
{
	char *text = gate_backends(pool->settings);

	add_text(object, "backend", text);
	free(text);
	add(object, "addresses", addresses_of(pool));
	add(object, "backends", backends_of(pool));
	add(object, "available", json_object_new_boolean(pool_is_available(pool)));
}

static struct json_object *describe_route(const struct pool *pool)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "kind", gate_kind(pool->settings));
	add_text(object, "name", pool->settings->name);
	if (pool->settings->alpn)
		add_text(object, "alpn", pool->settings->alpn);
	add_backend(object, pool);
	return object;
}

static struct json_object *routes_of(const struct gate *gate)
{
	struct json_object *array = json_object_new_array(), *item;
	size_t i;

	for (i = 1; array && i < gate->pool_count; i++) {
		item = describe_route(&gate->pools[i]);
		if (json_object_array_add(array, item))
			json_object_put(item);
	}
	return array;
}

/* What a new client finds. */
static const char *state_of(const struct gate *gate)
{
	size_t i;

	if (is_drained(gate))
		return "drained";
	for (i = 0; i < gate->pool_count; i++)
		if (pool_is_available(&gate->pools[i]))
			return "serving";
	return "no backend";
}

static struct json_object *describe(const struct gate *gate, bool paused)
{
	const struct gate_settings *set = gate->settings;
	struct json_object *object = json_object_new_object();

	add_text(object, "name", set->name);
	add_text(object, "mode", set->mode == GATE_SERVE ? "serve" : "connect");
	add(object, "listen", list_of(&set->listen));
	add_backend(object, gate->pools);
	add(object, "routes", routes_of(gate));
	add_text(object, "data-path", !gate->kernel ? "user" : gate->adaptive ? "auto" : "kernel");
	add_text(object, "deliver", delivery_text(set->deliver));
	if (set->deliver != DELIVER_NO)
		add(object, "undelivered", undelivered(gate));
	add(object, "paused", json_object_new_boolean(gate->kernel && paused));
	add(object, "drained", json_object_new_boolean(is_drained(gate)));
	add_text(object, "state", state_of(gate));
	add(object, "certificates", certificates_of(gate));
	return object;
}

/* Nothing, unless the last one was refused. */
static void add_refusal(struct json_object *object, const struct monitor *monitor)
{
	if (monitor->refused)
		add(object, "reload-refused", json_object_new_int64(monitor->refused));
}

static enum control_outcome do_gates(void *arg, const char *operand, struct json_object *answer)
{
	const struct monitor *monitor = arg;
	const struct generation *live = monitor->generations;
	struct json_object *array = json_object_new_array(), *item;
	size_t i;

	(void)operand;
	for (i = 0; array && live && i < live->built; i++) {
		item = describe(&live->gates[i], pause_is_on(monitor->pause));
		if (json_object_array_add(array, item))
			json_object_put(item);
	}
	add(answer, "gates", array);
	add_refusal(answer, monitor);
	return CONTROL_OK;
}

/* ---- stats ---- */

/* By enum counter: the keys of docs/daemon.md. */
static const char * const stat_keys[STATS_SHOWN] = {
	[STAT_ACCEPTED] = "accepted",
	[STAT_HANDSHAKES] = "handshakes",
	[STAT_RESUMED] = "resumed",
	[STAT_FAILED] = "failed",
	[STAT_BROKEN] = "broken",
	[STAT_KERNEL] = "kernel",
	[STAT_DELIVERED] = "delivered",
	[STAT_USER] = "user",
	[STAT_PASSED] = "passed",
	[STAT_REFUSED] = "refused",
	[STAT_FROM_CLIENT] = "from-client",
	[STAT_FROM_BACKEND] = "from-backend",
	[STAT_OPEN] = "open",
};

static void add_number(struct json_object *object, const char *key, uint64_t number)
{
	add(object, key, json_object_new_uint64(number));
}

static void append(struct json_object *array, struct json_object *item)
{
	if (json_object_array_add(array, item))
		json_object_put(item);
}

static struct json_object *gate_stats(const struct generation *live, const char *name)
{
	struct json_object *object = json_object_new_object();
	enum counter counter;

	add_text(object, "name", name);
	for (counter = 0; counter < STATS_SHOWN; counter++)
		add_number(object, stat_keys[counter], totals_of_gate(live, name, counter));
	return object;
}

static struct json_object *worker_stats(const struct generation *generation, size_t index)
{
	struct json_object *object = json_object_new_object();
	enum counter counter;

	add_number(object, "index", index);
	add_number(object, "process", (uint64_t)generation->workers[index].pid);
	add(object, "retired", json_object_new_boolean(generation->retired));
	for (counter = 0; counter < STATS_SHOWN; counter++)
		add_number(object, stat_keys[counter], stats_of_worker(&generation->stats, index, counter));
	return object;
}

static struct json_object *all_workers(const struct generation *generation)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (; array && generation; generation = generation->next)
		for (i = 0; i < generation->worker_count; i++)
			if (generation->workers[i].pid || !generation->retired)
				append(array, worker_stats(generation, i));
	return array;
}

/* By the monitor and by workers. */
static struct json_object *log_stats(const struct monitor *monitor)
{
	struct json_object *object = json_object_new_object(), *lost = json_object_new_object();
	enum log_target target;

	for (target = 0; target < LOG_TARGETS; target++)
		add_number(lost, log_target_name(target),
			   log_lost(target) + totals_lost(monitor->generations, target));
	add_text(object, "target", log_target_name(monitor->logger.target));
	add(object, "lost", lost);
	return object;
}

static enum control_outcome do_stats(void *arg, const char *operand, struct json_object *answer)
{
	struct monitor *monitor = arg;
	const struct generation *live = monitor->generations;
	struct json_object *gates = json_object_new_array();
	size_t i;

	(void)operand;
	for (i = 0; gates && live && i < live->built; i++)
		append(gates, gate_stats(live, live->gates[i].settings->name));
	add(answer, "since", json_object_new_int64(monitor->since));
	add(answer, "gates", gates);
	add_refusal(answer, monitor);
	add(answer, "workers", all_workers(live));
	add(answer, "log", log_stats(monitor));
	add(answer, "metrics", metrics_families(monitor));
	return CONTROL_OK;
}

static enum control_outcome do_metrics(void *arg, const char *operand, struct json_object *answer)
{
	size_t len;
	char *text = metrics_write(arg, METRICS_OPENMETRICS, &len);

	(void)operand;
	if (text)
		add(answer, "text", json_object_new_string_len(text, (int)len));
	else
		add_text(answer, "reason", "no memory");
	free(text);
	return text ? CONTROL_OK : CONTROL_REFUSED;
}

/* ---- connections ---- */

static enum control_outcome do_connections(void *arg, const char *operand, struct json_object *answer)
{
	(void)operand;
	(void)answer;
	gather_begin(arg);
	return CONTROL_LATER;
}

/* ---- pause and resume ---- */

/* Tells which gates cannot go on without the kernel. */
static enum control_outcome do_pause(void *arg, const char *operand, struct json_object *answer)
{
	const struct monitor *monitor = arg;
	const struct generation *live = monitor->generations;
	struct json_object *refuses = json_object_new_array();
	size_t i;

	(void)operand;
	pause_set(monitor->pause, true);
	for (i = 0; refuses && live && i < live->built; i++)
		if (live->gates[i].settings->deliver == DELIVER_ALWAYS)
			append_text(refuses, live->gates[i].settings->name,
				    strlen(live->gates[i].settings->name));
	add(answer, "refuses", refuses);
	return CONTROL_OK;
}

static bool wants_kernel(const struct generation *live)
{
	size_t i;

	for (i = 0; live && i < live->built; i++)
		if (live->gates[i].kernel)
			return true;
	return false;
}

/*
 * Without the module, a gate of data-path kernel would end its connections.  A gate of auto
 * would keep them, and nobody would tell the operator, who wants them handed over.
 */
static enum control_outcome do_resume(void *arg, const char *operand, struct json_object *answer)
{
	const struct monitor *monitor = arg;
	char why[GATES_WHY_MAX];

	(void)operand;
	if (wants_kernel(monitor->generations) && gates_ask_kernel(why)) {
		add_text(answer, "reason", why);
		return CONTROL_REFUSED;
	}
	pause_set(monitor->pause, false);
	return CONTROL_OK;
}

/* ---- drain and undrain ---- */

/* "GATE BACKEND"; either may have blanks.  -1: there are no such two. */
static int drain_backend(const struct generation *live, const char *operand, bool drain)
{
	const char *blank = operand ? strchr(operand, ' ') : NULL;
	char *gate;
	int ret = -1;

	for (; blank && ret; blank = strchr(blank + 1, ' ')) {
		gate = strndup(operand, (size_t)(blank - operand));
		ret = gate ? backends_drain(live, gate, blank + 1, drain) : -1;
		free(gate);
	}
	return ret;
}

/* A line for each pool of this backend that has no other. */
static void tell_unavailable(const struct generation *live, const char *operand, struct json_object *answer)
{
	struct json_object *lines = json_object_new_array();
	const struct gate *gate = live->gates;
	const struct pool *pool;
	char line[512];
	size_t len;

	for (; lines && gate < live->gates + live->built; gate++) {
		len = strlen(gate->settings->name);
		if (strncmp(operand, gate->settings->name, len) || operand[len] != ' ')
			continue;
		for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++) {
			if (!pool_find(pool, operand + len + 1) || pool_is_available(pool))
				continue;
			snprintf(line, sizeof(line), "%s: no backend is left%s%s: its new clients are refused",
				 gate->settings->name, pool == gate->pools ? "" : " of the block ",
				 pool == gate->pools ? "" : pool->settings->name);
			append_text(lines, line, strlen(line));
			log_warn("%s", line);
		}
	}
	add(answer, "lines", lines);
}

/* A line for each address that goes on listening; name NULL: of any gate. */
static void tell_kept(const struct generation *live, const char *name, struct json_object *answer)
{
	struct json_object *lines = json_object_new_array();
	const struct gate *gate = live->gates;
	char line[1024];
	const char *why;
	size_t i;

	for (; lines && gate < live->gates + live->built; gate++) {
		for (i = 0; i < gate->settings->listen.count; i++) {
			why = listener_why_kept(gate->listeners[i]);
			if (!why || (name && strcmp(gate->settings->name, name)))
				continue;
			snprintf(line, sizeof(line), "%s: %s goes on listening: %s", gate->settings->name,
				 gate->settings->listen.items[i], why);
			append_text(lines, line, strlen(line));
			log_warn("%s", line);
		}
	}
	add(answer, "lines", lines);
}

static enum control_outcome set_drained(struct monitor *monitor, const char *name, bool drain,
					struct json_object *answer)
{
	const char *why = monitor_is_busy(monitor);

	if (!why && !drain_backend(monitor->generations, name, drain)) {
		if (drain)
			tell_unavailable(monitor->generations, name, answer);
		return CONTROL_OK;
	}
	if (!why && !generation_drain(monitor->generations, name, drain, &why)) {
		passed_keep(&monitor->listeners);	/* systemd drops what is shut down */
		if (drain)
			tell_kept(monitor->generations, name, answer);
		return CONTROL_OK;
	}
	add_text(answer, "reason", why);
	return CONTROL_REFUSED;
}

static enum control_outcome do_drain(void *arg, const char *operand, struct json_object *answer)
{
	return set_drained(arg, operand, true, answer);
}

static enum control_outcome do_undrain(void *arg, const char *operand, struct json_object *answer)
{
	return set_drained(arg, operand, false, answer);
}

const struct control_command commands[] = {
	{ "reload", true, false, do_reload },
	{ "upgrade", true, false, do_upgrade },
	{ "pause", true, false, do_pause },
	{ "resume", true, false, do_resume },
	{ "gates", false, false, do_gates },
	{ "stats", false, false, do_stats },
	{ "metrics", false, false, do_metrics },
	{ "connections", false, false, do_connections },
	{ "drain", true, true, do_drain },
	{ "undrain", true, true, do_undrain },
	{ NULL, false, false, NULL },
};
