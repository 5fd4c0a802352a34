/* SPDX-License-Identifier: MIT */
/* What a private key is asked to sign or to decrypt, by form; the public part is in engine.h. */
#ifndef TLSGATE_KEY_REQUEST_H
#define TLSGATE_KEY_REQUEST_H

#include "engine.h"

/* RFC 9846 section 4.5.2: blanks, context string, zero; the transcript's hash follows. */
#define TLS13_CONTEXT_LEN	98
void tls13_put_context(enum tls_role signer, uint8_t out[TLS13_CONTEXT_LEN]);

#endif /* TLSGATE_KEY_REQUEST_H */
