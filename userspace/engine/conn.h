/* SPDX-License-Identifier: MIT */
/*
 * A connection from the inside: what engine.c, the messages (message/) and
 * the extensions (extension/) share.  Nothing here is for callers of the engine.
 *
 * How it works: engine.c opens records and collects handshake messages; for
 * each it looks up {state, message} in states12.c or states13.c, which name
 * the function that reads it and the state that follows.  States in which it
 * is our turn have one row with TLS_STEP instead of a message.  A step may
 * stop the machine by asking for the private key; the answer resumes it.
 */
#ifndef TLSGATE_CONN_H
#define TLSGATE_CONN_H

#include <stdatomic.h>

#include "crypto/certificate.h"
#include "crypto/keysched13.h"
#include "crypto/prf12.h"
#include "record.h"
#include "session.h"
#include "transcript.h"
#include "verify/verify.h"

#define TLS_STATUS_OCSP		1	/* RFC 6066 section 8 */
#define TLS_CERT_TYPE_RSA	1	/* RFC 5246 section 7.4.4 */
#define TLS_CERT_TYPE_ECDSA	64
#define TLS_HANDSHAKE_HEADER	4
#define TLS_MAX_MESSAGE		16384	/* body of a handshake message, but: */
#define TLS_MAX_CERT_MESSAGE	65536	/* certificate, its status and request */
#define TLS_KEY_DATA		1024	/* what the private key is asked about, but: messages */
#define TLS_MAX_CURVE_SHARE	97	/* P-384's; what is longer has a KEM in it */
#define TLS_MAX_SUITES		16
#define TLS_MAX_GROUPS		8
#define TLS_MAX_SCHEMES		16
/* In a row, without progress in between: what a peer may make us do for nothing. */
#define TLS_MAX_EMPTY_RECORDS	32
#define TLS_MAX_WARNINGS	4
#define TLS_MAX_POST_HANDSHAKE	32
#define TLS_MAX_EARLY_DATA_SKIP	16384	/* bytes of 0-RTT data that we throw away */

#define TLS_LEVEL_WARNING	1
#define TLS_LEVEL_FATAL		2

#define TLS_ALERT(name)		(TLS_ERR_ALERT + TLS_ALERT_##name)

/* Handshake message types (RFC 9846 section 4, RFC 5246 section 7.4). */
enum tls_message {
	TLS_MSG_HELLO_REQUEST = 0,
	TLS_MSG_CLIENT_HELLO = 1,
	TLS_MSG_SERVER_HELLO = 2,
	TLS_MSG_NEW_SESSION_TICKET = 4,
	TLS_MSG_ENCRYPTED_EXTENSIONS = 8,
	TLS_MSG_CERTIFICATE = 11,
	TLS_MSG_SERVER_KEY_EXCHANGE = 12,
	TLS_MSG_CERTIFICATE_REQUEST = 13,
	TLS_MSG_SERVER_HELLO_DONE = 14,
	TLS_MSG_CERTIFICATE_VERIFY = 15,
	TLS_MSG_CLIENT_KEY_EXCHANGE = 16,
	TLS_MSG_FINISHED = 20,
	TLS_MSG_CERTIFICATE_STATUS = 22,
	TLS_MSG_KEY_UPDATE = 24,
	/* no handshake messages, but rows of the state tables */
	TLS_CCS = 0x100,		/* TLS 1.2: change_cipher_spec came */
	TLS_STEP,			/* our turn */
};

enum tls_state {
	/* version not known yet */
	TLS_CLIENT_START,
	TLS_CLIENT_WAIT_SERVER_HELLO,
	TLS_SERVER_WAIT_CLIENT_HELLO,

	TLS13_CLIENT_SEND_SECOND_HELLO,
	TLS13_CLIENT_WAIT_SECOND_HELLO,
	TLS13_CLIENT_HANDSHAKE_KEYS,
	TLS13_CLIENT_WAIT_EXTENSIONS,
	TLS13_CLIENT_WAIT_CERT_OR_REQUEST,
	TLS13_CLIENT_WAIT_CERT,
	TLS13_CLIENT_WAIT_VERIFY,
	TLS13_CLIENT_WAIT_FINISHED,
	TLS13_CLIENT_MASTER,
	TLS13_CLIENT_SEND_CERT,
	TLS13_CLIENT_SIGN,
	TLS13_CLIENT_SEND_VERIFY,
	TLS13_CLIENT_SEND_FINISHED,
	TLS13_CLIENT_APPLICATION_KEYS,
	TLS13_CLIENT_ESTABLISHED,

