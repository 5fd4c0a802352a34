// SPDX-License-Identifier: MIT
#include "daemon/listing.h"

#include <unistd.h>

#include "common/ipc.h"
#include "daemon/account.h"
#include "daemon/conn.h"
#include "daemon/record.h"

#define TURN_MAX	64	/* connections; certificates are parsed for their names */

static void end(struct listing *listing)
{
	ev_timer_stop(listing->loop, &listing->turn);
	close(listing->file);
	listing->file = -1;
	listing->next = NULL;
	/* the monitor only waits for a while: nothing hangs on this */
	(void)ipc_send(listing->control, IPC_LISTED, NULL, 0);
}

/* Memory never lets it wait; where there is none, the rest is left out. */
static void write_next(struct listing *listing)
{
	struct record record;

	account_list(listing->next, &record);
	record.text[record.len] = '\n';
	if (write(listing->file, record.text, record.len + 1) == (ssize_t)record.len + 1)
		listing->next = listing->next->next;
	else
		listing->next = NULL;
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct listing *listing = timer->data;
	int i;

	(void)loop;
	(void)events;
	for (i = 0; i < TURN_MAX && listing->next; i++)
		write_next(listing);
	if (listing->next)
		ev_timer_start(listing->loop, timer);
	else
		end(listing);
}

void listing_init(struct listing *listing, struct ev_loop *loop, int control)
{
	*listing = (struct listing){ .loop = loop, .control = control, .file = -1 };
	ev_timer_init(&listing->turn, on_turn, 0., 0.);
	listing->turn.data = listing;
}

void listing_begin(struct listing *listing, struct conn *first, int file)
{
	/* the monitor gave the last one up */
	if (listing->file != -1)
		end(listing);
	listing->file = file;
	listing->next = first;
	ev_timer_start(listing->loop, &listing->turn);
}

void listing_forget(struct listing *listing, const struct conn *conn)
{
	if (listing->next == conn)
		listing->next = conn->next;
}
