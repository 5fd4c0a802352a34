// SPDX-License-Identifier: MIT
/* The state tables: whole, without contradictions, and with nothing that cannot happen. */
#include <string.h>

#include "engine/states.h"
#include "tap.h"

#define STATE_COUNT	(TLS12_SERVER_ESTABLISHED + 1)
#define MESSAGE_COUNT	(TLS_STEP + 1)

/* States that only a handler sets: see the comments in the tables. */
static const enum tls_state set_by_handlers[] = {
	TLS13_CLIENT_SEND_SECOND_HELLO, TLS12_CLIENT_WAIT_CERT, TLS13_SERVER_SEND_RETRY,
	TLS12_SERVER_SEND_HELLO, TLS13_SERVER_WAIT_CERT, TLS12_SERVER_WAIT_CERT,
	TLS12_CLIENT_WAIT_STATUS, TLS12_CLIENT_WAIT_STATUS_RSA, TLS12_CLIENT_WAIT_TICKET,
	TLS12_CLIENT_RESUME, TLS12_CLIENT_RESUME_FINISHED,
	TLS12_SERVER_RESUME, TLS12_SERVER_WAIT_VERIFY, TLS_CLIENT_START, TLS_SERVER_WAIT_CLIENT_HELLO,
};

static const struct tls_transition *find(enum tls_state state, unsigned int message)
{
	const struct tls_transition *in13 = tls_states13_find(state, message);
	const struct tls_transition *in12 = tls_states12_find(state, message);

	if (in13 && in12)
		tap_ok(false, "state %d is in both tables", state);
	return in13 ? in13 : in12;
}

static bool is_end(enum tls_state state)
{
	return state == TLS13_CLIENT_ESTABLISHED || state == TLS13_SERVER_ESTABLISHED ||
	       state == TLS12_CLIENT_ESTABLISHED || state == TLS12_SERVER_ESTABLISHED;
}

int main(void)
{
	bool reached[STATE_COUNT] = { false };
	bool rows = true, turns = true, all = true, ends = true;

	for (size_t i = 0; i < sizeof(set_by_handlers) / sizeof(*set_by_handlers); i++)
		reached[set_by_handlers[i]] = true;
	for (enum tls_state s = 0; s < STATE_COUNT; s++) {
		const struct tls_transition *step = find(s, TLS_STEP);
		unsigned int count = 0;

		for (unsigned int m = 0; m < MESSAGE_COUNT; m++) {
			const struct tls_transition *row = find(s, m);

			if (!row)
				continue;
			count++;
			rows &= row->handler && row->state == s && row->next < STATE_COUNT;
			reached[row->next] = true;
			ends &= !is_end(s) || row->next == s;
		}
		turns &= count > 0 && (!step || count == 1);
		ends &= !is_end(s) || !step;
	}
	for (size_t s = 0; s < STATE_COUNT; s++)
		all &= reached[s];
	tap_ok(rows, "every row has a handler and a next state");
	tap_ok(turns, "in every state it is either our turn or the peer's, and something can happen");
	tap_ok(all, "every state is reached");
	tap_ok(ends, "nothing leads out of an established state");
	return tap_done();
}
