// SPDX-License-Identifier: MIT
/*
 * A whole connection, over a wire that does what the input says: after the
 * first byte a program of steps, see the table at the end.  A step is a byte:
 * the lowest bit is its direction (0: to the server), the others choose the
 * row; then what the row takes from the input.  At the end the wire is an
 * honest one again.
 *
 * With FUZZ_FLAG, AEADs and Finished are real: then no byte may be read that was
 * not written, in its order, and no end be seen that was none.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define MAX_STEPS	200
#define MAX_WIRE	(256 * 1024)

/* One direction: who sends, who receives, what is under way. */
struct wire {
	struct fuzz_end *from, *to;
	struct tls_buf bytes;
};

/* What the sender has to say goes onto the wire. */
static void collect(struct wire *wire)
{
	const uint8_t *p;
	size_t len;

	while (fuzz_answer_key(wire->from))
		;
	if (!(tls_conn_wants(wire->from->conn) & TLS_WANTS_OUTPUT))
		return;
	p = tls_conn_output(wire->from->conn, &len);
	tls_put_bytes(&wire->bytes, p, len);
	tls_conn_output_done(wire->from->conn, len);
}

static void deliver(struct wire *wire, size_t len)
{
	if (len > wire->bytes.len)
		len = wire->bytes.len;
	fuzz_feed(wire->to, wire->bytes.data, len);
	tls_buf_consume(&wire->bytes, len);
}

/* Bytes of the first record under way, or of all if there is no whole one. */
static size_t first_record(const struct wire *wire)
{
	const uint8_t *p = wire->bytes.data;
	size_t len = 0;

	if (wire->bytes.len >= TLS_RECORD_HEADER)
		len = TLS_RECORD_HEADER + (size_t)(p[3] << 8 | p[4]);
	return len && len < wire->bytes.len ? len : wire->bytes.len;
}

/* ---- steps ---- */

static void deliver_all(struct wire *wire, struct tls_reader *in)
{
	(void)in;
	deliver(wire, SIZE_MAX);
}

static void deliver_some(struct wire *wire, struct tls_reader *in)
{
	deliver(wire, 1u + tls_read_u8(in));
}

static void deliver_record(struct wire *wire, struct tls_reader *in)
{
	(void)in;
	deliver(wire, first_record(wire));
}

static void change_byte(struct wire *wire, struct tls_reader *in)
{
	size_t at = tls_read_u16(in);
	uint8_t mask = tls_read_u8(in);

	if (wire->bytes.len)
		wire->bytes.data[at % wire->bytes.len] ^= mask;
}

static void lose(struct wire *wire, struct tls_reader *in)
{
	tls_buf_truncate(&wire->bytes, tls_read_u16(in));
}

static void lose_record(struct wire *wire, struct tls_reader *in)
{
	(void)in;
	tls_buf_consume(&wire->bytes, first_record(wire));
}

static void repeat_record(struct wire *wire, struct tls_reader *in)
{
	size_t len = first_record(wire);
	uint8_t *copy = malloc(len + 1);

	(void)in;
	if (!copy)
		abort();
	if (len)
		memcpy(copy, wire->bytes.data, len);
	tls_put_bytes(&wire->bytes, copy, len);
	free(copy);
}

/* The first record comes last. */
static void rotate_records(struct wire *wire, struct tls_reader *in)
{
	size_t len = first_record(wire);

	repeat_record(wire, in);
	if (!wire->bytes.failed)
		tls_buf_consume(&wire->bytes, len);
}

static void insert(struct wire *wire, struct tls_reader *in)
{
	struct tls_reader bytes;

	tls_read_vec8(in, &bytes);
	tls_put_bytes(&wire->bytes, bytes.p, bytes.left);
}

/* A record of the sender's own, but not of its engine's making. */
static void seal(struct wire *wire, struct tls_reader *in)
{
	uint8_t type = tls_read_u8(in);
	struct tls_reader bytes;

	tls_read_vec8(in, &bytes);
	if (fuzz_transparent)
		fuzz_seal(wire->from, type, bytes.p, bytes.left);
}

static void write_data(struct wire *wire, struct tls_reader *in)
{
	fuzz_write(wire->from, 1u + tls_read_u16(in) % (TLS_MAX_PLAINTEXT + 1000));
}

static void rekey(struct wire *wire, struct tls_reader *in)
{
	bool ask = tls_read_u8(in) & 1;

	if (tls_conn_established(wire->from->conn))
		(void)!tls_conn_rekey(wire->from->conn, ask);
}

static void close_end(struct wire *wire, struct tls_reader *in)
{
	(void)in;
	fuzz_close(wire->from);
}

static void end_input(struct wire *wire, struct tls_reader *in)
{
	(void)in;
	(void)!tls_conn_input_eof(wire->to->conn);
}

static void take_keys(struct wire *wire, struct tls_reader *in)
{
	struct tls_session_keys keys;
	uint8_t out[32];

	(void)in;
	(void)!tls_conn_export_keys(wire->from->conn, &keys);
	(void)!tls_conn_export_keying_material(wire->from->conn, "EXPORTER-fuzz", NULL, 0, out,
					       sizeof(out));
}

typedef void step(struct wire *wire, struct tls_reader *in);

/* Rows are added at the end, so that a corpus keeps its meaning. */
static step *const steps[] = {
	deliver_all, deliver_some, deliver_record, change_byte, lose, lose_record, repeat_record,
	rotate_records, insert, seal, write_data, rekey, close_end, end_input, take_keys,
};

#define STEPS	(sizeof(steps) / sizeof(*steps))

static void run_program(struct wire wires[2], struct tls_reader *in)
{
	for (unsigned int i = 0; i < MAX_STEPS && tls_read_more(in); i++) {
		uint8_t what = tls_read_u8(in);

		collect(&wires[0]);
		collect(&wires[1]);
		steps[(what >> 1) % STEPS](&wires[what & 1], in);
	}
}

static void finish(struct fuzz_pair *pair, struct wire wires[2])
{
	for (size_t i = 0; i < 2; i++) {
		collect(&wires[i]);
		deliver(&wires[i], SIZE_MAX);
	}
	fuzz_pump(pair);
	for (size_t i = 0; i < 2; i++)
		tls_buf_free(&wires[i].bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_pair pair;
	struct wire wires[2] = {
		{ &pair.client, &pair.server, { .limit = MAX_WIRE } },
		{ &pair.server, &pair.client, { .limit = MAX_WIRE } },
	};
	struct tls_reader in;

	if (!size)
		return 0;
	fuzz_transparent = !(data[0] & FUZZ_FLAG);
	fuzz_pair_init(&pair, data[0]);
	if (!fuzz_transparent) {
		pair.client.peer = &pair.server;
		pair.server.peer = &pair.client;
	}
	fuzz_note(&pair.client, tls_conn_start(pair.client.conn));
	tls_reader_init(&in, data + 1, size - 1);
	run_program(wires, &in);
	finish(&pair, wires);
	fuzz_pair_free(&pair);
	return 0;
}
