/* SPDX-License-Identifier: MIT */
/*
 * tlsgate handshake engine: TLS 1.2 (RFC 5246, 5288, 7627, 7905, 8422) and
 * TLS 1.3 (RFC 9846), client and server.
 *
 * Sans-I/O: bytes go in, bytes come out.  The engine opens no file or socket,
 * reads no clock (the configuration gives it one), keeps no global state, and
 * never blocks: where it needs the private key, which may live in another
 * process, it stops and says so.  A connection belongs to one thread at a
 * time; a configuration may be shared by any number of threads once built.
 *
 * A connection's life:
 *
 *	conn = tls_conn_new(config, role);
 *	tls_conn_start(conn);                   the client's first flight
 *	for (;;) {
 *		wants = tls_conn_wants(conn);
 *		OUTPUT: send tls_conn_output(), then tls_conn_output_done()
 *		PRIVATE_KEY: answer tls_conn_key_request() by tls_conn_key_reply()
 *		INPUT: tls_conn_input() what the socket gave
 *		none of them and tls_conn_established(): handshake over
 *	}
 *	either  tls_conn_export_keys() + tls_conn_pending(): to the kernel
 *	or      tls_conn_read() / tls_conn_write(): user data path
 *
 * Whatever a call returns, pending output is sent first: an alert may be in it.
 */
#ifndef TLSGATE_ENGINE_H
#define TLSGATE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_1_2			0x0303
#define TLS_1_3			0x0304

#define TLS_MAX_PLAINTEXT	16384	/* RFC 9846 section 5.1 */
#define TLS_MAX_KEY		32
#define TLS_MAX_IV		12
#define TLS_MAX_SECRET		48
#define TLS_MAX_INPUT		32768	/* most unprocessed bytes a connection holds */
#define TLS_MAX_SERVER_NAME	255
#define TLS_MAX_ALPN		255

enum tls_role {
	TLS_CLIENT,
	TLS_SERVER,
};

/*
 * Results.  0 is success.  Otherwise one int in three classes, so that any
 * parser may simply return the alert its RFC names:
 *	TLS_ERR_ALERT + n	we failed and alert n is in the output
 *	TLS_ERR_PEER  + n	the peer sent alert n
 *	TLS_ERR_LOCAL + n	neither: enum tls_local_error
 * A connection that returned one of these is dead: send its output, free it.
 */
#define TLS_ERR_ALERT		0x100
#define TLS_ERR_PEER		0x200
#define TLS_ERR_LOCAL		0x300
#define TLS_ERR_CLASS(err)	((err) & 0x700)
#define TLS_ERR_CODE(err)	((err) & 0xff)
#define TLS_ALERT(name)		(TLS_ERR_ALERT + TLS_ALERT_##name)

enum tls_local_error {
	TLS_ERR_NO_MEMORY = TLS_ERR_LOCAL + 1,
	TLS_ERR_LIBRARY,		/* libcrypto or libsodium refused what it should not */
	TLS_ERR_ARGUMENT,		/* the caller's: bad name, bad list, bad PEM... */
	TLS_ERR_STATE,			/* the caller's: call not allowed now */
	TLS_ERR_SPACE,			/* caller's buffer or our input limit too small */
	TLS_ERR_TRUNCATED,		/* tls_conn_input_eof() without close_notify */
	TLS_ERR_AGAIN,			/* tls_conn_read(): no whole record yet */
	TLS_ERR_CLOSED,			/* tls_conn_read(): the peer's close_notify */
	TLS_ERR_EXHAUSTED,		/* the record sequence number would have wrapped */
	TLS_ERR_KEY_REFUSED,		/* tls_conn_key_reply() was told of a failure */
};

