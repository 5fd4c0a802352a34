// SPDX-License-Identifier: MIT
/*
 * Any handshake message: the first byte as elsewhere, FUZZ_FLAG for one that
 * the client sends; the second is its type.  A CertificateStatus is verified.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *rest;
	int ret;

	if (size < 2)
		return 0;
	rest = malloc(size - 1);
	if (!rest)
		return 0;
	rest[0] = data[0];
	memcpy(rest + 1, data + 2, size - 2);
	fuzz_verify_chains = data[1] == TLS_MSG_CERTIFICATE_STATUS;
	ret = fuzz_message(data[0] & FUZZ_FLAG ? TLS_CLIENT : TLS_SERVER, data[1], rest, size - 1);
	free(rest);
	return ret;
}
