// SPDX-License-Identifier: MIT
/* Names of what travels as a number, and of results. */
#include <stddef.h>

#include "crypto/crypto.h"

/* RFC 9846 section 6, and what older versions may still send */
#define ALERTS(X) \
	X(0, close_notify) \
	X(10, unexpected_message) \
	X(20, bad_record_mac) \
	X(21, decryption_failed) \
	X(22, record_overflow) \
	X(30, decompression_failure) \
	X(40, handshake_failure) \
	X(41, no_certificate) \
	X(42, bad_certificate) \
	X(43, unsupported_certificate) \
	X(44, certificate_revoked) \
	X(45, certificate_expired) \
	X(46, certificate_unknown) \
	X(47, illegal_parameter) \
	X(48, unknown_ca) \
	X(49, access_denied) \
	X(50, decode_error) \
	X(51, decrypt_error) \
	X(52, too_many_cids_requested) \
	X(60, export_restriction) \
	X(70, protocol_version) \
	X(71, insufficient_security) \
	X(80, internal_error) \
	X(86, inappropriate_fallback) \
	X(90, user_canceled) \
	X(100, no_renegotiation) \
	X(109, missing_extension) \
	X(110, unsupported_extension) \
	X(111, certificate_unobtainable) \
	X(112, unrecognized_name) \
	X(113, bad_certificate_status_response) \
	X(114, bad_certificate_hash_value) \
	X(115, unknown_psk_identity) \
	X(116, certificate_required) \
	X(117, general_error) \
	X(120, no_application_protocol) \
	X(121, ech_required)

struct alert_text {
	const char *name, *sent, *received;
};

#define ALERT_TEXT(number, name) \
	[number] = { #name, "alert " #name " sent", "alert " #name " received" },

static const struct alert_text alerts[256] = { ALERTS(ALERT_TEXT) };

static const char *const messages[256] = {
	[0] = "hello_request",
	[1] = "client_hello",
	[2] = "server_hello",
	[4] = "new_session_ticket",
	[5] = "end_of_early_data",
	[8] = "encrypted_extensions",
	[11] = "certificate",
	[12] = "server_key_exchange",
	[13] = "certificate_request",
	[14] = "server_hello_done",
	[15] = "certificate_verify",
	[16] = "client_key_exchange",
	[20] = "finished",
	[22] = "certificate_status",
	[24] = "key_update",
	[25] = "compressed_certificate",
	[254] = "message_hash",
};

static const char *const local_errors[] = {
	[TLS_ERR_NO_MEMORY - TLS_ERR_LOCAL] = "out of memory",
	[TLS_ERR_LIBRARY - TLS_ERR_LOCAL] = "libcrypto failed",
	[TLS_ERR_ARGUMENT - TLS_ERR_LOCAL] = "invalid argument",
	[TLS_ERR_STATE - TLS_ERR_LOCAL] = "not allowed in this state",
	[TLS_ERR_SPACE - TLS_ERR_LOCAL] = "buffer too small",
	[TLS_ERR_TRUNCATED - TLS_ERR_LOCAL] = "connection ended without close_notify",
	[TLS_ERR_AGAIN - TLS_ERR_LOCAL] = "more input is needed",
	[TLS_ERR_CLOSED - TLS_ERR_LOCAL] = "the peer closed the connection",
	[TLS_ERR_KEY_REFUSED - TLS_ERR_LOCAL] = "the private key's holder refused",
};

const char *tls_alert_name(uint8_t alert)
{
	return alerts[alert].name ? alerts[alert].name : "unknown";
}

static const char *local_error(unsigned int code)
{
	if (code >= sizeof(local_errors) / sizeof(local_errors[0]) || !local_errors[code])
		return "unknown error";
	return local_errors[code];
}

const char *tls_strerror(int err)
{
	const struct alert_text *alert = &alerts[TLS_ERR_CODE(err)];

	switch (TLS_ERR_CLASS(err)) {
	case 0:
		return err ? "unknown error" : "success";
	case TLS_ERR_ALERT:
		return alert->sent ? alert->sent : "unknown alert sent";
	case TLS_ERR_PEER:
		return alert->received ? alert->received : "unknown alert received";
	case TLS_ERR_LOCAL:
		return local_error(TLS_ERR_CODE(err));
	default:
		return "unknown error";
	}
}

const char *tls_message_name(uint8_t handshake_type)
{
	return messages[handshake_type];
}

const char *tls_group_name(uint16_t group)
{
	const struct tls_group *g = tls_group_find(group);

	return g ? g->name : NULL;
}

const char *tls_scheme_name(uint16_t scheme)
{
	const struct tls_scheme *s = tls_scheme_find(scheme);

	return s ? s->name : NULL;
}

const char *tls_version_name(uint16_t version)
{
	switch (version) {
	case TLS_1_2:
		return "TLS 1.2";
	case TLS_1_3:
		return "TLS 1.3";
	default:
		return NULL;
	}
}