#define TLS_ALERT_CLOSE_NOTIFY			0
#define TLS_ALERT_UNEXPECTED_MESSAGE		10
#define TLS_ALERT_BAD_RECORD_MAC		20
#define TLS_ALERT_RECORD_OVERFLOW		22
#define TLS_ALERT_HANDSHAKE_FAILURE		40
#define TLS_ALERT_BAD_CERTIFICATE		42
#define TLS_ALERT_UNSUPPORTED_CERTIFICATE	43
#define TLS_ALERT_CERTIFICATE_REVOKED		44
#define TLS_ALERT_CERTIFICATE_EXPIRED		45
#define TLS_ALERT_CERTIFICATE_UNKNOWN		46
#define TLS_ALERT_ILLEGAL_PARAMETER		47
#define TLS_ALERT_UNKNOWN_CA			48
#define TLS_ALERT_ACCESS_DENIED			49
#define TLS_ALERT_DECODE_ERROR			50
#define TLS_ALERT_DECRYPT_ERROR			51
#define TLS_ALERT_PROTOCOL_VERSION		70
#define TLS_ALERT_INSUFFICIENT_SECURITY		71
#define TLS_ALERT_INTERNAL_ERROR		80
#define TLS_ALERT_INAPPROPRIATE_FALLBACK	86
#define TLS_ALERT_USER_CANCELED			90
#define TLS_ALERT_NO_RENEGOTIATION		100
#define TLS_ALERT_MISSING_EXTENSION		109
#define TLS_ALERT_UNSUPPORTED_EXTENSION		110
#define TLS_ALERT_UNRECOGNIZED_NAME		112
#define TLS_ALERT_BAD_CERTIFICATE_STATUS	113
#define TLS_ALERT_UNKNOWN_PSK_IDENTITY		115
#define TLS_ALERT_CERTIFICATE_REQUIRED		116
#define TLS_ALERT_NO_APPLICATION_PROTOCOL	120

/* "alert bad_record_mac sent", "alert unknown_ca received", "out of memory"... static */
const char *tls_strerror(int err);
/* "bad_record_mac"; "alert(n)" names are static, unknown numbers give "unknown" */
const char *tls_alert_name(uint8_t alert);
/* IANA names, also of what the engine does not have (suites: only of its own); NULL: not known */
const char *tls_suite_name(uint16_t suite);
const char *tls_group_name(uint16_t group);
const char *tls_scheme_name(uint16_t scheme);
const char *tls_message_name(uint8_t handshake_type);
const char *tls_extension_name(uint16_t extension);
const char *tls_version_name(uint16_t version);		/* "TLS 1.3" */

/* One row per suite the engine has, best first; ends with suite 0. */
struct tls_suite_info {
	uint16_t suite;
	uint16_t version;		/* TLS_1_2 or TLS_1_3 */
	const char *name;		/* IANA */
	bool by_default;		/* false: only when named (RSA key exchange, CCM) */
};
const struct tls_suite_info *tls_suites(void);

/* ---- certificates and private keys ------------------------------------ */

struct tls_certificate;			/* chain, leaf first; reference counted */
struct tls_private_key;

/*
 * Parses a PEM chain, leaf first.  On error *why (if not NULL) is a static
 * sentence.  Only the types the engine can use are taken: RSA >= 2048, ECDSA
 * P-256, P-384 or P-521, Ed25519, Ed448, and ML-DSA where libcrypto has it.
 */
int tls_certificate_new(struct tls_certificate **out, const void *pem, size_t len, const char **why);
void tls_certificate_free(struct tls_certificate *cert);	/* drops a reference */
/*
 * When element index of the chain (0: the leaf) is valid, in seconds since the epoch.
 * TLS_ERR_ARGUMENT: the chain has no such element.
 */
int tls_certificate_validity(const struct tls_certificate *cert, size_t index, int64_t *from,
			     int64_t *until);
/* An opaque number of the caller's, handed back in struct tls_key_request. */
void tls_certificate_set_key_id(struct tls_certificate *cert, uint32_t key_id);

#define TLS_MAX_OCSP	16384	/* bytes */

/*
 * A server's: the OCSP response (DER) to staple for clients that ask; copied.
 * len 0: none.  May be replaced at any time by the only thread that uses cert.
 */
