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
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/gates.h"
#include "daemon/keyd.h"
#include "daemon/worker.h"
#include "lib/libtlsgate.h"

#define READY_SECONDS	10.0	/* for a process of a starting generation to get ready */
#define TRIAL_SECONDS	0.02	/* for each certificate and gate, besides */
#define DRAINING_SECONDS 1.0
#define RESTART_PAUSE	1.0	/* seconds, after a worker that died young */
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

static int open_keylog(struct generation *generation)
{
	const char *path = generation->settings->keylog;

	if (!path)
		return 0;
	/* O_NONBLOCK: a FIFO that nobody reads must not stop the daemon */
	generation->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
				     O_NONBLOCK, 0600);
	if (generation->keylog_fd < 0) {
		log_error("keylog '%s' refused: %s: give a file that can be written or created, and no link",
			  path, strerror(errno));
		return -1;
	}
	log_warn("WARNING: the secrets of every connection are written to '%s': whoever reads it can read the traffic; drop --keylog when done",
		 path);
	return 0;
}

static int build_gates(struct generation *generation)
{
	size_t count = generation->settings->gate_count;

	generation->gates = xcalloc(count, sizeof(*generation->gates));
	generation->built = count;
	if (gates_build(generation->gates, generation->settings, generation->keylog_fd))
		return -1;
	return gates_choose_data_paths(generation->gates, count);
}

static bool serves(const struct generation *generation, const struct listener *listener)
{
	const struct gate *gate, *end = generation->gates + generation->built;
	size_t i;

	for (gate = generation->gates; gate < end; gate++)
		for (i = 0; i < gate->settings->listen.count; i++)
			if (gate->listeners[i] == listener)
				return true;
	return false;
}

/* Who connects to a socket that systemd passed and nobody accepts from would wait for ever. */
static int check_activated(const struct generation *generation)
{
	const struct listener *listener = generation->listeners->first;
	char text[ADDR_TEXT_MAX];
	int ret = 0;

	for (; listener; listener = listener->next) {
		if (!listener->activated || serves(generation, listener))
			continue;
		log_error("%s, which systemd passed, refused: no gate listens there: take it out of the socket unit or add it to a gate",
			  addr_format(&listener->addr.sa, listener->addr.len, text));
		ret = -1;
	}
	return ret;
}

static int bind_gates(struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->built; i++)
		if (gate_bind(&generation->gates[i], generation->listeners,
			      generation->worker_count))
			return -1;
	return check_activated(generation);
}

static void unbind_gates(struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->built; i++)
		gate_unbind(&generation->gates[i], generation->listeners);
}

static int start_listening(struct generation *generation)
{
	struct gate *gate;
	size_t i;

	for (gate = generation->gates; gate < generation->gates + generation->built; gate++)
		for (i = 0; i < gate->settings->listen.count; i++)
			if (listener_start(gate->listeners[i], gate->settings))
				return -1;
	return 0;
}

/* What changes sockets that others have, too: once nothing can be refused any more. */
static void take_listeners(struct generation *generation)
{
	struct gate *gate;
	size_t i;

	for (gate = generation->gates; gate < generation->gates + generation->built; gate++)
		for (i = 0; i < gate->settings->listen.count; i++)
			listener_serve(gate->listeners[i], gate->settings);
}

static void close_control(struct child *child)
{
	ev_io_stop(EV_DEFAULT_UC, &child->messages);
	if (child->control != -1)
		close(child->control);
	child->control = -1;
}

