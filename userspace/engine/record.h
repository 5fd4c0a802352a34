/* SPDX-License-Identifier: MIT */
/*
 * The record layer while a connection is in user space: one object per
 * direction, plaintext until it is given keys.
 */
#ifndef TLSGATE_RECORD_H
#define TLSGATE_RECORD_H

#include "suites.h"

#define TLS_RECORD_CHANGE_CIPHER_SPEC	20
#define TLS_RECORD_ALERT		21
#define TLS_RECORD_HANDSHAKE		22
#define TLS_RECORD_APPLICATION_DATA	23

#define TLS_RECORD_HEADER		5

struct tls_record_dir {
	const struct tls_suite *suite;		/* NULL: plaintext */
	struct tls_aead_ctx *aead;
	struct tls_direction_keys keys;
	/*
	 * What the version field of headers has to be.  0: the version is not
	 * negotiated yet (any 3.x is read; 3.1 is written, as RFC 9846 section
	 * 5.1 has it for a first ClientHello).  TLS_1_2: exactly 3.3.
	 * TLS_1_3: 3.3 is written, the field is ignored in reading.
	 */
	uint16_t version;
	/*
	 * Sending: most plaintext bytes in a protected record (RFC 8449), and if so in any
	 * (RFC 6066 section 4); 0: TLS_MAX_PLAINTEXT.
	 */
	uint16_t limit;
	bool limits_plaintext;
	uint64_t blocks;			/* sealed under keys: of text, and one for each tag */
};

struct tls_record_header {
	uint8_t type;			/* the outer one */
	uint16_t version;
	uint16_t len;			/* of the fragment after the header */
};

void tls_record_init(struct tls_record_dir *dir);
/* Wipes it. All-zero and twice freed ones are fine. */
void tls_record_free(struct tls_record_dir *dir);

/* From the next record on, protects with these keys (copied), from keys->seq on; sets version. */
TLS_MUST_CHECK int tls_record_set_keys(struct tls_record_dir *dir, const struct tls_suite *suite,
				       bool seal, const struct tls_direction_keys *keys);
/* What set_keys() was given, with the sequence number of the next record. The caller wipes it. */
void tls_record_get_keys(const struct tls_record_dir *dir, struct tls_direction_keys *keys);

/*
 * What wears a key are its blocks, of 16 bytes: RFC 9846 section 5.5 gives AES-GCM
 * 2^24.5 records of full size, which have 1024 of them.
 */
#define TLS_RECORD_BLOCKS	1024
#define TLS_RECORD_BLOCKS_MAX	(UINT64_C(23726566) * TLS_RECORD_BLOCKS)
/*
 * The keys must be replaced before the next record: it might pass AES-GCM's limit, or have
 * the last but one sequence number.
 */
bool tls_record_worn_out(const struct tls_record_dir *dir);

/*
 * Reads a header of TLS_RECORD_HEADER bytes.  TLS_ERR_ALERT + unexpected_message:
 * unknown content type; + protocol_version: version field; + record_overflow:
 * a length that no record may have.
 */
TLS_MUST_CHECK int tls_record_parse(const struct tls_record_dir *dir,
				    const uint8_t header[TLS_RECORD_HEADER],
				    struct tls_record_header *out);

/* Bytes that every record of a direction with keys has behind its header, whatever is in it. */
size_t tls_record_overhead(const struct tls_record_dir *dir);

struct tls_record {
	uint8_t type;			/* the inner one where there is one */
	uint8_t *data;			/* inside the buffer given */
	size_t len;			/* may be 0 */
};

/*
 * Opens one whole record in place: len is header and fragment.  The header
 * has been through tls_record_parse().  A change_cipher_spec to be dropped
 * (RFC 9846 section 5) must not come here once keys are set.
 * TLS_ERR_ALERT + bad_record_mac; + record_overflow: plaintext above 2^14;
 * + unexpected_message: TLS 1.3 without an inner type, or an outer type other
 * than application_data.
 */
TLS_MUST_CHECK int tls_record_open(struct tls_record_dir *dir, uint8_t *record, size_t len,
				   struct tls_record *out);

/*
 * Appends data as records of at most dir->limit; len 0 gives one empty
 * record.  TLS_ERR_SPACE: out's limit, TLS_ERR_EXHAUSTED: no sequence number left;
 * either way out is as before and no sequence number was used.
 */
TLS_MUST_CHECK int tls_record_seal(struct tls_record_dir *dir, uint8_t type,
				   const uint8_t *data, size_t len, struct tls_buf *out);

#endif /* TLSGATE_RECORD_H */