int tls_certificate_set_ocsp(struct tls_certificate *cert, const void *response, size_t len);
/*
 * Likewise: the SignedCertificateTimestampList (RFC 6962 section 3.3, its length
 * included) for clients that ask.  TLS_ERR_ARGUMENT: it is none.
 */
int tls_certificate_set_scts(struct tls_certificate *cert, const void *list, size_t len);
/*
 * Whether something is worth stapling: an OCSP response (DER) that says that cert's leaf is
 * good, and until when, which becomes *until (seconds since the epoch).  Clients check its
 * signature.
 * TLS_ERR_ARGUMENT: it is not; *why is a static sentence, and *until -1 where it is about another
 * certificate.
 */
int tls_certificate_check_ocsp(const struct tls_certificate *cert, const void *response,
			       size_t len, int64_t *until, const char **why);

/* Parses an unencrypted PEM private key (PKCS#8, or the older forms).  It belongs to one
 * thread at a time. */
int tls_private_key_new(struct tls_private_key **out, const void *pem, size_t len, const char **why);
void tls_private_key_free(struct tls_private_key *key);
#define TLS_NOT_FOUND	SIZE_MAX
/*
 * Which certificate of the chain the key belongs to: 0 is the leaf, where it should be;
 * TLS_NOT_FOUND: none.
 */
size_t tls_private_key_find(const struct tls_private_key *key, const struct tls_certificate *cert);
/* Whether it signs in tens of microseconds (P-256, Ed25519), not in hundreds (P-384, RSA). */
bool tls_private_key_is_quick(const struct tls_private_key *key);

/*
 * A new key, P-256 or RSA of 2048 bits (which takes a tenth of a second), and a certificate that
 * it signed itself: for handshakes in memory, with who does not verify.  TLS_ERR_LIBRARY.
 */
int tls_self_signed_new(bool rsa, struct tls_certificate **cert, struct tls_private_key **key);

enum tls_key_op {
	TLS_KEY_SIGN,			/* data: what to sign, not hashed */
	TLS_KEY_DECRYPT,		/* data: RSA-encrypted premaster secret */
	/* data: what to sign, hashed by the scheme's hash (TLS 1.2 CertificateVerify, which
	 * covers every message so far; for Ed25519 they come whole, by TLS_KEY_SIGN) */
	TLS_KEY_SIGN_DIGEST,
};

#define TLS_MAX_KEY_REQUEST	16384	/* bytes of data, any op */
#define TLS_MAX_KEY_REPLY	4627	/* an ML-DSA-87 signature */

struct tls_key_request {
	enum tls_key_op op;
	uint32_t key_id;		/* of the certificate chosen */
	uint16_t scheme;		/* SIGN, SIGN_DIGEST: TLS SignatureScheme */
	const uint8_t *data;		/* valid until the reply */
	size_t len;
};

/* What the connections of a configuration ask of its private keys: bits. */
#define TLS_KEY_FOR_SERVER13	1u	/* CertificateVerify of TLS 1.3 */
#define TLS_KEY_FOR_CLIENT13	2u
#define TLS_KEY_FOR_SERVER12	4u	/* ServerKeyExchange */
#define TLS_KEY_FOR_CLIENT12	8u	/* CertificateVerify: a digest; for Ed25519, the messages */
#define TLS_KEY_FOR_PREMASTER	16u	/* RSA-encrypted ones: only where a suite is configured */

/*
 * Does a request have the form that TLS gives it for one of these uses?  For a
 * process that holds keys and trusts nobody who asks: all else, signed or
 * decrypted, could serve another protocol or another gate.
 */
bool tls_key_request_fits(const struct tls_key_request *request, unsigned int uses);

