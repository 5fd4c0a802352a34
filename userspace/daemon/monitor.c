// SPDX-License-Identifier: MIT
#include "daemon/monitor.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/backends.h"
#include "daemon/commands.h"
#include "daemon/config.h"
#include "daemon/farewell.h"
#include "daemon/limits.h"
#include "daemon/metrics.h"
#include "daemon/passed.h"
#include "daemon/start.h"

#define RETRY_SECONDS	1.0
#define UPGRADE_SECONDS	120.0	/* for the next daemon to serve; it limits its own steps */

static void forget(struct generation *generation, void *arg)
{
	struct monitor *monitor = arg;
	struct generation **link = &monitor->generations;

	while (*link != generation)
		link = &(*link)->next;
	*link = generation->next;
	if (monitor->generations && !monitor->stopping)
		generation_inherit(monitor->generations, generation);
	elsewhere_forget(&monitor->elsewhere, generation);
	generation_free(generation);
	if (monitor->stopping && !monitor->generations)
		ev_break(monitor->loop, EVBREAK_ALL);
}

/* A generation without a process goes away in the call. */
static void stop_all(struct monitor *monitor)
{
	struct generation *generation, *next;

	for (generation = monitor->generations; generation; generation = next) {
		next = generation->next;
		generation_stop(generation);
	}
}

static void stop_in_time(struct monitor *monitor)
{
	const uint32_t stop_time = monitor->generations ?
				   monitor->generations->settings->stop_time : 0;
	struct generation *generation, *next;

	if (!stop_time) {
		stop_all(monitor);
		return;
	}
	for (generation = monitor->generations; generation; generation = next) {
		next = generation->next;
		generation_retire(generation, stop_time);
	}
}

/* Those of before a reload have their limit already. */
static void drain_all(struct monitor *monitor)
{
	struct generation *generation, *next;

	for (generation = monitor->generations; generation; generation = next) {
		next = generation->next;
		if (!generation->retired)
			generation_retire(generation, generation->settings->drain_time);
	}
}

static void retry_soon(struct monitor *monitor)
{
	ev_timer_stop(monitor->loop, &monitor->retry);
	ev_timer_set(&monitor->retry, RETRY_SECONDS, 0.);
	ev_timer_start(monitor->loop, &monitor->retry);
}

/* A SIGHUP that came too early. */
static void catch_up(struct monitor *monitor)
{
	if (monitor->again)
		ev_feed_event(monitor->loop, &monitor->hangup, EV_SIGNAL);
	monitor->again = false;
}

static void log_routes(const struct gate_settings *gate)
{
	const struct gate_settings *block;
	char *backends;

	for (block = gate->blocks; block < gate->blocks + gate->block_count; block++) {
		backends = gate_backends(block);
		log_info("%s: %s %s%s%s, backend %s", gate->name, gate_kind(block), block->name,
			 block->alpn ? " alpn " : "", block->alpn ? block->alpn : "", backends);
		free(backends);
	}
}

static void log_ready(const struct monitor *monitor)
{
	const struct generation *generation = monitor->generations;
	const struct gate_settings *set;
	char *backends;
	size_t i, j;

	for (i = 0; i < generation->settings->gate_count; i++) {
		set = &generation->settings->gates[i];
		backends = gate_backends(set);
		for (j = 0; j < set->listen.count; j++)
			log_info("%s: listening on %s, backend %s, workers: %zu", set->name,
				 set->listen.items[j], backends, generation->worker_count);
		free(backends);
		log_routes(set);
	}
}

static void count_reload(struct monitor *monitor, bool done)
{
	if (monitor->stopping)
		return;
	monitor->reloads[done]++;
	monitor->refused = done ? 0 : (int64_t)time(NULL);
}

/* The outcome of monitor_reload() is known. */
static void end_reload(struct monitor *monitor, bool done)
{
	void (*told)(struct monitor *monitor, bool done) = monitor->told;

	if (done) {
		log_ready(monitor);
		log_info("reloaded: connections of before go on as they were");
	} else {
		log_error("reload refused: %s", monitor->stopping ? "tlsgated ends" :
			  "what ran before goes on");
	}
	count_reload(monitor, done);
	monitor->reloading = false;
	monitor->told = NULL;
	if (!monitor->stopping)
		(void)sd_notify(0, "READY=1");
	if (!monitor->generations->keyd.pid)
		retry_soon(monitor);
	if (told)
		told(monitor, done);
	catch_up(monitor);
}

