// SPDX-License-Identifier: MIT
/*
 * One engine is made to misbehave, the other has to say so.  The first table
 * changes bytes of messages before they are hashed and sealed, so that both
 * sides agree on all but what was changed; the second lets whole records in.
 */
#include <stdio.h>
#include <string.h>

#include "engine/conn.h"
#include "engine/handshake.h"
#include "engine/machine.h"
#include "pair.h"
#include "tap.h"

/* ---- bytes changed ---- */

struct edit {
	const char *what;
	int alert;			/* what the other side says */
	enum tls_role evil;
	uint16_t version;
	enum tls_message message;
	int offset;			/* from the message's header; negative: from its end */
	const char *bytes;
	bool client_certificate, rsa_kx;
	enum pki_key key;
};

#define V13	TLS_1_3
#define V12	TLS_1_2

static const struct edit edits[] = {
	/* a TLS 1.3 server */
	{ .what = "EncryptedExtensions as Finished", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V13, TLS_MSG_ENCRYPTED_EXTENSIONS, 0, "14" },
	{ .what = "EncryptedExtensions as Certificate", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V13, TLS_MSG_ENCRYPTED_EXTENSIONS, 0, "0b" },
	{ .what = "EncryptedExtensions of 16 MiB", .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_SERVER, V13, TLS_MSG_ENCRYPTED_EXTENSIONS, 1, "ffffff" },
	{ .what = "EncryptedExtensions too short inside", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_ENCRYPTED_EXTENSIONS, 4, "0003" },
	{ .what = "EncryptedExtensions too long inside", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_ENCRYPTED_EXTENSIONS, 4, "0005" },
	{ .what = "EncryptedExtensions with an unknown extension",
	  .alert = TLS_ALERT_UNSUPPORTED_EXTENSION,
	  TLS_SERVER, V13, TLS_MSG_ENCRYPTED_EXTENSIONS, 6, "1234" },
	{ .what = "EncryptedExtensions with ALPN that was not offered",
	  .alert = TLS_ALERT_UNSUPPORTED_EXTENSION,
	  TLS_SERVER, V13, TLS_MSG_ENCRYPTED_EXTENSIONS, 6, "0010" },
	{ .what = "EncryptedExtensions with supported_versions",
	  .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_SERVER, V13, TLS_MSG_ENCRYPTED_EXTENSIONS, 6, "002b" },
	{ .what = "Certificate with a request context", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE, 4, "01" },
	{ .what = "Certificate with an empty list", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE, 1, "00000400000000" },
	{ .what = "Certificate with a broken element", .alert = TLS_ALERT_BAD_CERTIFICATE,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE, 11, "ff" },
	{ .what = "Certificate with an empty element", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE, 8, "000000" },
	{ .what = "Certificate with half an extension", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE, -2, "0001" },
	{ .what = "Certificate as CertificateVerify", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE, 0, "0f" },
	{ .what = "CertificateVerify with a scheme for another curve",
	  .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_VERIFY, 4, "0503" },
	{ .what = "CertificateVerify with an unknown scheme", .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_VERIFY, 4, "fefe" },
	{ .what = "CertificateVerify with PKCS#1", .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_VERIFY, 4, "0401", .key = PKI_RSA2048 },
	{ .what = "CertificateVerify that does not verify", .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_VERIFY, -8, "0011223344556677" },
	{ .what = "CertificateVerify truncated", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_VERIFY, 6, "00ff" },
	{ .what = "CertificateVerify as Finished", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_VERIFY, 0, "14" },
	{ .what = "Finished that does not match", .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_SERVER, V13, TLS_MSG_FINISHED, -8, "0011223344556677" },
	{ .what = "Finished too short", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_FINISHED, 3, "1f" },
	{ .what = "CertificateRequest with a context", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_REQUEST, 4, "01", .client_certificate = true },
	{ .what = "CertificateRequest without signature_algorithms",
	  .alert = TLS_ALERT_MISSING_EXTENSION,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_REQUEST, 7, "1234", .client_certificate = true },
	{ .what = "CertificateRequest with signature_algorithms_cert alone",
	  .alert = TLS_ALERT_MISSING_EXTENSION,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_REQUEST, 7, "0032", .client_certificate = true },
	{ .what = "CertificateRequest after Certificate", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V13, TLS_MSG_CERTIFICATE_VERIFY, 0, "0d", .client_certificate = true },
	{ .what = "ServerHello and more before the keys change",
	  .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V13, TLS_MSG_SERVER_HELLO, 3, "10" },
	/* a TLS 1.3 client */
	{ .what = "client's Finished that does not match", .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_CLIENT, V13, TLS_MSG_FINISHED, -8, "0011223344556677" },
	{ .what = "client's Finished as KeyUpdate", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_CLIENT, V13, TLS_MSG_FINISHED, 0, "18" },
	{ .what = "client's Certificate with a context", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_CLIENT, V13, TLS_MSG_CERTIFICATE, 4, "01", .client_certificate = true },
	{ .what = "client's Certificate left out", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_CLIENT, V13, TLS_MSG_CERTIFICATE, 0, "14", .client_certificate = true },
	{ .what = "client's CertificateVerify that does not verify",
	  .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_CLIENT, V13, TLS_MSG_CERTIFICATE_VERIFY, -8, "0011223344556677",
	  .client_certificate = true },
	{ .what = "client's CertificateVerify left out", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_CLIENT, V13, TLS_MSG_CERTIFICATE_VERIFY, 0, "14", .client_certificate = true },
	/* a TLS 1.2 server */
	{ .what = "Certificate as ServerKeyExchange", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V12, TLS_MSG_CERTIFICATE, 0, "0c" },
	{ .what = "Certificate with an empty list", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V12, TLS_MSG_CERTIFICATE, 1, "000003000000" },
	{ .what = "Certificate too short inside", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V12, TLS_MSG_CERTIFICATE, 4, "000004" },
	{ .what = "ServerKeyExchange with explicit curves", .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_SERVER, V12, TLS_MSG_SERVER_KEY_EXCHANGE, 4, "01" },
	{ .what = "ServerKeyExchange with an unknown group", .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_SERVER, V12, TLS_MSG_SERVER_KEY_EXCHANGE, 5, "fefe" },
	{ .what = "ServerKeyExchange with another point", .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_SERVER, V12, TLS_MSG_SERVER_KEY_EXCHANGE, 10, "00112233" },
	{ .what = "ServerKeyExchange with an empty point", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V12, TLS_MSG_SERVER_KEY_EXCHANGE, 7, "00" },
	{ .what = "ServerKeyExchange that does not verify", .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_SERVER, V12, TLS_MSG_SERVER_KEY_EXCHANGE, -8, "0011223344556677" },
	{ .what = "ServerKeyExchange as ServerHelloDone", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V12, TLS_MSG_SERVER_KEY_EXCHANGE, 0, "0e" },
	{ .what = "ServerHelloDone as Finished", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V12, TLS_MSG_SERVER_HELLO_DONE, 0, "14" },
	{ .what = "CertificateRequest without types", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_SERVER, V12, TLS_MSG_CERTIFICATE_REQUEST, 4, "00", .client_certificate = true },
	{ .what = "Finished that does not match", .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_SERVER, V12, TLS_MSG_FINISHED, -4, "00112233" },
	{ .what = "Finished as HelloRequest", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_SERVER, V12, TLS_MSG_FINISHED, 0, "00" },
	/* a TLS 1.2 client */
	{ .what = "ClientKeyExchange with bytes behind", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_CLIENT, V12, TLS_MSG_CLIENT_KEY_EXCHANGE, 4, "1f" },
	{ .what = "ClientKeyExchange with no point of the curve",
	  .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_CLIENT, V12, TLS_MSG_CLIENT_KEY_EXCHANGE, -8, "0011223344556677" },
	{ .what = "ClientKeyExchange as CertificateVerify", .alert = TLS_ALERT_UNEXPECTED_MESSAGE,
	  TLS_CLIENT, V12, TLS_MSG_CLIENT_KEY_EXCHANGE, 0, "0f" },
	{ .what = "RSA ClientKeyExchange with wrong padding, found out by the keys only",
	  .alert = TLS_ALERT_BAD_RECORD_MAC,
	  TLS_CLIENT, V12, TLS_MSG_CLIENT_KEY_EXCHANGE, -8, "0011223344556677", .rsa_kx = true },
	{ .what = "RSA ClientKeyExchange with bytes behind", .alert = TLS_ALERT_DECODE_ERROR,
	  TLS_CLIENT, V12, TLS_MSG_CLIENT_KEY_EXCHANGE, 4, "00ff", .rsa_kx = true },
	{ .what = "client's CertificateVerify that does not verify",
	  .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_CLIENT, V12, TLS_MSG_CERTIFICATE_VERIFY, -8, "0011223344556677",
	  .client_certificate = true },
	{ .what = "client's CertificateVerify with an unknown scheme",
	  .alert = TLS_ALERT_ILLEGAL_PARAMETER,
	  TLS_CLIENT, V12, TLS_MSG_CERTIFICATE_VERIFY, 4, "fefe", .client_certificate = true },
	{ .what = "client's Finished that does not match", .alert = TLS_ALERT_DECRYPT_ERROR,
	  TLS_CLIENT, V12, TLS_MSG_FINISHED, -4, "00112233" },
};

