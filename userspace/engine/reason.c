// SPDX-License-Identifier: MIT
/* The sentences for what goes wrong, the daemon's and the control tool's. */
#include "reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "conn.h"
#include "handshake.h"

#define OFFERS_SHOWN	6

/* Of a client, told by us as its server; of a server, told by us as its client. */
static const struct {
	const char *client, *server;
} sentences[TLS_REASONS] = {
	[TLS_REASON_HTTP] = { "an HTTP request: this port speaks TLS",
			      "the server sends an HTTP request: that is no TLS server" },
	[TLS_REASON_HTTP_ANSWER] = { "an HTTP answer: this port speaks TLS",
				     "the server answers in HTTP: its port does not speak TLS" },
	[TLS_REASON_PROXY] = { "a PROXY header, a second one or of who is not in accept-proxy",
			       "the server sends a PROXY header: that is no TLS server" },
	[TLS_REASON_POSTGRES] = { "a PostgreSQL SSLRequest: the client has to begin with TLS "
				  "(sslnegotiation=direct)",
				  "the server sends what a PostgreSQL client does" },
	[TLS_REASON_MYSQL] = { "a MySQL packet: the client has to begin with TLS",
			       "a MySQL server's greeting: it wants its own protocol before TLS" },
	[TLS_REASON_SSL2] = { "an SSL 2.0 hello: the client is too old",
			      "an SSL 2.0 hello: the server is too old" },
	[TLS_REASON_SSH] = { "SSH: this port speaks TLS", "the server speaks SSH on this port" },
	[TLS_REASON_RDP] = { "RDP: the client has to begin with TLS",
			     "the server speaks RDP, which wants its own protocol before TLS" },
	[TLS_REASON_GREETING] = { "a text protocol's greeting: this port speaks TLS",
				  "a mail or FTP server's greeting: it wants STARTTLS before TLS" },
	[TLS_REASON_ZEROS] = { "zeros: no TLS", "zeros: no TLS" },
	[TLS_REASON_NOT_TLS] = { "what came is not TLS: this port speaks TLS",
				 "what came is not TLS: the port may speak plain text" },
	[TLS_REASON_VERSION] = { "the client has no version in common with us",
				 "the server chose a version that was not offered: see min-version "
				 "and max-version; TLS 1.0 and 1.1 are never spoken" },
	[TLS_REASON_FALLBACK] = { "the client fell back to TLS 1.2 after a failure, though both "
				  "sides have TLS 1.3", NULL },
	[TLS_REASON_SUITE] = { "the client has no cipher suite in common with us", NULL },
	[TLS_REASON_GROUP] = { "the client has no key exchange group in common with us", NULL },
	[TLS_REASON_PQ] = { "the client has no ML-KEM group in common with us, and pq = require", NULL },
	[TLS_REASON_CERTIFICATE] = { "the client takes the key of none of our certificates", NULL },
	[TLS_REASON_CERTIFICATE_OF_NAME] = { "the client takes the key of no certificate that we "
					     "have for the name it asks for", NULL },
	[TLS_REASON_NAME] = { "the client asks for a name that no certificate of ours has", NULL },
	[TLS_REASON_ALPN] = { "the client has no application protocol in common with us", NULL },
	[TLS_REASON_RENEGOTIATION_INFO] = { NULL, "the server does not know secure renegotiation "
					    "(RFC 5746): update it, or see legacy-server" },
	[TLS_REASON_DOWNGRADE] = { NULL, "the server chose a version lower than it could: somebody "
				   "on the path may have changed the ClientHello" },
	[TLS_REASON_CLIENT_CERTIFICATE] = { "the client shows no certificate", NULL },
	[TLS_REASON_MESSAGE_LEN] = { "the client's message is too long: see max-message",
				     "the server's message is too long: see max-message" },
	[TLS_REASON_CHAIN_LEN] = { "the client's chain has more than 16 certificates",
				   "the server's chain has more than 16 certificates" },
	[TLS_REASON_FINISHED] = { "the Finished check failed: the handshake was tampered with",
				  "the Finished check failed: the handshake was tampered with" },
};

