/* SPDX-License-Identifier: MIT */
/*
 * A worker process: one event loop, no privilege, no private key.  The map of
 * what runs in it (all from the loop's callbacks, one thread):
 *
 *	worker.c	accepts, obeys the monitor, keeps the limits
 *	life.c		a connection's life: which of these is next
 *	limits.c	whether there may be one more
 *	preface.c	what comes before TLS: accept_proxy.c, opening.c, decline.c, pass.c
 *	pass.c		... and relays the TLS of clients that are somebody else's
 *	handshake.c	drives the engine until it is established
 *	deliver.c	gives an established connection to the server itself
 *	backend.c	or reaches a backend of its pool
 *	install.c	hands an established connection to the kernel
 *	userpath.c	or relays it here
 *	kernel.c	whether there is a module to hand over to
 *	pause.c		whether the operator wants nothing handed over
 *	keyclient.c	asks keyd to sign and decrypt
 *	account.c	what is known of a connection, for the connection-log
 *	listing.c	and for whoever asks the monitor
 *	conn.c		what they all do with a connection: watch, send, fail, free
 */
#ifndef TLSGATE_DAEMON_WORKER_H
#define TLSGATE_DAEMON_WORKER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/log.h"
#include "daemon/census.h"
#include "daemon/gate.h"
#include "daemon/kernel.h"
#include "daemon/keyclient.h"
#include "daemon/listing.h"
#include "daemon/pause.h"
#include "daemon/sandbox.h"
#include "daemon/stats.h"

#define WORKER_MAX_HANDSHAKES	2048	/* connections not yet relayed, without max-handshakes */
#define WORKER_BUFFER		65536

struct conn;
struct tlsgate;

struct worker_listener {
	ev_io io;
	const struct gate *gate;
	struct worker *worker;
	int handle;			/* to deliver what it accepts; -1: it is relayed */
};

struct worker {
	struct ev_loop *loop;
	size_t index;
	int control;			/* to the monitor; -1: it is gone */
	ev_io control_io;
	bool alone;			/* the monitor is gone */
	ev_timer limit;			/* alone: for its connections */
	ev_async terminate;		/* SIGTERM came */
	struct worker_listener *listeners;
	size_t listener_count;
	bool serves;			/* the monitor told it to */
	bool accepting, draining;
	bool has_keys;			/* there is an answerer */
	ev_timer rotate;		/* ticket keys */
	const struct settings *settings;
	struct gate *gates;
	size_t gate_count;
	ev_timer pause;			/* out of descriptors: accept again later */
	struct keyclient keys;
	struct tlsgate *tlsgate;	/* NULL: no module that takes keys is there */
	bool barred;			/* it is there, and we may not */
	int kernel_fd;			/* -1: no gate wants it */
	int ledger;			/* to the monitor; -1: none (ledger.h) */
	ev_timer look;			/* for the module */
	struct kernel_refusal refused;	/* by the module, the last time */
	const struct pause *paused;		/* while it is on, nothing is handed over */
	char refusal[256];		/* the kernel's last sentence */
	uint64_t *tried;		/* by gate and enum detour_kind: clock_ms() of the last delivery tried */
	struct listing listing;		/* of conns, for the monitor */
	struct conn *conns;
	TAILQ_HEAD(, conn) handshaking;	/* of conns, those not yet relayed, oldest first */
	size_t handshakes;		/* of them */
	struct census *census;
	size_t workers;			/* of this generation */
	struct {
		struct log_limit info, warn, error;	/* clients' faults must not hide ours */
	} limits;
	struct stats_cell *stats;	/* this worker's row */
	struct checker *checker;	/* NULL: this worker checks no backend */
	/* for what does not outlive one callback; wiped with the process */
	uint8_t wire[WORKER_BUFFER], plain[WORKER_BUFFER];
};

struct worker_plan {
	const struct settings *settings;
	struct gate *gates;
	size_t gate_count;
	size_t index, workers;		/* this one, of so many */
	bool first;			/* before its generation serves: new sockets do not listen yet */
	struct identity who;
	int keylog_fd;			/* -1: none */
	int kernel_fd;			/* of tlsgate_socket(), -1: no kernel data path */
	int ledger;			/* of ledger_writer(), -1: none */
	struct pause *pause;
	struct census *census;
	size_t row;			/* of census; CENSUS_NONE: none */
	struct stats *stats;
	struct loads *loads;
};

#define WORKER_CHECKER	0	/* the worker that checks backends, by its index (checker.h) */

/*
 * Forks a worker.  keyd_control is where its key requests are announced;
 * *control becomes the monitor's end: IPC_READY comes from it.  *answers becomes
 * the read end of its answerer's pipe: not to be read, but it hangs up when the
 * answerer has ended.  The process id, or -1 and a line was logged.
 */
pid_t worker_start(const struct worker_plan *plan, int keyd_control, int *control, int *answers);

/* Another answerer, with its *answers, for the worker at the other end of control.  0 or -errno. */
int worker_give_keys(int control, int keyd_control, int *answers);

/* Counts for the control socket, by gate. */
void worker_count(const struct worker *worker, const struct gate *gate, enum counter counter,
		  uint64_t number);
/* Counts what began at begun, of clock_us(), among the times that begin with the counter first. */
void worker_count_time(const struct worker *worker, const struct gate *gate, enum counter first,
		       uint64_t begun);

/* There is one handshake less: a draining worker may need its delivery handles no more. */
void worker_handshake_over(struct worker *worker);
/* A connection was freed: a draining worker may be done. */
void worker_conn_gone(struct worker *worker);

/* One line that peers can cause, rate limited.  level: info, warn or error. */
#define worker_log_peer(worker, level, ...)					\
	do {									\
		if (log_allowed(&(worker)->limits.level, log_now_ms()))		\
			log_##level(__VA_ARGS__);				\
	} while (0)

#endif
