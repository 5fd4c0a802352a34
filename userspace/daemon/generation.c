// SPDX-License-Identifier: MIT
#include "daemon/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hurry.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/backends.h"
#include "daemon/delivery.h"
#include "daemon/keyd.h"
#include "daemon/limits.h"
#include "daemon/process.h"
#include "daemon/worker.h"
#include "lib/libtlsgate.h"

#define DRAINING_SECONDS 1.0
#define RESTART_PAUSE	1.0	/* seconds, after a worker that died young */
#define READY_SECONDS	10.0	/* for a process to get ready */
#define TRIAL_SECONDS	0.02	/* for each certificate and gate, besides */
#define STOP_SECONDS	3.0	/* for what was told to end; then it is killed */

static void set_timer(ev_timer *timer, double seconds)
{
	struct ev_loop *loop = EV_DEFAULT_UC;

	ev_timer_stop(loop, timer);
	ev_timer_set(timer, seconds, 0.);
	ev_timer_start(loop, timer);
}

static size_t count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (size_t)CPU_COUNT(&set);
}

static void close_control(struct child *child)
{
	ev_io_stop(EV_DEFAULT_UC, &child->messages);
	if (child->control != -1)
		hurry_close(child->control);
	child->control = -1;
}

/* What the loop must still wait for before the generation can be freed. */
static bool is_empty(const struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->worker_count; i++)
		if (generation->workers[i].pid)
			return false;
	return !generation->keyd.pid;
}

/* A retired one: its workers accept no more. */
static void drained(struct generation *generation)
{
	generation->draining = false;
	ev_timer_stop(EV_DEFAULT_UC, &generation->slow);
	generation->drained(generation, generation->arg);
}

static void check_drained(struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->worker_count; i++)
		if (generation->workers[i].control != -1 && !generation->workers[i].drained)
			return;
	if (generation->draining)
		drained(generation);
}

static void check_gone(struct generation *generation)
{
	if (generation->retired && is_empty(generation))
		generation->gone(generation, generation->arg);
}

static void close_answers(struct child *child)
{
	if (child->answers != -1)
		close(child->answers);
	child->answers = -1;
}

static void close_list(struct child *child)
{
	if (child->list != -1)
		close(child->list);
	child->list = -1;
}

static void child_over(struct ev_loop *loop, struct child *child)
{
	ev_child_stop(loop, &child->exit);
	ev_timer_stop(loop, &child->keys);
	ev_timer_stop(loop, &child->limit);
	child->pid = 0;
	child->ready = false;
	child->asked = 0;
	close_control(child);
	close_answers(child);
	close_list(child);
}

static void on_restart(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct child *child = timer->data;

	(void)events;
	(void)loop;
	if (generation_start_worker(child->generation, child))
		set_timer(timer, RESTART_PAUSE);
	else
		child->generation->restarts++;
}

/* As its pipe says: a worker that was taken over may ask while its answerer lives. */
static bool answerer_lives(const struct child *child)
{
	struct pollfd pfd = { .fd = child->answers };

	return child->answers != -1 && !(poll(&pfd, 1, 0) == 1 && pfd.revents & POLLHUP);
}

/* Where keyd is gone, too, the reload that follows has workers of its own. */
static void on_keys(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct child *child = timer->data;
	int keyd = child->generation->keyd.control;
	int ret;

	(void)loop;
	(void)events;
	if (child->control == -1 || keyd == -1)
		return;
	if (answerer_lives(child)) {
		set_timer(timer, RESTART_PAUSE);
		return;
	}
	close_answers(child);
	child->keys_given = clock_ms();
	ret = worker_give_keys(child->control, keyd, &child->answers);
	if (ret)
		log_error("no answerer for worker %zu: %s", child->index, strerror(-ret));
}

/* since: of clock_ms().  Seconds to wait before the next start. */
static double pause_after(uint64_t since)
{
	return clock_ms() - since < RESTART_PAUSE * 1000 ? RESTART_PAUSE : 0.;
}

static void on_need_keys(struct child *child)
{
	set_timer(&child->keys, pause_after(child->keys_given));
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	const struct child *child = timer->data;

	(void)loop;
	(void)events;
	log_error("worker %zu did not get ready: it takes too long: see whether the machine is overloaded; it is killed",
		  child->index);
	(void)kill(child->pid, SIGKILL);
}

static void on_ready(struct child *child)
{
	ev_timer_stop(EV_DEFAULT_UC, &child->limit);
	if (child->generation->started)
		(void)ipc_send(child->control, IPC_SERVE, NULL, 0);
	else
		child->generation->next_step(child);
}