static const struct edit *edit;		/* the one that is on */
static unsigned int edited;		/* how often it was done */

/* The hook sees messages where they are built, before their transcript and record. */
static void edit_message(void *arg, void *conn_arg, const struct tls_event *event)
{
	struct pair_end *end = conn_arg;
	struct tls_slice bytes;
	uint8_t *p;

	(void)arg;
	if (event->kind != TLS_EVENT_MESSAGE_SENT || event->type != edit->message ||
	    end->conn->role != edit->evil)
		return;
	bytes = tap_hex(edit->bytes);
	p = (uint8_t *)event->data + edit->offset + (edit->offset < 0 ? (int)event->len : 0);
	memcpy(p, bytes.p, bytes.len);
	edited++;
}

static void one_edit(void)
{
	const struct pair_options options = {
		.min = edit->version, .max = edit->version, .event = edit_message,
		.groups = "secp256r1",
		.suites = edit->rsa_kx ? "TLS_RSA_WITH_AES_128_GCM_SHA256" : NULL,
		.server = { pair_leaf(edit->rsa_kx ? PKI_RSA2048 : edit->key) },
		.client = { edit->client_certificate ? pair_leaf(PKI_P256) : NULL },
		.server_verify = edit->client_certificate ? TLS_VERIFY_REQUIRE : TLS_VERIFY_NONE,
	};
	struct pair_end *evil, *good;
	struct pair pair;
	uint8_t byte;
	size_t len = 1;

	edited = 0;
	pair_init(&pair, &options);
	evil = edit->evil == TLS_CLIENT ? &pair.client : &pair.server;
	good = edit->evil == TLS_CLIENT ? &pair.server : &pair.client;
	pair_handshake(&pair);
	if (tls_conn_established(evil->conn))
		evil->err = tls_conn_read(evil->conn, &byte, &len);
	tap_ok(edited == 1 && good->err == TLS_ERR_ALERT + edit->alert && !pair_up(&pair) &&
	       (evil->err == TLS_ERR_PEER + edit->alert ||
		edit->message == TLS_MSG_SERVER_HELLO || edit->rsa_kx),
	       "%s: %s: %s (%s, %s)", tls_version_name(edit->version), edit->what,
	       tls_alert_name((uint8_t)edit->alert), tls_strerror(good->err),
	       tls_strerror(evil->err));
	pair_free(&pair);
}

