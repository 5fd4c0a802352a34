/* SPDX-License-Identifier: MIT */
/*
 * The session ticket keys of one gate: those of its own chain (ticket.h), or those derived from
 * the files of ticket-keys, which outlive the process and which other hosts have, too.  The
 * monitor reads the files and writes what is derived into memory that the workers read, so that
 * no worker has a file's keys.  All is in locked memory.
 */
#ifndef TLSGATE_DAEMON_TICKETS_H
#define TLSGATE_DAEMON_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/binding.h"
#include "daemon/settings.h"
#include "engine/engine.h"

struct tickets;

/*
 * Keys for a gate; binding: what those of files are bound to.  NULL, or a line was logged that says
 * why there are none.
 */
struct tickets *tickets_new(const struct gate_settings *gate, const struct binding *binding);
/* Wipes; NULL is fine. */
void tickets_free(struct tickets *tickets);
/*
 * In the monitor: whether a child that is forked now gets them; at first, no.  The gates of other
 * generations are not for it.  NULL is fine.
 */
void tickets_lend(struct tickets *tickets, bool lend);
/* In a child that has no use for them.  NULL is fine. */
void tickets_forget(struct tickets *tickets);
/* In a forked process that uses them: locks are not inherited.  NULL is fine. */
void tickets_lock(struct tickets *tickets);
/*
 * The monitor: reads the files again.  0; 1: they have other keys now; -1: they are refused, a line
 * was logged, and the keys stay.
 */
int tickets_read(struct tickets *tickets);
/* Goes on to the keys of now, in each process; true if the keys have changed. */
bool tickets_refresh(struct tickets *tickets);
/* The keys, the one that seals first; they stay where they are. */
const struct tls_ticket_key *tickets_keys(const struct tickets *tickets, size_t *count);
/* For how many seconds the key that seals tickets now has been in use here. */
int64_t tickets_age(const struct tickets *tickets);

#endif
