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

/* The clients of a route; where it leads to differs from host to host. */
static void add_routes(struct text_list *rules, const struct gate_settings *gate)
{
	const struct gate_settings *block;

	for (block = gate->blocks; block < gate->blocks + gate->block_count; block++) {
		if (block->mode != GATE_ROUTE)
			continue;
		rules->items = xrealloc(rules->items, rules->count + 1, sizeof(*rules->items));
		rules->items[rules->count++] = xprintf("route %s alpn=%s", block->name,
						       block->alpn ? block->alpn : "");
	}
}

/* Each as a text, for free_rules(). */
static struct text_list list_rules(const struct gate_settings *gate)
{
	struct text_list rules = { .items = xcalloc(gate->bound.count, sizeof(*rules.items)) };

	for (; rules.count < gate->bound.count; rules.count++)
		rules.items[rules.count] = xstrdup(gate->bound.items[rules.count]);
	add_routes(&rules, gate);
	return rules;
}

static void free_rules(struct text_list *rules)
{
	size_t i;

	for (i = 0; i < rules->count; i++)
		free(rules->items[i]);
	free(rules->items);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void binding_init(struct binding *binding, const struct gate_settings *gate)
{
	struct text_list rules = list_rules(gate);
	size_t i;

	*binding = (struct binding){0};
	binding_add(binding, "gate", gate->name, strlen(gate->name));
	qsort(rules.items, rules.count, sizeof(*rules.items), compare);
	for (i = 0; i < rules.count; i++)
		binding_add(binding, "rule", rules.items[i], strlen(rules.items[i]));
	free_rules(&rules);
}
