// SPDX-License-Identifier: GPL-2.0-only
/* Cipher suites, keys and nonces. */
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/tls.h>
#include <crypto/hash.h>
#include <crypto/internal/simd.h>
#include <asm/simd.h>

#include "session.h"
#include "trace.h"

/*
 * RFC 9846 section 5.5: 2^24.5 full-size records for AES-GCM.  What wears a key
 * are its blocks, so they are counted, and many small records go as far as a
 * few large ones.
 */
#define TG_LIMIT_GCM		(23726566ULL * TG_FULL_RECORD_BLOCKS)
/* ChaCha20-Poly1305: the sequence number ends first. */
#define TG_LIMIT_NONE		U64_MAX

#define TG_BLOCK_AES		16
#define TG_BLOCK_CHACHA		64

static ulong aead_limit;
module_param(aead_limit, ulong, 0644);
MODULE_PARM_DESC(aead_limit, "full-size records (1024 blocks) that one key may seal, if below the suite's own limit; 0 = the suite's own");

/**
 * struct tg_alg - one AEAD of the crypto layer
 * @name: its name there
 * @choices: whom to ask for, first to last; a driver's name, or the AEAD's, which stands for
 *	its best driver
 * @chosen: holds the driver that serves it; NULL until it is needed first.  Written under
 *	tg_alg_lock
 */
struct tg_alg {
	const char *name;
	const char *choices[3];
	struct crypto_aead *chosen;
};

static DEFINE_MUTEX(tg_alg_lock);	/* choosing; outermost */

/*
 * On x86 up to 6.15 the fast gcm(aes) is a pair: an internal driver that works at
 * once, and a wrapper of it, flagged asynchronous, for callers that may run while
 * the FPU is taken.  tg_dir_atomic() asks for the FPU, so the internal one serves.
 */
static struct tg_alg tg_alg_gcm = {
	.name = "gcm(aes)",
	.choices = { "__gcm(aes)", "gcm(aes)" },
};

/* An instance of slow parts that any user may have made first would be the best of the name. */
static struct tg_alg tg_alg_chacha = {
	.name = "rfc7539(chacha20,poly1305)",
	.choices = {
		"rfc7539(chacha20-simd,poly1305-simd)",
		"rfc7539(chacha20-neon,poly1305-neon)",
		"rfc7539(chacha20,poly1305)",
	},
};

#define TG_ROW_1_3(_suite, _name, _alg, _hash, _key, _secret, _block, _limit) {	\
	.version = TLSGATE_TLS_1_3, .suite = _suite, .name = _name, .alg = _alg,	\
	.hash = _hash, .key_len = _key, .iv_len = 12, .secret_len = _secret,	\
	.block_len = _block, .limit = _limit }
#define TG_ROW_GCM_1_2(_suite, _name, _key) {					\
	.version = TLSGATE_TLS_1_2, .suite = _suite, .name = _name,		\
	.alg = &tg_alg_gcm, .key_len = _key, .iv_len = 4, .explicit_len = 8,	\
	.block_len = TG_BLOCK_AES, .limit = TG_LIMIT_GCM }
#define TG_ROW_CHACHA_1_2(_suite, _name) {					\
	.version = TLSGATE_TLS_1_2, .suite = _suite, .name = _name,		\
	.alg = &tg_alg_chacha, .key_len = 32, .iv_len = 12,	\
	.block_len = TG_BLOCK_CHACHA, .limit = TG_LIMIT_NONE }