/* As those of the generation that goes on say, if there is one. */
static void log_as_before(struct monitor *monitor)
{
	const struct settings *settings = monitor->generations ? monitor->generations->settings : NULL;

	log_init("tlsgated", monitor->verbose || (settings && settings->verbose));
	if (settings)
		logger_abandon(&monitor->logger);
}

/* Back to before start_generation(). */
static void undo_start(struct monitor *monitor)
{
	if (monitor->starting)
		generation_abandon(monitor->starting);
	monitor->starting = NULL;
	if (monitor->reloading && monitor->by_itself)
		watch_try_later(&monitor->watch);
	else
		watch_abandon(&monitor->watch);
	control_abandon(&monitor->control);
	exporter_abandon(&monitor->exporter);
	log_as_before(monitor);
}

static void tell_upgrade(struct monitor *monitor, bool done)
{
	void (*told)(struct monitor *monitor, bool done) = monitor->upgrade_told;

	monitor->upgrade_told = NULL;
	if (told)
		told(monitor, done);
}

/* Ends a start, reload or upgrade that is under way, too. */
static void begin_stop(struct monitor *monitor)
{
	bool refused = monitor->starting;

	(void)sd_notify(0, "STOPPING=1");
	monitor->stopping = true;
	if (monitor->upgrade.under_way)
		tell_upgrade(monitor, false);
	upgrade_close(&monitor->upgrade);
	if (refused)
		undo_start(monitor);
	if (monitor->reloading)
		end_reload(monitor, !refused);
}

static void announce(struct monitor *monitor)
{
	if (monitor->takeover.peer != -1)
		log_copy_close();
	logger_started(&monitor->logger);
	log_ready(monitor);
	if (monitor->takeover.peer != -1) {
		takeover_serve(&monitor->takeover);
		return;
	}
	(void)sd_notify(0, "READY=1");
	catch_up(monitor);
}

/* ---- what generations say ---- */

/* Only for who reads metrics: each session that ends wakes the monitor. */
static void count_carried(struct monitor *monitor, const struct generation *generation)
{
	bool kernel = false;
	size_t i;

	for (i = 0; i < generation->built; i++) {
		kernel |= generation->gates[i].kernel;
		carried_add_gate(&monitor->carried, generation->gates[i].settings->name);
	}
	carried_follow(&monitor->carried, kernel && generation->settings->metrics,
		       generation->who.change ? generation->who.uid : geteuid());
}

/* Also what a daemon of before handed over. */
static void count_kernel(struct monitor *monitor, const struct generation *generation)
{
	if (generation_counts(generation))
		ledger_adopt(&monitor->ledger, generation->who.change ? generation->who.uid : geteuid());
	limits_recount(&monitor->census, &monitor->ledger);
}

static void begun(struct generation *generation, void *arg)
{
	struct monitor *monitor = arg;
	struct generation *old = monitor->generations;

	control_commit(&monitor->control);
	watch_commit(&monitor->watch);
	count_carried(monitor, generation);
	shed_start(&generation->shed, generation);
	exporter_commit(&monitor->exporter);
	logger_commit(&monitor->logger);
	monitor->starting = NULL;
	generation->next = old;
	monitor->generations = generation;
	elsewhere_begin(&monitor->elsewhere, generation);
	count_kernel(monitor, generation);
	if (old)
		generation_retire(old, generation->settings->drain_time);
	listeners_drop_unused(&monitor->listeners);
	/* systemd listens to the monitor of before until that lets go */
	if (monitor->takeover.peer == -1) {
		listeners_own(&monitor->listeners);
		passed_keep(&monitor->listeners);
	}
	if (!old)
		announce(monitor);
}

static void failed(struct generation *generation, void *arg)
{
	struct monitor *monitor = arg;

	(void)generation;
	undo_start(monitor);
	if (monitor->reloading) {
		end_reload(monitor, false);
		return;
	}
	monitor->failed = true;
	ev_break(monitor->loop, EVBREAK_ALL);
}