/* ---- records let in ---- */

/* When they are: with the ClientHello answered by nobody; with the server's flight sent, so that
 * the client has done its part but the server not; and when both are done. */
enum moment {
	AT_FIRST,
	AT_SERVER_DONE,
	AT_END,
};

struct record {
	const char *what;
	int alert;			/* the victim's; 0: it goes on */
	enum moment moment;
	enum tls_role victim;
	uint16_t version;
	uint8_t type;
	const char *bytes;
	int times;			/* in records of their own; 0: once */
	bool raw;			/* bytes are a whole record, as it is on the wire */
	int peer_alert;			/* the result is that the victim took this alert; + 1 */
};

#define HS	TLS_RECORD_HANDSHAKE
#define CCS	TLS_RECORD_CHANGE_CIPHER_SPEC
#define AL	TLS_RECORD_ALERT
#define AD	TLS_RECORD_APPLICATION_DATA

static const struct record records[] = {
	/* instead of a ClientHello */
	{ .what = "application data", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST, TLS_SERVER, V13, AD,
	  "00" },
	{ .what = "change_cipher_spec", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST, TLS_SERVER, V13,
	  CCS, "01" },
	{ .what = "ServerHello", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST, TLS_SERVER, V13, HS,
	  "02000000" },
	{ .what = "a ClientHello of 16 MiB", TLS_ALERT_ILLEGAL_PARAMETER, AT_FIRST, TLS_SERVER,
	  V13, HS,
	  "01ffffff" },
	{ .what = "an empty ClientHello", TLS_ALERT_DECODE_ERROR, AT_FIRST, TLS_SERVER, V13, HS,
	  "01000000" },
	{ .what = "half an alert", TLS_ALERT_DECODE_ERROR, AT_FIRST, TLS_SERVER, V13, AL, "02" },
	{ .what = "an alert of no level", 0, AT_FIRST, TLS_SERVER, V13, AL, "0328",
	  .peer_alert = 40 + 1 },
	{ .what = "a fatal alert", 0, AT_FIRST, TLS_SERVER, V13, AL, "0228", .peer_alert = 40 + 1 },
	{ .what = "close_notify", 0, AT_FIRST, TLS_SERVER, V13, AL, "0100", .peer_alert = 0 + 1 },
	{ .what = "four warnings", 0, AT_FIRST, TLS_SERVER, V13, AL, "015a", 4 },
	{ .what = "five warnings", TLS_ALERT_DECODE_ERROR, AT_FIRST, TLS_SERVER, V13, AL, "015a",
	  5 },
	{ .what = "an empty record of application data", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST,
	  TLS_SERVER, V13, AD, "" },
	{ .what = "32 empty records", 0, AT_FIRST, TLS_SERVER, V13, HS, "", 32 },
	{ .what = "33 empty records", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST, TLS_SERVER, V13, HS,
	  "",
	  33 },
	{ .what = "a record of an unknown type", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST, TLS_SERVER,
	  V13, 0, "630301000100", .raw = true },
	{ .what = "a record too long", TLS_ALERT_RECORD_OVERFLOW, AT_FIRST, TLS_SERVER, V13, 0,
	  "160301ffff", .raw = true },
	{ .what = "SSL 2", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST, TLS_SERVER, V13, 0,
	  "802e010002001500000010", .raw = true },
	/* before a ServerHello */
	{ .what = "change_cipher_spec to a client", 0, AT_FIRST, TLS_CLIENT, V13, CCS, "01" },
	{ .what = "another change_cipher_spec to a client", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST,
	  TLS_CLIENT, V13, CCS, "02" },
	{ .what = "change_cipher_spec to a client", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST,
	  TLS_CLIENT,
	  V12, CCS, "01" },
	{ .what = "a warning to a client", 0, AT_FIRST, TLS_CLIENT, V12, AL, "0170" },
	{ .what = "application data to a client", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST,
	  TLS_CLIENT,
	  V13, AD, "00" },
	{ .what = "Certificate to a client", TLS_ALERT_UNEXPECTED_MESSAGE, AT_FIRST, TLS_CLIENT,
	  V12, HS,
	  "0b000000" },
	/* before the client's Finished */
	{ .what = "early application data", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER,
	  V13, AD, "00" },
	{ .what = "early KeyUpdate", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE, TLS_SERVER, V13,
	  HS,
	  "1800000100" },
	{ .what = "EndOfEarlyData", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE, TLS_SERVER, V13,
	  HS,
	  "05000000" },
	{ .what = "a handshake record without content", TLS_ALERT_UNEXPECTED_MESSAGE,
	  AT_SERVER_DONE,
	  TLS_SERVER, V13, HS, "" },
	{ .what = "an alert record without content", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER, V13, AL, "" },
	{ .what = "an encrypted change_cipher_spec", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER, V13, CCS, "01" },
	{ .what = "32 change_cipher_specs", 0, AT_SERVER_DONE, TLS_SERVER, V13, 0, "140303000101",
	  31,
	  .raw = true },
	{ .what = "34 change_cipher_specs", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER,
	  V13, 0, "140303000101", 33, .raw = true },
	{ .what = "a long change_cipher_spec", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER,
	  V13, 0, "14030300020101", .raw = true },
	{ .what = "garbage", TLS_ALERT_BAD_RECORD_MAC, AT_SERVER_DONE, TLS_SERVER, V13, 0,
	  "1703030014" "0000000000000000000000000000000000000000", .raw = true },
	{ .what = "a plaintext handshake message", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER, V13, 0, "1603030024" "14000020" "00000000000000000000000000000000"
	  "00000000000000000000000000000000", .raw = true },
	{ .what = "a plaintext alert", 0, AT_SERVER_DONE, TLS_SERVER, V13, 0, "15030300020230",
	  .raw = true, .peer_alert = TLS_ALERT_UNKNOWN_CA + 1 },
	{ .what = "a plaintext close_notify", 0, AT_SERVER_DONE, TLS_SERVER, V13, 0,
	  "15030300020100", .raw = true, .peer_alert = TLS_ALERT_CLOSE_NOTIFY + 1 },
	{ .what = "a plaintext alert of three bytes", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER, V13, 0, "1503030003023000", .raw = true },
	{ .what = "a plaintext alert without content", TLS_ALERT_UNEXPECTED_MESSAGE,
	  AT_SERVER_DONE, TLS_SERVER, V13, 0, "1503030000", .raw = true },
	{ .what = "a plaintext alert in TLS 1.2 after change_cipher_spec",
	  TLS_ALERT_BAD_RECORD_MAC, AT_END, TLS_SERVER, V12, 0, "15030300020230", .raw = true },
	{ .what = "user_canceled and close_notify", 0, AT_SERVER_DONE, TLS_SERVER, V13, AL,
	  "015a" },
	{ .what = "a warning that is none", 0, AT_SERVER_DONE, TLS_SERVER, V13, AL, "0170",
	  .peer_alert = 112 + 1 },
	{ .what = "early change_cipher_spec", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER,
	  V12, 0, "140303000101", .raw = true },
	{ .what = "Finished without change_cipher_spec", TLS_ALERT_UNEXPECTED_MESSAGE,
	  AT_SERVER_DONE,
	  TLS_SERVER, V12, 0, "1603030010" "1400000c000000000000000000000000", .raw = true },
	{ .what = "plaintext application data", TLS_ALERT_UNEXPECTED_MESSAGE, AT_SERVER_DONE,
	  TLS_SERVER,
	  V12, 0, "170303000100", .raw = true },
	/* after the handshake */
	{ .what = "ClientHello to a server", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER, V13,
	  HS,
	  "01000000" },
	{ .what = "NewSessionTicket to a server", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER,
	  V13,
	  HS, "04000000" },
	{ .what = "CertificateRequest nobody allowed", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END,
	  TLS_CLIENT,
	  V13, HS, "0d000000" },
	{ .what = "HelloRequest", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_CLIENT, V13, HS,
	  "00000000" },
	{ .what = "NewSessionTicket", 0, AT_END, TLS_CLIENT, V13, HS,
	  "0400000e" "00000e10" "00000000" "00" "000161" "0000" },
	{ .what = "NewSessionTicket truncated", TLS_ALERT_DECODE_ERROR, AT_END, TLS_CLIENT, V13, HS,
	  "04000004" "00000e10" },
	{ .what = "NewSessionTicket without a ticket", TLS_ALERT_DECODE_ERROR, AT_END, TLS_CLIENT,
	  V13,
	  HS, "0400000d" "00000e10" "00000000" "00" "0000" "0000" },
	{ .what = "KeyUpdate of no kind", TLS_ALERT_ILLEGAL_PARAMETER, AT_END, TLS_SERVER, V13, HS,
	  "1800000102" },
	{ .what = "KeyUpdate too long", TLS_ALERT_DECODE_ERROR, AT_END, TLS_SERVER, V13, HS,
	  "180000020000" },
	{ .what = "KeyUpdate empty", TLS_ALERT_DECODE_ERROR, AT_END, TLS_SERVER, V13, HS,
	  "18000000" },
	{ .what = "KeyUpdate and more in its record", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END,
	  TLS_SERVER,
	  V13, HS, "180000010018" },
	{ .what = "change_cipher_spec", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER, V13, 0,
	  "140303000101", .raw = true },
	{ .what = "a plaintext alert", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER, V13, 0,
	  "15030300020230", .raw = true },
	{ .what = "32 empty records", 0, AT_END, TLS_SERVER, V13, AD, "", 32 },
	{ .what = "33 empty records", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER, V13, AD,
	  "", 33 },
	{ .what = "an unknown inner type", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER, V13,
	  99,
	  "00" },
	{ .what = "a fatal alert", 0, AT_END, TLS_SERVER, V13, AL, "0250", .peer_alert = 80 + 1 },
	{ .what = "garbage", TLS_ALERT_BAD_RECORD_MAC, AT_END, TLS_CLIENT, V13, 0,
	  "1703030014" "0000000000000000000000000000000000000000", .raw = true },
	{ .what = "32 HelloRequests", 0, AT_END, TLS_CLIENT, V12, HS, "00000000", 32 },
	{ .what = "33 HelloRequests", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_CLIENT, V12, HS,
	  "00000000", 33 },
	{ .what = "HelloRequest with a body", TLS_ALERT_DECODE_ERROR, AT_END, TLS_CLIENT, V12, HS,
	  "0000000100" },
	{ .what = "32 ClientHellos", 0, AT_END, TLS_SERVER, V12, HS, "01000000", 32 },
	{ .what = "33 ClientHellos", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER, V12, HS,
	  "01000000", 33 },
	{ .what = "an empty handshake record", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER,
	  V12, HS, "" },
	{ .what = "an empty alert", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER, V12, AL, "" },
	{ .what = "a fatal user_canceled", 0, AT_END, TLS_SERVER, V12, AL, "025a",
	  .peer_alert = TLS_ALERT_USER_CANCELED + 1 },
	{ .what = "Finished again", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END, TLS_SERVER, V12, HS,
	  "1400000c000000000000000000000000" },
	{ .what = "an encrypted change_cipher_spec", TLS_ALERT_UNEXPECTED_MESSAGE, AT_END,
	  TLS_SERVER,
	  V12, CCS, "01" },
	{ .what = "garbage", TLS_ALERT_BAD_RECORD_MAC, AT_END, TLS_CLIENT, V12, 0,
	  "170303001c" "00000000000000000000000000000000000000000000000000000000", .raw = true },
};

