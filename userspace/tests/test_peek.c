// SPDX-License-Identifier: MIT
/* What a ClientHello asks for, found before there is a connection. */
#include <string.h>

#include "engine/engine.h"
#include "pair.h"
#include "tap.h"

#define ROOM	(4 * TLS_MAX_PEEK)

/* The engine's own first flight: one record. */
static size_t make_hello(const char *name, const char *alpn, uint8_t out[ROOM])
{
	const struct pair_options o = { .server_name = name, .client_alpn = alpn };
	const uint8_t *data;
	struct pair pair;
	size_t len;

	pair_init(&pair, &o);
	if (tls_conn_start(pair.client.conn))
		tap_bail("no ClientHello");
	data = tls_conn_output(pair.client.conn, &len);
	memcpy(out, data, len);
	pair_free(&pair);
	return len;
}

/* The same message in records of so many bytes. */
static size_t cut(const uint8_t *hello, size_t len, size_t piece, uint8_t out[ROOM])
{
	size_t used = 0, done = 5, n;

	for (; done < len; done += n) {
		n = len - done < piece ? len - done : piece;
		memcpy(out + used, (const uint8_t[]){ 22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n }, 5);
		memcpy(out + used + 5, hello + done, n);
		used += 5 + n;
	}
	return used;
}

/* As a caller does: waits for what is needed. */
static int look(const uint8_t *data, size_t len, struct tls_peek *out, uint8_t copy[ROOM], size_t *looks)
{
	size_t have = 1, need = 0;
	int err;

	for (*looks = 1;; ++*looks) {
		memcpy(copy, data, have);
		err = tls_peek(copy, have, out, &need);
		if (err != TLS_ERR_AGAIN || need > len)
			return err;
		if (need <= have)
			tap_bail("it needs no more than it has");
		have = need;
	}
}

static void found(size_t piece)
{
	static const struct {
		const char *name, *alpn, *offered, *not_offered;
	} rows[] = {
		{ "a.test", "h2,http/1.1", "http/1.1", "http/1" },
		{ "A-b.C.test", NULL, NULL, "h2" },
		{ "", "acme-tls/1", "acme-tls/1", "acme-tls/11" },
		{ "192.0.2.1", "x", "x", "" },		/* not sent */
	};
	uint8_t hello[ROOM], records[ROOM], copy[ROOM];
	struct tls_peek peek;
	size_t i, len, looks;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		len = make_hello(rows[i].name, rows[i].alpn, hello);
		len = cut(hello, len, piece, records);
		tap_ok(!look(records, len, &peek, copy, &looks) &&
		       !strcmp(peek.server_name, i == 3 ? "" : rows[i].name) &&
		       (!rows[i].offered || tls_peek_offers(&peek, rows[i].offered, strlen(rows[i].offered))) &&
		       !tls_peek_offers(&peek, rows[i].not_offered, strlen(rows[i].not_offered)),
		       "'%s', %s in records of %zu bytes, %zu looks", rows[i].name,
		       rows[i].alpn ? rows[i].alpn : "no protocol", piece, looks);
		tap_ok(piece < len || looks <= 3, "... no look too many");
		tap_ok(look(records, len - 1, &peek, copy, &looks) == TLS_ERR_AGAIN, "... without its last byte");
	}
}

#define BODY	"0303" "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" "00" "00021301" "0100"
#define HELLO(record, message, extensions)	"160301" record "01" message BODY extensions

static const struct {
	const char *what, *bytes;	/* hex */
	int err;
	const char *name;
} cases[] = {
	{ "no extensions at all", HELLO("002d", "000029", ""), 0, "" },
	{ "an empty block", HELLO("002f", "00002b", "0000"), 0, "" },
	{ "a name", HELLO("0039", "000035", "000a" "00000006000400000161"), 0, "a" },
	{ "a name and the next message's bytes", HELLO("003b", "000035", "000a" "00000006000400000161" "0100"), 0, "a" },
	{ "what names no host", HELLO("0039", "000035", "000a" "00000006000400000120"), 0, "" },
	{ "one byte", "16", TLS_ERR_AGAIN, NULL },
	{ "a header", "1603010200", TLS_ERR_AGAIN, NULL },
	{ "HTTP, its first byte", "47", TLS_ALERT(UNEXPECTED_MESSAGE), NULL },
	{ "another type of record", "1503010002", TLS_ALERT(UNEXPECTED_MESSAGE), NULL },
	{ "no version of TLS", "1602000010", TLS_ALERT(DECODE_ERROR), NULL },
	{ "an empty record", "1603010000", TLS_ALERT(DECODE_ERROR), NULL },
	{ "a record that is too long", "1603014001", TLS_ALERT(DECODE_ERROR), NULL },
	{ "a record beyond the bound", "1603013ffc", TLS_ALERT(DECODE_ERROR), NULL },
	{ "a record up to the bound", "1603013ffb", TLS_ERR_AGAIN, NULL },
	{ "another message", "1603010004" "02000000", TLS_ALERT(UNEXPECTED_MESSAGE), NULL },
	{ "another record within the message", "1603010004" "01000029" "15", TLS_ALERT(UNEXPECTED_MESSAGE), NULL },
	{ "a message of no bytes", "1603010004" "01000000", TLS_ALERT(DECODE_ERROR), NULL },
	{ "a name with bytes behind", HELLO("003a", "000036", "000b" "0000000700040000016100"), TLS_ALERT(DECODE_ERROR), NULL },
	{ "a name of another type", HELLO("0039", "000035", "000a" "00000006000401000161"), TLS_ALERT(DECODE_ERROR), NULL },
	{ "an empty protocol", HELLO("0036", "000032", "0007" "0010000300" "0100"), TLS_ALERT(DECODE_ERROR), NULL },
	{ "two names", HELLO("0043", "00003f", "0014" "00000006000400000161" "00000006000400000162"),
	  TLS_ALERT(DECODE_ERROR), NULL },
	{ "two lists of protocols", HELLO("003f", "00003b", "0010" "0010000400020161" "0010000400020162"),
	  TLS_ALERT(DECODE_ERROR), NULL },
	{ "a name and bytes behind that are no extension", HELLO("003a", "000036", "000b" "00000006000400000161" "00"),
	  TLS_ALERT(DECODE_ERROR), NULL },
	{ "an unknown extension twice", HELLO("0037", "000033", "0008" "ffce0000" "ffce0000"),
	  TLS_ALERT(DECODE_ERROR), NULL },
	{ "protocols with bytes behind", HELLO("0038", "000034", "0009" "00100005" "0002016100"),
	  TLS_ALERT(DECODE_ERROR), NULL },
};

static void told(void)
{
	uint8_t copy[ROOM];
	struct tls_peek peek;
	size_t i, need;
	int err;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tls_slice bytes = tap_hex(cases[i].bytes);

		memcpy(copy, bytes.p, bytes.len);
		err = tls_peek(copy, bytes.len, &peek, &need);
		tap_ok(err == cases[i].err && (!cases[i].name || !strcmp(peek.server_name, cases[i].name)),
		       "%s: %s", cases[i].what, tls_strerror(err));
	}
}

int main(void)
{
	static const size_t pieces[] = { 1, 3, 4, 5, 100, 16379 };
	size_t i;

	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		found(pieces[i]);
	told();
	pair_free_pki();
	return tap_done();
}
