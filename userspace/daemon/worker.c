// SPDX-License-Identifier: MIT
#include "daemon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hurry.h"
#include "common/ipc.h"
#include "common/mem.h"
#include "daemon/account.h"
#include "daemon/checker.h"
#include "daemon/conn.h"
#include "daemon/filter.h"
#include "daemon/kernel.h"
#include "daemon/landlock.h"
#include "daemon/life.h"
#include "daemon/process.h"
#include "daemon/rehearsal.h"
#include "daemon/userpath.h"

#define ACCEPT_MAX	32	/* in one turn */
#define PAUSE_SECONDS	0.2
#define ROTATE_SECONDS	10.	/* how late a worker may be with a new ticket key or with lost lines */

static void stop_accepting(struct worker *worker)
{
	size_t i;

	for (i = 0; i < worker->listener_count; i++)
		ev_io_stop(worker->loop, &worker->listeners[i].io);
	worker->accepting = false;
}

static void start_accepting(struct worker *worker)
{
	size_t i;

	if (!worker->serves || worker->accepting || worker->draining || !worker->has_keys)
		return;
	for (i = 0; i < worker->listener_count; i++)
		ev_io_start(worker->loop, &worker->listeners[i].io);
	worker->accepting = true;
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	start_accepting(timer->data);
}

/* Out of descriptors or memory: the listener would spin if it stayed watched. */
static void pause_accepting(struct worker *worker, int error)
{
	worker_log_peer(worker, error, "no connection can be accepted: %s; trying again in %.1f s",
			strerror(error), PAUSE_SECONDS);
	stop_accepting(worker);
	ev_timer_stop(worker->loop, &worker->pause);
	ev_timer_set(&worker->pause, PAUSE_SECONDS, 0.);
	ev_timer_start(worker->loop, &worker->pause);
}