static const char *describe(int status, char text[64])
{
	if (WIFSIGNALED(status))
		snprintf(text, 64, "signal %d (%s)", WTERMSIG(status),
			 WTERMSIG(status) == SIGSYS ? "a system call the sandbox forbids" :
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, 64, "exit status %d", WEXITSTATUS(status));
	return text;
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
	ev_timer_stop(EV_DEFAULT_UC, &generation->limit);
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

static void child_over(struct ev_loop *loop, struct child *child)
{
	ev_child_stop(loop, &child->exit);
	ev_timer_stop(loop, &child->keys);
	child->pid = 0;
	child->ready = false;
	close_control(child);
}

static int start_worker(struct generation *generation, struct child *child);

static void on_restart(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct child *child = timer->data;

	(void)events;
	(void)loop;
	if (start_worker(child->generation, child))
		set_timer(timer, RESTART_PAUSE);
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
	child->keys_given = clock_ms();
	ret = worker_give_keys(child->control, keyd);
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

static void on_ready(struct child *child);

/* The generation may be gone afterwards. */
static void take_message(struct child *child, enum ipc_type type)
{
	if (type == IPC_NEED_KEYS) {
		on_need_keys(child);
	} else if (type == IPC_DRAINING) {
		child->drained = true;
		check_drained(child->generation);
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
	ret = ipc_receive(io->fd, &message);
	if (ret == 1) {
		ipc_close(&message);	/* no child has a descriptor to give */
		take_message(child, message.type);
	} else if (ret != -EAGAIN) {
		ev_io_stop(loop, io);	/* it is gone, as its exit will say */
	}
}

/* All that it said before it died is there. */
static bool was_ready(struct child *child)
{
	struct ipc_message message;

	while (child->control != -1 && ipc_receive(child->control, &message) == 1) {
		ipc_close(&message);
		child->ready |= message.type == IPC_READY;
	}
	return child->ready;
}

/*
 * It died of its own in its rehearsal, by the filter or since a library cannot do
 * without a call: so would the next.
 */
static bool is_unfit(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL;
}

/* Before it served: true where no other is to take its place. */
static bool ends_all(struct generation *generation, struct child *child, int status)
{
	char text[64];

	if (!generation->started) {
		log_error("worker %zu did not get ready: %s", child->index, describe(status, text));
		child_over(EV_DEFAULT_UC, child);
		generation->failed(generation, generation->arg);
		return true;
	}
	if (generation->retired || !is_unfit(status))
		return false;
	log_error("worker %zu (process %d) died before it served: %s: tlsgated ends; report this, and the line before",
		  child->index, child->pid, describe(status, text));
	child_over(EV_DEFAULT_UC, child);
	generation->unfit(generation, generation->arg);
	return true;
}

static void on_worker_exit(struct ev_loop *loop, ev_child *watcher, int events)
{
	struct child *child = watcher->data;
	struct generation *generation = child->generation;
	double pause = pause_after(child->started);
	char text[64];

	(void)events;
	if (!was_ready(child) && ends_all(generation, child, watcher->rstatus))
		return;
	if (!generation->retired || watcher->rstatus)
		log_error("worker %zu (process %d) died: %s%s", child->index, watcher->rpid,
			  describe(watcher->rstatus, text),
			  generation->retired ? "" : "; another is started");
	child_over(loop, child);
	stats_worker_gone(&generation->stats, child->index);
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
	char text[64];

	if (keyd_is_unfit(status))
		log_error("the sandbox ends one answerer after another: %s; report this, and the lines before",
			  generation->started ? "tlsgated ends" : "keys cannot be used");
	else
		log_error("keyd (process %d) died: %s%s", pid, describe(status, text),
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
	child->control = -1;
	ev_init(&child->exit, on_exit);
	ev_init(&child->restart, on_restart);
	ev_init(&child->keys, on_keys);
	ev_init(&child->messages, on_message);
	child->exit.data = child->restart.data = child->keys.data = child->messages.data = child;
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

static int open_ledger(const struct generation *generation)
{
	const struct gate *gate, *end = generation->gates + generation->built;

	for (gate = generation->gates; gate < end && !gate->kernel; gate++)
		;
	return generation->settings->connection_log && gate < end ?
	       ledger_writer(generation->ledger) : -1;
}

static void mend_listeners(const struct generation *generation)
{
	const struct gate *gate;
	size_t i;

	for (gate = generation->gates; gate < generation->gates + generation->built; gate++)
		for (i = 0; i < gate->settings->listen.count; i++)
			listener_mend(gate->listeners[i], gate->settings);
}

static int start_worker(struct generation *generation, struct child *child)
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
		.stats = &generation->stats,
	};
	size_t i;
	pid_t pid;

	/* one that starts late must not start with the keys of long ago */
	for (i = 0; i < generation->built; i++)
		gate_refresh(&generation->gates[i]);
	if (generation->started)
		mend_listeners(generation);
	pid = worker_start(&plan, generation->keyd.control, &child->control);
	if (plan.kernel_fd != -1)
		close(plan.kernel_fd);
	if (pid < 0)
		return -1;
	child_started(child, pid);
	return 0;
}

static void tell_workers(const struct generation *generation, enum ipc_type type)
{
	size_t i;

	/* one that cannot be told is dead, which its exit will say */
	for (i = 0; i < generation->worker_count; i++)
		if (generation->workers[i].control != -1)
			(void)ipc_send(generation->workers[i].control, type, NULL, 0);
}

static void resolve_backends(struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->built; i++)
		resolver_add(generation->resolver, &generation->gates[i], generation->gates,
			     generation->built, &generation->who);
}

static int open_stats(struct generation *generation)
{
	if (!stats_init(&generation->stats, generation->worker_count, generation->built))
		return 0;
	log_error("no memory for what %zu workers count: have fewer workers or gates", generation->worker_count);
	return -1;
}

static int start_workers(struct generation *generation)
{
	size_t i;

	if (open_stats(generation))
		return -1;
	for (i = 0; i < generation->worker_count; i++)
		if (start_worker(generation, &generation->workers[i]))
			return -1;
	return 0;
}

/* NULL: keyd and every worker are ready. */
static const struct child *find_unready(const struct generation *generation)
{
	size_t i;

	if (!generation->keyd.ready)
		return &generation->keyd;
	for (i = 0; i < generation->worker_count; i++)
		if (!generation->workers[i].ready)
			return &generation->workers[i];
	return NULL;
}

static int serve(struct generation *generation)
{
	if (start_listening(generation))
		return -1;
	ev_timer_stop(EV_DEFAULT_UC, &generation->limit);
	generation->started = true;
	take_listeners(generation);
	resolve_backends(generation);
	tell_workers(generation, IPC_SERVE);
	generation->begun(generation, generation->arg);
	return 0;
}

static double ready_seconds(const struct generation *generation)
{
	size_t i, count = generation->built;

	for (i = 0; i < generation->built; i++)
		count += generation->gates[i].settings->certs.count;
	return READY_SECONDS + TRIAL_SECONDS * (double)count;
}

/* The next step of a start; of a worker that takes a dead one's place, the only one. */
static void on_ready(struct child *child)
{
	struct generation *generation = child->generation;
	int ret = 0;

	if (generation->started) {
		(void)ipc_send(child->control, IPC_SERVE, NULL, 0);
		return;
	}
	set_timer(&generation->limit, ready_seconds(generation));
	if (child == &generation->keyd)
		ret = start_workers(generation);
	else if (!find_unready(generation))
		ret = serve(generation);
	if (ret)
		generation->failed(generation, generation->arg);
}

static void warn_of_slow_workers(const struct generation *generation)
{
	const struct child *child = generation->workers;

	for (; child < generation->workers + generation->worker_count; child++)
		if (child->control != -1 && !child->drained)
			log_warn("worker %zu of before is slow to stop accepting", child->index);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct generation *generation = timer->data;
	const struct child *child;

	(void)loop;
	(void)events;
	if (generation->retired) {
		warn_of_slow_workers(generation);
		drained(generation);
		return;
	}
	child = find_unready(generation);
	if (child == &generation->keyd)
		log_error("keyd did not get ready: it takes too long: see whether the machine is overloaded, and try again");
	else if (child)
		log_error("worker %zu did not get ready: it takes too long: see whether the machine is overloaded, and try again",
			  child->index);
	generation->failed(generation, generation->arg);
}

static int start_keyd(struct generation *generation)
{
	struct child *keyd = &generation->keyd;
	pid_t pid;

	pid = keyd_start(generation->gates, generation->built, &generation->key_who, &keyd->control);
	if (pid < 0)
		return -1;
	child_started(keyd, pid);
	return 0;
}

static struct generation *generation_new(struct settings *settings)
{
	struct generation *generation = xcalloc(1, sizeof(*generation));
	size_t i;

	generation->settings = settings;
	settings->refusals = 0;		/* those of the command line are read once */
	generation->keylog_fd = -1;
	generation->worker_count = settings->workers ? settings->workers : count_cpus();
	generation->workers = xcalloc(generation->worker_count, sizeof(*generation->workers));
	ev_init(&generation->limit, on_limit);
	generation->limit.data = generation;
	child_init(&generation->keyd, generation, 0, on_keyd_exit);
	for (i = 0; i < generation->worker_count; i++)
		child_init(&generation->workers[i], generation, i, on_worker_exit);
	return generation;
}

static int find_users(struct generation *generation)
{
	const struct settings *set = generation->settings;

	if (sandbox_identity("user", set->user, &generation->who))
		return -1;
	generation->key_who = generation->who;
	return set->key_user ? sandbox_identity("key-user", set->key_user, &generation->key_who) : 0;
}

/* Where no loop runs.  0, or -1 and it logged what was wrong. */
static int await_keyd(const struct generation *generation)
{
	struct pollfd pfd = { .fd = generation->keyd.control, .events = POLLIN };
	struct ipc_message message;
	int ret;

	do {
		ret = poll(&pfd, 1, (int)(1000 * ready_seconds(generation)));
	} while (ret < 0 && errno == EINTR);
	if (!ret)
		log_error("the keys cannot be tried: it takes too long: see whether the machine is overloaded, and try again");
	return ret == 1 && ipc_receive(pfd.fd, &message) == 1 ? 0 : -1;
}

int generation_try(struct settings *settings)
{
	struct generation *generation = generation_new(settings);
	int ret;

	ret = find_users(generation);
	ret |= build_gates(generation);
	/* looks at keys even so: every error is wanted */
	ret |= start_keyd(generation) || await_keyd(generation) ? -1 : 0;
	generation_kill(generation);
	generation_free(generation);
	return ret;
}

static int set_up(struct generation *generation)
{
	if (find_users(generation) || open_keylog(generation) || build_gates(generation) ||
	    bind_gates(generation) || start_keyd(generation))
		return -1;
	set_timer(&generation->limit, ready_seconds(generation));
	return 0;
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
		if (to)
			stats_inherit(&generation->stats, (size_t)(to - generation->gates), &from->stats, i);
	}
	stats_inherit_lost(&generation->stats, &from->stats);
}

void generation_forget(struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->built; i++)
		gate_forget(&generation->gates[i]);
}

