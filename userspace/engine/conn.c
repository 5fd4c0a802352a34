// SPDX-License-Identifier: MIT
/* A connection's life as the caller sees it: make, feed, drain, ask, free. */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "conn.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"

struct tls_conn *tls_conn_new(struct tls_config *config)
{
	struct tls_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->config = tls_config_ref(config);
	conn->role = config->role;
	conn->state = conn->role == TLS_CLIENT ? TLS_CLIENT_START : TLS_SERVER_WAIT_CLIENT_HELLO;
	tls_buf_init(&conn->in, TLS_MAX_INPUT);
	tls_buf_init(&conn->message, TLS_HANDSHAKE_HEADER + TLS_MAX_MESSAGE);
	tls_buf_init(&conn->out, SIZE_MAX);
	tls_buf_init(&conn->session, TLS_MAX_SESSION);
	tls_buf_init(&conn->ocsp, TLS_MAX_MESSAGE);
	tls_buf_init(&conn->scts, TLS_MAX_MESSAGE);
	tls_record_init(&conn->rx);
	tls_record_init(&conn->tx);
	conn->hs = tls_handshake_new();
	if (!conn->hs) {
		tls_conn_free(conn);
		return NULL;
	}
	return conn;
}

void tls_conn_free(struct tls_conn *conn)
{
	if (!conn)
		return;
	tls_handshake_free(conn->hs);
	tls_buf_free(&conn->in);
	tls_buf_free(&conn->message);
	tls_buf_free(&conn->out);
	tls_buf_free(&conn->session);
	tls_buf_free(&conn->ocsp);
	tls_buf_free(&conn->scts);
	tls_record_free(&conn->rx);
	tls_record_free(&conn->tx);
	tls_keysched_free(&conn->keysched);
	tls_peer_free(conn->peer);
	tls_config_unref(conn->config);
	tls_wipe(conn, sizeof(*conn));
	free(conn);
}

void tls_conn_set_arg(struct tls_conn *conn, void *conn_arg)
{
	conn->arg = conn_arg;
}

