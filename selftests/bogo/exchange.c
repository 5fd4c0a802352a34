// SPDX-License-Identifier: MIT
/* What the runner expects a shim to do on a connection: handshake, write, echo, close. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "shim.h"

#define READ_SIZE	512	/* small, so that a record comes in several reads */
#define GREETING	"hello"
#define ALERT_DECOMPRESSION_FAILURE	30	/* what the runner waits for */

static bool has_extensions(uint8_t message)
{
	return message == TLS_MSG_CLIENT_HELLO || message == TLS_MSG_SERVER_HELLO ||
	       message == TLS_MSG_ENCRYPTED_EXTENSIONS || message == TLS_MSG_CERTIFICATE;
}

/* Which of several alerts it is depends on the version; what is wrong does not. */
static void explain(const struct exchange *x, int err)
{
	struct tls_conn_info info;

	tls_conn_info(x->conn, &info);
	if ((err == TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER ||
	     err == TLS_ERR_ALERT + TLS_ALERT_DECODE_ERROR) &&
	    has_extensions(x->observed.last_message))
		fprintf(stderr, "refused: a message with extensions\n");
	if (info.verify_error)
		fprintf(stderr, "%s\n", info.verify_error);
	else if (x->options->require_certificate && !info.peer_certificate &&
		 err == TLS_ERR_ALERT + (info.version == TLS_1_3 ? TLS_ALERT_CERTIFICATE_REQUIRED :
							     TLS_ALERT_HANDSHAKE_FAILURE))
		fprintf(stderr, "the client gave no certificate\n");
}

/* Sends the alert, too, if there is one. */
static int failed(struct exchange *x, int err)
{
	transport_flush(x);
	fprintf(stderr, "%s\n", tls_strerror(err));
	explain(x, err);
	return EXIT_FAILURE;
}

static int wrong(const char *what)
{
	fprintf(stderr, "%s\n", what);
	return EXIT_FAILURE;
}

static int use_key(struct exchange *x)
{
	uint8_t reply[TLS_MAX_KEY_REPLY];
	size_t len = sizeof(reply);

	if (!x->key || x->options->refuse_key ||
	    tls_private_key_perform(x->key, tls_conn_key_request(x->conn), reply, &len))
		return tls_conn_key_reply(x->conn, NULL, 0);
	return tls_conn_key_reply(x->conn, reply, len);
}

static int handshake(struct exchange *x)
{
	int err = tls_conn_start(x->conn);

	while (!err) {
		unsigned int wants = tls_conn_wants(x->conn);

		if (wants & TLS_WANTS_PRIVATE_KEY)
			err = use_key(x);
		else if (wants & TLS_WANTS_OUTPUT)
			transport_flush(x);
		else if (wants & TLS_WANTS_INPUT)
			err = transport_receive(x);
		else
			return 0;
	}
	return err;
}

static int write_all(struct exchange *x, const void *data, size_t len)
{
	int err = len ? tls_conn_write(x->conn, data, len) : 0;

	if (!err)
		transport_flush(x);
	return err;
}

/* Around the limits of records. */
static int write_sizes(struct exchange *x)
{
	static const size_t sizes[] = {
		0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769,
	};
	static uint8_t data[32769];
	int err = 0;

	memset(data, 0x42, sizeof(data));
	for (size_t i = 0; !err && i < sizeof(sizes) / sizeof(*sizes); i++)
		err = write_all(x, data, sizes[i]);
	return err;
}

/* The length in the machine's byte order (the runner takes little-endian), read, write. */
static int write_secrets(struct exchange *x)
{
	struct tls_session_keys keys;
	uint16_t len;
	int err = tls_conn_export_keys(x->conn, &keys);

	if (err)
		return err;
	len = keys.rx.secret_len;
	err = write_all(x, &len, sizeof(len));
	if (!err)
		err = write_all(x, keys.rx.secret, len);
	if (!err)
		err = write_all(x, keys.tx.secret, len);
	tls_wipe(&keys, sizeof(keys));
	return err;
}