struct generation *generation_start(struct settings *settings, bool owns_settings,
				    struct listeners *listeners, struct resolver *resolver,
				    struct ledger *ledger, struct pause *pause,
				    const struct generation *callbacks)
{
	struct generation *generation = generation_new(settings);

	generation->begun = callbacks->begun;
	generation->failed = callbacks->failed;
	generation->drained = callbacks->drained;
	generation->gone = callbacks->gone;
	generation->keyd_died = callbacks->keyd_died;
	generation->unfit = callbacks->unfit;
	generation->arg = callbacks->arg;
	generation->owns_settings = owns_settings;
	generation->listeners = listeners;
	generation->resolver = resolver;
	generation->ledger = ledger;
	generation->pause = pause;
	if (!set_up(generation))
		return generation;
	generation_abandon(generation);
	return NULL;
}

void generation_abandon(struct generation *generation)
{
	generation_kill(generation);
	unbind_gates(generation);
	listeners_trim(generation->listeners);
	generation_free(generation);
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
	for (i = 0; i < generation->built; i++)
		resolver_remove(generation->resolver, &generation->gates[i]);
	for (i = 0; i < generation->worker_count; i++)
		ev_timer_stop(EV_DEFAULT_UC, &generation->workers[i].restart);
	close_control(&generation->keyd);	/* its answerers stay with their workers */
	unbind_gates(generation);
}

