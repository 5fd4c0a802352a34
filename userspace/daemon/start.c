// SPDX-License-Identifier: MIT
#include "daemon/start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/backends.h"
#include "daemon/gates.h"
#include "daemon/limits.h"

static int find_users(struct generation *generation)
{
	const struct settings *set = generation->settings;

	int ret = sandbox_identity(set, "user", set->user, &generation->who);

	generation->key_who = generation->who;
	if (set->key_user)
		ret |= sandbox_identity(set, "key-user", set->key_user, &generation->key_who);
	return ret;
}

static int refuse_keylog(const struct settings *settings, int error)
{
	char why[SETTINGS_WHY_MAX];

	snprintf(why, sizeof(why), "%s: give a file that can be written or created, and no link", strerror(error));
	return settings_refuse(settings, "keylog", settings->keylog, why);
}

static int open_keylog(struct generation *generation)
{
	const char *path = generation->settings->keylog;

	if (!path)
		return 0;
	/* O_NONBLOCK: a FIFO that nobody reads must not stop the daemon */
	generation->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
				     O_NONBLOCK, 0600);
	if (generation->keylog_fd < 0)
		return refuse_keylog(generation->settings, errno);
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

static int bind_gates(struct generation *generation)
{
	int ret = 0;
	size_t i;

	for (i = 0; i < generation->built; i++)
		ret |= gate_bind(&generation->gates[i], generation->listeners, generation->worker_count);
	return ret;
}

static int try_listening(const struct generation *generation)
{
	int ret = 0;
	size_t i;

	for (i = 0; i < generation->built; i++)
		ret |= gate_try_bind(&generation->gates[i]);
	return ret;
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

static void resolve_backends(struct generation *generation)
{
	size_t i;

	for (i = 0; i < generation->built; i++)
		resolver_add(generation->resolver, &generation->gates[i], generation->gates,
			     generation->built, &generation->who);
}

static int open_stats(struct generation *generation)
{
	if (!stats_init(&generation->stats, generation->worker_count, generation->built) &&
	    !backends_count(generation))
		return 0;
	log_error("no memory for what %zu workers count: have fewer workers or gates",
		  generation->worker_count);
	return -1;
}

static int start_workers(struct generation *generation)
{
	size_t i;

	if (open_stats(generation))
		return -1;
	for (i = 0; i < generation->worker_count; i++)
		if (generation_start_worker(generation, &generation->workers[i]))
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
	generation_tell(generation, IPC_SERVE);
	generation->begun(generation, generation->arg);
	return 0;
}

static void set_limit(struct generation *generation)
{
	struct ev_loop *loop = EV_DEFAULT_UC;

	ev_timer_stop(loop, &generation->limit);
	ev_timer_set(&generation->limit, generation_ready_seconds(generation), 0.);
	ev_timer_start(loop, &generation->limit);
}

/* The next step, now that child is ready. */
static void on_ready(struct child *child)
{
	struct generation *generation = child->generation;
	int ret = 0;

	set_limit(generation);
	if (child == &generation->keyd)
		ret = start_workers(generation);
	else if (!find_unready(generation))
		ret = serve(generation);
	if (ret)
		generation->failed(generation, generation->arg);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct generation *generation = timer->data;
	const struct child *child;

	(void)loop;
	(void)events;
	child = find_unready(generation);
	if (child == &generation->keyd)
		log_error("keyd did not get ready: it takes too long: see whether the machine is overloaded, and try again");
	else if (child)
		log_error("worker %zu did not get ready: it takes too long: see whether the machine is overloaded, and try again",
			  child->index);
	generation->failed(generation, generation->arg);
}

/* Where no loop runs.  0, or -1 and it logged what was wrong. */
static int await_keyd(const struct generation *generation)
{
	struct pollfd pfd = { .fd = generation->keyd.control, .events = POLLIN };
	struct ipc_message message;
	int ret;

	do {
		ret = poll(&pfd, 1, (int)(1000 * generation_ready_seconds(generation)));
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
	ret |= try_listening(generation);
	/* looks at keys even so: every error is wanted */
	ret |= generation_start_keyd(generation) || await_keyd(generation) ? -1 : 0;
	generation_kill(generation);
	generation_free(generation);
	return ret;
}

static int set_up(struct generation *generation)
{
	if (find_users(generation) || open_keylog(generation) || build_gates(generation) ||
	    limits_prepare(generation->census, generation->gates, generation->built, generation->settings) ||
	    bind_gates(generation) || generation_start_keyd(generation))
		return -1;
	set_limit(generation);
	return 0;
}

void generation_abandon(struct generation *generation)
{
	generation_kill(generation);
	generation_unbind(generation);
	listeners_trim(generation->listeners);
	generation_free(generation);
}

struct generation *generation_start(struct settings *settings, struct listeners *listeners,
				    struct resolver *resolver, struct ledger *ledger,
				    struct pause *pause, struct census *census,
				    const struct generation *callbacks)
{
	struct generation *generation = generation_new(settings);

	ev_init(&generation->limit, on_limit);
	generation->limit.data = generation;
	generation->begun = callbacks->begun;
	generation->failed = callbacks->failed;
	generation->drained = callbacks->drained;
	generation->gone = callbacks->gone;
	generation->listed = callbacks->listed;
	generation->keyd_died = callbacks->keyd_died;
	generation->unfit = callbacks->unfit;
	generation->arg = callbacks->arg;
	generation->next_step = on_ready;
	generation->listeners = listeners;
	generation->resolver = resolver;
	generation->ledger = ledger;
	generation->pause = pause;
	generation->census = census;
	if (!set_up(generation))
		return generation;
	generation_abandon(generation);
	return NULL;
}