static void take_note(struct generation *generation, const struct ipc_note *note)
{
	if (note->gate < generation->built)
		delivery_take_note(&generation->gates[note->gate], note, &generation->changes);
}

/* The generation may be gone afterwards. */
static void take_message(struct child *child, const struct ipc_message *message)
{
	const enum ipc_type type = message->type;

	if (type == IPC_NEED_KEYS) {
		on_need_keys(child);
	} else if (type == IPC_DRAINING) {
		child->drained = true;
		check_drained(child->generation);
	} else if (type == IPC_NOTE) {
		take_note(child->generation, &message->note);
	} else if (type == IPC_CHECKED && child->index == WORKER_CHECKER) {
		backends_take_check(child->generation, &message->check);
	} else if (type == IPC_LISTED && child->asked) {
		child->asked--;
		child->generation->listed(child->generation, child->generation->arg);
	} else if (type == IPC_READY && !child->ready) {
		child->ready = true;
		on_ready(child);
	}
}

static void on_message(struct ev_loop *loop, ev_io *io, int events)
{
	struct child *child = io->data;
	struct ipc_message message;
	int ret;

	(void)events;
	ret = ipc_receive_word(io->fd, &message);
	if (ret == 1)
		take_message(child, &message);
	else if (ret != -EAGAIN)
		ev_io_stop(loop, io);	/* it is gone, as its exit will say */
}

/* All that it said before it died is there. */
static bool was_ready(struct child *child)
{
	struct ipc_message message;

	while (child->control != -1 && ipc_receive_word(child->control, &message) == 1)
		child->ready |= message.type == IPC_READY;
	return child->ready;
}

/*
 * It died in its rehearsal, by the filter or because a library cannot do without a call: the
 * next one would, too.
 */
static bool is_unfit(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;
}

/* Before it served: true where no other is to take its place. */
static bool ends_all(struct generation *generation, struct child *child, int status)
{
	char text[PROCESS_END_MAX];

	if (!generation->started) {
		log_error("worker %zu did not get ready: %s", child->index, process_end(status, text));
		child_over(EV_DEFAULT_UC, child);
		generation->failed(generation, generation->arg);
		return true;
	}
	if (generation->retired || !is_unfit(status))
		return false;
	log_error("worker %zu (process %d) died before it served: %s: tlsgated ends; report this, and the line before",
		  child->index, child->pid, process_end(status, text));
	child_over(EV_DEFAULT_UC, child);
	generation->unfit(generation, generation->arg);
	return true;
}

static void free_row(struct child *child)
{
	census_free_row(child->generation->census, child->row);
	child->row = CENSUS_NONE;
}

static void on_worker_exit(struct ev_loop *loop, ev_child *watcher, int events)
{
	struct child *child = watcher->data;
	struct generation *generation = child->generation;
	double pause = pause_after(child->started);
	char text[PROCESS_END_MAX];

	(void)events;
	if (!was_ready(child) && ends_all(generation, child, watcher->rstatus))
		return;
	if (!generation->retired || watcher->rstatus)
		log_error("worker %zu (process %d) died: %s%s", child->index, watcher->rpid,
			  process_end(watcher->rstatus, text),
			  generation->retired ? "" : "; another is started");
	child_over(loop, child);
	free_row(child);
	stats_worker_gone(&generation->stats, child->index);
	loads_worker_gone(&generation->loads, child->index);
	if (!generation->retired) {
		set_timer(&child->restart, pause);
		return;
	}
	check_drained(generation);
	check_gone(generation);
}

static bool keyd_is_unfit(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == KEYD_UNFIT;
}

static void log_keyd_exit(const struct generation *generation, int status, pid_t pid)
{
	char text[PROCESS_END_MAX];

	if (keyd_is_unfit(status))
		log_error("the sandbox ends one answerer after another: %s; report this, and the lines before",
			  generation->started ? "tlsgated ends" : "keys cannot be used");
	else
		log_error("keyd (process %d) died: %s%s", pid, process_end(status, text),
			  generation->started ? "; keys are read anew" : "");
}

static void on_keyd_exit(struct ev_loop *loop, ev_child *watcher, int events)
{
	struct child *child = watcher->data;
	struct generation *generation = child->generation;
	/* what is wrong with a key */
	bool said = !was_ready(child) && WIFEXITED(watcher->rstatus);

	(void)events;
	child_over(loop, child);
	if (generation->retired) {
		check_gone(generation);
		return;
	}
	if (generation->started || !said)
		log_keyd_exit(generation, watcher->rstatus, watcher->rpid);
	if (!generation->started)
		generation->failed(generation, generation->arg);
	else if (keyd_is_unfit(watcher->rstatus))
		generation->unfit(generation, generation->arg);
	else
		generation->keyd_died(generation, generation->arg);
}