static int write_keying_material(struct exchange *x)
{
	const struct options *o = x->options;
	const char *context = o->export_context ? o->export_context : "";
	size_t len = (size_t)o->export_length;
	uint8_t *out = malloc(len);
	int err;

	if (!out)
		return TLS_ERR_NO_MEMORY;
	err = tls_conn_export_keying_material(x->conn, o->export_label,
					      o->use_export_context ? (const uint8_t *)context :
								      NULL,
					      strlen(context), out, len);
	if (!err)
		err = write_all(x, out, len);
	free(out);
	return err;
}

static int answer(struct exchange *x, uint8_t *data, size_t len)
{
	int err = x->options->key_update ? tls_conn_rekey(x->conn, false) : 0;

	for (size_t i = 0; i < len; i++)
		data[i] ^= 0xff;
	return err ? err : write_all(x, data, len);
}

/* One read's worth; feeds the engine until there is something. */
static int read_some(struct exchange *x, uint8_t *data, size_t *len)
{
	size_t size = *len;
	int err;

	while ((err = tls_conn_read(x->conn, data, len)) == TLS_ERR_AGAIN) {
		transport_flush(x);
		err = transport_receive(x);
		if (err)
			return err;
		*len = size;
	}
	transport_flush(x);
	return err;
}

/* Until the peer closes, in order or not. */
static int echo(struct exchange *x)
{
	size_t size = x->options->read_size ? (size_t)x->options->read_size : READ_SIZE, len = size;
	uint8_t *data = malloc(size);
	int err;

	if (!data)
		return TLS_ERR_NO_MEMORY;
	while (!(err = read_some(x, data, &len))) {
		x->hold_output = false;
		err = answer(x, data, len);
		if (err)
			break;
		len = size;
	}
	free(data);
	return err == TLS_ERR_CLOSED || (err == TLS_ERR_TRUNCATED && x->peer_closed) ? 0 : err;
}

/* Nothing but the peer's close_notify may follow ours. */
static int await_close(struct exchange *x)
{
	uint8_t data[READ_SIZE];
	size_t len = sizeof(data);
	int err = read_some(x, data, &len);

	if (!err)
		return wrong("application data after our close_notify");
	return err == TLS_ERR_CLOSED ? 0 : failed(x, err);
}

static int close_in_order(struct exchange *x)
{
	int err = tls_conn_close(x->conn);

	if (err)
		return failed(x, err);
	transport_flush(x);
	if (x->options->shim_shuts_down)
		return await_close(x);
	return tls_conn_input_eof(x->conn) ? wrong("closed without close_notify") : 0;
}

static int transfer(struct exchange *x)
{
	const struct options *o = x->options;
	int err;

	if (o->send_alert)
		return tls_engine_send_alert(x->conn, TLS_LEVEL_FATAL, ALERT_DECOMPRESSION_FAILURE);
	err = o->export_length ? write_keying_material(x) : 0;

	if (!err && o->export_traffic_secrets)
		err = write_secrets(x);
	if (!err && o->write_different_record_sizes)
		return write_sizes(x);
	if (!err && o->read_with_unfinished_write) {
		err = tls_conn_write(x->conn, (const uint8_t *)GREETING, strlen(GREETING));
		transport_send_one(x);
	} else if (!err && o->shim_writes_first) {
		err = write_all(x, GREETING, strlen(GREETING));
	}
	return err || o->shim_shuts_down ? err : echo(x);
}

int exchange_run(struct exchange *x, bool resumption)
{
	int err = handshake(x);

	if (err)
		return failed(x, err);
	if (!expect_handshake(x, resumption))
		return EXIT_FAILURE;
	err = transfer(x);
	if (err)
		return failed(x, err);
	transport_flush(x);
	if (!expect_session(x) || !expect_trace(x))
		return EXIT_FAILURE;
	return x->options->check_close_notify ? close_in_order(x) : 0;
}
