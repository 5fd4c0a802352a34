// SPDX-License-Identifier: MIT
/* The client reads EncryptedExtensions. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_message(TLS_SERVER, TLS_MSG_ENCRYPTED_EXTENSIONS, data, size);
}
