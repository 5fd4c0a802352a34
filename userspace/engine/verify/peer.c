// SPDX-License-Identifier: MIT
/* A peer, from what it sent to what may be used of it. */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "verify/path.h"

#define STATUS_TIME_LEN	8		/* where kept begins; 0: it had no status */

struct tls_peer {
	struct tls_certificate *leaf;	/* the one element */
	STACK_OF(X509) *path;		/* from the leaf to the anchor; NULL: not believed */
	/* until when its status is fresh, and the chain as it was sent */
	struct tls_buf kept;
};

void tls_peer_free(struct tls_peer *peer)
{
	if (!peer)
		return;
	sk_X509_pop_free(peer->path, X509_free);
	tls_certificate_free(peer->leaf);
	tls_buf_free(&peer->kept);
	free(peer);
}

const struct tls_certificate *tls_peer_leaf(const struct tls_peer *peer)
{
	return peer->leaf;
}

struct tls_slice tls_peer_kept(const struct tls_peer *peer)
{
	return (struct tls_slice){ peer->kept.data, peer->kept.len };
}

/* ---- what is kept ---- */

static void keep_status_time(struct tls_peer *peer, int64_t until)
{
	for (int i = 0; i < STATUS_TIME_LEN; i++)
		peer->kept.data[i] = (uint8_t)((uint64_t)until >> (56 - 8 * i));
}

static int keep_chain(struct tls_peer *peer, const struct tls_slice *chain, size_t count)
{
	tls_buf_init(&peer->kept, SIZE_MAX);
	for (int i = 0; i < STATUS_TIME_LEN; i++)
		tls_put_u8(&peer->kept, 0);
	for (size_t i = 0; i < count; i++) {
		struct tls_vec element = tls_put_open(&peer->kept, 3);

		tls_put_bytes(&peer->kept, chain[i].p, chain[i].len);
		tls_put_close(&peer->kept, element);
	}
	return tls_buf_error(&peer->kept);
}

static int read_kept(struct tls_slice kept, int64_t *until, struct tls_slice chain[TLS_MAX_CHAIN],
		     size_t *count)
{
	struct tls_reader in, der;
	uint64_t high;

	*count = 0;
	tls_reader_init(&in, kept.p, kept.len);
	high = tls_read_u32(&in);
	*until = (int64_t)(high << 32 | tls_read_u32(&in));
	while (tls_read_more(&in) && *count < TLS_MAX_CHAIN) {
		tls_read_vec24(&in, &der);
		chain[(*count)++] = tls_read_rest(&der);
	}
	return tls_read_at_end(&in) && *count ? 0 : TLS_ERR_ARGUMENT;
}

/* ---- judging ---- */

static int refuse_element(size_t i, char why[TLS_VERIFY_TEXT])
{
	snprintf(why, TLS_VERIFY_TEXT, "certificate %zu of the chain cannot be parsed", i);
	return TLS_ALERT(BAD_CERTIFICATE);
}

static int parse_leaf(struct tls_peer *peer, struct tls_slice der, char why[TLS_VERIFY_TEXT])
{
	int err = tls_certificate_from_der(&peer->leaf, der);

	if (err == TLS_ALERT(BAD_CERTIFICATE))
		return refuse_element(0, why);
	if (err == TLS_ALERT(UNSUPPORTED_CERTIFICATE))
		snprintf(why, TLS_VERIFY_TEXT, "the certificate's key is of a type that is not "
			 "supported");
	return err;
}

/* The elements behind the leaf, which may be parts of a path. */
static int parse_rest(STACK_OF(X509) *rest, const struct tls_slice *chain, size_t count,
		      char why[TLS_VERIFY_TEXT])
{
	for (size_t i = 1; i < count; i++) {
		X509 *x509 = tls_x509_from_der(chain[i]);

		if (!x509)
			return refuse_element(i, why);
		if (sk_X509_push(rest, x509) <= 0) {
			X509_free(x509);
			return TLS_ERR_NO_MEMORY;
		}
	}
	return 0;
}

static void show_unverified(const struct tls_verify_request *req, const struct tls_slice *chain,
			    size_t count)
{
	for (size_t i = 0; req->element && i < count; i++)
		req->element(req->arg, chain[i], "not verified");
}

