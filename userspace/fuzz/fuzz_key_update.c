// SPDX-License-Identifier: MIT
/*
 * What comes after the handshake: KeyUpdate, tickets, alerts, data.  After the
 * first byte (FUZZ_FLAG: sealed in the server's name, for the client to read)
 * a list of records: type, length of one byte, content.  Then, if nothing was
 * refused, data still flows both ways.
 */
#include "fuzz.h"

static void say(struct fuzz_end *from, struct fuzz_end *to, struct fuzz_pair *pair)
{
	if (!tls_conn_established(from->conn) || !tls_conn_established(to->conn))
		return;
	fuzz_note(from, tls_conn_write(from->conn, (const uint8_t *)"data", 4));
	fuzz_pump(pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_end *from, *to;
	struct fuzz_pair pair;
	struct tls_reader in, content;

	if (!size)
		return 0;
	fuzz_pair_init(&pair, data[0]);
	from = data[0] & FUZZ_FLAG ? &pair.server : &pair.client;
	to = data[0] & FUZZ_FLAG ? &pair.client : &pair.server;
	fuzz_handshake(&pair);
	tls_reader_init(&in, data + 1, size - 1);
	while (tls_read_more(&in)) {
		uint8_t type = tls_read_u8(&in);

		tls_read_vec8(&in, &content);
		if (!in.failed)
			fuzz_seal(from, type, content.p, content.left);
	}
	fuzz_pump(&pair);
	say(from, to, &pair);
	say(to, from, &pair);
	fuzz_pair_free(&pair);
	return 0;
}
