/* SPDX-License-Identifier: MIT */
/*
 * Connections to backends that no worker of the live generation has: the kernel carries them, or
 * workers of generations before.  Part of the monitor, which writes the numbers where workers
 * read them (health.h).  A backend is the same in all generations, and after a restart, if its gate's
 * name and its address are.
 */
#ifndef TLSGATE_DAEMON_ELSEWHERE_H
#define TLSGATE_DAEMON_ELSEWHERE_H

#include <ev.h>

#include "daemon/generation.h"
#include "daemon/ledger.h"

#define ELSEWHERE_BUCKETS	256u

struct elsewhere {
	struct ev_loop *loop;
	struct ledger *ledger;
	const struct generation *live;	/* NULL: none; those before follow it */
	ev_timer look;			/* at the workers of those, and for what is unknown */
	unsigned int looks;		/* for that, so many more */
	size_t unknown;			/* sessions of a daemon of before whose backend is not known */
	struct elsewhere_count *counts[ELSEWHERE_BUCKETS];	/* of the kernel */
};

void elsewhere_init(struct elsewhere *elsewhere, struct ev_loop *loop, struct ledger *ledger);
/*
 * This generation is the live one from now on.  For half a minute it is looked for the backends of
 * sessions that a daemon of before handed over: their names may not be resolved yet.
 */
void elsewhere_begin(struct elsewhere *elsewhere, const struct generation *live);
/* This generation goes away. */
void elsewhere_forget(struct elsewhere *elsewhere, const struct generation *generation);
/* As ledger_changed says. */
void elsewhere_carry(struct elsewhere *elsewhere, struct ledger_entry *entry, bool begins);

#endif
