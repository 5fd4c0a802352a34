/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Cipher suites: one row each; keys, nonces and limits of one direction.
 *
 * Which driver of the crypto layer serves an AEAD is chosen once, when it is
 * needed first, from the list in cipher.c, and kept until the module goes: the
 * choice does not depend on what else is loaded or instantiated later, by
 * AF_ALG for example.  Only synchronous drivers are chosen (no CRYPTO_ALG_ASYNC):
 * they complete before they return and never answer -EINPROGRESS.
 *
 * What is read may be read twice when opening, for the tag and for the text, so it is
 * memory that nobody else writes: the place where the text is to be (rx.c).  Sealing
 * reads the text once and authenticates what it has written itself, so its source may be
 * pages that others write; what they write meanwhile is sealed, or not.  That holds for
 * the drivers of x86 and arm64, which hash what is in registers or in their destination,
 * and for gcm_base() and rfc7539(), which hash their destination.  The destination is always
 * memory from tg_frags_reserve().
 */
#ifndef TG_CIPHER_H
#define TG_CIPHER_H

#include <linux/scatterlist.h>
#include <crypto/aead.h>

#include "uapi/tlsgate.h"

#define TG_TAG_LEN	16
#define TG_NONCE_LEN	12
#define TG_AAD_MAX	13
/* What the AEADs' limits are counted in, and how many a full-size record has. */
#define TG_BLOCK_LEN	16
#define TG_FULL_RECORD_BLOCKS	1024
/* Kept back: a full-size record with its type and tag, a KeyUpdate and an alert. */
#define TG_DIR_RESERVE_BLOCKS	(TG_FULL_RECORD_BLOCKS + 2 + 2 * 2)

struct tg_alg;
struct tg_header;
struct tg_keys;
struct tg_session;

/**
 * struct tg_cipher - a cipher suite in one protocol version
 * @version: TLSGATE_TLS_1_2 or TLSGATE_TLS_1_3
 * @suite: IANA number
 * @name: IANA name
 * @alg: its AEAD in the crypto layer
 * @hash: hash of the key schedule, TLS 1.3 only
 * @key_len: bytes
 * @iv_len: bytes of static IV, or of salt where @explicit_len is not 0
 * @explicit_len: nonce bytes carried in each record (RFC 5288)
 * @secret_len: bytes of traffic secret; 0 in TLS 1.2
 * @block_len: bytes that the AEAD works on at once
 * @limit: blocks one key may seal (RFC 9846 section 5.5)
 */
struct tg_cipher {
	u16 version;
	u16 suite;
	const char *name;
	struct tg_alg *alg;
	const char *hash;
	u8 key_len;
	u8 iv_len;
	u8 explicit_len;
	u8 secret_len;
	u8 block_len;
	u64 limit;
};

/**
 * struct tg_dir - protection of one direction; under lock_sock()
 * @aead: keyed transform
 * @req: request of @aead; one serves, since a call is complete when it returns
 * @iv: static IV or salt
 * @secret: TLS 1.3 traffic secret of this epoch
 * @seq: sequence number of the next record under this key (RFC 9846 section 5.3)
 * @blocks: sealed under this key since it was set: of text, and one for each tag
 * @records: records since install
 * @bytes: plaintext bytes since install
 * @epoch: times the key was ratcheted
 */
struct tg_dir {
	struct crypto_aead *aead;
	struct aead_request *req;
	u8 iv[TLSGATE_IV_MAX];
	u8 secret[TLSGATE_SECRET_MAX];
	u64 seq;
	u64 blocks;
	u64 records;
	u64 bytes;
	u32 epoch;
};

/* Row for (version, suite), or NULL. */
const struct tg_cipher *tg_cipher_find(u16 version, u16 suite);
/* Row by index from 0, or NULL behind the last. */
const struct tg_cipher *tg_cipher_at(unsigned int i);

/* Its number in linux/tls.h. */
u16 tg_cipher_ktls(const struct tg_cipher *c);

/**
 * tg_cipher_driver() - which driver serves a suite
 * @c: row
 *
 * Process context, may load crypto modules.
 *
 * Return: its name, or NULL if the kernel has none.
 */
const char *tg_cipher_driver(const struct tg_cipher *c);

/* Lets go of the drivers; no direction is left. */
void tg_cipher_exit(void);

/**
 * tg_dir_init() - allocate and key one direction
 * @d: zeroed
 * @c: row
 * @keys: what to install
 *
 * Process context, may load crypto modules.
 *
 * Return: 0 or a negative errno of the crypto layer; then @d holds nothing.
 */
int tg_dir_init(struct tg_dir *d, const struct tg_cipher *c, const struct tg_keys *keys);
/* Frees and wipes. */
void tg_dir_free(struct tg_dir *d);

/**
 * tg_dir_ratchet() - next traffic secret, key and IV (RFC 9846 section 7.2)
 * @d: direction, TLS 1.3
 * @c: row
 *
 * Return: 0 or a negative errno; then the direction is unusable and the
 * session must end.
 */
int tg_dir_ratchet(struct tg_dir *d, const struct tg_cipher *c);

/* The next full-size record might pass what this key may seal. */
bool tg_dir_worn(const struct tg_dir *d, const struct tg_cipher *c);

/* RFC 9846 section 5.3: the sequence number must not wrap.  Two are for control records. */
static inline bool tg_dir_exhausted(const struct tg_dir *d)
{
	return d->seq >= U64_MAX - 2;
}

/*
 * May tg_cipher_crypt() be called here, where nothing may sleep?  Not with a
 * driver that is internal to the crypto layer, and so must have the FPU, while
 * the CPU's is taken; in process context it never is.
 */
bool tg_dir_atomic(const struct tg_dir *d);

/**
 * tg_cipher_crypt() - run the AEAD on one record
 * @s: session, its socket locked, with sg_src and sg_dst filled behind the first entry of
 *	each, which this makes the additional data, and the index of their last entries
 * @d: direction
 * @explicit: the record's explicit nonce, where the suite has one
 * @h: header for the additional data, see tg_record_aad()
 * @len: bytes to seal, or to open including the tag
 * @seal: which of the two
 * @gfp: whether it may sleep; if not, tg_dir_atomic() said yes
 *
 * The sequence number moves on whatever comes of it, so that no nonce is used
 * twice even if the crypto layer fails half way.
 *
 * Return: 0, %-EBADMSG if a record does not authenticate, or an errno of the
 * crypto layer.
 */
int tg_cipher_crypt(struct tg_session *s, struct tg_dir *d, const u8 *explicit,
		    const struct tg_header *h, u32 len, bool seal, gfp_t gfp);

#endif /* TG_CIPHER_H */
