// SPDX-License-Identifier: MIT
/*
 * The look at a client's first bytes: the first two of the input say how many are there at first.
 * Whoever waits for as many as it asks for, comes to the same end as with all at once, and that
 * end is within the bound.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

static int peek(const uint8_t *data, size_t len, struct tls_peek *out, uint8_t *copy, size_t *need)
{
	memcpy(copy, data, len);
	return tls_peek(copy, len, out, need);
}

static void check_found(const struct tls_peek *found, const uint8_t *copy, size_t len)
{
	if (strlen(found->server_name) > TLS_MAX_SERVER_NAME ||
	    (found->alpn_len && (found->alpn < copy || found->alpn + found->alpn_len > copy + len)))
		abort();
	(void)tls_peek_offers(found, "acme-tls/1", 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len, need = 0, want;
	struct tls_peek whole, parts;
	uint8_t *one, *two;
	int err, again;

	if (size < 2)
		return 0;
	len = ((size_t)data[0] << 8 | data[1]) % (size - 1);
	data += 2;
	size -= 2;
	one = malloc(size + 1);
	two = malloc(size + 1);
	if (!one || !two)
		abort();
	err = peek(data, size, &whole, one, &want);
	for (;;) {
		again = peek(data, len, &parts, two, &need);
		if (again == TLS_ERR_AGAIN && (need <= len || need > TLS_MAX_PEEK))
			abort();
		if (again != TLS_ERR_AGAIN || len == size)
			break;
		len = need < size ? need : size;
	}
	if (!err)
		check_found(&whole, one, size);
	if (again != err || strcmp(whole.server_name, parts.server_name) || whole.alpn_len != parts.alpn_len ||
	    (whole.alpn_len && memcmp(whole.alpn, parts.alpn, whole.alpn_len)))
		abort();
	free(one);
	free(two);
	return 0;
}
