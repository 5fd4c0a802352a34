// SPDX-License-Identifier: MIT
/* Either end reads a Certificate, FUZZ_FLAG: the server; and verifies what is in it. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_verify_chains = true;
	return fuzz_message(size && data[0] & FUZZ_FLAG ? TLS_CLIENT : TLS_SERVER,
			    TLS_MSG_CERTIFICATE, data, size);
}