static void child_init(struct child *child, struct generation *generation, size_t index,
		       void (*on_exit)(struct ev_loop *loop, ev_child *watcher, int events))
{
	child->generation = generation;
	child->index = index;
	child->row = CENSUS_NONE;
	child->control = child->answers = child->list = -1;
	ev_init(&child->exit, on_exit);
	ev_init(&child->restart, on_restart);
	ev_init(&child->keys, on_keys);
	ev_init(&child->limit, on_limit);
	ev_init(&child->messages, on_message);
	child->exit.data = child->restart.data = child->keys.data = child->limit.data = child;
	child->messages.data = child;
}

static void child_started(struct child *child, pid_t pid)
{
	struct ev_loop *loop = EV_DEFAULT_UC;

	child->pid = pid;
	ev_now_update(loop);
	child->started = clock_ms();
	ev_child_set(&child->exit, pid, 0);
	ev_child_start(loop, &child->exit);
	/* neither way: a child that does not read must not stop the monitor */
	(void)fcntl(child->control, F_SETFL, O_NONBLOCK);
	ev_io_set(&child->messages, child->control, EV_READ);
	ev_io_start(loop, &child->messages);
}

/*
 * The socket by which a worker will install keys: the kernel asks who opened
 * it, so that the worker needs no privilege.  -1: it needs none, or gets none,
 * and then does without the kernel.
 */
static int open_kernel(const struct generation *generation)
{
	const struct gate *gate, *end = generation->gates + generation->built;
	int fd = -1;

	for (gate = generation->gates; gate < end && !gate->kernel; gate++)
		;
	if (gate < end)
		fd = tlsgate_socket();
	/* where the kernel has no netlink, it was said at the start */
	if (gate < end && fd < 0 && fd != -EPROTONOSUPPORT && fd != -EAFNOSUPPORT)
		log_warn("the kernel data path is not open to a worker: %s", strerror(-fd));
	return fd < 0 ? -1 : fd;
}

bool generation_counts(const struct generation *generation)
{
	const struct gate *gate, *end = generation->gates + generation->built;

	for (gate = generation->gates; gate < end; gate++)
		if (gate->kernel && gate->counted)
			return true;
	return false;
}

/* For lines of the connection-log, for whoever asks on the control socket, and for what is counted. */
static int open_ledger(const struct generation *generation)
{
	const struct settings *settings = generation->settings;
	const struct gate *gate, *end = generation->gates + generation->built;
	const bool counts = generation_counts(generation);

	for (gate = generation->gates; gate < end && !gate->kernel; gate++)
		;
	if (gate == end || !(settings->connection_log || settings_has_control(settings) || counts))
		return -1;
	return ledger_writer(generation->ledger, settings->connection_log, counts);
}

static void mend_listeners(const struct generation *generation)
{
	const struct gate *gate;
	size_t i;

	for (gate = generation->gates; gate < generation->gates + generation->built; gate++)
		for (i = 0; i < gate->settings->listen.count; i++)
			listener_mend(gate->listeners[i], gate->settings);
}

double generation_ready_seconds(const struct generation *generation)
{
	size_t i, count = generation->built;

	for (i = 0; i < generation->built; i++)
		count += generation->gates[i].files.count;
	return READY_SECONDS + TRIAL_SECONDS * (double)count;
}

/* Where it counts, if that is of use to anybody. */
static size_t take_row(struct child *child)
{
	const struct generation *generation = child->generation;

	if (!limits_wanted(generation->gates, generation->built, generation->settings))
		return CENSUS_NONE;
	child->row = census_take_row(generation->census);
	if (child->row == CENSUS_NONE)
		log_warn("worker %zu does not count for limits: too many workers of before still have connections",
			 child->index);
	return child->row;
}

static pid_t fork_worker(struct child *child, const struct worker_plan *plan)
{
	pid_t pid = worker_start(plan, child->generation->keyd.control, &child->control, &child->answers);

	if (plan->kernel_fd != -1)
		close(plan->kernel_fd);
	if (pid < 0)
		free_row(child);
	return pid;
}

