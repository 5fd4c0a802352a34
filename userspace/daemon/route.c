// SPDX-License-Identifier: MIT
#include "daemon/route.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/gate.h"

#define MAX_HOST	253	/* bytes, RFC 1035 */
#define MAX_LABEL	63

/* How well a name fits. */
enum fit { FITS_NOT, FITS_ANY, FITS_DOMAIN, FITS_NAME };

/* ---- lists of protocols ---- */

/* Takes the next protocol off the list; 0: there is none. */
static size_t next_protocol(const char **list, const char **protocol)
{
	size_t len = strcspn(*list, ",");

	*protocol = *list;
	*list += len + ((*list)[len] == ',');
	return len;
}

static bool has_protocol(const char *list, const char *wanted, size_t wanted_len)
{
	const char *protocol;
	size_t len;

	while ((len = next_protocol(&list, &protocol)))
		if (len == wanted_len && !memcmp(protocol, wanted, len))
			return true;
	return false;
}

/* ---- what is configured ---- */

static bool is_host(const char *text)
{
	const char *label = text;

	if (!*text || strlen(text) > MAX_HOST)
		return false;
	for (;; label++) {
		size_t len = strcspn(label, ".");

		if (!len || len > MAX_LABEL)
			return false;
		for (; len; len--, label++)
			if (!isalnum((unsigned char)*label) && !strchr("-_", *label))
				return false;
		if (!*label)
			return true;
	}
}

/* No host has a slash.  A protocol without one would look like a host. */
static bool is_protocol(const char *name)
{
	return strchr(name, '/') && strlen(name) <= TLS_MAX_ALPN;
}

/* What is wrong with a name that is none; NULL: no more than that. */
static const char *find_misnaming(const char *name)
{
	const size_t len = strlen(name);
	struct in_addr unused;
	const char *p = name;

	while (*p && !(*p & 0x80))
		p++;
	if (*p)
		return "TLS has this name in its form of ASCII only: give xn--..., as idn2 prints it";
	if (strchr(name, ':') || inet_pton(AF_INET, name, &unused))
		return "it is an address or has a port: TLS asks for names alone, and who asks for none goes to the gate's own backend";
	return len > 1 && name[len - 1] == '.' ? "TLS has names without a dot at the end: leave it out" : NULL;
}

static int check_name(const struct gate_settings *block)
{
	const bool passes = block->mode == GATE_PASS;
	const char *name = block->name, *why = find_misnaming(name);

	if (why)
		return gate_refuse(block, NULL, NULL, why);
	if (passes && !strpbrk(name, "./"))
		gate_warn(block, NULL, NULL,
			  "it is taken for a host's name: a protocol without a slash cannot be passed");
	if (is_host(strncmp(name, "*.", 2) ? name : name + 2) ||
	    (passes ? is_protocol(name) : !strcmp(name, "*")))
		return 0;
	return gate_refuse(block, NULL, NULL, passes ?
			   "it must be a host name as TLS has it, *.DOMAIN, or a protocol with a slash such as acme-tls/1" :
			   "its name must be a host's as TLS has it, *.DOMAIN or *");
}

static int check_alpn(const struct gate_settings *gate, const struct gate_settings *route)
{
	const char *list = route->alpn, *protocol;
	char why[SETTINGS_WHY_MAX];
	size_t len;

	while (list && (len = next_protocol(&list, &protocol))) {
		if (gate->alpn && has_protocol(gate->alpn, protocol, len))
			continue;
		snprintf(why, sizeof(why), "the alpn of the gate does not have '%.*s': add it there",
			 (int)(len < 64 ? len : 64), protocol);
		return gate_refuse(route, "alpn", route->alpn, why);
	}
	return 0;
}

/* For the same clients, some at least.  *protocol: those with this one, *len bytes; 0: all that have any. */
static bool are_alike(const struct gate_settings *a, const struct gate_settings *b, const char **protocol,
		      size_t *len)
{
	const char *list = a->alpn;

	*len = 0;
	if (a->mode != b->mode || strcasecmp(a->name, b->name) || !a->alpn != !b->alpn)
		return false;
	while (list && b->alpn && (*len = next_protocol(&list, protocol)))
		if (has_protocol(b->alpn, *protocol, *len))
			return true;
	return !a->alpn;
}

