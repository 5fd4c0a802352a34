// SPDX-License-Identifier: MIT
/* The server reads a ClientHello. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_message(TLS_CLIENT, TLS_MSG_CLIENT_HELLO, data, size);
}