int generation_start_worker(struct generation *generation, struct child *child)
{
	const struct worker_plan plan = {
		.settings = generation->settings,
		.gates = generation->gates,
		.gate_count = generation->built,
		.index = child->index,
		.workers = generation->worker_count,
		.first = !generation->started,
		.who = generation->who,
		.keylog_fd = generation->keylog_fd,
		.kernel_fd = open_kernel(generation),
		.ledger = open_ledger(generation),
		.pause = generation->pause,
		.census = generation->census,
		.row = take_row(child),
		.stats = &generation->stats,
		.loads = &generation->loads,
	};
	size_t i;
	pid_t pid;

	/* one that starts late must not start with the keys of long ago */
	for (i = 0; i < generation->built; i++)
		gate_refresh(&generation->gates[i]);
	if (generation->started)
		mend_listeners(generation);
	pid = fork_worker(child, &plan);
	if (pid < 0)
		return -1;
	child_started(child, pid);
	if (generation->started)
		set_timer(&child->limit, generation_ready_seconds(generation));
	return 0;
}

void generation_tell(const struct generation *generation, enum ipc_type type)
{
	size_t i;

	/* one that cannot be told is dead, which its exit will say */
	for (i = 0; i < generation->worker_count; i++)
		if (generation->workers[i].control != -1)
			(void)ipc_send(generation->workers[i].control, type, NULL, 0);
}

int generation_start_keyd(struct generation *generation)
{
	struct child *keyd = &generation->keyd;
	pid_t pid;

	pid = keyd_start(generation->gates, generation->built, &generation->key_who, &keyd->control);
	if (pid < 0)
		return -1;
	child_started(keyd, pid);
	return 0;
}

static void on_slow(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct generation *generation = timer->data;
	const struct child *child = generation->workers;

	(void)loop;
	(void)events;
	for (; child < generation->workers + generation->worker_count; child++)
		if (child->control != -1 && !child->drained)
			log_warn("worker %zu of before is slow to stop accepting", child->index);
	drained(generation);
}

static void on_keyd_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	const struct generation *generation = timer->data;

	(void)loop;
	(void)events;
	if (!generation->keyd.pid)
		return;
	log_warn("keyd of before (process %d) does not end: it is killed", generation->keyd.pid);
	(void)kill(generation->keyd.pid, SIGKILL);
}

struct generation *generation_new(struct settings *settings)
{
	struct generation *generation = xcalloc(1, sizeof(*generation));
	size_t i;

	generation->settings = settings_share(settings);
	settings->refusals = 0;		/* those of a reading before */
	generation->keylog_fd = -1;
	generation->worker_count = settings->workers ? settings->workers : count_cpus();
	generation->workers = xcalloc(generation->worker_count, sizeof(*generation->workers));
	ev_init(&generation->slow, on_slow);
	ev_init(&generation->keyd_limit, on_keyd_limit);
	generation->slow.data = generation->keyd_limit.data = generation;
	child_init(&generation->keyd, generation, 0, on_keyd_exit);
	for (i = 0; i < generation->worker_count; i++)
		child_init(&generation->workers[i], generation, i, on_worker_exit);
	return generation;
}

void generation_unbind(struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->built; i++)
		gate_unbind(&generation->gates[i], generation->listeners);
}

static struct gate *find_gate(const struct generation *generation, const char *name)
{
	size_t i;

	for (i = 0; i < generation->built; i++)
		if (!strcmp(generation->gates[i].settings->name, name))
			return &generation->gates[i];
	return NULL;
}

void generation_inherit(struct generation *generation, const struct generation *from)
{
	const struct gate *to;
	size_t i;

	for (i = 0; i < from->built; i++) {
		to = find_gate(generation, from->gates[i].settings->name);
		if (!to)
			continue;
		stats_inherit(&generation->stats, (size_t)(to - generation->gates), &from->stats, i);
		shed_inherit(&generation->shed, (size_t)(to - generation->gates), &from->shed, i);
	}
	stats_inherit_lost(&generation->stats, &from->stats);
	generation->restarts += from->restarts;
}

void generation_forget(struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->built; i++)
		gate_forget(&generation->gates[i]);
}

void generation_read_tickets(const struct generation *generation)
{
	size_t i;

	/* those of the last reading are told */
	generation->settings->refusals = 0;
	for (i = 0; i < generation->built; i++)
		gate_read_tickets(&generation->gates[i]);
}

static void on_drain(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct generation *generation = timer->data;

	(void)loop;
	(void)events;
	if (generation->stopped) {
		generation_kill(generation);
		return;
	}
	log_info("connections of before had their time: they are ended");
	generation_stop(generation);
}

static void set_drain(struct generation *generation, double seconds)
{
	struct ev_loop *loop = EV_DEFAULT_UC;

	ev_timer_stop(loop, &generation->drain);
	ev_timer_init(&generation->drain, on_drain, seconds, 0.);
	generation->drain.data = generation;
	ev_timer_start(loop, &generation->drain);
}