	TLS13_SERVER_SEND_RETRY,
	TLS13_SERVER_WAIT_SECOND_HELLO,
	TLS13_SERVER_SEND_HELLO,
	TLS13_SERVER_SEND_EXTENSIONS,
	TLS13_SERVER_SEND_REQUEST,
	TLS13_SERVER_SEND_CERT,
	TLS13_SERVER_SIGN,
	TLS13_SERVER_HANDSHAKE_KEYS,
	TLS13_SERVER_SEND_VERIFY,
	TLS13_SERVER_SEND_FINISHED,
	TLS13_SERVER_MASTER,
	TLS13_SERVER_WAIT_CERT,
	TLS13_SERVER_WAIT_VERIFY,
	TLS13_SERVER_WAIT_FINISHED,
	TLS13_SERVER_APPLICATION_KEYS,
	TLS13_SERVER_SEND_TICKETS,
	TLS13_SERVER_ESTABLISHED,

	TLS12_CLIENT_WAIT_CERT,
	TLS12_CLIENT_WAIT_STATUS,
	TLS12_CLIENT_WAIT_STATUS_RSA,
	TLS12_CLIENT_WAIT_KEY_EXCHANGE,
	TLS12_CLIENT_WAIT_REQUEST_OR_DONE,
	TLS12_CLIENT_WAIT_DONE,
	TLS12_CLIENT_SEND_CERT,
	TLS12_CLIENT_SEND_KEY_EXCHANGE,
	TLS12_CLIENT_KEYS,
	TLS12_CLIENT_SIGN,
	TLS12_CLIENT_SEND_VERIFY,
	TLS12_CLIENT_SEND_FINISHED,
	TLS12_CLIENT_WAIT_TICKET,
	TLS12_CLIENT_RESUME,
	TLS12_CLIENT_RESUME_FINISHED,
	TLS12_CLIENT_WAIT_CCS,
	TLS12_CLIENT_WAIT_FINISHED,
	TLS12_CLIENT_KEEP_SESSION,
	TLS12_CLIENT_ESTABLISHED,

	TLS12_SERVER_SEND_HELLO,
	TLS12_SERVER_SEND_CERT,
	TLS12_SERVER_SEND_STATUS,
	TLS12_SERVER_SIGN,
	TLS12_SERVER_SEND_KEY_EXCHANGE,
	TLS12_SERVER_SEND_REQUEST,
	TLS12_SERVER_SEND_DONE,
	TLS12_SERVER_WAIT_CERT,
	TLS12_SERVER_WAIT_KEY_EXCHANGE,
	TLS12_SERVER_KEYS,
	TLS12_SERVER_WAIT_VERIFY,
	TLS12_SERVER_WAIT_CCS,
	TLS12_SERVER_WAIT_FINISHED,
	TLS12_SERVER_RESUME,
	TLS12_SERVER_RESUME_TICKET,
	TLS12_SERVER_RESUME_FINISHED,
	TLS12_SERVER_SEND_TICKET,
	TLS12_SERVER_SEND_FINISHED,
	TLS12_SERVER_ESTABLISHED,
};

struct tls_conn;

/* Reads a message's body to its end, or (TLS_STEP, TLS_CCS: body is NULL) does what is due. */
typedef int tls_handler(struct tls_conn *conn, struct tls_reader *body);

struct tls_transition {
	enum tls_state state;
	enum tls_message message;
	tls_handler *handler;
	enum tls_state next;		/* set before the handler runs, which may set another */
};

/* NULL: no such row, the message is unexpected.  13 also has the states before
 * the version is known. */
const struct tls_transition *tls_states12_find(enum tls_state state, enum tls_message message);
const struct tls_transition *tls_states13_find(enum tls_state state, enum tls_message message);

struct tls_scheme_list {
	const struct tls_scheme *rows[TLS_MAX_SCHEMES];
	size_t count;
};