static const struct tg_cipher tg_ciphers[] = {
	TG_ROW_1_3(0x1301, "TLS_AES_128_GCM_SHA256", &tg_alg_gcm, "hmac(sha256)",
		   16, 32, TG_BLOCK_AES, TG_LIMIT_GCM),
	TG_ROW_1_3(0x1302, "TLS_AES_256_GCM_SHA384", &tg_alg_gcm, "hmac(sha384)",
		   32, 48, TG_BLOCK_AES, TG_LIMIT_GCM),
	TG_ROW_1_3(0x1303, "TLS_CHACHA20_POLY1305_SHA256", &tg_alg_chacha,
		   "hmac(sha256)", 32, 32, TG_BLOCK_CHACHA, TG_LIMIT_NONE),
	TG_ROW_GCM_1_2(0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 16),
	TG_ROW_GCM_1_2(0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 32),
	TG_ROW_GCM_1_2(0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 16),
	TG_ROW_GCM_1_2(0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 32),
	TG_ROW_CHACHA_1_2(0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
	TG_ROW_CHACHA_1_2(0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
	TG_ROW_GCM_1_2(0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256", 16),
	TG_ROW_GCM_1_2(0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384", 32),
};

const struct tg_cipher *tg_cipher_at(unsigned int i)
{
	return i < ARRAY_SIZE(tg_ciphers) ? &tg_ciphers[i] : NULL;
}

const struct tg_cipher *tg_cipher_find(u16 version, u16 suite)
{
	const struct tg_cipher *c;
	unsigned int i;

	for (i = 0; (c = tg_cipher_at(i)); i++)
		if (c->version == version && c->suite == suite)
			return c;
	return NULL;
}

u16 tg_cipher_ktls(const struct tg_cipher *c)
{
	if (c->alg == &tg_alg_chacha)
		return TLS_CIPHER_CHACHA20_POLY1305;
	return c->key_len == 16 ? TLS_CIPHER_AES_GCM_128 : TLS_CIPHER_AES_GCM_256;
}

/* Synchronous drivers only: templates like cryptd and pcrypt, which any user can load, are not. */
static struct crypto_aead *tg_alg_open(const char *name)
{
	u32 internal = strncmp(name, "__", 2) ? 0 : CRYPTO_ALG_INTERNAL;

	return crypto_alloc_aead(name, internal, internal | CRYPTO_ALG_ASYNC);
}

static bool tg_alg_missing(const struct crypto_aead *aead)
{
	return PTR_ERR(aead) == -ENOENT || PTR_ERR(aead) == -ELIBBAD;
}

static struct crypto_aead *tg_alg_choose(const struct tg_alg *a)
{
	struct crypto_aead *aead = ERR_PTR(-ENOENT);
	unsigned int i;

	/* Loads the modules that have it, the fast ones among them. */
	crypto_has_alg(a->name, CRYPTO_ALG_TYPE_AEAD, CRYPTO_ALG_TYPE_MASK);
	for (i = 0; i < ARRAY_SIZE(a->choices) && a->choices[i] && tg_alg_missing(aead); i++)
		aead = tg_alg_open(a->choices[i]);
	return aead;
}

/* The driver that serves; or ERR_PTR, and the next caller chooses. */
static struct crypto_aead *tg_alg_chosen(struct tg_alg *a)
{
	struct crypto_aead *aead;

	mutex_lock(&tg_alg_lock);
	aead = a->chosen ?: tg_alg_choose(a);
	if (!IS_ERR(aead))
		a->chosen = aead;
	mutex_unlock(&tg_alg_lock);
	return aead;
}

const char *tg_cipher_driver(const struct tg_cipher *c)
{
	struct crypto_aead *aead = tg_alg_chosen(c->alg);

	return IS_ERR(aead) ? NULL : crypto_aead_driver_name(aead);
}

void tg_cipher_exit(void)
{
	crypto_free_aead(tg_alg_gcm.chosen);
	crypto_free_aead(tg_alg_chacha.chosen);
}

static int tg_dir_set_key(struct tg_dir *d, const struct tg_cipher *c,
			  const u8 *key, const u8 *iv, u64 seq)
{
	int err = crypto_aead_setkey(d->aead, key, c->key_len);

	if (err)
		return err;
	memcpy(d->iv, iv, c->iv_len);
	d->seq = seq;
	d->blocks = 0;
	return 0;
}

static int tg_dir_alloc(struct tg_dir *d, const struct tg_cipher *c)
{
	struct crypto_aead *aead = tg_alg_chosen(c->alg);

	if (!IS_ERR(aead))
		aead = tg_alg_open(crypto_aead_driver_name(aead));
	if (IS_ERR(aead))
		return PTR_ERR(aead);
	d->aead = aead;
	d->req = aead_request_alloc(aead, GFP_KERNEL_ACCOUNT);
	return d->req ? crypto_aead_setauthsize(aead, TG_TAG_LEN) : -ENOMEM;
}

int tg_dir_init(struct tg_dir *d, const struct tg_cipher *c, const struct tg_keys *keys)
{
	int err = tg_dir_alloc(d, c) ?: tg_dir_set_key(d, c, keys->key, keys->iv, keys->seq);

	if (err) {
		tg_dir_free(d);
		return err;
	}
	memcpy(d->secret, keys->secret, c->secret_len);
	return 0;
}

void tg_dir_free(struct tg_dir *d)
{
	aead_request_free(d->req);
	crypto_free_aead(d->aead);
	memzero_explicit(d, sizeof(*d));
}

/*
 * HKDF-Expand-Label(secret, label, "", len), RFC 9846 section 7.1.  One HMAC
 * block is enough: len is at most the length of the hash.
 */
static int tg_expand_label(struct crypto_shash *hmac, const char *label, u8 *out, u8 len)
{
	static const char prefix[] = "tls13 ";
	u8 block[TLSGATE_SECRET_MAX];
	u8 info[32];
	u8 *p = info;
	int err;

	put_unaligned_be16(len, p);
	p += 2;
	*p++ = strlen(prefix) + strlen(label);
	p = memcpy(p, prefix, strlen(prefix)) + strlen(prefix);
	p = memcpy(p, label, strlen(label)) + strlen(label);
	*p++ = 0;
	*p++ = 1;

	err = crypto_shash_tfm_digest(hmac, info, p - info, block);
	if (!err)
		memcpy(out, block, len);
	memzero_explicit(block, sizeof(block));
	return err;
}

static int tg_ratchet_keys(struct crypto_shash *hmac, const struct tg_cipher *c,
			   const u8 *secret, struct tg_keys *next)
{
	return crypto_shash_setkey(hmac, secret, c->secret_len) ?:
	       tg_expand_label(hmac, "traffic upd", next->secret, c->secret_len) ?:
	       crypto_shash_setkey(hmac, next->secret, c->secret_len) ?:
	       tg_expand_label(hmac, "key", next->key, c->key_len) ?:
	       tg_expand_label(hmac, "iv", next->iv, c->iv_len);
}

int tg_dir_ratchet(struct tg_dir *d, const struct tg_cipher *c)
{
	struct crypto_shash *hmac = crypto_alloc_shash(c->hash, 0, 0);
	struct tg_keys next;
	int err;

	if (IS_ERR(hmac))
		return PTR_ERR(hmac);
	err = tg_ratchet_keys(hmac, c, d->secret, &next) ?:
	      tg_dir_set_key(d, c, next.key, next.iv, 0);
	if (!err) {
		memcpy(d->secret, next.secret, c->secret_len);
		d->epoch++;
	}
	memzero_explicit(&next, sizeof(next));
	crypto_free_shash(hmac);
	return err;
}

bool tg_dir_worn(const struct tg_dir *d, const struct tg_cipher *c)
{
	u64 param = READ_ONCE(aead_limit);
	u64 limit = c->limit;

	if (param && param < limit / TG_FULL_RECORD_BLOCKS)
		limit = param * TG_FULL_RECORD_BLOCKS;
	return d->blocks + TG_DIR_RESERVE_BLOCKS > limit;
}

bool tg_dir_atomic(const struct tg_dir *d)
{
	u32 flags = crypto_aead_alg(d->aead)->base.cra_flags;

	return !(flags & CRYPTO_ALG_INTERNAL) || crypto_simd_usable();
}

/* RFC 5288 section 3: salt and explicit part; RFC 9846 section 5.3, RFC 7905: IV xor number. */
static void tg_nonce(struct tg_session *s, const struct tg_dir *d, const u8 *explicit)
{
	u8 *end = s->nonce + TG_NONCE_LEN - sizeof(d->seq);
	const struct tg_cipher *c = s->cipher;

	memcpy(s->nonce, d->iv, c->iv_len);
	if (c->explicit_len)
		memcpy(s->nonce + c->iv_len, explicit, c->explicit_len);
	else
		put_unaligned_be64(get_unaligned_be64(end) ^ d->seq, end);
}

int tg_cipher_crypt(struct tg_session *s, struct tg_dir *d, const u8 *explicit,
		    const struct tg_header *h, u32 len, bool seal, gfp_t gfp)
{
	struct aead_request *req = d->req;
	struct scatterlist *src = s->sg_src_last ? s->sg_src : s->sg_dst;
	u32 flags = gfpflags_allow_blocking(gfp) ? CRYPTO_TFM_REQ_MAY_SLEEP : 0;
	u64 seq = d->seq;
	u32 aad_len = tg_record_aad(s->cipher, s->aad, seq, h);
	int err;

	sg_set_buf(s->sg_src, s->aad, aad_len);
	sg_set_buf(s->sg_dst, s->aad, aad_len);
	tg_nonce(s, d, explicit);
	d->seq++;
	aead_request_set_callback(req, flags, NULL, NULL);
	aead_request_set_crypt(req, src, s->sg_dst, len, s->nonce);
	aead_request_set_ad(req, aad_len);
	sg_mark_end(&s->sg_src[s->sg_src_last]);
	sg_mark_end(&s->sg_dst[s->sg_dst_last]);
	err = seal ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	/* So that the lists need no initialising for the next record. */
	sg_unmark_end(&s->sg_src[s->sg_src_last]);
	sg_unmark_end(&s->sg_dst[s->sg_dst_last]);
	if (err)
		trace_tlsgate_record_failed(s, d, seq, len, err);
	else if (seal)
		trace_tlsgate_record_sealed(s, d, seq, len, err);
	else
		trace_tlsgate_record_opened(s, d, seq, len, err);
	return err;
}
