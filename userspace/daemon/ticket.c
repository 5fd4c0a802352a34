// SPDX-License-Identifier: MIT
#include "daemon/ticket.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <openssl/evp.h>

/*
 * The clock is one that nobody sets.  By the time of day a key would live longer when somebody
 * sets it back, and all keys would go when somebody sets it forward.  This clock counts while
 * the machine sleeps, too.
 */
static int64_t uptime(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_BOOTTIME, &now))
		abort();	/* every kernel has it */
	return (int64_t)now.tv_sec;
}

static int64_t period_now(void)
{
	return uptime() / TICKET_PERIOD;
}

/* out = SHA-256(purpose | secret) */
static void derive(const struct ticket_chain *chain, uint8_t purpose, uint8_t out[32])
{
	uint8_t input[1 + sizeof(chain->secret)];

	input[0] = purpose;
	memcpy(input + 1, chain->secret, sizeof(chain->secret));
	/* its algorithm was fetched at start; without it there is no TLS at all */
	if (!EVP_Digest(input, sizeof(input), out, NULL, EVP_sha256(), NULL))
		abort();
	tls_wipe(input, sizeof(input));
}

static void push_key(struct ticket_chain *chain)
{
	uint8_t name[32];

	memmove(&chain->keys[1], &chain->keys[0], (TICKET_KEYS - 1) * sizeof(chain->keys[0]));
	if (chain->count < TICKET_KEYS)
		chain->count++;
	derive(chain, 'n', name);
	memcpy(chain->keys[0].name, name, sizeof(chain->keys[0].name));
	derive(chain, 'k', chain->keys[0].key);
}

int ticket_chain_init(struct ticket_chain *chain)
{
	memset(chain, 0, sizeof(*chain));
	if (getrandom(chain->secret, sizeof(chain->secret), 0) != sizeof(chain->secret))
		return -1;
	chain->since = uptime();
	chain->period = chain->since / TICKET_PERIOD;
	push_key(chain);
	return 0;
}

bool ticket_chain_advance(struct ticket_chain *chain)
{
	int64_t period = period_now();
	bool changed = chain->period < period;
	uint8_t next[32];

	while (chain->period < period) {
		derive(chain, 's', next);
		memcpy(chain->secret, next, sizeof(next));
		chain->period++;
		push_key(chain);
	}
	tls_wipe(next, sizeof(next));
	return changed;
}

int64_t ticket_chain_age(const struct ticket_chain *chain)
{
	const int64_t now = uptime(), begin = now - now % TICKET_PERIOD;

	return now - (begin > chain->since ? begin : chain->since);
}

void ticket_chain_wipe(struct ticket_chain *chain)
{
	tls_wipe(chain, sizeof(*chain));
}
