// SPDX-License-Identifier: MIT
/* The PROXY header that a connection of accept-proxy begins with. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/proxy_parse.h"
#include "fuzz.h"

static bool is_family(const struct sockaddr_in6 *end)
{
	return end->sin6_family == AF_INET || end->sin6_family == AF_INET6;
}

/* An exact copy, so that a byte too far is found. */
static long parse(const uint8_t *data, size_t len, struct proxy_ends *ends)
{
	uint8_t *copy = malloc(len);
	const char *why = NULL;
	long ret;

	if (!copy && len)
		return -1;
	if (len)
		memcpy(copy, data, len);
	ret = proxy_parse(copy, len, ends, &why);
	free(copy);
	if (ret < -1 || ret > (long)len || ret > PROXY_PARSE_MAX || (ret < 0 && !why) ||
	    (ret <= 0 && ends->known) || (!ret && len >= PROXY_PARSE_MAX))
		abort();
	if (ends->known && (!is_family(&ends->client) || ends->client.sin6_family != ends->server.sin6_family))
		abort();
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_ends whole, part;
	long len = parse(data, size, &whole);

	/* what belongs to a header does not depend on what has come behind it, nor in which pieces */
	if (len > 0 && (parse(data, (size_t)len, &part) != len || memcmp(&part, &whole, sizeof(part)) ||
			parse(data, (size_t)len - 1, &part)))
		abort();
	if (!len && size && parse(data, size - 1, &part))
		abort();
	return 0;
}