static void bring_to(struct pair *pair, const struct record *record)
{
	if (tls_conn_start(pair->client.conn))
		tap_bail("cannot start");
	if (record->moment == AT_FIRST)
		return;
	pair_move(pair, &pair->client, &pair->server);
	pair_answer_key(&pair->server);
	if (record->moment == AT_END)
		pair_pump(pair);
	else if (record->version == TLS_1_3)
		pair_move(pair, &pair->server, &pair->client);
	/* TLS 1.3: the client's Finished stays in its output, to come after what we let in. */
}

/* The sender's keys of before its Finished, which is in its output and not for us. */
static void rewind_keys(struct pair_end *from)
{
	struct tls_direction_keys keys;
	struct tls_conn *conn = from->conn;
	size_t len;

	(void)tls_conn_output(conn, &len);
	tls_conn_output_done(conn, len);
	if (tls_keysched_keys(&conn->keysched, conn->suite, from->secret, &keys) ||
	    tls_record_set_keys(&conn->tx, conn->suite, true, &keys))
		tap_bail("cannot rewind");
}

static void let_in(struct pair_end *from, struct pair_end *to, const struct record *record)
{
	struct tls_slice bytes = tap_hex(record->bytes);
	uint8_t byte;
	size_t len;

	for (int i = 0; i < (record->times ? record->times : 1); i++) {
		if (record->raw)
			tls_put_bytes(&from->conn->out, bytes.p, bytes.len);
		else if (tls_engine_seal(from->conn, record->type, bytes.p, bytes.len))
			tap_bail("cannot seal");
	}
	pair_feed(to, tls_conn_output(from->conn, &len), from->conn->out.len, 0);
	len = 1;
	if (record->moment == AT_END && !to->err)
		to->err = tls_conn_read(to->conn, &byte, &len);
	if (to->err == TLS_ERR_AGAIN)
		to->err = 0;
}