struct tls_config {
	atomic_uint refs;
	enum tls_role role;
	struct tls_hooks hooks;
	uint16_t min_version, max_version;
	uint32_t max_message;		/* bytes of a handshake message's body, any type */
	const struct tls_suite *suites[TLS_MAX_SUITES];
	size_t suite_count;
	const struct tls_group *groups[TLS_MAX_GROUPS];
	size_t group_count;
	struct tls_scheme_list schemes[TLS_TO_VERIFY + 1];	/* by enum tls_scheme_use */
	struct tls_buf alpn;		/* ProtocolName list as on the wire, without its length */
	struct tls_certificate **certs;
	size_t cert_count;
	struct tls_ticket_key ticket_keys[TLS_MAX_TICKET_KEYS];
	size_t ticket_key_count;
	struct tls_trust *trust;
	bool has_ca;			/* trust is not empty */
	bool request_ocsp, request_scts;
	enum tls_verify verify;
};

/*
 * What the peer's hello (or CertificateRequest) offers, while it is being
 * read: slices into the message, gone when its handler returns.
 */
struct tls_offer {
	struct tls_slice suites, versions, groups, shares, schemes, alpn, cert_types, ca_names;
	bool has_versions, has_groups, has_shares, has_schemes, has_alpn, extended_master_secret;
	bool has_psk_modes, psk_dhe, has_psk;
	uint16_t record_size;		/* record_size_limit; 0: none */
	bool wants_status;
	const uint8_t *hello;		/* of the whole message */
	const uint8_t *binders_at;	/* where its binders begin */
	struct tls_slice identities, binders;	/* pre_shared_key's lists */
	struct tls_slice ticket;	/* TLS 1.2 */
};

/* A second share, beside one of a group that many servers do not have yet; group NULL: none. */
struct tls_spare_share {
	const struct tls_group *group;
	struct tls_kex *kex;
	uint8_t share[TLS_MAX_CURVE_SHARE];
};

#define TLS_TICKETS	2	/* for a browser that opens several connections at once */

struct tls_ticket_random {
	uint8_t nonce[TLS_NONCE_LEN];
	uint32_t age_add;
};

/* What only a handshake needs; freed, wiped, when it is over. */
struct tls_handshake {
	struct tls_transcript transcript;
	struct tls_buf flight;		/* messages not yet sealed, see tls_flight_flush() */
	struct tls_kex *kex;
	uint8_t client_random[TLS_RANDOM_LEN], server_random[TLS_RANDOM_LEN];
	uint16_t client_version;	/* the hello's, also in the RSA premaster secret */
	uint8_t session_id[TLS_SESSION_ID_LEN];
	uint8_t session_id_len;
	uint8_t server_id[TLS_SESSION_ID_LEN];	/* client, TLS 1.2: of the new session, if any */
	uint8_t server_id_len;
	bool ccs_sent;			/* TLS 1.3: the compatibility one, at most one */
	bool early_data;		/* offered: records that we cannot open are skipped */
	bool server_name_known;		/* a certificate of ours has the name asked for */
	bool cert_requested;		/* the server asked the client for a certificate */
	uint32_t early_data_skipped;
	uint32_t ext_sent, ext_seen;	/* bits: rows of the registry; seen: in the last message */
	struct tls_offer offer;
	struct tls_buf cookie;		/* HelloRetryRequest's, to be echoed */
	struct tls_session session;	/* client: offered, if it has a suite; server: resumed */
	bool ticket_renew;		/* server: that one's ticket is sealed by an old key */
	uint16_t psk_index;		/* of the identity that the server took */
	bool past_leaf;			/* client, TLS 1.3: the chain's first element is read */
	bool status_due;		/* server: to be stapled; client, TLS 1.2: announced */
	bool ticket_due;		/* server: one is to be sent; client, TLS 1.2: announced */
	struct tls_ticket_random ticket_random[TLS_TICKETS];	/* server, TLS 1.3 */
	const struct tls_group *group;	/* of the key exchange; client TLS 1.3: of its share */
	uint8_t share[TLS_MAX_SHARE];	/* our public value, share_len bytes */
	uint16_t share_len;
	struct tls_spare_share spare;	/* client, first hello of TLS 1.3 */
	uint8_t shared[TLS_MAX_SHARED_SECRET];	/* (EC)DHE secret, or TLS 1.2 premaster secret */
	uint16_t shared_len;
	uint8_t hello_digest[TLS_MAX_HASH];	/* server, TLS 1.3: up to its ServerHello */
	size_t hello_len;		/* of that in the flight, which goes on under other keys */
	struct tls_certificate *cert;	/* ours, chosen; the configuration's, not counted */
	const struct tls_scheme *scheme;	/* to sign with it */
	uint8_t client_secret[TLS_MAX_HASH], server_secret[TLS_MAX_HASH];
	uint8_t client_app[TLS_MAX_HASH], server_app[TLS_MAX_HASH];
	uint8_t master[TLS12_MASTER_LEN];
	struct tls_direction_keys next_rx, next_tx;	/* TLS 1.2, until change_cipher_spec */