static bool is_lasting(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* Alone, a connection should not pay for an accept that finds nothing; a crowd shares it. */
static size_t accept_batch(const struct worker *worker)
{
	size_t batch = 1 + worker->handshakes / 4;

	return batch < ACCEPT_MAX ? batch : ACCEPT_MAX;
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct worker_listener *listener = io->data;
	struct worker *worker = listener->worker;
	struct sockaddr_in6 client;
	size_t i, batch = accept_batch(worker);
	socklen_t len;
	int fd;

	(void)events;
	for (i = 0; i < batch && worker->accepting; i++) {
		len = sizeof(client);
		fd = accept4(io->fd, (struct sockaddr *)&client, &len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && is_lasting(errno)) {
			worker_count(worker, listener->gate, STAT_NO_DESCRIPTOR, 1);
			pause_accepting(worker, errno);
		}
		/* drained: it does not listen, and would report that again and again */
		if (fd < 0 && errno == EINVAL)
			ev_io_stop(loop, io);
		if (fd < 0 && errno != ECONNABORTED)
			return;
		if (fd < 0)
			continue;
		worker_count(worker, listener->gate, STAT_ACCEPTED, 1);
		life_begin(listener, fd, (struct sockaddr *)&client, len);
	}
}

void worker_count(const struct worker *worker, const struct gate *gate, enum counter counter,
		  uint64_t number)
{
	stats_add(worker->stats, (size_t)(gate - worker->gates), counter, number);
}

void worker_count_time(const struct worker *worker, const struct gate *gate, enum counter first,
		       uint64_t begun)
{
	const uint64_t us = clock_us() - begun;

	worker_count(worker, gate, first + tally_bucket(us), 1);
	worker_count(worker, gate, first + TALLY_SUM, us);
}

/* They hold the module, and this worker may live for long.  Several sockets may have one. */
static void close_handles(struct worker *worker)
{
	size_t i, j;
	int handle;

	for (i = 0; i < worker->listener_count; i++) {
		handle = worker->listeners[i].handle;
		if (handle == -1)
			continue;
		close(handle);
		for (j = i; j < worker->listener_count; j++)
			if (worker->listeners[j].handle == handle)
				worker->listeners[j].handle = -1;
	}
}

void worker_handshake_over(struct worker *worker)
{
	if (worker->draining && !worker->handshakes)
		close_handles(worker);
}

void worker_conn_gone(struct worker *worker)
{
	if (worker->draining && !worker->conns)
		ev_break(worker->loop, EVBREAK_ALL);
}

/* What the kernel is to take anyway must not end with this worker, nor keep it. */
static void hand_over_all(struct worker *worker)
{
	struct conn *conn, *next;

	for (conn = worker->conns; conn; conn = next) {
		next = conn->next;
		if (conn->state == CONN_RELAY)
			userpath_hand_over(conn);
	}
}

static void drain(struct worker *worker)
{
	size_t i;

	if (!worker->draining) {
		stop_accepting(worker);
		for (i = 0; i < worker->listener_count; i++)
			hurry_close(worker->listeners[i].io.fd);	/* of a UNIX socket's queue */
		hand_over_all(worker);
		checker_stop(worker->checker);
		worker->checker = NULL;
		worker->draining = true;
		worker_handshake_over(worker);
	}
	worker_conn_gone(worker);
}

static void stop(struct worker *worker)
{
	struct conn *conn, *next;

	drain(worker);
	for (conn = worker->conns; conn; conn = next) {
		next = conn->next;
		if (conn->state == CONN_LINGER)
			continue;
		account_reason(conn, "the daemon ended it: stop, or drain-time");
		conn_abort(conn);
	}
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	log_info("connections that went on without the monitor had their time: they are ended");
	stop(timer->data);
}

/* The monitor died, or left its workers behind: what is open goes on, nothing new comes in. */
static void go_on_alone(struct worker *worker)
{
	worker->alone = true;
	if (!worker->draining)
		log_warn("the monitor is gone: no more connections are accepted");
	drain(worker);
	if (!worker->settings->drain_time)
		return;
	ev_timer_set(&worker->limit, worker->settings->drain_time / 1000., 0.);
	ev_timer_start(worker->loop, &worker->limit);
}

/* While there is a monitor, it decides.  Without one, the machine may be about to stop. */
static void on_terminate(struct ev_loop *loop, ev_async *async, int events)
{
	struct worker *worker = async->data;

	(void)loop;
	(void)events;
	if (worker->alone)
		stop(worker);
}

static struct worker *signalled;	/* a handler has no argument */

static void on_sigterm(int signum)
{
	(void)signum;
	ev_async_send(signalled->loop, &signalled->terminate);
}

/* libev's own watcher of that signal is the monitor's. */
static int watch_sigterm(struct worker *worker)
{
	const struct sigaction action = { .sa_handler = on_sigterm, .sa_flags = SA_RESTART };

	ev_async_init(&worker->terminate, on_terminate);
	worker->terminate.data = worker;
	ev_async_start(worker->loop, &worker->terminate);
	signalled = worker;
	return sigaction(SIGTERM, &action, NULL);
}

static void use_keys(struct worker *worker, const struct keypipe *end)
{
	keyclient_use(&worker->keys, end);
	worker->has_keys = true;
	start_accepting(worker);
}

/* Clients wait in the accept queue: they need not fail. */
static void on_keys_lost(void *arg)
{
	struct worker *worker = arg;

	worker->has_keys = false;
	stop_accepting(worker);
	/* the monitor takes messages; one that is dead needs none */
	(void)ipc_send(worker->control, IPC_NEED_KEYS, NULL, 0);
}

/* Not for a generation that may never serve, and once: it is told to serve again after a drain. */
static void start_checking(struct worker *worker)
{
	if (worker->index == WORKER_CHECKER && !worker->checker && !worker->draining)
		worker->checker = checker_start(worker);
}

static void on_control(struct ev_loop *loop, ev_io *io, int events)
{
	struct worker *worker = io->data;
	struct ipc_message message;
	int ret;

	(void)events;
	ret = ipc_receive(io->fd, &message);
	if (ret == -EAGAIN)
		return;
	if (ret == 1 && message.type == IPC_SERVE) {
		worker->serves = true;
		worker->accepting = false;	/* also where it did not listen */
		start_accepting(worker);
		start_checking(worker);
		return;
	}
	if (ret == 1 && message.type == IPC_DRAIN) {
		drain(worker);
		/* the monitor only waits for a while: nothing hangs on this */
		(void)ipc_send(io->fd, IPC_DRAINING, NULL, 0);
		return;
	}
	if (ret == 1 && message.type == IPC_LIST && message.fd_count == 1) {
		listing_begin(&worker->listing, worker->conns, message.fds[0]);
		return;
	}
	if (ret == 1 && message.type == IPC_STOP) {
		stop(worker);
		return;
	}
	if (ret == 1 && message.type == IPC_KEYS && message.fd_count == 2) {
		use_keys(worker, &(struct keypipe){ message.fds[0], message.fds[1] });
		return;
	}
	ev_io_stop(loop, io);
	go_on_alone(worker);
}

static void on_rotate(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker *worker = timer->data;
	size_t i;

	(void)loop;
	(void)events;
	for (i = 0; i < worker->gate_count; i++)
		gate_refresh(&worker->gates[i]);
	log_limit_tell(&worker->limits.info);
	log_limit_tell(&worker->limits.warn);
	log_limit_tell(&worker->limits.error);
	log_catch_up();
}

static void add_listener(struct worker *worker, const struct gate *gate, size_t index, int fd)
{
	struct worker_listener *listener;

	listener = &worker->listeners[worker->listener_count++];
	listener->gate = gate;
	listener->worker = worker;
	listener->handle = gate->handles ? gate->handles[index] : -1;
	ev_io_init(&listener->io, on_accept, fd, EV_READ);
	listener->io.data = listener;
}

/* Calls take() for each listening socket of this worker; returns how many. */
static size_t each_socket(const struct worker_plan *plan, struct worker *worker,
			  void (*take)(struct worker *worker, const struct gate *gate, size_t index,
				       int fd))
{
	const struct listener *listener;
	const struct gate *gate;
	size_t sockets, count = 0;
	size_t i, j;

	/* a reload may be under way, whose sockets are not for a worker of before */
	for (gate = plan->gates; gate < plan->gates + plan->gate_count; gate++) {
		for (i = 0; i < gate->settings->listen.count; i++) {
			listener = gate->listeners[i];
			sockets = plan->first ? listener->count : listener->listening;
			for (j = 0; j < sockets; j++) {
				if (!listener_is_for(listener, j, plan->index, plan->workers))
					continue;
				count++;
				if (take)
					take(worker, gate, i, listener->fds[j]);
			}
		}
	}
	return count;
}

static int keep_fds(const struct worker_plan *plan, const struct worker *worker,
		    const struct keypipe *keys)
{
	int *keep = xcalloc(2 * worker->listener_count + 7, sizeof(*keep));
	size_t count = 0;
	size_t i;
	int ret;

	for (i = 0; i < worker->listener_count; i++) {
		keep[count++] = worker->listeners[i].io.fd;
		if (worker->listeners[i].handle != -1)
			keep[count++] = worker->listeners[i].handle;
	}
	keep[count++] = worker->control;
	keep[count++] = keys->in;
	keep[count++] = keys->out;
	keep[count++] = log_copy();
	if (plan->keylog_fd != -1)
		keep[count++] = plan->keylog_fd;
	if (plan->kernel_fd != -1)
		keep[count++] = plan->kernel_fd;
	if (plan->ledger != -1)
		keep[count++] = plan->ledger;
	ret = sandbox_keep_fds(keep, count);
	free(keep);
	return ret;
}

static void set_up_loop(struct worker *worker, const struct keypipe *keys)
{
	const struct keyclient_owner owner = {
		.answered = life_key_answer, .lost = on_keys_lost, .arg = worker,
	};

	worker->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!worker->loop) {
		log_error("no event loop: %s: raise the limit of open files", strerror(errno));
		exit(1);
	}
	ev_timer_init(&worker->pause, on_pause_over, 0., 0.);
	worker->pause.data = worker;
	ev_timer_init(&worker->rotate, on_rotate, ROTATE_SECONDS, ROTATE_SECONDS);
	worker->rotate.data = worker;
	ev_timer_start(worker->loop, &worker->rotate);
	ev_init(&worker->limit, on_limit);
	worker->limit.data = worker;
	(void)fcntl(worker->control, F_SETFL, O_NONBLOCK);
	ev_io_init(&worker->control_io, on_control, worker->control, EV_READ);
	worker->control_io.data = worker;
	ev_io_start(worker->loop, &worker->control_io);
	listing_init(&worker->listing, worker->loop, worker->control);
	keyclient_init(&worker->keys, worker->loop, &owner);
	use_keys(worker, keys);
}

