/* SPDX-License-Identifier: MIT */
/*
 * What the kernel has carried for each gate: its events say how many bytes an ended session had,
 * its list of sessions what those that live have so far.  Part of the monitor, since both need
 * CAP_NET_ADMIN.  A session belongs to the gate that its label names, where the workers' user
 * installed it.
 */
#ifndef TLSGATE_DAEMON_CARRIED_H
#define TLSGATE_DAEMON_CARRIED_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct tlsgate;

enum carried_path {
	CARRIED_KERNEL,			/* relayed */
	CARRIED_DELIVERED,
	CARRIED_PATHS,
};

struct carried_sum {
	uint64_t active;		/* sessions */
	uint64_t from_client, from_backend;	/* bytes of plaintext; they never go back */
	/* what these are made of: of ended sessions, and of those that live */
	uint64_t ended_client, ended_backend, live_client, live_backend;
};

struct carried_gate {
	struct carried_gate *next;
	char *name;			/* as much as a label has */
	struct carried_sum sums[CARRIED_PATHS];
};

struct carried {
	struct ev_loop *loop;
	bool wanted;
	uid_t uid;			/* the workers' */
	struct tlsgate *tlsgate;	/* NULL: nothing is followed */
	ev_io events;
	struct carried_gate *gates;
	uint64_t next_look;		/* of clock_ms(): when the list may be read again */
	bool lost;			/* events, since then */
	bool barred;			/* we may not follow; it was said */
};

void carried_init(struct carried *carried, struct ev_loop *loop);
void carried_close(struct carried *carried);
/* Counts from now on for this gate. */
void carried_add_gate(struct carried *carried, const char *name);
/*
 * Follows the kernel's events from now on, or as soon as carried_update() finds a module; or no more.
 * uid: who the workers are.
 */
void carried_follow(struct carried *carried, bool wanted, uid_t uid);
/*
 * Brings the sums up to date, at most once a second, and where the list is long, at most as often as
 * a twentieth of the time suffices for it.  False: nothing is followed.  Sessions that
 * end between the events and the list are counted by the next call.
 */
bool carried_update(struct carried *carried);
/* NULL: there is no such gate. */
const struct carried_gate *carried_find(const struct carried *carried, const char *name);

#endif