static int judge(struct tls_peer *peer, const struct tls_verify_request *req,
		 const struct tls_slice *chain, size_t count, char why[TLS_VERIFY_TEXT])
{
	STACK_OF(X509) *rest = sk_X509_new_null();
	int err = rest ? parse_rest(rest, chain, count, why) : TLS_ERR_NO_MEMORY;

	if (!err && req->verify == TLS_VERIFY_NONE) {
		show_unverified(req, chain, count);
	} else if (!err) {
		err = tls_path_find(&peer->path, req, peer->leaf->x509[0], rest, why);
		if (req->verify == TLS_VERIFY_REPORT && TLS_ERR_CLASS(err) == TLS_ERR_ALERT)
			err = 0;
	}
	sk_X509_pop_free(rest, X509_free);
	return err;
}

static int peer_new(struct tls_peer **out, const struct tls_slice *chain, size_t count,
		    char why[TLS_VERIFY_TEXT])
{
	struct tls_peer *peer = calloc(1, sizeof(*peer));
	int err;

	why[0] = '\0';
	if (!peer)
		return TLS_ERR_NO_MEMORY;
	err = keep_chain(peer, chain, count);
	if (!err)
		err = parse_leaf(peer, chain[0], why);
	if (err)
		tls_peer_free(peer);
	else
		*out = peer;
	return err;
}

int tls_peer_verify(struct tls_peer **out, const struct tls_verify_request *req,
		    const struct tls_slice *chain, size_t count, char why[TLS_VERIFY_TEXT])
{
	struct tls_peer *peer;
	int err = peer_new(&peer, chain, count, why);

	if (err)
		return err;
	if (tls_certificate_may(peer->leaf, req->op)) {
		err = judge(peer, req, chain, count, why);
	} else {
		snprintf(why, TLS_VERIFY_TEXT, "the certificate's key usage forbids %s",
			 req->op == TLS_KEY_DECRYPT ? "key encipherment" : "signing");
		err = TLS_ALERT(ILLEGAL_PARAMETER);
	}
	if (err)
		tls_peer_free(peer);
	else
		*out = peer;
	return err;
}

/* ---- status ---- */

static int refuse_status(int err, const char *reason, char why[TLS_VERIFY_TEXT])
{
	snprintf(why, TLS_VERIFY_TEXT, "%s", reason);
	return err;
}

static int check_status(struct tls_peer *peer, const struct tls_verify_request *req,
			struct tls_slice response, char why[TLS_VERIFY_TEXT])
{
	const char *reason;
	int64_t until;
	int err;

	if (!response.len)
		return tls_ocsp_demanded(sk_X509_value(peer->path, 0)) ?
		       refuse_status(TLS_ALERT(BAD_CERTIFICATE_STATUS),
				     "the certificate demands an OCSP response, there is none",
				     why) : 0;
	err = tls_ocsp_check(req, peer->path, response, &until, &reason);
	if (err)
		return refuse_status(err, reason, why);
	keep_status_time(peer, until);
	return 0;
}

int tls_peer_verify_status(struct tls_peer *peer, const struct tls_verify_request *req,
			   struct tls_slice response, char why[TLS_VERIFY_TEXT])
{
	int err;

	if (!req->status || !peer->path)
		return 0;
	err = check_status(peer, req, response, why);
	ERR_clear_error();
	return req->verify == TLS_VERIFY_REPORT && TLS_ERR_CLASS(err) == TLS_ERR_ALERT ? 0 : err;
}

/* ---- again, for a session ---- */

/* A session goes on as long as its status would have been taken. */
static int check_old_status(struct tls_peer *peer, const struct tls_verify_request *req,
			    int64_t until, char why[TLS_VERIFY_TEXT])
{
	static const struct tls_slice none;

	if (!until)
		return tls_peer_verify_status(peer, req, none, why);
	keep_status_time(peer, until);
	if (!req->status || req->now < until)
		return 0;
	return refuse_status(TLS_ALERT(BAD_CERTIFICATE_STATUS),
			     "the OCSP response that the session began with has expired", why);
}

int tls_peer_resume(struct tls_peer **out, const struct tls_verify_request *req,
		    struct tls_slice kept, char why[TLS_VERIFY_TEXT])
{
	struct tls_slice chain[TLS_MAX_CHAIN];
	struct tls_peer *peer;
	int64_t until;
	size_t count;
	int err = read_kept(kept, &until, chain, &count);

	if (!err)
		err = peer_new(&peer, chain, count, why);
	if (err)
		return err;
	err = judge(peer, req, chain, count, why);
	if (!err)
		err = check_old_status(peer, req, until, why);
	if (err)
		tls_peer_free(peer);
	else
		*out = peer;
	return err;
}