/* For rewind_keys(): the client's handshake traffic secret goes by here. */
static void keep_secret(void *arg, void *conn_arg, const struct tls_event *event)
{
	struct pair_end *end = conn_arg;

	(void)arg;
	if (event->kind == TLS_EVENT_SECRET_DERIVED &&
	    !strcmp(event->text, "client_handshake_traffic_secret"))
		memcpy(end->secret, event->data, event->len);
}

static void one_record(const struct record *record)
{
	const struct pair_options options = {
		.min = record->version, .max = record->version, .event = keep_secret,
	};
	struct pair_end *evil, *victim;
	struct pair pair;
	int want = 0;

	pair_init(&pair, &options);
	victim = record->victim == TLS_CLIENT ? &pair.client : &pair.server;
	evil = record->victim == TLS_CLIENT ? &pair.server : &pair.client;
	bring_to(&pair, record);
	if (record->moment == AT_SERVER_DONE && record->version == TLS_1_3)
		rewind_keys(evil);
	if (record->moment == AT_FIRST)
		tls_conn_output_done(evil->conn, SIZE_MAX);
	if (record->alert)
		want = TLS_ERR_ALERT + record->alert;
	if (record->peer_alert)
		want = TLS_ERR_PEER + record->peer_alert - 1;
	let_in(evil, victim, record);
	tap_equal(victim->err, want, "%s: %s %s: %s", tls_version_name(record->version),
		  record->what, record->moment == AT_FIRST ? "at first" :
		  record->moment == AT_END ? "at the end" : "before Finished",
		  tls_strerror(want));
	pair_free(&pair);
}