static unsigned long long counted(const struct worker_plan *plan, enum counter counter)
{
	return stats_of_worker(plan->stats, plan->index, counter);
}

static void log_counters(const struct worker_plan *plan)
{
	log_verbose("ends: %llu accepted, %llu delivered, %llu relayed by the kernel, %llu here, %llu failed, %llu refused by the kernel",
		    counted(plan, STAT_ACCEPTED), counted(plan, STAT_DELIVERED),
		    counted(plan, STAT_KERNEL), counted(plan, STAT_USER), counted(plan, STAT_FAILED),
		    counted(plan, STAT_REFUSED));
}

/* The ports of all backends: a UNIX socket's is 0. */
static uint16_t *list_ports(const struct worker_plan *plan, size_t *count)
{
	const struct gate *gate;
	const struct pool *pool;
	uint16_t *ports = NULL;
	size_t i;

	*count = 0;
	for (gate = plan->gates; gate < plan->gates + plan->gate_count; gate++) {
		for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++) {
			ports = xrealloc(ports, *count + pool->count, sizeof(*ports));
			for (i = 0; i < pool->count; i++)
				ports[(*count)++] = addr_port(pool->members[i].text);
		}
	}
	return ports;
}

static bool has_abstract(const struct worker_plan *plan)
{
	const struct gate *gate;
	const struct pool *pool;
	size_t i;

	for (gate = plan->gates; gate < plan->gates + plan->gate_count; gate++)
		for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++)
			for (i = 0; i < pool->count; i++)
				if (addr_is_abstract(pool->members[i].text))
					return true;
	return false;
}