	bool key_wanted;
	struct tls_key_request key_request;
	uint8_t key_data[TLS_KEY_DATA];
	struct tls_slice key_reply;	/* the caller's; during tls_conn_key_reply() only */
};

/* Where the plaintext of the record being consumed lies, as offsets into conn->in. */
struct tls_plain {
	size_t start, len;		/* not yet consumed part */
	size_t record_len;		/* of the whole record at in_head; 0: no record is open */
	uint8_t type;
};

struct tls_conn {
	struct tls_config *config;
	void *arg;
	enum tls_role role;
	enum tls_state state;
	int error;			/* what ended it; 0: alive */
	bool started, established;
	bool rx_closed, tx_closed;	/* close_notify received, sent */
	bool key_update_owed;		/* the peer asked for one: before our next data */
	bool resumed, hello_retry, extended_master_secret;

	struct tls_buf in;
	size_t in_head;			/* bytes before it are consumed */
	struct tls_plain plain;
	struct tls_buf message;		/* part of a handshake message that spans records */
	bool message_whole;		/* all of it is there and being read */
	struct tls_buf out;
	size_t out_head;		/* bytes before it have been sent */
	size_t out_lazy;		/* bytes at its end that can wait for more */
	struct tls_record_dir rx, tx;
	unsigned int empty_records, warnings, post_handshake;

	uint16_t version;		/* 0: not negotiated */
	const struct tls_suite *suite;
	uint16_t group, scheme;		/* scheme: of the server's signature */
	struct tls_keysched keysched;	/* TLS 1.3; lives on for KeyUpdate */
	uint8_t exporter[TLS_MAX_HASH];	/* TLS 1.3: that secret; TLS 1.2: the master secret */
	uint8_t randoms[2 * TLS_RANDOM_LEN];	/* TLS 1.2, for the exporter: client's, server's */
	uint8_t resumption[TLS_MAX_HASH];	/* client, TLS 1.3: for tickets to come */
	struct tls_buf session;		/* client: what tls_conn_session() gives */
	int64_t begun;			/* of the session resumed; 0: none */
	struct tls_certificate *peer;
	struct tls_buf ocsp;		/* client: the response stapled */
	struct tls_buf scts;		/* client: the leaf's, as they came */
	char server_name[TLS_MAX_SERVER_NAME + 1];
	char alpn[TLS_MAX_ALPN + 1];
	char verify_error[TLS_VERIFY_TEXT];

	struct tls_handshake *hs;	/* NULL once established */
};

/* ---- conn.c ------------------------------------------------------------ */

void tls_handshake_free(struct tls_handshake *hs);	/* wiped; NULL is fine */
/* The client's secrets for every share that it has sent are no use any more. */
void tls_drop_shares(struct tls_handshake *hs);
/* Labels of 1..63 letters, digits, hyphens and underscores; an IPv4 literal is one, too. */
bool tls_is_dns_name(const char *name);

/* ---- engine.c ------------------------------------------------------------ */

/* Does what is due and reads what is there, until input or the private key is wanted. */
int tls_engine_run(struct tls_conn *conn);
/* See tls_conn_work_ahead(). */
int tls_engine_work_ahead(struct tls_conn *conn);
/*
 * Opens the next record unless one is open.  *again: there is no whole record
 * to be had.  Alerts, dropped and empty records are dealt with.
 */