static void retire(struct generation *generation)
{
	size_t i;

	generation->retired = true;
	shed_stop(&generation->shed);
	for (i = 0; i < generation->built; i++)
		resolver_remove(generation->resolver, &generation->gates[i]);
	for (i = 0; i < generation->worker_count; i++) {
		ev_timer_stop(EV_DEFAULT_UC, &generation->workers[i].restart);
		census_retire_row(generation->census, generation->workers[i].row);
	}
	close_control(&generation->keyd);	/* which it ends of; its answerers stay with their workers */
	set_timer(&generation->keyd_limit, STOP_SECONDS);
	generation_unbind(generation);
}

void generation_retire(struct generation *generation, uint32_t drain_ms)
{
	size_t i;

	for (i = 0; i < generation->worker_count; i++)
		generation->workers[i].drained = false;
	generation_tell(generation, IPC_DRAIN);
	if (drain_ms)
		set_drain(generation, drain_ms / 1000.0);
	retire(generation);
	/* so that who is told of the reload meets the new workers only */
	generation->draining = true;
	set_timer(&generation->slow, DRAINING_SECONDS);
	check_drained(generation);
	check_gone(generation);
}

static bool is_meant(const struct gate *gate, const char *name)
{
	return !name || !strcmp(gate->settings->name, name);
}

/* NULL: something of it can stop listening, and listen again. */
static const char *why_not_drained(const struct gate *gate)
{
	const char *why = NULL;
	size_t i;

	for (i = 0; i < gate->settings->listen.count; i++) {
		why = listener_why_kept(gate->listeners[i]);
		if (!why)
			return NULL;
	}
	return why;
}

static const char *cannot_drain(const struct generation *generation, const char *name)
{
	const char *why = "there is no such gate, or backend of a gate: tlsgate gates lists them";
	size_t i;

	for (i = 0; i < generation->built; i++) {
		if (!is_meant(&generation->gates[i], name))
			continue;
		why = why_not_drained(&generation->gates[i]);
		if (!why)
			return NULL;
	}
	return why;
}

static int drain_gate(struct gate *gate, bool drain)
{
	struct listener *listener;
	int ret = 0;
	size_t i;

	for (i = 0; i < gate->settings->listen.count; i++) {
		listener = gate->listeners[i];
		if (listener_why_kept(listener))
			continue;
		if (drain)
			listener_drain(listener);
		else
			ret |= listener_undrain(listener, gate->settings);
	}
	return ret;
}

int generation_drain(struct generation *generation, const char *name, bool drain, const char **why)
{
	int ret = 0;
	size_t i;

	*why = cannot_drain(generation, name);
	if (*why)
		return -1;
	for (i = 0; i < generation->built; i++)
		if (is_meant(&generation->gates[i], name))
			ret |= drain_gate(&generation->gates[i], drain);
	*why = "it cannot listen again, as the log says";
	if (!drain)
		generation_tell(generation, IPC_SERVE);
	return ret;
}

void generation_stop(struct generation *generation)
{
	generation->stopped = true;
	generation_tell(generation, IPC_STOP);
	set_drain(generation, STOP_SECONDS);
	retire(generation);
	check_gone(generation);
}

void generation_kill(const struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->worker_count; i++)
		if (generation->workers[i].pid)
			(void)kill(generation->workers[i].pid, SIGKILL);
	if (generation->keyd.pid)
		(void)kill(generation->keyd.pid, SIGKILL);
}

void generation_free(struct generation *generation)
{
	struct ev_loop *loop = EV_DEFAULT_UC;
	size_t i;

	for (i = 0; i < generation->worker_count; i++) {
		ev_timer_stop(loop, &generation->workers[i].restart);
		child_over(loop, &generation->workers[i]);
		free_row(&generation->workers[i]);
	}
	child_over(loop, &generation->keyd);
	ev_timer_stop(loop, &generation->drain);
	ev_timer_stop(loop, &generation->limit);
	ev_timer_stop(loop, &generation->slow);
	ev_timer_stop(loop, &generation->keyd_limit);
	limits_release(generation->census, generation->gates, generation->built);
	for (i = 0; i < generation->built; i++)
		gate_clear(&generation->gates[i]);
	shed_free(&generation->shed);
	if (generation->keylog_fd != -1)
		close(generation->keylog_fd);
	settings_free(generation->settings);
	stats_clear(&generation->stats);
	loads_clear(&generation->loads);
	free(generation->gates);
	free(generation->workers);
	free(generation);
}