/* Also of those that a stop retires, for which nobody waits. */
static void drained(struct generation *generation, void *arg)
{
	struct monitor *monitor = arg;

	(void)generation;
	if (monitor->reloading)
		end_reload(monitor, true);
	if (monitor->leaving)
		ev_break(monitor->loop, EVBREAK_ALL);
}

static void listed(struct generation *generation, void *arg)
{
	(void)generation;
	gather_check(arg);
}

static void keyd_died(struct generation *generation, void *arg)
{
	(void)generation;
	retry_soon(arg);
}

static void unfit(struct generation *generation, void *arg)
{
	struct monitor *monitor = arg;

	(void)generation;
	if (monitor->stopping)
		return;
	monitor->failed = true;
	begin_stop(monitor);
	stop_in_time(monitor);
	listeners_close(&monitor->listeners);
}

/* ---- starting one ---- */

/* Builds and starts.  True: begun() or failed() follows; else a line was logged and all is as before. */
static bool start_with(struct monitor *monitor, struct settings *settings)
{
	const struct generation callbacks = {
		.begun = begun, .failed = failed, .drained = drained, .gone = forget,
		.listed = listed, .keyd_died = keyd_died, .unfit = unfit, .arg = monitor,
	};

	log_init("tlsgated", monitor->verbose || settings->verbose);
	log_with_time();
	watch_prepare(&monitor->watch, settings);
	if (!logger_prepare(&monitor->logger, settings) &&
	    !control_prepare(&monitor->control, settings) &&
	    !exporter_prepare(&monitor->exporter, settings))
		monitor->starting = generation_start(settings, &monitor->listeners,
						     &monitor->resolver, &monitor->ledger,
						     monitor->pause, &monitor->census, &callbacks);
	if (monitor->starting && monitor->generations)
		backends_inherit(monitor->starting, monitor->generations);
	if (!monitor->starting)
		undo_start(monitor);
	return monitor->starting;
}

/* Reads the file, if there is one, and starts.  CONFIG_OK: as start_with() says. */
static enum config_result start_generation(struct monitor *monitor)
{
	enum config_result result = CONFIG_OK;
	struct settings *settings;

	if (monitor->config_file)
		result = config_read(monitor->config_file, &settings);
	else
		settings = settings_share(monitor->settings);
	if (result != CONFIG_OK)
		return result;
	if (!start_with(monitor, settings))
		result = CONFIG_UNREADABLE;
	settings_free(settings);
	return result;
}

const char *monitor_is_busy(const struct monitor *monitor)
{
	if (monitor->stopping)
		return "the daemon is about to end";
	if (monitor->upgrade.under_way)
		return "an upgrade is under way: try again when it is over";
	return monitor->starting || monitor->reloading ?
	       "a reload is under way: try again when it is over" : NULL;
}

static void begin_reload(struct monitor *monitor, bool by_itself)
{
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)log_now_ms() * 1000);
	monitor->reloading = true;
	monitor->by_itself = by_itself;
}

/*
 * With the settings that run: the file may be in the middle of an edit.  What the settings name, as
 * certificates and keys, is read anew.
 */
static void reload_by_itself(struct monitor *monitor)
{
	begin_reload(monitor, true);
	if (!start_with(monitor, monitor->generations->settings))
		end_reload(monitor, false);
}

bool monitor_reload(struct monitor *monitor, void (*told)(struct monitor *monitor, bool done))
{
	begin_reload(monitor, false);
	if (start_generation(monitor) == CONFIG_OK) {
		monitor->told = told;
		return true;
	}
	end_reload(monitor, false);
	return false;
}

/* ---- signals and time ---- */

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct monitor *monitor = watcher->data;

	(void)loop;
	(void)events;
	if (monitor->starting || monitor->reloading || monitor->upgrade.under_way)
		monitor->again = true;
	else if (!monitor->stopping)
		(void)monitor_reload(monitor, NULL);
}

static void on_retry(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct monitor *monitor = watcher->data;

	(void)loop;
	(void)events;
	if (!monitor_is_busy(monitor) && !monitor->generations->keyd.pid)
		reload_by_itself(monitor);
}