/* Where a worker connects to is known: files no more, these ports, and UNIX sockets if any is one. */
static int restrict_targets(const struct worker_plan *plan)
{
	size_t count, kept = 0, i;
	uint16_t *ports = list_ports(plan, &count);
	int ret;

	for (i = 0; i < count; i++)
		if (ports[i])
			ports[kept++] = ports[i];
	ret = has_abstract(plan) ? landlock_enter_abstract(ports, kept) : landlock_enter(ports, kept);
	free(ports);
	return ret ? ret : filter_load(FILTER_WORKER, kept < count);
}

static void lock_tickets(const struct worker_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->gate_count; i++)
		tickets_lock(plan->gates[i].tickets);
}

static int enter_sandbox(const struct worker_plan *plan, const struct keypipe *keys)
{
	/* all are forks of one process: what one has tried, the others need not try again */
	struct rehearsal under = {
		.gates = plan->gates, .count = plan->gate_count,
		.share = plan->index, .shares = plan->first ? plan->workers : 0,
	};
	struct rehearsal before = under;

	/* libcrypto compares dates through libc, which would look for its zone's file */
	if (setenv("TZ", "UTC0", 1))
		return -1;
	tzset();
	if (rehearsal_open(&before) || rehearsal_open(&under) || rehearsal_run(&before, keys) ||
	    sandbox_drop(&plan->who) || restrict_targets(plan))
		return -1;
	return rehearsal_run(&under, keys);
}

