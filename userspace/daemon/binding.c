// SPDX-License-Identifier: MIT
#include "daemon/binding.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "common/mem.h"

/* Each part with its length, so that no two lists of parts are one text. */
static void update(crypto_hash_sha256_state *state, const void *data, size_t len)
{
	const uint64_t prefix = htole64(len);

	crypto_hash_sha256_update(state, (const unsigned char *)&prefix, sizeof(prefix));
	crypto_hash_sha256_update(state, data, len);
}

void binding_add(struct binding *binding, const char *what, const void *data, size_t len)
{
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	update(&state, binding->digest, sizeof(binding->digest));
	update(&state, what, strlen(what));
	update(&state, data, len);
	crypto_hash_sha256_final(&state, binding->digest);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void binding_init(struct binding *binding, const struct gate_settings *gate)
{
	const struct text_list *rules = &gate->bound;
	char **sorted = xcalloc(rules->count, sizeof(*sorted));
	size_t i;

	*binding = (struct binding){0};
	binding_add(binding, "gate", gate->name, strlen(gate->name));
	for (i = 0; i < rules->count; i++)
		sorted[i] = rules->items[i];
	qsort(sorted, rules->count, sizeof(*sorted), compare);
	for (i = 0; i < rules->count; i++)
		binding_add(binding, "setting", sorted[i], strlen(sorted[i]));
	free(sorted);
}