void generation_retire(struct generation *generation, uint32_t drain_ms)
{
	size_t i;

	for (i = 0; i < generation->worker_count; i++)
		generation->workers[i].drained = false;
	tell_workers(generation, IPC_DRAIN);
	if (drain_ms)
		set_drain(generation, drain_ms / 1000.0);
	retire(generation);
	/* so that who is told of the reload meets the new workers only */
	generation->draining = true;
	set_timer(&generation->limit, DRAINING_SECONDS);
	check_drained(generation);
	check_gone(generation);
}

static bool is_activated(const struct gate *gate)
{
	size_t i;

	for (i = 0; i < gate->settings->listen.count; i++)
		if (gate->listeners[i]->activated)
			return true;
	return false;
}

static const char *cannot_drain(const struct generation *generation, const char *name)
{
	const char *why = "there is no such gate: tlsgate gates lists them";
	size_t i;

	for (i = 0; i < generation->built; i++) {
		if (name && strcmp(generation->gates[i].settings->name, name))
			continue;
		if (is_activated(&generation->gates[i]))
			return "systemd has the gate's socket: stop the socket unit";
		why = NULL;
	}
	return why;
}

static int drain_gate(struct gate *gate, bool drain)
{
	int ret = 0;
	size_t i;

	for (i = 0; i < gate->settings->listen.count; i++)
		if (drain)
			listener_drain(gate->listeners[i]);
		else
			ret |= listener_undrain(gate->listeners[i], gate->settings);
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
		if (!name || !strcmp(generation->gates[i].settings->name, name))
			ret |= drain_gate(&generation->gates[i], drain);
	*why = "it cannot listen again, as the log says";
	if (!drain)
		tell_workers(generation, IPC_SERVE);
	return ret;
}

void generation_stop(struct generation *generation)
{
	generation->stopped = true;
	tell_workers(generation, IPC_STOP);
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
	}
	child_over(loop, &generation->keyd);
	ev_timer_stop(loop, &generation->drain);
	ev_timer_stop(loop, &generation->limit);
	for (i = 0; i < generation->built; i++)
		gate_clear(&generation->gates[i]);
	if (generation->keylog_fd != -1)
		close(generation->keylog_fd);
	if (generation->owns_settings)
		settings_free(generation->settings);
	stats_clear(&generation->stats);
	free(generation->gates);
	free(generation->workers);
	free(generation);
}