/* ---- the rest ---- */

/* A client that says why in the clear, with the server's keys changed already: no answer. */
static void plain_alert(bool protected_before)
{
	static const uint8_t alert[] = { 0x15, 3, 3, 0, 2, 2, TLS_ALERT_UNKNOWN_CA };
	const struct pair_options options = {
		.min = TLS_1_3, .event = keep_secret, .server_verify = TLS_VERIFY_REQUEST,
	};
	const int want = protected_before ? TLS_ERR_ALERT + TLS_ALERT_UNEXPECTED_MESSAGE :
					    TLS_ERR_PEER + TLS_ALERT_UNKNOWN_CA;
	struct pair pair;
	size_t left;

	pair_init(&pair, &options);
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	pair_move(&pair, &pair.client, &pair.server);
	pair_answer_key(&pair.server);
	pair_move(&pair, &pair.server, &pair.client);
	rewind_keys(&pair.client);
	/* half a Certificate message */
	if (protected_before &&
	    tls_engine_seal(pair.client.conn, TLS_RECORD_HANDSHAKE, (const uint8_t *)"\x0b", 1))
		tap_bail("cannot seal");
	tls_put_bytes(&pair.client.conn->out, alert, sizeof(alert));
	pair_move(&pair, &pair.client, &pair.server);
	tls_conn_output(pair.server.conn, &left);
	tap_ok(pair.server.err == want && !left == !protected_before,
	       "a plaintext alert %s a protected record is %s", protected_before ? "after" :
	       "before", protected_before ? "refused" : "taken, and not answered");
	pair_free(&pair);
}

/* Handshake messages in records of one byte each are fine; anything between is not. */
static void fragments(void)
{
	const struct pair_options options = { 0 };
	static const uint8_t ccs[] = { 0x14, 3, 3, 0, 1, 1 };
	struct pair pair;
	const uint8_t *p;
	size_t len;

	for (int interleave = 0; interleave < 2; interleave++) {
		pair_init(&pair, &options);
		if (tls_conn_start(pair.client.conn))
			tap_bail("cannot start");
		p = tls_conn_output(pair.client.conn, &len);
		for (size_t i = TLS_RECORD_HEADER; i < len && !pair.server.err; i++) {
			const uint8_t one[] = { 0x16, 3, 1, 0, 1, p[i] };

			pair_feed(&pair.server, one, sizeof(one), 0);
			if (interleave && i == 40)
				pair_feed(&pair.server, ccs, sizeof(ccs), 0);
		}
		tls_conn_output_done(pair.client.conn, len);
		pair_pump(&pair);
		if (interleave)
			tap_equal(pair.server.err, TLS_ERR_ALERT + TLS_ALERT_UNEXPECTED_MESSAGE,
				  "a record between the parts of a message");
		else
			tap_ok(pair_up(&pair), "a ClientHello in records of one byte");
		pair_free(&pair);
	}
}