/*
 * Does what a request asks, with constant time in RSA decryption: a ciphertext
 * with wrong padding gives 48 bytes derived from key and ciphertext (implicit
 * rejection), never an error.
 * TLS_ERR_ARGUMENT: the key cannot do this scheme; TLS_ERR_SPACE: *out_len too
 * small (TLS_MAX_KEY_REPLY always fits).
 */
int tls_private_key_perform(const struct tls_private_key *key, const struct tls_key_request *req,
			    uint8_t *out, size_t *out_len);

/* ---- configuration ----------------------------------------------------- */

struct tls_config;

/* TLS_KEY_FOR_*, by role, versions and suites. */
unsigned int tls_config_key_uses(const struct tls_config *config);

enum tls_verify {
	TLS_VERIFY_NONE,		/* client: take any certificate; server: ask for none */
	TLS_VERIFY_REQUEST,		/* server: ask, verify what comes, accept none */
	TLS_VERIFY_REQUIRE,		/* client: verify (the default); server: refuse without */
	TLS_VERIFY_REPORT,		/* client: verify, and go on whatever comes of it */
};

enum tls_event_kind {
	TLS_EVENT_MESSAGE_SENT,		/* type, data: handshake message with its header */
	TLS_EVENT_MESSAGE_RECEIVED,
	TLS_EVENT_SECRET_DERIVED,	/* text: "client_handshake_traffic_secret"..., data: value */
	TLS_EVENT_CERTIFICATE,		/* one per chain element: data: DER, text: verdict */
	TLS_EVENT_SIGNATURE_CHECKED,	/* text: scheme name */
	TLS_EVENT_FINISHED_CHECKED,
	TLS_EVENT_ALERT_SENT,		/* type: alert number */
	TLS_EVENT_ALERT_RECEIVED,
	TLS_EVENT_REKEYED,		/* text: "send" or "receive" */
};

struct tls_event {
	enum tls_event_kind kind;
	uint8_t type;
	const uint8_t *data;
	size_t len;
	const char *text;
};

/*
 * What the engine asks of its surroundings.  Each may be NULL but now().
 * They are called from within tls_conn_*() and must not call back into it.
 */
struct tls_hooks {
	/* seconds since the epoch; for validity and ticket lifetimes */
	int64_t (*now)(void *arg);
	/* one NSS key log line without its newline; called only where keys are logged */
	void (*keylog)(void *arg, const char *line);
	/* what happens, step by step; conn_arg as given to tls_conn_set_arg() */
	void (*event)(void *arg, void *conn_arg, const struct tls_event *event);
	void *arg;
};

/* A new configuration with defaults: TLS 1.2-1.3, default suites and groups,
 * clients verify against nothing until a CA is added (and so refuse all).
 * NULL when out of memory. */
struct tls_config *tls_config_new(enum tls_role role, const struct tls_hooks *hooks);
struct tls_config *tls_config_ref(struct tls_config *config);
void tls_config_unref(struct tls_config *config);

/* The setters below are for before the first tls_conn_new(). They return 0,
 * TLS_ERR_ARGUMENT (nothing changed) or TLS_ERR_NO_MEMORY. */
int tls_config_set_versions(struct tls_config *config, uint16_t min, uint16_t max);
/* Colon-separated IANA names (groups: NIST's, too) in any case, most wanted first.
 * On TLS_ERR_ARGUMENT *bad (if not NULL) points into list at the name that was not
 * understood. */
int tls_config_set_suites(struct tls_config *config, const char *list, const char **bad);
int tls_config_set_groups(struct tls_config *config, const char *list, const char **bad);

/* Key exchange with ML-KEM, which TLS 1.3 alone has. */
enum tls_pq {
	TLS_PQ_ACCEPT,			/* by the order of the groups, as any other (at first) */
	TLS_PQ_PREFER,			/* where the peer has it, though that costs a HelloRetryRequest */
	TLS_PQ_REQUIRE,			/* or no handshake: TLS 1.2 and all other groups are given up */
};
/*
 * For after versions, suites and groups.  TLS_ERR_ARGUMENT: they leave no such group, or libcrypto
 * has none; *why is a static sentence.
 */