/* Where nothing was noted: what the error most likely comes from. */
static const struct {
	enum tls_role us;
	int err;
	const char *text;
} causes[] = {
#define CLIENT_GOT(alert)	TLS_CLIENT, TLS_ERR_PEER + TLS_ALERT_##alert
#define CLIENT_SENT(alert)	TLS_CLIENT, TLS_ERR_ALERT + TLS_ALERT_##alert
#define SERVER_GOT(alert)	TLS_SERVER, TLS_ERR_PEER + TLS_ALERT_##alert
	{ CLIENT_GOT(HANDSHAKE_FAILURE), "no cipher suite, group or signature scheme in common, or "
	  "the server wants a client certificate" },
	{ CLIENT_GOT(INSUFFICIENT_SECURITY), "the server finds the suites or groups offered too weak" },
	{ CLIENT_GOT(PROTOCOL_VERSION),
	  "the server speaks none of the versions offered: see min-version and max-version" },
	{ CLIENT_GOT(UNRECOGNIZED_NAME), "the server serves no such name: see server-name" },
	{ CLIENT_GOT(NO_APPLICATION_PROTOCOL),
	  "the server speaks none of the protocols offered: see alpn" },
	{ CLIENT_GOT(CERTIFICATE_REQUIRED), "the server wants a client certificate" },
	{ CLIENT_GOT(DECODE_ERROR),
	  "the server, or a box in between, does not take this ClientHello" },
	{ CLIENT_GOT(INTERNAL_ERROR), "the server has a problem of its own: see its log" },
	{ CLIENT_SENT(UNKNOWN_CA), "its chain does not end in a CA that is trusted: give --ca, or "
	  "have the server send its intermediates" },
	{ CLIENT_SENT(CERTIFICATE_EXPIRED),
	  "the certificate is not valid today: renew it, or set this machine's clock" },
	{ CLIENT_SENT(BAD_CERTIFICATE),
	  "the certificate is not one for this name or purpose: see server-name" },
	{ CLIENT_SENT(CERTIFICATE_UNKNOWN),
	  "the certificate is not one for this name or purpose: see server-name" },
	{ CLIENT_SENT(UNSUPPORTED_CERTIFICATE),
	  "the certificate's key or purpose is not one for a TLS server" },
	{ CLIENT_SENT(BAD_CERTIFICATE_STATUS), "the stapled OCSP response is old, forged or for "
	  "another certificate: have the server get a new one" },
	{ CLIENT_SENT(CERTIFICATE_REVOKED),
	  "the CA has revoked the certificate: it must be replaced, not only renewed" },
	{ CLIENT_SENT(ILLEGAL_PARAMETER), "the server chose what was not offered" },
	{ CLIENT_SENT(DECRYPT_ERROR), "the server's signature does not fit its certificate" },
	{ CLIENT_SENT(BAD_RECORD_MAC),
	  "a record did not authenticate: keys differ, or it was tampered with" },
	{ TLS_CLIENT, TLS_ERR_TRUNCATED, "the server closed in the midst of the handshake: see its log" },
	{ SERVER_GOT(UNKNOWN_CA), "the client does not trust the CA of our certificate" },
	{ SERVER_GOT(BAD_CERTIFICATE), "the client does not take our certificate" },
	{ SERVER_GOT(CERTIFICATE_UNKNOWN), "the client does not take our certificate" },
	{ SERVER_GOT(UNSUPPORTED_CERTIFICATE), "the client does not take our certificate" },
	{ SERVER_GOT(CERTIFICATE_EXPIRED),
	  "the client finds our certificate expired, or its clock is wrong" },
	{ TLS_SERVER, TLS_ERR_TRUNCATED, "the client closed in the midst of the handshake" },
};

/* ---- noting ---------------------------------------------------------------------- */

int tls_refuse(struct tls_conn *conn, enum tls_reason reason, int err)
{
	if (conn->hs && !conn->hs->reason)
		conn->hs->reason = reason;
	return err;
}

void tls_refuse_detail(struct tls_conn *conn, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(conn->hs->reason_detail, sizeof(conn->hs->reason_detail), format, args);
	va_end(args);
}

/* Appends to the detail what there is room for. */
static void add(struct tls_conn *conn, const char *text)
{
	char *detail = conn->hs->reason_detail;
	size_t len = strlen(detail);

	snprintf(detail + len, sizeof(conn->hs->reason_detail) - len, "%s", text);
}

void tls_refuse_offer(struct tls_conn *conn, struct tls_slice numbers,
		      const char *(*name)(uint16_t number))
{
	char hex[8];

	tls_refuse_detail(conn, "it offers");
	for (size_t i = 0; i + 1 < numbers.len && i < 2 * OFFERS_SHOWN; i += 2) {
		uint16_t number = (uint16_t)(numbers.p[i] << 8 | numbers.p[i + 1]);
		const char *known = name(number);

		snprintf(hex, sizeof(hex), "0x%04x", number);
		add(conn, i ? ", " : " ");
		add(conn, known ? known : hex);
	}
	if (!numbers.len)
		add(conn, " none");
	if (numbers.len > 2 * OFFERS_SHOWN)
		add(conn, "...");
}

/* Letters, digits and what names of protocols have; all else becomes a question mark. */
void tls_refuse_protocols(struct tls_conn *conn, struct tls_slice names)
{
	static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789./-_";
	struct tls_reader list, item;
	bool first = true;

	tls_reader_init(&list, names.p, names.len);
	tls_refuse_detail(conn, "it offers");
	for (; tls_read_more(&list); first = false) {
		add(conn, first ? " " : ", ");
		tls_read_vec8(&list, &item);
		while (tls_read_more(&item)) {
			char c[2] = { (char)tls_read_u8(&item), 0 };

			add(conn, c[0] && strchr(harmless, c[0]) ? c : "?");
		}
	}
}

