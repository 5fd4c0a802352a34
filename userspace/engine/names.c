// SPDX-License-Identifier: MIT
/* IANA's names of what travels as a number, whether we have it or not; and names of results. */
#include <stddef.h>

#include "engine.h"

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

struct name {
	uint16_t number;
	const char *name;
};

static const struct name messages[] = {
	{ 0, "hello_request" },
	{ 1, "client_hello" },
	{ 2, "server_hello" },
	{ 4, "new_session_ticket" },
	{ 5, "end_of_early_data" },
	{ 8, "encrypted_extensions" },
	{ 11, "certificate" },
	{ 12, "server_key_exchange" },
	{ 13, "certificate_request" },
	{ 14, "server_hello_done" },
	{ 15, "certificate_verify" },
	{ 16, "client_key_exchange" },
	{ 20, "finished" },
	{ 22, "certificate_status" },
	{ 24, "key_update" },
	{ 25, "compressed_certificate" },
	{ 254, "message_hash" },
};

static const struct name extensions[] = {
	{ 0, "server_name" },
	{ 1, "max_fragment_length" },
	{ 5, "status_request" },
	{ 10, "supported_groups" },
	{ 11, "ec_point_formats" },
	{ 13, "signature_algorithms" },
	{ 16, "application_layer_protocol_negotiation" },
	{ 18, "signed_certificate_timestamp" },
	{ 21, "padding" },
	{ 22, "encrypt_then_mac" },
	{ 23, "extended_master_secret" },
	{ 27, "compress_certificate" },
	{ 28, "record_size_limit" },
	{ 34, "delegated_credential" },
	{ 35, "session_ticket" },
	{ 41, "pre_shared_key" },
	{ 42, "early_data" },
	{ 43, "supported_versions" },
	{ 44, "cookie" },
	{ 45, "psk_key_exchange_modes" },
	{ 47, "certificate_authorities" },
	{ 49, "post_handshake_auth" },
	{ 50, "signature_algorithms_cert" },
	{ 51, "key_share" },
	{ 65037, "encrypted_client_hello" },
	{ 65281, "renegotiation_info" },
};

static const struct name groups[] = {
	{ 0x0017, "secp256r1" },
	{ 0x0018, "secp384r1" },
	{ 0x0019, "secp521r1" },
	{ 0x001a, "brainpoolP256r1" },
	{ 0x001b, "brainpoolP384r1" },
	{ 0x001c, "brainpoolP512r1" },
	{ 0x001d, "x25519" },
	{ 0x001e, "x448" },
	{ 0x0100, "ffdhe2048" },
	{ 0x0101, "ffdhe3072" },
	{ 0x0102, "ffdhe4096" },
	{ 0x0103, "ffdhe6144" },
	{ 0x0104, "ffdhe8192" },
	{ 0x0200, "MLKEM512" },
	{ 0x0201, "MLKEM768" },
	{ 0x0202, "MLKEM1024" },
	{ 0x11eb, "SecP256r1MLKEM768" },
	{ 0x11ec, "X25519MLKEM768" },
	{ 0x11ed, "SecP384r1MLKEM1024" },
};

static const struct name schemes[] = {
	{ 0x0201, "rsa_pkcs1_sha1" },
	{ 0x0203, "ecdsa_sha1" },
	{ 0x0401, "rsa_pkcs1_sha256" },
	{ 0x0403, "ecdsa_secp256r1_sha256" },
	{ 0x0501, "rsa_pkcs1_sha384" },
	{ 0x0503, "ecdsa_secp384r1_sha384" },
	{ 0x0601, "rsa_pkcs1_sha512" },
	{ 0x0603, "ecdsa_secp521r1_sha512" },
	{ 0x0804, "rsa_pss_rsae_sha256" },
	{ 0x0805, "rsa_pss_rsae_sha384" },
	{ 0x0806, "rsa_pss_rsae_sha512" },
	{ 0x0807, "ed25519" },
	{ 0x0808, "ed448" },
	{ 0x0809, "rsa_pss_pss_sha256" },
	{ 0x080a, "rsa_pss_pss_sha384" },
	{ 0x080b, "rsa_pss_pss_sha512" },
	{ 0x081a, "ecdsa_brainpoolP256r1tls13_sha256" },
	{ 0x081b, "ecdsa_brainpoolP384r1tls13_sha384" },
	{ 0x081c, "ecdsa_brainpoolP512r1tls13_sha512" },
	{ 0x0904, "mldsa44" },
	{ 0x0905, "mldsa65" },
	{ 0x0906, "mldsa87" },
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
	[TLS_ERR_EXHAUSTED - TLS_ERR_LOCAL] = "the record sequence number would have wrapped",
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

static const char *find(const struct name *table, size_t count, uint16_t number)
{
	for (size_t i = 0; i < count; i++) {
		if (table[i].number == number)
			return table[i].name;
	}
	return NULL;
}

#define FIND(table, number)	find(table, sizeof(table) / sizeof((table)[0]), number)

const char *tls_message_name(uint8_t handshake_type)
{
	return FIND(messages, handshake_type);
}

const char *tls_extension_name(uint16_t extension)
{
	return FIND(extensions, extension);
}

const char *tls_group_name(uint16_t group)
{
	return FIND(groups, group);
}

const char *tls_scheme_name(uint16_t scheme)
{
	return FIND(schemes, scheme);
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