int tls_config_set_pq(struct tls_config *config, enum tls_pq pq, const char **why);

/*
 * What versions, suites and groups leave together: a suite of an allowed version; and for
 * one of those a group, where it needs one.  False: no handshake can succeed.
 */
bool tls_config_leaves_suite(const struct tls_config *config);
bool tls_config_leaves_group(const struct tls_config *config);

enum tls_scheme_use {
	TLS_TO_SIGN,			/* with our keys, where the peer offers it */
	TLS_TO_VERIFY,			/* offered to the peer, and taken from it */
};
/* Likewise: signature schemes by IANA's names; all that the engine has, at first. */
int tls_config_set_schemes(struct tls_config *config, enum tls_scheme_use use, const char *list,
			   const char **bad);
/* Comma-separated protocol names, most wanted first. */
int tls_config_set_alpn(struct tls_config *config, const char *list);
/*
 * Takes a reference.  A server's are chosen by name (RFC 6066 section 3): of
 * those that have the name asked for, the whole name before a wildcard, else of
 * all; then one by a CA that the client names (RFC 9846 section 4.3.4), then the
 * first that was added, each where suites, schemes and curves offered permit.
 */
int tls_config_add_certificate(struct tls_config *config, struct tls_certificate *cert);
/*
 * Server: whether one of the certificates is for this name, by itself or by a wildcard; for
 * "*.DOMAIN": whether one has that wildcard or a name that it covers.
 */
bool tls_config_has_name(const struct tls_config *config, const char *name);
/*
 * Server: a client whose server_name is that of no certificate, or of no host, gets a fatal
 * unrecognized_name (RFC 6066 section 3), whether it resumes or not; not so at first.  A client
 * that sends no server_name is served as before: it did not ask for anything unknown.
 */
int tls_config_refuse_unknown_name(struct tls_config *config);
/* Trust anchors: every certificate in the PEM text / the system's own store. */
int tls_config_add_ca(struct tls_config *config, const void *pem, size_t len);
int tls_config_use_system_ca(struct tls_config *config);
/* Server: clients are shown the anchors' names; false where they take more than 60 KiB. */
bool tls_config_shows_ca(const struct tls_config *config);
/* Of what tls_config_add_ca() got, one is a CA's or self-signed; else a peer must show one of them. */
bool tls_config_has_ca(const struct tls_config *config);
int tls_config_set_verify(struct tls_config *config, enum tls_verify verify);
/*
 * Server: from the first rule on a client has to show a certificate (TLS_VERIFY_REQUIRE) that one
 * of the rules fits; others are refused by access_denied, and their sessions do not go on.
 *
 *	CN=TEXT			TEXT is the one common name of the subject, case included
 *	DNS:NAME		a dNSName (RFC 5280 section 4.2.1.6) is NAME, in any case; where
 *				NAME's first label is *, any label
 *	URI:URI			a uniformResourceIdentifier is URI, byte for byte; where URI ends in
 *				slash and *, whatever begins like it, goes on, and has no segment
 *				. or ..
 *	SPKI-SHA256:DIGEST	the SHA-256 of the SubjectPublicKeyInfo (RFC 7469 section 2.4), 64
 *				hexadecimal digits or base64
 *
 * A wildcard in a certificate fits nothing.  TLS_ERR_ARGUMENT: *why is a static sentence.
 */
int tls_config_allow_client(struct tls_config *config, const char *rule, const char **why);
/*
 * Certificate revocation lists: every one of a PEM text, or one in DER; may be
 * called several times.  From the first on each certificate of a peer's path
 * below the anchor has to be covered by a list that is not expired and that its
 * issuer signed, and must not be in it.  *until is when the first of these
 * lists expires (seconds since the epoch; INT64_MAX: none does).
 * Sets libcrypto's default X509_CRL_METHOD for a moment: no other thread may read
 * a CRL meanwhile.  TLS_ERR_ARGUMENT: it is none; *why is a static sentence.
 */
