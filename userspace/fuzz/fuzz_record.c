// SPDX-License-Identifier: MIT
/*
 * The record layer of the user data path.  First byte: which session
 * (FUZZ_FLAG: the client reads; FUZZ_SECOND: before the handshake); second: in
 * how large parts bytes come; then the bytes, protected as transparent.c does.
 * What was given is also sealed and opened: it must come out as it went in.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void feed_in_parts(struct fuzz_end *end, size_t part, const uint8_t *data, size_t len)
{
	while (len) {
		size_t n = len < part ? len : part;

		fuzz_feed(end, data, n);
		data += n;
		len -= n;
	}
}

static void round_trip(struct fuzz_end *from, struct fuzz_end *to, const uint8_t *data, size_t len)
{
	uint8_t buf[300];
	const uint8_t *p;
	size_t got, n;

	if (!len || tls_conn_write(from->conn, data, len))
		return;
	p = tls_conn_output(from->conn, &n);
	if (n > tls_conn_input_space(to->conn) || tls_conn_input(to->conn, p, n))
		abort();
	for (got = 0; got < len; got += n) {
		n = sizeof(buf);
		if (tls_conn_read(to->conn, buf, &n) || n > len - got ||
		    memcmp(buf, data + got, n))
			abort();
	}
	tls_conn_output_done(from->conn, SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_end *from, *to;
	struct fuzz_pair pair;

	if (size < 2)
		return 0;
	fuzz_pair_init(&pair, data[0]);
	from = data[0] & FUZZ_FLAG ? &pair.server : &pair.client;
	to = data[0] & FUZZ_FLAG ? &pair.client : &pair.server;
	if (!(data[0] & FUZZ_SECOND)) {
		fuzz_handshake(&pair);
		if (!tls_conn_established(to->conn))
			abort();
		round_trip(from, to, data + 2, size - 2);
	} else if (data[0] & FUZZ_FLAG) {
		fuzz_note(to, tls_conn_start(to->conn));
		tls_conn_output_done(to->conn, SIZE_MAX);
	}
	feed_in_parts(to, 1u + data[1], data + 2, size - 2);
	fuzz_pump(&pair);
	fuzz_pair_free(&pair);
	return 0;
}
