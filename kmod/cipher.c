// SPDX-License-Identifier: GPL-2.0-only
/* Cipher suites, keys and nonces. */
#include <linux/bits.h>
#include <linux/crypto.h>
#include <linux/jiffies.h>
#include <linux/moduleparam.h>
#include <linux/spinlock.h>
#include <crypto/hash.h>
#include <crypto/internal/simd.h>
#include <asm/simd.h>

#include "session.h"
#include "trace.h"

/* RFC 9846 section 5.5: 2^24.5 full-size records for AES-GCM. */
#define TG_LIMIT_GCM		BIT_ULL(24)
/* ChaCha20-Poly1305: the sequence number ends first. */
#define TG_LIMIT_NONE		U64_MAX

#define TG_BLOCK_AES		16
#define TG_BLOCK_CHACHA		64

static ulong aead_limit;
module_param(aead_limit, ulong, 0644);
MODULE_PARM_DESC(aead_limit, "records one key may seal, if below the suite's own limit; 0 = the suite's own");

#define TG_DRIVER_FRESH		(60 * HZ)

/* One AEAD of the crypto layer, and which driver served it last. */
struct tg_alg {
	const char *name;
	spinlock_t lock;		/* protects what follows */
	unsigned long fresh_until;	/* jiffies */
	char driver[CRYPTO_MAX_ALG_NAME];	/* empty: not known */
};

static struct tg_alg tg_alg_gcm = {
	.name = "gcm(aes)",
	.lock = __SPIN_LOCK_UNLOCKED(tg_alg_gcm.lock),
};

static struct tg_alg tg_alg_chacha = {
	.name = "rfc7539(chacha20,poly1305)",
	.lock = __SPIN_LOCK_UNLOCKED(tg_alg_chacha.lock),
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

static bool tg_alg_driver(struct tg_alg *a, char driver[CRYPTO_MAX_ALG_NAME])
{
	bool known;

	spin_lock(&a->lock);
	known = a->driver[0] && time_before(jiffies, a->fresh_until);
	if (known)
		memcpy(driver, a->driver, sizeof(a->driver));
	spin_unlock(&a->lock);
	return known;
}

static void tg_alg_learn(struct tg_alg *a, struct crypto_aead *aead)
{
	spin_lock(&a->lock);
	strscpy(a->driver, crypto_tfm_alg_driver_name(crypto_aead_tfm(aead)), sizeof(a->driver));
	a->fresh_until = jiffies + TG_DRIVER_FRESH;
	spin_unlock(&a->lock);
}

/*
 * No mask: on x86 up to 6.12 the fast gcm(aes) is a wrapper flagged
 * asynchronous that completes at once in process context, and masking
 * CRYPTO_ALG_ASYNC would select slow generic code.
 */
static struct crypto_aead *tg_alg_alloc_best(struct tg_alg *a)
{
	return crypto_alloc_aead(a->name, 0, 0);
}

/*
 * The best of a name is found by going through every algorithm there is; a
 * driver by its name is found when it is come to.  Not for ever: a better one
 * may be loaded, or this one gone.
 */
static struct crypto_aead *tg_alg_alloc(struct tg_alg *a)
{
	char driver[CRYPTO_MAX_ALG_NAME];
	struct crypto_aead *aead;