int tls_config_add_crl(struct tls_config *config, const void *crls, size_t len, int64_t *until,
		       const char **why);
/* Lists that have expired are good enough. */
void tls_config_take_expired_crls(struct tls_config *config);

#define TLS_LEAST_MAX_MESSAGE	2048	/* hellos with X25519MLKEM768 have their room */

/*
 * The longest handshake message to take from the peer, from TLS_LEAST_MAX_MESSAGE
 * to 64 KiB, which is the default.  A longer one is refused by its header, before
 * it is stored.
 */
int tls_config_set_max_message(struct tls_config *config, size_t bytes);

/*
 * Client: asks for a stapled OCSP response.  One that comes is verified with
 * the chain; that none comes is an error where the certificate says that one
 * must (RFC 7633).
 */
int tls_config_request_ocsp(struct tls_config *config);
/*
 * Client: takes TLS 1.2 servers that do not know RFC 5746, too, which end with
 * handshake_failure otherwise.  Who can reach such a server may have sent it a
 * beginning of what it takes for ours.
 */
int tls_config_allow_legacy_server(struct tls_config *config);
/* Client: asks for signed certificate timestamps, and hands them on in tls_conn_info(). */
int tls_config_request_scts(struct tls_config *config);

#define TLS_MAX_TICKET_KEYS	8
#define TLS_TICKET_LIFETIME	7200	/* seconds */
#define TLS_TICKET_SKEW		60	/* seconds that the clock of who sealed a ticket may be ahead */
#define TLS_SESSION_LIFETIME	604800	/* of what one full handshake began, whatever comes after */

/* Seals session tickets.  Random, and the same for all who take each other's tickets. */
struct tls_ticket_key {
	uint8_t name[16];		/* in the clear in every ticket */
	uint8_t key[32];
};

/*
 * Server: the first key seals tickets, every one opens them.  To rotate, put a
 * new key first and keep the others for TLS_TICKET_LIFETIME.  None (as at
 * first): no tickets, no resumption.  The keys stay the caller's: they are read
 * where they are, in memory that the caller may have locked, until others are
 * set or config is freed.  This one may be called at any time, by the only
 * thread that uses config.
 */
int tls_config_set_ticket_keys(struct tls_config *config, const struct tls_ticket_key *keys,
			       size_t count);

/* ---- a look ahead ------------------------------------------------------ */

#define TLS_MAX_PEEK	16384	/* bytes from the beginning of the connection */

/* What a client asks for before anybody has answered. */
struct tls_peek {
	char server_name[TLS_MAX_SERVER_NAME + 1];	/* "": none, or that of no host */
	const uint8_t *alpn;		/* the protocols, a byte with its length before each */
	size_t alpn_len;		/* 0: none */
};

/*
 * Finds in the first len bytes that a client sent what its ClientHello asks for, for a caller that
 * may give the connection to somebody else.  It looks at no more than that: a connection that is
 * not given away has to be read by tls_conn_input() from its first byte.  data is changed, since a
 * ClientHello may be in several records; *out points into it.
 * TLS_ERR_AGAIN: not all is there; *need, more than len, is how many bytes are at least.
 * TLS_ERR_ALERT...: it is no ClientHello, one that does not end within TLS_MAX_PEEK, or one with an
 * extension twice (RFC 9846 section 4.3), which the backend might read otherwise than we do.
 */
int tls_peek(uint8_t *data, size_t len, struct tls_peek *out, size_t *need);
/* Is this protocol, of len bytes, among those offered? */
bool tls_peek_offers(const struct tls_peek *peek, const char *protocol, size_t len);

/* ---- connections ------------------------------------------------------- */

struct tls_conn;