/* Ticket keys are read again alone: connections of before need no workers of their own for that. */
static void on_changed(void *arg, unsigned int kinds)
{
	struct monitor *monitor = arg;

	if (monitor->stopping)
		return;
	if (monitor_is_busy(monitor)) {
		watch_again(&monitor->watch, kinds);
	} else if (kinds & WATCH_CERTS) {
		log_info("files in cert-dir have changed: they are taken anew");
		reload_by_itself(monitor);
	} else {
		generation_read_tickets(monitor->generations);
	}
}

bool monitor_upgrade(struct monitor *monitor, void (*told)(struct monitor *monitor, bool done))
{
	const struct upgrade_plan plan = {
		.argv = monitor->argv,
		.listeners = &monitor->listeners,
		.control = monitor->control.now.fd,
		.metrics = monitor->exporter.now.fd,
		.own_log = monitor->logger.plan.own_log,
		.seconds = UPGRADE_SECONDS,
	};

	log_info("upgrade: '%s' is started, with the sockets", monitor->argv[0]);
	if (upgrade_start(&monitor->upgrade, &plan))
		return false;
	monitor->upgrade_told = told;
	return true;
}

static void on_upgrade(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct monitor *monitor = watcher->data;

	(void)loop;
	(void)events;
	if (monitor_is_busy(monitor))
		log_error("upgrade refused: %s", monitor_is_busy(monitor));
	else
		(void)monitor_upgrade(monitor, NULL);
}

/* A reload that waited is the next daemon's, which has read everything anew. */
static void on_upgraded(void *arg, bool serves)
{
	struct monitor *monitor = arg;

	if (!serves) {
		tell_upgrade(monitor, false);
		if (!monitor->generations->keyd.pid)
			retry_soon(monitor);
		catch_up(monitor);
		return;
	}
	log_info("upgraded: process %d serves; connections of before go on here, until drain-time",
		 monitor->upgrade.pid);
	(void)sd_notifyf(0, "MAINPID=%d", monitor->upgrade.pid);
	tell_upgrade(monitor, true);
	monitor->stopping = true;
	control_bequeath(&monitor->control);
	exporter_bequeath(&monitor->exporter);
	listeners_bequeath(&monitor->listeners);
	drain_all(monitor);
	listeners_close(&monitor->listeners);
	upgrade_close(&monitor->upgrade);
	if (!monitor->generations)
		ev_break(monitor->loop, EVBREAK_ALL);
}

/* The service is ours now. */
static void on_taken_over(void *arg, bool served)
{
	struct monitor *monitor = arg;

	if (!served) {
		log_error("upgrade given up: the daemon of before has ended");
		monitor->failed = true;
		begin_stop(monitor);
		ev_break(monitor->loop, EVBREAK_ALL);
		return;
	}
	listeners_own(&monitor->listeners);
	passed_keep(&monitor->listeners);
	(void)sd_notify(0, "READY=1");
	catch_up(monitor);
}

/* Asked again, or from a terminal: at once. */
static void on_terminate(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct monitor *monitor = watcher->data;
	bool again = monitor->stopping;

	(void)events;
	log_info("ending: SIG%s", sigabbrev_np(watcher->signum));
	if (!again)
		begin_stop(monitor);
	monitor->leaving = !again && watcher->signum == SIGUSR1;
	if (again || watcher->signum == SIGINT)
		stop_all(monitor);
	else if (watcher->signum == SIGTERM)
		stop_in_time(monitor);
	else
		drain_all(monitor);
	listeners_close(&monitor->listeners);
	if (!monitor->generations)
		ev_break(loop, EVBREAK_ALL);
}

/* The kernel carries it now, or no more. */
static void carried_changed(void *arg, struct ledger_entry *entry, bool begins)
{
	struct monitor *monitor = arg;

	limits_carried(&monitor->census, entry, begins);
	elsewhere_carry(&monitor->elsewhere, entry, begins);
}

static void forget_secrets(void *arg)
{
	struct monitor *monitor = arg;
	struct generation *generation;

	for (generation = monitor->generations; generation; generation = generation->next)
		generation_forget(generation);
	if (monitor->starting)
		generation_forget(monitor->starting);
}

static char *write_metrics(void *arg, enum metrics_format format, size_t *len)
{
	return metrics_write(arg, format, len);
}