/* The first row that fits; mask NULL: all bits count. */
static const struct {
	enum tls_reason reason;
	const char *begin;
	uint8_t len;
	const char *mask;
} beginnings[] = {
	{ TLS_REASON_HTTP, "GET ", 4, NULL },
	{ TLS_REASON_HTTP, "HEAD ", 5, NULL },
	{ TLS_REASON_HTTP, "POST ", 5, NULL },
	{ TLS_REASON_HTTP, "PUT ", 4, NULL },
	{ TLS_REASON_HTTP, "DELET", 5, NULL },
	{ TLS_REASON_HTTP, "OPTIO", 5, NULL },
	{ TLS_REASON_HTTP, "CONNE", 5, NULL },
	{ TLS_REASON_HTTP, "PATCH", 5, NULL },
	{ TLS_REASON_HTTP, "PRI *", 5, NULL },
	{ TLS_REASON_HTTP_ANSWER, "HTTP/", 5, NULL },
	{ TLS_REASON_PROXY, "PROXY", 5, NULL },
	{ TLS_REASON_PROXY, "\r\n\r\n\0", 5, NULL },
	{ TLS_REASON_POSTGRES, "\0\0\0\x08\x04", 5, NULL },
	{ TLS_REASON_SSH, "SSH-", 4, NULL },
	{ TLS_REASON_RDP, "\x03\0\0", 3, NULL },
	{ TLS_REASON_GREETING, "220 ", 4, NULL },
	{ TLS_REASON_GREETING, "220-", 4, NULL },
	{ TLS_REASON_GREETING, "* OK", 4, NULL },
	{ TLS_REASON_GREETING, "+OK", 3, NULL },
	{ TLS_REASON_GREETING, "EHLO ", 5, NULL },
	{ TLS_REASON_ZEROS, "\0\0\0\0\0", 5, NULL },
	{ TLS_REASON_MYSQL, "\0\0\0\0\x0a", 5, "\0\0\xff\xff\xff" },
	{ TLS_REASON_SSL2, "\x80\0\x01", 3, "\x80\0\xff" },
};

static bool begins(struct tls_slice begin, const char *want, const char *mask, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t bits = mask ? (uint8_t)mask[i] : 0xff;

		if (i >= begin.len || (begin.p[i] & bits) != (uint8_t)want[i])
			return false;
	}
	return true;
}

int tls_refuse_bytes(struct tls_conn *conn, struct tls_slice begin, int err)
{
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++) {
		if (begins(begin, beginnings[i].begin, beginnings[i].mask, beginnings[i].len))
			return tls_refuse(conn, beginnings[i].reason, err);
	}
	return tls_refuse(conn, TLS_REASON_NOT_TLS, err);
}

/* ---- telling --------------------------------------------------------------------- */

static const char *cause_of(const struct tls_conn *conn, int err)
{
	if (err == TLS_ERR_TRUNCATED && conn->state == TLS_CLIENT_WAIT_SERVER_HELLO)
		return "the server closed without a word: it may not speak TLS on this port, or "
		       "refuse this client";
	if (err == TLS_ERR_TRUNCATED && conn->state == TLS_SERVER_WAIT_CLIENT_HELLO)
		return conn->in.len ? "the client closed within its ClientHello" :
				      "the client closed without a word";
	if (err == TLS_ERR_PEER + TLS_ALERT_HANDSHAKE_FAILURE && conn->role == TLS_CLIENT &&
	    conn->config->pq == TLS_PQ_REQUIRE)
		return "the server may have no ML-KEM group, which pq = require wants, or it wants a "
		       "client certificate";
	for (size_t i = 0; i < sizeof(causes) / sizeof(*causes); i++) {
		if (causes[i].us == conn->role && causes[i].err == err)
			return causes[i].text;
	}
	return NULL;
}

bool tls_conn_reason(const struct tls_conn *conn, int err, char text[TLS_REASON_TEXT])
{
	const struct tls_handshake *hs = conn->hs;
	const char *sentence = NULL;

	if (!hs)
		return false;
	/* A reason that was noted is that of the error that ended the handshake. */
	if (hs->reason && err == conn->error)
		sentence = conn->role == TLS_SERVER ? sentences[hs->reason].client :
						      sentences[hs->reason].server;
	if (sentence && hs->reason_detail[0])
		snprintf(text, TLS_REASON_TEXT, "%s (%s)", sentence, hs->reason_detail);
	else if (sentence || (sentence = cause_of(conn, err)))
		snprintf(text, TLS_REASON_TEXT, "%s", sentence);
	return sentence;
}
