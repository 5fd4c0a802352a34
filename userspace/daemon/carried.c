// SPDX-License-Identifier: MIT
#include "daemon/carried.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "lib/libtlsgate.h"

/* The list of sessions is read so often at most, and takes at most a share of the time: nobody else is served meanwhile. */
#define LIST_MS		1000
#define LIST_SHARE	20

static struct carried_gate *find(const struct carried *carried, const char *name, size_t len)
{
	struct carried_gate *gate = carried->gates;

	while (gate && (strlen(gate->name) != len || memcmp(gate->name, name, len)))
		gate = gate->next;
	return gate;
}

/* NULL: it is not one of ours. */
static struct carried_sum *sum_of(const struct carried *carried, const struct tlsgate_session *session)
{
	struct carried_gate *gate = NULL;

	if (session->uid == carried->uid)
		gate = find(carried, session->label, session->label_len);
	return gate ? &gate->sums[session->server.len ? CARRIED_DELIVERED : CARRIED_KERNEL] : NULL;
}

static bool serves(const struct tlsgate_session *session)
{
	return session->role == TLSGATE_ROLE_SERVER;
}

static int take_event(void *arg, const struct tlsgate_event *event)
{
	const struct tlsgate_session *session = &event->session;
	struct carried_sum *sum;

	if (event->kind != TLSGATE_CMD_NTF_SESSION_CLOSED)
		return 0;
	sum = sum_of(arg, session);
	if (!sum)
		return 0;
	sum->ended_client += serves(session) ? session->rx_bytes : session->tx_bytes;
	sum->ended_backend += serves(session) ? session->tx_bytes : session->rx_bytes;
	return 0;
}

static int see(void *arg, const struct tlsgate_session *session)
{
	struct carried_sum *sum = sum_of(arg, session);

	if (!sum || session->state == TLSGATE_STATE_CLOSED)
		return 0;
	sum->active++;
	sum->live_client += serves(session) ? session->rx_bytes : session->tx_bytes;
	sum->live_backend += serves(session) ? session->tx_bytes : session->rx_bytes;
	return 0;
}

static void each_sum(struct carried *carried, void (*call)(struct carried *carried, struct carried_sum *sum))
{
	struct carried_gate *gate;
	enum carried_path path;

	for (gate = carried->gates; gate; gate = gate->next)
		for (path = 0; path < CARRIED_PATHS; path++)
			call(carried, &gate->sums[path]);
}

static void forget_live(struct carried *carried, struct carried_sum *sum)
{
	(void)carried;
	sum->active = sum->live_client = sum->live_backend = 0;
}

/*
 * A session that ended after its event could be read and before the list was is in neither: it
 * comes with the next call, and until then the old total stands.  One whose event was lost is
 * counted as far as the last list had it.
 */
static void advance(uint64_t *total, uint64_t *ended, uint64_t live, bool lost)
{
	if (*ended + live >= *total)
		*total = *ended + live;
	else if (lost)
		*ended = *total - live;
}

static void advance_both(struct carried *carried, struct carried_sum *sum)
{
	advance(&sum->from_client, &sum->ended_client, sum->live_client, carried->lost);
	advance(&sum->from_backend, &sum->ended_backend, sum->live_backend, carried->lost);
}

static void stop(struct carried *carried)
{
	if (!carried->tlsgate)
		return;
	ev_io_stop(carried->loop, &carried->events);
	tlsgate_close(carried->tlsgate);
	carried->tlsgate = NULL;
	each_sum(carried, forget_live);
}

/* False: the module is gone, or the socket is of no use any more. */
static bool receive(struct carried *carried)
{
	int err = tlsgate_event_receive(carried->tlsgate, take_event, carried);

	if (err == -ENOBUFS) {		/* the events that found room come after it */
		carried->lost = true;
		err = tlsgate_event_receive(carried->tlsgate, take_event, carried);
	}
	if (!err || err == -ENOBUFS)
		return true;
	if (err != -ENODEV)
		log_warn("metrics: the kernel's sessions are not followed any more: %s",
			 tlsgate_error(carried->tlsgate));
	stop(carried);
	return false;
}

static void on_events(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	(void)receive(io->data);
}

static void start(struct carried *carried)
{
	const char *why;

	if (carried->tlsgate || carried->barred || tlsgate_open(&carried->tlsgate, &why))
		return;
	if (tlsgate_subscribe(carried->tlsgate)) {
		log_warn("metrics: what the kernel carries is not counted: %s",
			 tlsgate_error(carried->tlsgate));
		tlsgate_close(carried->tlsgate);
		carried->tlsgate = NULL;
		carried->barred = true;
		return;
	}
	carried->next_look = 0;
	ev_io_set(&carried->events, tlsgate_event_fd(carried->tlsgate), EV_READ);
	ev_io_start(carried->loop, &carried->events);
}

void carried_follow(struct carried *carried, bool wanted, uid_t uid)
{
	carried->wanted = wanted;
	carried->uid = uid;
	if (wanted)
		start(carried);
	else
		stop(carried);
}

/* Whether that succeeded; then sets when the next may be. */
static bool read_list(struct carried *carried, uint64_t now)
{
	each_sum(carried, forget_live);
	if (tlsgate_session_dump(carried->tlsgate, see, carried))
		return false;
	each_sum(carried, advance_both);
	carried->lost = false;
	carried->next_look = now + LIST_MS + LIST_SHARE * (clock_ms() - now);
	return true;
}

bool carried_update(struct carried *carried)
{
	const uint64_t now = clock_ms();

	if (carried->wanted)
		start(carried);
	if (!carried->tlsgate || !receive(carried))
		return false;
	return now < carried->next_look || read_list(carried, now);
}

const struct carried_gate *carried_find(const struct carried *carried, const char *name)
{
	return find(carried, name, strnlen(name, TLSGATE_LABEL_MAX));
}

void carried_add_gate(struct carried *carried, const char *name)
{
	struct carried_gate *gate;

	if (carried_find(carried, name))
		return;
	gate = xcalloc(1, sizeof(*gate));
	gate->name = xprintf("%.*s", TLSGATE_LABEL_MAX, name);
	gate->next = carried->gates;
	carried->gates = gate;
}

void carried_init(struct carried *carried, struct ev_loop *loop)
{
	*carried = (struct carried){ .loop = loop };
	ev_init(&carried->events, on_events);
	carried->events.data = carried;
}

void carried_close(struct carried *carried)
{
	struct carried_gate *gate;

	stop(carried);
	while ((gate = carried->gates)) {
		carried->gates = gate->next;
		free(gate->name);
		free(gate);
	}
}
