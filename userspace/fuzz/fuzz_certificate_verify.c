// SPDX-License-Identifier: MIT
/* Either end reads a CertificateVerify, FUZZ_FLAG: the server. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_message(size && data[0] & FUZZ_FLAG ? TLS_CLIENT : TLS_SERVER,
			    TLS_MSG_CERTIFICATE_VERIFY, data, size);
}