struct tls_conn *tls_conn_new(struct tls_config *config);	/* NULL: out of memory */
void tls_conn_free(struct tls_conn *conn);			/* wipes every secret; NULL is fine */
void tls_conn_set_arg(struct tls_conn *conn, void *conn_arg);	/* for the event hook */
/* Client: the name (or IP address literal) to verify, and to send as SNI where
 * RFC 6066 allows.  TLS_ERR_ARGUMENT: no DNS name and no address. */
int tls_conn_set_server_name(struct tls_conn *conn, const char *name);

/*
 * Client: offers to resume a session, as tls_conn_session() of an earlier
 * connection gave it; for after tls_conn_set_server_name(), and once per
 * session (RFC 9846 appendix C.4).  The server's certificate is verified again,
 * now.  TLS_ERR_ARGUMENT: it cannot be resumed (expired, other name, other
 * configuration...); the connection goes on without it.
 */
int tls_conn_set_session(struct tls_conn *conn, const uint8_t *session, size_t len);
/*
 * Client: the latest session that the server lets us go on with, or NULL.  It
 * holds secrets: keep it as such, and in memory.  In TLS 1.3 it comes after the
 * handshake, on tls_conn_read().  Valid until the next call that changes conn.
 */
const uint8_t *tls_conn_session(const struct tls_conn *conn, size_t *len);

/* Client: puts the ClientHello into the output.  Server: does nothing. */
int tls_conn_start(struct tls_conn *conn);

#define TLS_WANTS_OUTPUT	1u	/* there are bytes to send */
#define TLS_WANTS_INPUT		2u	/* cannot go on without bytes from the peer */
#define TLS_WANTS_PRIVATE_KEY	4u	/* cannot go on without tls_conn_key_reply() */
unsigned int tls_conn_wants(const struct tls_conn *conn);

/*
 * Feeds bytes from the peer.  All of them are taken (copied) and, while the
 * handshake lasts, processed as far as they go; once established they wait for
 * tls_conn_read() or tls_conn_pending().  Give at most tls_conn_input_space().
 * Errors: any class; TLS_ERR_SPACE when len is above the space.
 */
int tls_conn_input(struct tls_conn *conn, const uint8_t *data, size_t len);
size_t tls_conn_input_space(const struct tls_conn *conn);
/* The peer's FIN.  0 after close_notify, else TLS_ERR_TRUNCATED. */
int tls_conn_input_eof(struct tls_conn *conn);

/* Bytes to send; valid until the next call that changes conn. */
const uint8_t *tls_conn_output(const struct tls_conn *conn, size_t *len);
void tls_conn_output_done(struct tls_conn *conn, size_t len);

/* NULL unless TLS_WANTS_PRIVATE_KEY. */
const struct tls_key_request *tls_conn_key_request(const struct tls_conn *conn);
/*
 * For while the key is at work elsewhere: does what needs no answer, which
 * tls_conn_key_reply() does otherwise.  It may fail as that may; then there is
 * no request any more.
 */
int tls_conn_work_ahead(struct tls_conn *conn);
/* The answer, or reply == NULL for "refused".  Goes on with the handshake. */
int tls_conn_key_reply(struct tls_conn *conn, const uint8_t *reply, size_t len);

/* Both Finished are checked: application data may flow. */
bool tls_conn_established(const struct tls_conn *conn);

struct tls_conn_info {
	uint16_t version, suite, group, scheme;	/* 0: not (yet) known */
	/* most plaintext bytes that the peer takes in a record (RFC 8449, or RFC 6066), without its
	 * type */
	uint16_t record_size;
	bool resumed, hello_retry, extended_master_secret;
	const char *server_name;		/* NULL: none */
	const char *alpn;			/* NULL: none */
	const char *verify_error;		/* what is wrong with the peer's chain, or NULL */
	const uint8_t *peer_certificate;	/* DER, or NULL */
	size_t peer_certificate_len;
	const uint8_t *ocsp_response;		/* DER, stapled by the server, or NULL */
	size_t ocsp_response_len;
	const uint8_t *scts;			/* the server's list of them, or NULL */
	size_t scts_len;
};
/* Pointers are valid until conn is freed. */
void tls_conn_info(const struct tls_conn *conn, struct tls_conn_info *info);

