// SPDX-License-Identifier: MIT
/* What a test wants to know and tls_conn_info() does not tell: from the engine's events. */
#include <stdio.h>
#include <string.h>

#include "conn.h"
#include "crypto/prf12.h"
#include "extension/extension.h"
#include "message/message.h"
#include "shim.h"

static void keep(struct seen *seen, struct tls_slice bytes)
{
	if (bytes.len > sizeof(seen->bytes))
		return;
	memcpy(seen->bytes, bytes.p, bytes.len);
	seen->len = bytes.len;
}

/* The list in an extension whose body is one vector with a length of two bytes. */
static void keep_list(struct seen *seen, struct tls_reader extensions, uint16_t type)
{
	struct tls_reader body, list;

	if (!tls_ext_find(extensions, type, &body))
		return;
	tls_read_vec16(&body, &list);
	keep(seen, tls_read_rest(&list));
}

static void observe_client_hello(struct observed *observed, struct tls_reader hello)
{
	struct tls_reader vec;

	(void)tls_read_bytes(&hello, 2 + TLS_RANDOM_LEN);
	tls_read_vec8(&hello, &vec);		/* session_id */
	tls_read_vec16(&hello, &vec);		/* cipher_suites */
	tls_read_vec8(&hello, &vec);		/* compression_methods */
	tls_read_vec16(&hello, &vec);
	keep_list(&observed->alpn, vec, TLS_EXT_ALPN);
	keep_list(&observed->peer_schemes, vec, TLS_EXT_SIGNATURE_ALGORITHMS);
}

static void observe_request(struct observed *observed, struct tls_reader request, bool tls13)
{
	struct tls_reader first, second, names;

	tls_read_vec8(&request, &first);	/* TLS 1.3: context, TLS 1.2: types */
	tls_read_vec16(&request, &second);	/* extensions, schemes */
	if (tls13) {
		keep_list(&observed->peer_schemes, second, TLS_EXT_SIGNATURE_ALGORITHMS);
		keep_list(&observed->ca_names, second, TLS_EXT_CERTIFICATE_AUTHORITIES);
		return;
	}
	tls_read_vec16(&request, &names);
	keep(&observed->cert_types, tls_read_rest(&first));
	keep(&observed->peer_schemes, tls_read_rest(&second));
	keep(&observed->ca_names, tls_read_rest(&names));
}

static void observe_message(struct exchange *x, const struct tls_event *event)
{
	struct tls_reader body;

	tls_reader_init(&body, event->data, event->len);
	(void)tls_read_bytes(&body, TLS_HANDSHAKE_HEADER);
	x->observed.last_message = event->type;
	if (event->type == TLS_MSG_CLIENT_HELLO)
		observe_client_hello(&x->observed, body);
	else if (event->type == TLS_MSG_CERTIFICATE_REQUEST)
		observe_request(&x->observed, body, x->conn->version == TLS_1_3);
	else if (event->type == TLS_MSG_CERTIFICATE)
		x->observed.certificate = true;
}

/* As -expect-msg-callback has it, but for change_cipher_spec, of which there is no event. */
static void trace(struct observed *observed, const struct tls_event *event)
{
	size_t len = strlen(observed->trace);
	char *out = observed->trace + len;

	len = sizeof(observed->trace) - len;
	if (event->kind == TLS_EVENT_MESSAGE_SENT)
		snprintf(out, len, "write hs %u\n", event->type);
	else if (event->kind == TLS_EVENT_MESSAGE_RECEIVED)
		snprintf(out, len, "read hs %u\n", event->type);
	else if (event->kind == TLS_EVENT_ALERT_RECEIVED)
		snprintf(out, len, "read alert %u %u\n", event->type ? 2 : 1, event->type);
}

void observe(void *arg, void *conn_arg, const struct tls_event *event)
{
	struct exchange *x = conn_arg;

	(void)arg;
	trace(&x->observed, event);
	if (event->kind == TLS_EVENT_SIGNATURE_CHECKED)
		snprintf(x->observed.scheme, sizeof(x->observed.scheme), "%s", event->text);
	else if (event->kind == TLS_EVENT_MESSAGE_RECEIVED)
		observe_message(x, event);
}