int tls_engine_next_record(struct tls_conn *conn, bool *again);
/* Feeds what is open of handshake type to the state machine, as far as it goes. */
int tls_engine_handshake_record(struct tls_conn *conn);
/* Takes len bytes of the open record's plaintext as consumed. */
void tls_engine_consume(struct tls_conn *conn, size_t len);
/*
 * Ends the connection with err, which it returns: puts the alert into the
 * output where err is ours (internal_error for local errors).
 */
int tls_engine_fail(struct tls_conn *conn, int err);
/* Calls the event hook, if there is one. data may be empty, text NULL. */
void tls_engine_event(struct tls_conn *conn, enum tls_event_kind kind, uint8_t type,
		      struct tls_slice data, const char *text);
/* Appends records of this type to the output, under the current send key. */
TLS_MUST_CHECK int tls_engine_seal(struct tls_conn *conn, uint8_t type, const uint8_t *data,
				   size_t len);
TLS_MUST_CHECK int tls_engine_send_alert(struct tls_conn *conn, uint8_t level, uint8_t alert);

/* A handshake message under construction at the end of the flight. */
struct tls_outgoing {
	size_t start;
	struct tls_vec body;
};
struct tls_outgoing tls_message_begin(struct tls_conn *conn, enum tls_message type);
/* Ends it: into the transcript, and the event hook. */
TLS_MUST_CHECK int tls_message_end(struct tls_conn *conn, struct tls_outgoing msg);
/* Seals the flight's messages into the output. Before every change of the send key.
 * unexpected_message: the peer said more than was its turn. */
TLS_MUST_CHECK int tls_flight_flush(struct tls_conn *conn);
/* Only its first len bytes, whole messages. */
TLS_MUST_CHECK int tls_flight_flush_first(struct tls_conn *conn, size_t len);
/* TLS 1.3 middlebox compatibility (RFC 9846 appendix E.4): one change_cipher_spec, once. */
TLS_MUST_CHECK int tls_compat_ccs(struct tls_conn *conn);
/* RFC 9846 section 5.1: messages must not span a change of the receive key. */
TLS_MUST_CHECK int tls_check_key_boundary(const struct tls_conn *conn);

/* ---- keys.c --------------------------------------------------------------- */

/* Stops until the key of hs->cert has done op (by hs->scheme) to data, which stays there. */
void tls_ask_key(struct tls_conn *conn, enum tls_key_op op, struct tls_slice data);
/* One NSS key log line. */
void tls_keylog(struct tls_conn *conn, const char *label, const uint8_t *secret, size_t len);
/* Receive or send from now on under this TLS 1.3 traffic secret. */
TLS_MUST_CHECK int tls13_set_traffic_secret(struct tls_conn *conn, bool send,
					    const uint8_t *secret);
/* Ratchets one direction (KeyUpdate). */
TLS_MUST_CHECK int tls13_next_traffic_secret(struct tls_conn *conn, bool send);

tls_handler tls13_client_handshake_keys, tls13_server_handshake_keys;
tls_handler tls13_derive_master, tls13_server_master;
tls_handler tls13_client_application_keys, tls13_server_application_keys;
tls_handler tls12_derive_keys, tls12_server_keys, tls12_resume_keys;

/* ---- choose.c: what the server takes of an offer, the client of a request --- */

bool tls_offer_has_suite(const struct tls_offer *offer, uint16_t suite);
/* The client's share of this group; p NULL: none. */
struct tls_slice tls_offer_share(const struct tls_offer *offer, uint16_t group);
/* The highest version both have; 0: none. */
uint16_t tls_choose_version(const struct tls_conn *conn);
/* Suite, group, certificate and scheme, into conn and conn->hs; the version is known. */
TLS_MUST_CHECK int tls_choose_parameters(struct tls_conn *conn);
/* The client's certificate and scheme for a CertificateRequest of that many bytes; none is no
 * error. */