/* More in the ClientHello's record than a ClientHello. */
static void talking_out_of_turn(uint16_t version)
{
	const struct pair_options options = { .max = version };
	uint8_t record[2048];
	struct pair pair;
	const uint8_t *p;
	size_t len;

	pair_init(&pair, &options);
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	p = tls_conn_output(pair.client.conn, &len);
	if (len + 1 > sizeof(record))
		tap_bail("a ClientHello of %zu bytes", len);
	memcpy(record, p, len);
	record[len] = TLS_MSG_CLIENT_KEY_EXCHANGE;
	record[3] = (uint8_t)((len + 1 - TLS_RECORD_HEADER) >> 8);
	record[4] = (uint8_t)(len + 1 - TLS_RECORD_HEADER);
	pair_feed(&pair.server, record, len + 1, 0);
	pair_answer_key(&pair.server);
	tap_equal(pair.server.err, TLS_ERR_ALERT + TLS_ALERT_UNEXPECTED_MESSAGE,
		  "%s: a byte too many after a ClientHello", tls_version_name(version));
	pair_free(&pair);
}

/* 0-RTT data that the server cannot open: thrown away, but not without end. */
static void early_data(size_t count, bool fine)
{
	const struct pair_options options = { 0 };
	uint8_t record[TLS_RECORD_HEADER + 1024] = { 23, 3, 3, 4, 0 };
	struct pair pair;

	pair_init(&pair, &options);
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	/* As if the ClientHello had had early_data: our own clients never send it. */
	pair_move(&pair, &pair.client, &pair.server);
	pair.server.conn->hs->early_data = true;
	pair_answer_key(&pair.server);
	for (size_t i = 0; i < count; i++)
		pair_feed(&pair.server, record, sizeof(record), 0);
	pair_pump(&pair);
	if (fine)
		tap_ok(pair_up(&pair) && pair_same_keys(&pair), "early data is skipped");
	else
		tap_equal(pair.server.err, TLS_ERR_ALERT + TLS_ALERT_UNEXPECTED_MESSAGE,
			  "early data without end is refused");
	pair_free(&pair);
}

/* Past AES-GCM's limit TLS 1.3 takes new keys and TLS 1.2 goes on: neither ends for that. */
static void worn_out(uint16_t version)
{
	struct pair_options options = { .min = version, .max = version };
	struct pair pair;
	bool ok;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	pair.client.conn->tx.blocks = TLS_RECORD_BLOCKS_MAX;
	ok = pair_transfer(&pair, &pair.client, &pair.server, 40000);
	tap_ok(ok && tls_conn_past_limit(pair.client.conn) == (version == TLS_1_2) &&
	       (pair.client.conn->tx.blocks < TLS_RECORD_BLOCKS_MAX) == (version == TLS_1_3),
	       "%s at the limit of a key", version == TLS_1_2 ? "TLS 1.2" : "TLS 1.3");
	pair_free(&pair);
}

/* A download whose reader asks for new keys now and then, and sends nothing else. */
static void key_updates_in_a_download(void)
{
	struct pair_options options = { .min = TLS_1_3, .max = TLS_1_3 };
	struct pair pair;
	uint8_t byte;
	bool ok = true;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	for (int i = 0; i < 100 && ok; i++) {
		size_t len = 1;

		ok = pair_transfer(&pair, &pair.server, &pair.client, 300) &&
		     !tls_conn_rekey(pair.client.conn, true);
		pair_move(&pair, &pair.client, &pair.server);
		ok = ok && tls_conn_read(pair.server.conn, &byte, &len) == TLS_ERR_AGAIN;
	}
	tap_ok(ok, "100 KeyUpdates in a download");
	pair_free(&pair);
}

/* Nor are warnings counted for life. */
static void warnings_among_data(void)
{
	static const uint8_t warning[] = { TLS_LEVEL_WARNING, TLS_ALERT_USER_CANCELED };
	struct pair_options options = { .min = TLS_1_3, .max = TLS_1_3 };
	struct pair pair;
	bool ok = true;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	for (int i = 0; i < 20 && ok; i++)
		ok = !tls_engine_seal(pair.client.conn, TLS_RECORD_ALERT, warning,
				      sizeof(warning)) &&
		     pair_transfer(&pair, &pair.client, &pair.server, 300);
	tap_ok(ok, "20 warnings among data");
	pair_free(&pair);
}

/* Nor by whoever is idle: what came long ago is in no row with what comes now. */
static void now_and_then(void)
{
	const struct pair_options options = { .min = TLS_1_3 };
	struct pair pair;
	uint8_t byte;
	bool ok = true;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	for (int i = 0; i < 100 && ok; i++) {
		size_t len = 1;

		pair.server.now += 11;
		ok = !tls_conn_rekey(pair.client.conn, false);
		pair_move(&pair, &pair.client, &pair.server);
		ok = ok && tls_conn_read(pair.server.conn, &byte, &len) == TLS_ERR_AGAIN;
	}
	tap_ok(ok, "100 KeyUpdates, one now and then");
	pair_free(&pair);
}