#define TLS_REASON_TEXT	384	/* bytes, the end included */

/*
 * What is known of why the handshake failed, in one sentence: what the peer
 * sent or lacks, or what such an error most likely comes from.  err is what a
 * call gave.  What the peer chose is in it only as plain letters and numbers.
 * False: no more than tls_strerror() says, and text is not written.
 */
bool tls_conn_reason(const struct tls_conn *conn, int err, char text[TLS_REASON_TEXT]);

/* ---- handing over to the kernel ----------------------------------------- */

struct tls_direction_keys {
	uint8_t key[TLS_MAX_KEY], iv[TLS_MAX_IV], secret[TLS_MAX_SECRET];
	uint8_t key_len, iv_len, secret_len;	/* iv_len 4 for TLS 1.2 AES-GCM; secret_len 0 in 1.2 */
	uint64_t seq;				/* of the next record */
};

struct tls_session_keys {
	uint16_t version, suite;
	enum tls_role role;
	struct tls_direction_keys tx, rx;
};

/*
 * Between two records and two messages, with both directions open: nothing but
 * output can keep tls_conn_export_keys() from giving the keys.
 */
bool tls_conn_at_rest(const struct tls_conn *conn);
/*
 * The keys of an established connection.  Refused with TLS_ERR_STATE unless at
 * rest and with no output left.
 * Once somebody uses them, only tls_conn_pending(), tls_conn_info() and
 * tls_conn_free() may be called; where they were refused, the connection goes
 * on as if it had not been asked.  The caller wipes *keys (tls_wipe()).
 */
int tls_conn_export_keys(struct tls_conn *conn, struct tls_session_keys *keys);
/* Bytes taken from the peer and not processed: whole or partial records. */
const uint8_t *tls_conn_pending(const struct tls_conn *conn, size_t *len);

/*
 * Keying material for protocols on top (RFC 9846 section 7.5, RFC 5705).
 * context NULL: none, which TLS 1.2 tells from an empty one.
 * TLS_ERR_ARGUMENT: a label, context or out_len that cannot be encoded.
 */
int tls_conn_export_keying_material(struct tls_conn *conn, const char *label,
				    const uint8_t *context, size_t context_len,
				    uint8_t *out, size_t out_len);

/* ---- user data path ------------------------------------------------------ */

/*
 * Next plaintext: up to *len bytes into buf; *len is what came.  Takes
 * post-handshake messages (KeyUpdate, tickets) on the way; what answers them
 * is in the output, whatever this returns.
 * TLS_ERR_AGAIN: feed more input.  TLS_ERR_CLOSED: close_notify.
 */
int tls_conn_read(struct tls_conn *conn, uint8_t *buf, size_t *len);
/* Seals len bytes (> 0) into the output, in records that the peer takes. */
int tls_conn_write(struct tls_conn *conn, const uint8_t *data, size_t len);
/* A TLS 1.2 key sealed more than AES-GCM's limit; TLS 1.3 changes keys before. */
bool tls_conn_past_limit(const struct tls_conn *conn);
/* Puts close_notify into the output; no write after it. */
int tls_conn_close(struct tls_conn *conn);
/*
 * Ends it though not all was said: puts a fatal alert (RFC 9846 section 6.2)
 * into the output, so that the peer does not take what it has for the whole.
 * None behind close_notify or another fatal one.  Later calls return what this
 * returns: TLS_ERR_ALERT + alert, or the error that was there before.
 */
int tls_conn_abort(struct tls_conn *conn, uint8_t alert);
/* TLS 1.3: puts a KeyUpdate into the output and ratchets the send key. */
int tls_conn_rekey(struct tls_conn *conn, bool request_peer);

/* Clears memory in a way the compiler keeps. */
void tls_wipe(void *p, size_t len);

#endif /* TLSGATE_ENGINE_H */
