/* SPDX-License-Identifier: MIT */
/* The extensions: one row each, and the walk over them. */
#ifndef TLSGATE_EXT_H
#define TLSGATE_EXT_H

#include "engine.h"
#include "wire.h"

struct tls_conn;
struct tls_config;

/* Extension blocks, as bits (RFC 9846 section 4.3 has the table). */
enum tls_ext_place {
	TLS_IN_CLIENT_HELLO = 1,
	TLS_IN_SERVER_HELLO12 = 2,
	TLS_IN_SERVER_HELLO = 4,
	TLS_IN_HELLO_RETRY = 8,
	TLS_IN_ENCRYPTED_EXTENSIONS = 16,
	TLS_IN_CERTIFICATE = 32,
	TLS_IN_CERTIFICATE_REQUEST = 64,
	TLS_IN_NEW_SESSION_TICKET = 128,
};

#define TLS_EXT_SERVER_NAME		0
#define TLS_EXT_MAX_FRAGMENT_LENGTH	1
#define TLS_EXT_STATUS_REQUEST		5
#define TLS_EXT_SUPPORTED_GROUPS	10
#define TLS_EXT_EC_POINT_FORMATS	11
#define TLS_EXT_SIGNATURE_ALGORITHMS	13
#define TLS_EXT_ALPN			16
#define TLS_EXT_SIGNED_CERTIFICATE_TIMESTAMP	18
#define TLS_EXT_EXTENDED_MASTER_SECRET	23
#define TLS_EXT_RECORD_SIZE_LIMIT	28
#define TLS_EXT_SESSION_TICKET		35
#define TLS_EXT_PRE_SHARED_KEY		41
#define TLS_EXT_EARLY_DATA		42
#define TLS_EXT_SUPPORTED_VERSIONS	43
#define TLS_EXT_COOKIE			44
#define TLS_EXT_PSK_KEY_EXCHANGE_MODES	45
#define TLS_EXT_CERTIFICATE_AUTHORITIES	47
#define TLS_EXT_SIGNATURE_ALGORITHMS_CERT	50
#define TLS_EXT_KEY_SHARE		51
#define TLS_EXT_RENEGOTIATION_INFO	0xff01

struct tls_ext {
	uint16_t type;
	uint8_t places;			/* where it may be */
	bool last;			/* nothing may follow it in a ClientHello */
	/* Does it go into our block here?  For answers only if the peer sent it, too. */
	bool (*due)(const struct tls_conn *conn, enum tls_ext_place place);
	void (*write)(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out);
	/* Takes the whole body; what is left over, or a failed reader, is a decode_error. */
	int (*read)(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body);
};

/* The block with its length: what is due.  optional: nothing at all when that is nothing. */
void tls_ext_write(struct tls_conn *conn, enum tls_ext_place place, bool optional,
		   struct tls_buf *out);
/*
 * Reads a block (its length already taken off), in the registry's order and
 * not in the peer's.  decode_error: malformed; the same or illegal_parameter: a
 * type twice; unsupported_extension: an answer to nothing; illegal_parameter:
 * one that may not be here; or what the extension finds.
 */
TLS_MUST_CHECK int tls_ext_read(struct tls_conn *conn, enum tls_ext_place place,
				struct tls_reader *block);
/* The body of one extension, without reading the rest: for what has to be known before. */
bool tls_ext_find(struct tls_reader block, uint16_t type, struct tls_reader *body);
/* Can it be parsed, each type once?  Of two, tls_ext_find() finds the first, others take the last. */
bool tls_ext_is_sound(struct tls_reader block);
/* Was it in the block read last? */
bool tls_ext_seen(const struct tls_conn *conn, uint16_t type);

/* Was it in our ClientHello? */
bool tls_ext_sent(const struct tls_conn *conn, uint16_t type);
/* As if it had been there (RFC 5746's cipher suite value stands for its extension). */
void tls_ext_assume_seen(struct tls_conn *conn, uint16_t type);

/* ServerNameList of a ClientHello; name becomes "" where it is that of no host. */
TLS_MUST_CHECK int tls_read_server_name(struct tls_reader *body, char name[TLS_MAX_SERVER_NAME + 1]);
/* ProtocolNameList of a ClientHello: into list as on the wire, without its length. */
TLS_MUST_CHECK int tls_read_protocols(struct tls_reader *body, struct tls_slice *list);
/* A SignedCertificateTimestampList as RFC 6962 section 3.3 has it, with its length? */
bool tls_scts_well_formed(struct tls_slice list);
/* DistinguishedName vectors, none of them empty? */
bool tls_names_well_formed(struct tls_slice names);
/* The signature schemes we verify, as TLS 1.2's CertificateRequest has them, too. */
void tls_put_schemes(const struct tls_config *config, struct tls_buf *out);

extern const struct tls_ext tls_ext_supported_versions, tls_ext_server_name,
	tls_ext_supported_groups, tls_ext_key_share, tls_ext_signature_algorithms,
	tls_ext_signature_algorithms_cert, tls_ext_certificate_authorities, tls_ext_alpn,
	tls_ext_extended_master_secret,
	tls_ext_renegotiation_info, tls_ext_ec_point_formats, tls_ext_cookie, tls_ext_early_data,
	tls_ext_status_request, tls_ext_session_ticket, tls_ext_record_size_limit,
	tls_ext_max_fragment_length,
	tls_ext_psk_key_exchange_modes, tls_ext_pre_shared_key,
	tls_ext_signed_certificate_timestamp;

#endif /* TLSGATE_EXT_H */
