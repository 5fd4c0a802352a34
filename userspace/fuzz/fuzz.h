/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets (fuzz_*.c) share: two engines back to back, as in
 * tests/pair.h, but quick, and the same from run to run.  transparent.c takes
 * the place of AEADs, signatures, key exchange and randomness, so that an
 * input gets past them.  A broken promise ends the process by abort().
 *
 * Each target is one function of libFuzzer's.  Its inputs begin with a byte
 * that chooses what the two engines are configured for: FUZZ_* below.
 */
#ifndef TLSGATE_FUZZ_H
#define TLSGATE_FUZZ_H

#include "engine/conn.h"

#define FUZZ_VARIANT	0x1f	/* bits of the first byte: row of the table in pair.c */
#define FUZZ_FLAG	0x20	/* what they mean is said where they are used */
#define FUZZ_SECOND	0x40
#define FUZZ_SESSION_ID	0x80

struct fuzz_end {
	struct tls_conn *conn;
	int err;			/* the first that a call gave */
	int alert;			/* the last that was sent; -1: none */
	/* Set: what is read must be what that one wrote, in order, and its end that one's. */
	const struct fuzz_end *peer;
	size_t written, read;		/* bytes of data */
	bool closed;			/* fuzz_close() was called */
};

struct fuzz_pair {
	struct fuzz_end client, server;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- pair.c ---- */

size_t fuzz_variants(void);
const char *fuzz_variant_name(size_t variant);
/* Two connections, the client's not started.  Everything random begins anew. */
void fuzz_pair_init(struct fuzz_pair *pair, uint8_t choice);
/* Checks what must hold however a connection ended, and frees both. */
void fuzz_pair_free(struct fuzz_pair *pair);
/* The client's hello goes out, and fuzz_pump(). */
void fuzz_handshake(struct fuzz_pair *pair);
/* Answers key requests, moves output and reads data until nothing moves any more. */
void fuzz_pump(struct fuzz_pair *pair);
/* Gives an end bytes, in parts where it has no room for all, reading data in between. */
void fuzz_feed(struct fuzz_end *end, const uint8_t *data, size_t len);
/* Reads data until there is none. */
void fuzz_drain(struct fuzz_end *end);
/* Writes len bytes of data, if it is established. */
void fuzz_write(struct fuzz_end *end, size_t len);
void fuzz_close(struct fuzz_end *end);
/* Answers what an end asks its private key; true: it did ask. */
bool fuzz_answer_key(struct fuzz_end *end);
/* Keeps the first error that an end gave. */
void fuzz_note(struct fuzz_end *end, int err);
/* Seals a record of any type and content in the name of an end. */
void fuzz_seal(struct fuzz_end *end, uint8_t type, const uint8_t *data, size_t len);
/* Seen from a hook: called for every message that either end sends. NULL: for none. */
extern void (*fuzz_on_sent)(enum tls_role role, struct tls_slice message);

/* ---- message.c ---- */

/*
 * A handshake in which the body of one message of this type is what follows
 * the first byte of data: the first such message that sender sends, or with
 * FUZZ_SECOND the second.  With FUZZ_SESSION_ID a hello keeps its session id.
 * Both ends take it for the message that was sent.  Then data flows.
 */
int fuzz_message(enum tls_role sender, uint8_t type, const uint8_t *data, size_t size);

/* ---- transparent.c ---- */

/* What this begins does not authenticate, verify, or decode as a point. */
#define FUZZ_BAD	"\xbd\xbd\xbd\xbd"
#define FUZZ_BAD_LEN	4

void fuzz_random_reset(void);
/* false: AEADs and comparisons are the engine's, for connections made from then on. */
extern bool fuzz_transparent;
/* Chains are verified for real; else all are taken, which is quicker. */
extern bool fuzz_verify_chains;

#endif /* TLSGATE_FUZZ_H */