/* RFC 9846 section 4.7.3: requests that come before the answer has left have one. */
static void update_requests(size_t count)
{
	static const uint8_t request[] = { 0x18, 0, 0, 1, 1 };
	const size_t answer_len = 5 + sizeof(request) + 1 + 16;
	const struct pair_options options = { .min = TLS_1_3 };
	struct pair pair;
	uint8_t byte;
	size_t len = 1, out;
	int err = 0;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	for (size_t i = 0; i < count && !err; i++)
		err = tls_conn_rekey(pair.client.conn, true);
	pair_move(&pair, &pair.client, &pair.server);
	err = err ? err : tls_conn_read(pair.server.conn, &byte, &len);
	(void)tls_conn_output(pair.server.conn, &out);
	tap_ok(err == TLS_ERR_AGAIN && out == answer_len, "%zu requests, one answer", count);
	pair_move(&pair, &pair.server, &pair.client);
	err = tls_conn_rekey(pair.client.conn, true);
	pair_move(&pair, &pair.client, &pair.server);
	len = 1;
	err = err ? err : tls_conn_read(pair.server.conn, &byte, &len);
	(void)tls_conn_output(pair.server.conn, &out);
	tap_ok(err == TLS_ERR_AGAIN && out == answer_len, "the next has another");
	pair_free(&pair);
}

static void key_update_flood(void)
{
	const struct pair_options options = { 0 };
	struct pair pair;
	uint8_t byte;
	size_t len = 1;
	int err = 0;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	for (int i = 0; i < 33 && !err; i++)
		err = tls_conn_rekey(pair.client.conn, false);
	pair_move(&pair, &pair.client, &pair.server);
	tap_ok(!err && tls_conn_read(pair.server.conn, &byte, &len) ==
	       TLS_ERR_ALERT + TLS_ALERT_UNEXPECTED_MESSAGE, "33 KeyUpdates and no data");
	pair_free(&pair);
}

/* After an error every call gives it again, and the alert stays to be sent. */
static void after_the_end(void)
{
	static const uint8_t garbage[] = { 23, 3, 3, 0, 1, 0 };
	const int want = TLS_ERR_ALERT + TLS_ALERT_UNEXPECTED_MESSAGE;
	const struct pair_options options = { 0 };
	struct pair pair;
	uint8_t byte = 0;
	size_t len = 1, out;

	pair_init(&pair, &options);
	pair_feed(&pair.server, garbage, sizeof(garbage), 0);
	(void)tls_conn_output(pair.server.conn, &out);
	tap_ok(pair.server.err == want && tls_conn_input(pair.server.conn, &byte, 1) == want &&
	       tls_conn_read(pair.server.conn, &byte, &len) == want &&
	       tls_conn_write(pair.server.conn, &byte, 1) == want &&
	       tls_conn_close(pair.server.conn) == want && out == 7 &&
	       tls_conn_wants(pair.server.conn) == TLS_WANTS_OUTPUT, "errors stay");
	pair_free(&pair);
}

/* What is given up ends with an alert, and with none where close_notify was the last word. */
static void given_up(uint16_t version, bool closed)
{
	const int ours = TLS_ERR_ALERT + TLS_ALERT_INTERNAL_ERROR;
	const int theirs = closed ? TLS_ERR_CLOSED : TLS_ERR_PEER + TLS_ALERT_INTERNAL_ERROR;
	const struct pair_options options = { .max = version };
	struct pair pair;
	uint8_t byte = 0;
	size_t len = 1;
	bool ok;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	ok = !closed || !tls_conn_close(pair.server.conn);
	ok &= tls_conn_abort(pair.server.conn, TLS_ALERT_INTERNAL_ERROR) == ours &&
	      tls_conn_write(pair.server.conn, &byte, 1) == ours &&
	      tls_conn_abort(pair.server.conn, TLS_ALERT_INTERNAL_ERROR) == ours;
	pair_move(&pair, &pair.server, &pair.client);
	tap_ok(ok && tls_conn_read(pair.client.conn, &byte, &len) == theirs,
	       "given up%s, TLS 1.%d", closed ? " after close_notify" : "", version - TLS_1_2 + 2);
	pair_free(&pair);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
		edit = &edits[i];
		one_edit();
	}
	for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++)
		one_record(&records[i]);
	plain_alert(false);
	plain_alert(true);
	fragments();
	talking_out_of_turn(TLS_1_2);
	talking_out_of_turn(TLS_1_3);
	early_data(16, true);
	early_data(17, false);
	key_update_flood();
	now_and_then();
	update_requests(1);
	update_requests(2);
	key_updates_in_a_download();
	warnings_among_data();
	worn_out(TLS_1_2);
	worn_out(TLS_1_3);
	after_the_end();
	given_up(TLS_1_2, false);
	given_up(TLS_1_3, false);
	given_up(TLS_1_3, true);
	pair_free_pki();
	return tap_done();
}