bool tls_is_dns_name(const char *name)
{
	size_t label = 0;

	for (; *name; name++) {
		if (*name == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if ((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
			   (*name >= '0' && *name <= '9') || *name == '-' || *name == '_') {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return label > 0;
}

int tls_conn_set_server_name(struct tls_conn *conn, const char *name)
{
	size_t len = strlen(name);

	if (conn->role != TLS_CLIENT || conn->started)
		return TLS_ERR_STATE;
	/* RFC 6066 section 3: without the trailing dot */
	if (len > 1 && name[len - 1] == '.')
		len--;
	if (len == 0 || len > TLS_MAX_SERVER_NAME)
		return TLS_ERR_ARGUMENT;
	memcpy(conn->server_name, name, len);
	conn->server_name[len] = '\0';
	if (tls_name_is_address(conn->server_name) || tls_is_dns_name(conn->server_name))
		return 0;
	conn->server_name[0] = '\0';
	return TLS_ERR_ARGUMENT;
}

int tls_conn_start(struct tls_conn *conn)
{
	if (conn->error)
		return conn->error;
	if (conn->started)
		return TLS_ERR_STATE;
	conn->started = true;
	return tls_engine_run(conn);
}

unsigned int tls_conn_wants(const struct tls_conn *conn)
{
	unsigned int wants = 0;

	if (!conn->error && conn->hs && conn->hs->key_wanted)
		return TLS_WANTS_PRIVATE_KEY;
	if (conn->out.len - conn->out_head > (conn->error ? 0 : conn->out_lazy))
		wants |= TLS_WANTS_OUTPUT;
	if (!conn->error && !conn->established)
		wants |= TLS_WANTS_INPUT;
	return wants;
}

/* ---- input ---- */

/* Moves what is not consumed to the front of the buffer, if that makes needed room. */
static void compact(struct tls_conn *conn)
{
	if (conn->in_head == 0)
		return;
	if (conn->plain.record_len)
		conn->plain.start -= conn->in_head;
	tls_buf_consume(&conn->in, conn->in_head);
	conn->in_head = 0;
}

int tls_conn_input(struct tls_conn *conn, const uint8_t *data, size_t len)
{
	int err;

	if (conn->error)
		return conn->error;
	if (len > tls_conn_input_space(conn))
		return TLS_ERR_SPACE;
	compact(conn);
	tls_put_bytes(&conn->in, data, len);
	err = tls_buf_error(&conn->in);
	if (err)
		return tls_engine_fail(conn, err);
	return conn->started || conn->role == TLS_SERVER ? tls_engine_run(conn) : 0;
}

size_t tls_conn_input_space(const struct tls_conn *conn)
{
	return TLS_MAX_INPUT - (conn->in.len - conn->in_head);
}

int tls_conn_input_eof(struct tls_conn *conn)
{
	return conn->rx_closed ? 0 : TLS_ERR_TRUNCATED;
}

const uint8_t *tls_conn_pending(const struct tls_conn *conn, size_t *len)
{
	*len = conn->in.len - conn->in_head;
	return conn->in.data + conn->in_head;
}

/* ---- output ---- */

const uint8_t *tls_conn_output(const struct tls_conn *conn, size_t *len)
{
	*len = conn->out.len - conn->out_head;
	return conn->out.data + conn->out_head;
}

void tls_conn_output_done(struct tls_conn *conn, size_t len)
{
	size_t left = conn->out.len - conn->out_head;

	conn->out_head += len < left ? len : left;
	conn->out_lazy = 0;
	if (conn->out_head < conn->out.len)
		return;
	tls_buf_reset(&conn->out);
	conn->out_head = 0;
	conn->key_update_queued = false;
}

/* ---- private key ---- */

const struct tls_key_request *tls_conn_key_request(const struct tls_conn *conn)
{
	if (conn->error || !conn->hs || !conn->hs->key_wanted)
		return NULL;
	return &conn->hs->key_request;
}

int tls_conn_work_ahead(struct tls_conn *conn)
{
	if (conn->error)
		return conn->error;
	return conn->hs ? tls_engine_work_ahead(conn) : 0;
}

int tls_conn_key_reply(struct tls_conn *conn, const uint8_t *reply, size_t len)
{
	int err;

	if (conn->error)
		return conn->error;
	if (!conn->hs || !conn->hs->key_wanted)
		return TLS_ERR_STATE;
	conn->hs->key_wanted = false;
	if (!reply || len > TLS_MAX_KEY_REPLY)
		return tls_engine_fail(conn, TLS_ERR_KEY_REFUSED);
	conn->hs->key_reply = (struct tls_slice){ reply, len };
	err = tls_engine_run(conn);
	if (conn->hs)
		conn->hs->key_reply = (struct tls_slice){ NULL, 0 };
	return err;
}

/* ---- questions ---- */

bool tls_conn_established(const struct tls_conn *conn)
{
	return conn->established && !conn->error;
}

void tls_conn_info(const struct tls_conn *conn, struct tls_conn_info *info)
{
	*info = (struct tls_conn_info){
		.version = conn->version,
		.suite = conn->suite ? conn->suite->id : 0,
		.group = conn->group,
		.scheme = conn->scheme,
		.ocsp_response = conn->ocsp.len ? conn->ocsp.data : NULL,
		.ocsp_response_len = conn->ocsp.len,
		.scts = conn->scts.len ? conn->scts.data : NULL,
		.scts_len = conn->scts.len,
		.record_size = conn->tx.limit ? conn->tx.limit : TLS_MAX_PLAINTEXT,
		.resumed = conn->resumed,
		.hello_retry = conn->hello_retry,
		.extended_master_secret = conn->extended_master_secret,
		.server_name = conn->server_name[0] ? conn->server_name : NULL,
		.alpn = conn->alpn[0] ? conn->alpn : NULL,
		.verify_error = conn->verify_error[0] ? conn->verify_error : NULL,
	};
	if (conn->peer) {
		struct tls_slice leaf = tls_certificate_der(tls_peer_leaf(conn->peer), 0);

		info->peer_certificate = leaf.p;
		info->peer_certificate_len = leaf.len;
	}
}