static _Noreturn void run(const struct worker_plan *plan, int control, const struct keypipe *keys)
{
	struct worker *worker = xcalloc(1, sizeof(*worker));
	char name[32];

	snprintf(name, sizeof(name), "tlsgated-w%zu", plan->index);
	sandbox_child(name);
	/* the monitor's; while the numbers of its descriptors still mean them */
	ev_loop_destroy(EV_DEFAULT_UC);
	snprintf(name, sizeof(name), "tlsgated worker %zu", plan->index);
	log_init(name, log_is_verbose());
	worker->index = plan->index;
	worker->settings = plan->settings;
	worker->gates = plan->gates;
	worker->gate_count = plan->gate_count;
	worker->tried = xcalloc(plan->gate_count, DETOURS * sizeof(*worker->tried));
	worker->control = control;
	worker->ledger = plan->ledger;
	worker->paused = plan->pause;
	worker->census = plan->census;
	worker->census->own = plan->row;
	worker->workers = plan->workers;
	worker->stats = stats_take(plan->stats, plan->index);
	loads_take(plan->loads, plan->index);
	log_count_in(stats_lost_of(plan->stats, plan->index));
	TAILQ_INIT(&worker->handshaking);
	worker->listeners = xcalloc(each_socket(plan, worker, NULL), sizeof(*worker->listeners));
	(void)each_socket(plan, worker, add_listener);
	if (keep_fds(plan, worker, keys) || sandbox_hide_memory())
		exit(1);
	lock_tickets(plan);
	set_up_loop(worker, keys);
	kernel_init(worker, plan->kernel_fd);
	if (watch_sigterm(worker) || enter_sandbox(plan, keys))
		exit(1);
	log_copy_close();
	if (ipc_send(control, IPC_READY, NULL, 0))
		exit(1);
	ev_run(worker->loop, 0);
	log_counters(plan);
	kernel_close(worker);
	ev_loop_destroy(worker->loop);
	free(worker->listeners);
	free(worker->tried);
	free(worker);
	exit(0);
}

/* To the worker that is forked meanwhile. */
static void lend_tickets(const struct worker_plan *plan, bool lend)
{
	size_t i;

	for (i = 0; i < plan->gate_count; i++)
		tickets_lend(plan->gates[i].tickets, lend);
}

/* Pipes to a new answerer: the worker's end of them.  0 or -errno. */
static int open_keys(struct keypipe *keys, int keyd_control)
{
	struct keypipe answerer;
	int ret;

	ret = keypipe_open(keys, &answerer);
	if (ret)
		return ret;
	ret = ipc_send(keyd_control, IPC_NEW_WORKER, (const int[]){ answerer.in, answerer.out }, 2);
	keypipe_close(&answerer);
	if (ret)
		keypipe_close(keys);
	return ret;
}

/* The monitor keeps what says when the answerer ends. */
static int keep_answers(const struct keypipe *keys)
{
	close(keys->out);
	return keys->in;
}

int worker_give_keys(int control, int keyd_control, int *answers)
{
	struct keypipe keys;
	int ret;

	ret = open_keys(&keys, keyd_control);
	if (ret)
		return ret;
	ret = ipc_send(control, IPC_KEYS, (const int[]){ keys.in, keys.out }, 2);
	if (ret)
		keypipe_close(&keys);
	else
		*answers = keep_answers(&keys);
	return ret;
}

pid_t worker_start(const struct worker_plan *plan, int keyd_control, int *control, int *answers)
{
	struct keypipe keys;
	char name[32];
	pid_t pid;
	int ret;

	ret = open_keys(&keys, keyd_control);
	if (ret) {
		log_error("no answerer for worker %zu: %s", plan->index, strerror(-ret));
		return -1;
	}
	snprintf(name, sizeof(name), "worker %zu", plan->index);
	stats_lend(plan->stats, plan->index, true);
	lend_tickets(plan, true);
	census_lend(plan->census, plan->row, true);
	loads_lend(plan->loads, plan->index, true);
	pid = process_fork(name, control);
	if (pid == 0)
		run(plan, *control, &keys);
	census_lend(plan->census, plan->row, false);
	stats_lend(plan->stats, plan->index, false);
	lend_tickets(plan, false);
	loads_lend(plan->loads, plan->index, false);
	if (pid < 0)
		keypipe_close(&keys);
	else
		*answers = keep_answers(&keys);
	return pid;
}
