// SPDX-License-Identifier: MIT
/* The longest message, of any type: what is longer is refused by its header. */
#include <string.h>

#include "engine/config.h"
#include "engine/conn.h"
#include "engine/machine.h"
#include "engine/message/message.h"
#include "pair.h"
#include "tap.h"

#define LONG		20000	/* bytes of a body, more than a record holds */
#define PADDING		21	/* extension, RFC 7685 */
#define ALERT(name)	(TLS_ERR_ALERT + TLS_ALERT_##name)

/* A good ClientHello with an extension behind the others, so that its body has LONG bytes. */
static struct tls_buf long_hello(struct pair *pair)
{
	struct tls_buf hello = { .limit = 2 * LONG };
	size_t len, filling, at = TLS_HANDSHAKE_HEADER + 2 + TLS_RANDOM_LEN;
	const uint8_t *p;

	if (tls_conn_start(pair->client.conn))
		tap_bail("cannot start");
	p = tls_conn_output(pair->client.conn, &len);
	tls_put_bytes(&hello, p + TLS_RECORD_HEADER, len - TLS_RECORD_HEADER);
	filling = LONG - (hello.len - TLS_HANDSHAKE_HEADER) - 4;
	tls_put_u16(&hello, PADDING);
	tls_put_u16(&hello, (uint16_t)filling);
	memset(tls_put_space(&hello, filling), 0, filling);
	p = hello.data;
	at += 1 + p[at];			/* session id */
	at += 2 + (p[at] << 8 | p[at + 1]);	/* suites */
	at += 1 + p[at];			/* compression */
	len = hello.len - at - 2;
	hello.data[at] = (uint8_t)(len >> 8);
	hello.data[at + 1] = (uint8_t)len;
	hello.data[2] = LONG >> 8;
	hello.data[3] = (uint8_t)LONG;
	return hello;
}

static void client_hello(size_t max, int want)
{
	const struct pair_options options = { 0 };
	struct pair pair;
	struct tls_buf hello;

	pair_init(&pair, &options);
	hello = long_hello(&pair);
	tls_conn_output_done(pair.client.conn, SIZE_MAX);
	if (tls_config_set_max_message(pair.server.config, max) ||
	    tls_engine_seal(pair.client.conn, TLS_RECORD_HANDSHAKE, hello.data, hello.len))
		tap_bail("cannot send it");
	pair_move(&pair, &pair.client, &pair.server);
	tap_ok(pair.server.err == want && (want || tls_conn_key_request(pair.server.conn)),
	       "a ClientHello of %d bytes where %zu are allowed: %s", LONG, max,
	       tls_strerror(pair.server.err));
	tls_buf_free(&hello);
	pair_free(&pair);
}

static void new_session_ticket(size_t max, int want)
{
	static const uint8_t head[] = {
		4, 0, LONG >> 8, LONG & 0xff, 0, 0, 14, 16, 0, 0, 0, 0, 0,
		(LONG - 13) >> 8, (LONG - 13) & 0xff,
	};
	uint8_t message[TLS_HANDSHAKE_HEADER + LONG] = { 0 }, byte;
	const struct pair_options options = { .min = TLS_1_3 };
	struct pair pair;
	size_t len = 1;

	memcpy(message, head, sizeof(head));
	pair_init(&pair, &options);
	if (tls_config_set_max_message(pair.client.config, max))
		tap_bail("no such limit");
	pair_handshake(&pair);
	if (tls_engine_seal(pair.server.conn, TLS_RECORD_HANDSHAKE, message, sizeof(message)))
		tap_bail("cannot send it");
	pair_move(&pair, &pair.server, &pair.client);
	tap_equal(tls_conn_read(pair.client.conn, &byte, &len), want,
		  "a NewSessionTicket of %d bytes where %zu are allowed", LONG, max);
	pair_free(&pair);
}

/*
 * A client of whom nothing is known yet costs what it sent, not what it announced.  Its
 * bytes come in records of the longest kind; buffers grow by doubling, and each byte is in
 * one of two: what the socket gave, and the message so far.
 */
static void memory(size_t arrived)
{
	static const uint8_t header[] = { TLS_RECORD_HANDSHAKE, 3, 3, 0x40, 0 };
	static const uint8_t hello[TLS_MAX_PLAINTEXT] = { 1, 0, 0xff, 0xff };
	static const uint8_t more[TLS_MAX_PLAINTEXT];
	const struct pair_options options = { 0 };
	struct pair_end *server;
	struct pair pair;
	size_t held;

	pair_init(&pair, &options);
	server = &pair.server;
	for (size_t at = 0; at < arrived; at += TLS_MAX_PLAINTEXT) {
		size_t len = arrived - at;

		if (len > TLS_MAX_PLAINTEXT)
			len = TLS_MAX_PLAINTEXT;
		pair_feed(server, header, sizeof(header), 0);
		pair_feed(server, at ? more : hello, len, 0);
	}
	held = server->conn->in.cap + server->conn->message.cap;
	tap_ok(!server->err && held <= 2 * (2 * arrived + 1024),
	       "%zu bytes of a ClientHello of 64 KiB: %zu bytes are held", arrived, held);
	pair_free(&pair);
}

int main(void)
{
	client_hello(LONG, 0);
	client_hello(LONG - 1, ALERT(ILLEGAL_PARAMETER));
	client_hello(65536, 0);
	new_session_ticket(LONG, TLS_ERR_AGAIN);
	new_session_ticket(LONG - 1, ALERT(ILLEGAL_PARAMETER));
	new_session_ticket(65536, TLS_ERR_AGAIN);
	memory(4);
	memory(1000);
	memory(5000);
	memory(20000);
	memory(65000);
	pair_free_pki();
	return tap_done();
}