static void watch_signal(struct monitor *monitor, ev_signal *watcher, int signum,
			 void (*callback)(struct ev_loop *loop, ev_signal *watcher, int events))
{
	ev_signal_init(watcher, callback, signum);
	watcher->data = monitor;
	ev_signal_start(monitor->loop, watcher);
}

static void take_passed(void *arg, int fd, const char *name)
{
	struct monitor *monitor = arg;

	if (!strcmp(name, PASSED_PEER))
		takeover_init(&monitor->takeover, fd, on_taken_over, monitor);
	else if (!strcmp(name, PASSED_CONTROL))
		control_adopt(&monitor->control, fd);
	else if (!strcmp(name, PASSED_METRICS))
		exporter_adopt(&monitor->exporter, fd);
	else if (!strcmp(name, PASSED_COPY))
		log_copy_to(fd);
	else
		listeners_take(&monitor->listeners, fd, strcmp(name, PASSED_LISTENER));
}

static void set_up(struct monitor *monitor)
{
	(void)signal(SIGPIPE, SIG_IGN);
	control_init(&monitor->control, monitor->loop, commands, monitor);
	gather_init(monitor);
	upgrade_init(&monitor->upgrade, on_upgraded, monitor);
	monitor->takeover.peer = -1;
	exporter_init(&monitor->exporter, &(struct exporter_owner){ write_metrics, forget_secrets, monitor });
	passed_read(take_passed, monitor);
	resolver_init(&monitor->resolver, forget_secrets, monitor);
	ledger_init(&monitor->ledger, monitor->loop, carried_changed, monitor);
	elsewhere_init(&monitor->elsewhere, monitor->loop, &monitor->ledger);
	carried_init(&monitor->carried, monitor->loop);
	watch_init(&monitor->watch, monitor->loop, on_changed, monitor);
	logger_init(&monitor->logger, forget_secrets, monitor);
	ev_init(&monitor->retry, on_retry);
	monitor->retry.data = monitor;
	watch_signal(monitor, &monitor->hangup, SIGHUP, on_hangup);
	watch_signal(monitor, &monitor->terminate, SIGTERM, on_terminate);
	watch_signal(monitor, &monitor->interrupt, SIGINT, on_terminate);
	watch_signal(monitor, &monitor->quit, SIGQUIT, on_terminate);
	watch_signal(monitor, &monitor->leave, SIGUSR1, on_terminate);
	watch_signal(monitor, &monitor->usr2, SIGUSR2, on_upgrade);
}

/* A connection takes two descriptors: the usual soft limit of 1024 is for select(). */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		log_warn("limit of open files cannot be raised: %s", strerror(errno));
}

int monitor_run(struct options *options)
{
	struct monitor monitor = {
		.config_file = options->config_file,
		.settings = options->settings,
		.verbose = options->verbose,
		.argv = options->argv,
	};
	enum config_result result;

	monitor.since = (int64_t)time(NULL);
	monitor.loop = ev_default_loop(EVFLAG_AUTO | EVFLAG_NOENV);
	monitor.pause = pause_new();
	if (!monitor.loop || !monitor.pause) {
		log_error("no event loop, or no memory: %s: raise the limit of open files", strerror(errno));
		settings_free(monitor.settings);
		return 1;
	}
	log_never_wait();
	set_up(&monitor);
	raise_fd_limit();
	result = start_generation(&monitor);
	if (result == CONFIG_OK)
		ev_run(monitor.loop, 0);
	gather_close(&monitor);
	control_close(&monitor.control);
	exporter_close(&monitor.exporter);
	resolver_stop(&monitor.resolver);
	ledger_close(&monitor.ledger);
	census_close(&monitor.census);
	carried_close(&monitor.carried);
	watch_close(&monitor.watch);
	if (monitor.stopping)
		farewell_log(monitor.leaving ? monitor.generations : NULL);
	/* workers that go on have lines to come */
	if (!monitor.leaving)
		logger_stop(&monitor.logger);
	pause_free(monitor.pause);
	ev_loop_destroy(monitor.loop);
	settings_free(monitor.settings);
	if (result == CONFIG_BAD)
		return 2;
	return result == CONFIG_OK && !monitor.failed ? 0 : 1;
}
