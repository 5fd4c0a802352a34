/* SPDX-License-Identifier: MIT */
/*
 * Looks again and again whether backends answer: a TCP connection, in mode connect with a handshake
 * that verifies the server, but needs no key of ours; by starttls the server is asked for it first.  One worker of a generation does it and
 * tells the monitor each outcome (IPC_CHECKED).
 */
#ifndef TLSGATE_DAEMON_CHECKER_H
#define TLSGATE_DAEMON_CHECKER_H

struct checker;
struct worker;

/*
 * Checks all backends of the worker's gates that want it, from now on, each at a time of its own.  NULL:
 * none does.
 */
struct checker *checker_start(struct worker *worker);
/* Ends what is under way.  NULL is fine. */
void checker_stop(struct checker *checker);

#endif