	if (tg_alg_driver(a, driver)) {
		aead = crypto_alloc_aead(driver, 0, 0);
		if (PTR_ERR_OR_ZERO(aead) != -ENOENT)
			return aead;
	}
	aead = tg_alg_alloc_best(a);
	if (!IS_ERR(aead))
		tg_alg_learn(a, aead);
	return aead;
}

int tg_cipher_driver(const struct tg_cipher *c, char *buf, size_t len)
{
	struct crypto_aead *aead = tg_alg_alloc_best(c->alg);

	if (IS_ERR(aead))
		return PTR_ERR(aead);
	strscpy(buf, crypto_tfm_alg_driver_name(crypto_aead_tfm(aead)), len);
	crypto_free_aead(aead);
	return 0;
}

static int tg_dir_set_key(struct tg_dir *d, const struct tg_cipher *c,
			  const u8 *key, const u8 *iv, u64 seq)
{
	int err = crypto_aead_setkey(d->aead, key, c->key_len);

	if (err)
		return err;
	memcpy(d->iv, iv, c->iv_len);
	d->seq = seq;
	d->first_seq = seq;
	return 0;
}

int tg_dir_init(struct tg_dir *d, const struct tg_cipher *c, const struct tg_keys *keys)
{
	int err;

	d->aead = tg_alg_alloc(c->alg);
	if (IS_ERR(d->aead)) {
		err = PTR_ERR(d->aead);
		d->aead = NULL;
		return err;
	}
	err = crypto_aead_setauthsize(d->aead, TG_TAG_LEN);
	if (!err)
		err = tg_dir_set_key(d, c, keys->key, keys->iv, keys->seq);
	if (err) {
		tg_dir_free(d);
		return err;
	}
	memcpy(d->secret, keys->secret, c->secret_len);
	return 0;
}

void tg_dir_free(struct tg_dir *d)
{
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
	int err = crypto_shash_setkey(hmac, secret, c->secret_len);

	if (!err)
		err = tg_expand_label(hmac, "traffic upd", next->secret, c->secret_len);
	if (!err)
		err = crypto_shash_setkey(hmac, next->secret, c->secret_len);
	if (!err)
		err = tg_expand_label(hmac, "key", next->key, c->key_len);
	if (!err)
		err = tg_expand_label(hmac, "iv", next->iv, c->iv_len);
	return err;
}

int tg_dir_ratchet(struct tg_dir *d, const struct tg_cipher *c)
{
	struct crypto_shash *hmac = crypto_alloc_shash(c->hash, 0, 0);
	struct tg_keys next;
	int err;

	if (IS_ERR(hmac))
		return PTR_ERR(hmac);
	err = tg_ratchet_keys(hmac, c, d->secret, &next);
	if (!err)
		err = tg_dir_set_key(d, c, next.key, next.iv, 0);
	if (!err) {
		memcpy(d->secret, next.secret, c->secret_len);
		d->epoch++;
	}
	memzero_explicit(&next, sizeof(next));
	crypto_free_shash(hmac);
	return err;
}

u64 tg_dir_left(const struct tg_dir *d, const struct tg_cipher *c)
{
	u64 param = READ_ONCE(aead_limit);
	u64 limit = param ? min(param, c->limit) : c->limit;
	u64 used = d->seq - d->first_seq;

	/* RFC 9846 section 5.3: the sequence number must not wrap. */
	return min(used < limit ? limit - used : 0, U64_MAX - d->seq);
}

bool tg_dir_atomic(const struct tg_dir *d)
{
	return d->prompt && crypto_simd_usable();
}

/* RFC 5288 section 3: salt and explicit part; RFC 9846 section 5.3, RFC 7905: IV xor number. */
static void tg_nonce(struct tg_session *s, const struct tg_dir *d, const u8 *explicit)
{
	const struct tg_cipher *c = s->cipher;
	unsigned int i;

	memcpy(s->nonce, d->iv, c->iv_len);
	if (c->explicit_len) {
		memcpy(s->nonce + c->iv_len, explicit, c->explicit_len);
		return;
	}
	for (i = 0; i < sizeof(d->seq); i++)
		s->nonce[TG_NONCE_LEN - 1 - i] ^= (u8)(d->seq >> (8 * i));
}

int tg_cipher_crypt(struct tg_session *s, struct tg_dir *d, const u8 *explicit,
		    u32 aad_len, u32 len, bool seal)
{
	struct aead_request *req = s->req;
	DECLARE_CRYPTO_WAIT(wait);
	u32 flags = s->atomic ? 0 : CRYPTO_TFM_REQ_MAY_SLEEP | CRYPTO_TFM_REQ_MAY_BACKLOG;
	u64 seq = d->seq;
	int err;

	tg_nonce(s, d, explicit);
	d->seq++;
	aead_request_set_tfm(req, d->aead);
	aead_request_set_callback(req, flags, crypto_req_done, &wait);
	aead_request_set_crypt(req, s->sg_src, s->sg_dst, len, s->nonce);
	aead_request_set_ad(req, aad_len);
	sg_mark_end(&s->sg_src[s->sg_src_last]);
	sg_mark_end(&s->sg_dst[s->sg_dst_last]);
	err = seal ? crypto_aead_encrypt(req) : crypto_aead_decrypt(req);
	d->prompt = err != -EINPROGRESS && err != -EBUSY;
	err = crypto_wait_req(err, &wait);
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
