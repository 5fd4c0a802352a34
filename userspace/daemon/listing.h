/* SPDX-License-Identifier: MIT */
/*
 * A worker's part of the command connections: it writes what it knows of each of its
 * connections, a JSON object a line, into a file in memory that the monitor gave.  Some in
 * each turn of the loop, so that peers do not wait.
 */
#ifndef TLSGATE_DAEMON_LISTING_H
#define TLSGATE_DAEMON_LISTING_H

#include <ev.h>

struct conn;

struct listing {
	struct ev_loop *loop;
	int control;			/* to the monitor */
	int file;			/* -1: nobody asked */
	struct conn *next;		/* to be written; NULL: all were */
	ev_timer turn;
};

void listing_init(struct listing *listing, struct ev_loop *loop, int control);
/* Lists first and those after it into file, which it takes over, and then sends IPC_LISTED. */
void listing_begin(struct listing *listing, struct conn *first, int file);
/* conn is about to be freed, and still in its list. */
void listing_forget(struct listing *listing, const struct conn *conn);

#endif