static int check_twins(const struct gate_settings *gate, const struct gate_settings *block)
{
	const struct gate_settings *before = gate->blocks;
	const char *protocol = "";
	char why[SETTINGS_WHY_MAX];
	size_t len = 0;

	while (before < block && !are_alike(before, block, &protocol, &len))
		before++;
	if (before == block)
		return 0;
	snprintf(why, sizeof(why), "it is there already%s%.*s%s, in line %u: keep one of them", len ? " for '" : "",
		 (int)(len < 64 ? len : 64), len ? protocol : "", len ? "'" : "", before->place.line);
	return gate_refuse(block, NULL, NULL, why);
}

/* A client that offers several protocols would be passed for one that the gate may have agreed on. */
static int check_offer(const struct gate_settings *gate, const struct gate_settings *block)
{
	if (block->mode != GATE_PASS || !gate->alpn || !has_protocol(gate->alpn, block->name, strlen(block->name)))
		return 0;
	return gate_refuse(block, NULL, NULL,
			   "the alpn of the gate has it, and all who offer it, beside others too, would be passed: leave one of them out");
}

/* No header goes before what is passed as it is. */
static void warn_of_proxy(const struct gate_settings *gate, const struct gate_settings *block)
{
	if (block->mode == GATE_PASS && gate->proxy_protocol)
		gate_warn(block, NULL, NULL, "its backend gets no PROXY header: proxy-protocol is not for what is passed");
}

/* The client has spoken plain text by then, and the backend waits for that. */
static int check_starttls(const struct gate_settings *gate, const struct gate_settings *block)
{
	if (block->mode != GATE_PASS || !gate->starttls)
		return 0;
	return gate_refuse(block, NULL, NULL, "with starttls nothing can be passed: leave one of them out");
}

int route_check(const struct gate_settings *gate)
{
	const struct gate_settings *block;
	int ret = 0;

	for (block = gate->blocks; block < gate->blocks + gate->block_count; block++) {
		ret |= check_name(block);
		ret |= check_alpn(gate, block);
		ret |= check_twins(gate, block);
		ret |= check_offer(gate, block);
		ret |= check_starttls(gate, block);
		warn_of_proxy(gate, block);
	}
	return ret;
}

/* ---- what a client gets ---- */

static enum fit fit_of(const char *pattern, const char *name)
{
	const char *rest = name ? strchr(name, '.') : NULL;

	if (!strcmp(pattern, "*"))
		return FITS_ANY;
	if (pattern[0] == '*')
		return rest && rest != name && !strcasecmp(rest, pattern + 1) ? FITS_DOMAIN : FITS_NOT;
	return name && !strcasecmp(pattern, name) ? FITS_NAME : FITS_NOT;
}

/* 0: the block is not for this client. */
static unsigned int rank(const struct gate_settings *block, const char *name, const char *alpn)
{
	if (block->mode != GATE_ROUTE)
		return 0;
	if (block->alpn && !(alpn && has_protocol(block->alpn, alpn, strlen(alpn))))
		return 0;
	return 2 * (unsigned int)fit_of(block->name, name) + (block->alpn != NULL);
}

struct pool *route_choose(const struct gate *gate, const char *name, const char *alpn)
{
	struct pool *pool, *best = gate->pools;
	unsigned int here, highest = 1;		/* alpn alone is no fit */

	for (pool = gate->pools + 1; pool < gate->pools + gate->pool_count; pool++) {
		here = rank(pool->settings, name, alpn);
		if (here <= highest)
			continue;
		highest = here;
		best = pool;
	}
	return best;
}

/* As rank(), of a block that passes. */
static unsigned int pass_rank(const struct gate_settings *block, const struct tls_peek *peek)
{
	const char *name = peek->server_name[0] ? peek->server_name : NULL;

	if (block->mode != GATE_PASS)
		return 0;
	if (is_protocol(block->name))
		return tls_peek_offers(peek, block->name, strlen(block->name)) ? FITS_NAME + 1 : 0;
	return fit_of(block->name, name);
}

struct pool *route_passes(const struct gate *gate, const struct tls_peek *peek)
{
	struct pool *pool, *best = NULL;
	unsigned int here, highest = 0;

	for (pool = gate->pools + 1; pool < gate->pools + gate->pool_count; pool++) {
		here = pass_rank(pool->settings, peek);
		if (here <= highest)
			continue;
		highest = here;
		best = pool;
	}
	return best;
}