void tls_choose_client_certificate(struct tls_conn *conn, size_t request_len);
/* Server: sends what the client takes in a record, if it said so. The version is known. */
void tls_apply_record_size(struct tls_conn *conn);
/* The group that an ECDSA key is on; 0: it is no ECDSA key. */
uint16_t tls_key_curve(enum tls_key_type type);
/* The first protocol of ours that the client offers, if both have any. */
TLS_MUST_CHECK int tls_choose_alpn(struct tls_conn *conn);
/* Allowed, and there is a suite for it? */
bool tls_config_has_version(const struct tls_config *config, uint16_t version);
bool tls_config_has_suite(const struct tls_config *config, const struct tls_suite *suite);
const struct tls_group *tls_config_group(const struct tls_config *config, uint16_t id);
/* One that we offer to verify; NULL: no, or not known. */
const struct tls_scheme *tls_config_scheme(const struct tls_config *config, uint16_t id);

/* ---- resume.c: sessions that go on --------------------------------------------- */

/*
 * Server: takes one of the client's TLS 1.3 PSKs or its TLS 1.2 ticket where it
 * can (conn->resumed); not being able to is no error.  decrypt_error: a binder
 * that does not fit; illegal_parameter, missing_extension: an offer that is none.
 */
TLS_MUST_CHECK int tls13_choose_psk(struct tls_conn *conn);
TLS_MUST_CHECK int tls12_choose_ticket(struct tls_conn *conn);
/* Client: the binder of hs->session over the hello that begins at start of the flight. */
TLS_MUST_CHECK int tls13_write_binder(struct tls_conn *conn, size_t start);
/* The session of this connection, without ticket and TLS 1.3 secret.  peer is borrowed. */
void tls_session_of(const struct tls_conn *conn, struct tls_session *session);

/* ---- messages: message/ -------------------------------------------------------- */

tls_handler tls_send_client_hello, tls_recv_client_hello, tls13_recv_second_client_hello;
tls_handler tls_recv_server_hello;
tls_handler tls13_send_hello_retry, tls13_send_server_hello, tls12_send_server_hello;
tls_handler tls_send_encrypted_extensions, tls_recv_encrypted_extensions;
tls_handler tls13_send_certificate_request, tls13_recv_certificate_request;
tls_handler tls12_send_certificate_request, tls12_recv_certificate_request;
/* The client's send nothing where none is requested; the server's recv knows "none". */
tls_handler tls13_send_certificate, tls13_send_client_certificate;
tls_handler tls13_recv_certificate, tls13_recv_client_certificate;
tls_handler tls12_send_certificate, tls12_send_client_certificate;
tls_handler tls12_recv_certificate, tls12_recv_client_certificate;
/* Signing and sending do nothing without hs->cert. */
tls_handler tls12_send_certificate_status, tls12_recv_certificate_status;
/* CertificateStatus, whose form TLS 1.3 has, too: ours, and the peer's into conn->ocsp. */
void tls_put_status(const struct tls_conn *conn, struct tls_buf *out);
TLS_MUST_CHECK int tls_take_status(struct tls_conn *conn, struct tls_reader *body);
/* Verifies conn->ocsp, or that there needs to be none, where the configuration asks for it. */
TLS_MUST_CHECK int tls_verify_status(struct tls_conn *conn);
tls_handler tls13_sign, tls12_client_sign, tls_send_certificate_verify;
tls_handler tls13_recv_certificate_verify, tls12_recv_certificate_verify;
tls_handler tls12_server_sign, tls12_send_server_key_exchange, tls12_recv_server_key_exchange;
tls_handler tls12_send_server_hello_done, tls12_recv_server_hello_done;
tls_handler tls12_send_client_key_exchange, tls12_recv_client_key_exchange;
tls_handler tls12_recv_ccs;
tls_handler tls12_send_finished, tls12_recv_finished, tls13_send_finished, tls13_recv_finished;
tls_handler tls13_send_tickets, tls13_recv_new_session_ticket;
tls_handler tls12_send_ticket, tls12_recv_new_session_ticket, tls12_keep_session_id;
tls_handler tls13_recv_key_update, tls12_refuse_renegotiation;
/* A post-handshake message came: unexpected_message when there are too many without data. */
TLS_MUST_CHECK int tls_count_post_handshake(struct tls_conn *conn);
/* Verifies conn->peer as the configuration wants it. */
TLS_MUST_CHECK int tls_verify_peer(struct tls_conn *conn);

/* Puts a KeyUpdate into the output and ratchets the send key. */
TLS_MUST_CHECK int tls_send_key_update(struct tls_conn *conn, bool request);

#endif /* TLSGATE_CONN_H */
