// SPDX-License-Identifier: MIT
#include "key_request.h"

#include <string.h>

#include "config.h"
#include "crypto/crypto.h"
#include "crypto/prf12.h"
#include "message/message.h"
#include "suites.h"
#include "wire.h"

#define BLANKS		64
#define NAMED_CURVE	3		/* RFC 8422 section 5.4 */

void tls13_put_context(enum tls_role signer, uint8_t out[TLS13_CONTEXT_LEN])
{
	/* the terminating zero is part of it */
	static const char contexts[][TLS13_CONTEXT_LEN - BLANKS] = {
		[TLS_CLIENT] = "TLS 1.3, client CertificateVerify",
		[TLS_SERVER] = "TLS 1.3, server CertificateVerify",
	};

	memset(out, ' ', BLANKS);
	memcpy(out + BLANKS, contexts[signer], sizeof(contexts[signer]));
}

static bool is_verify13(const struct tls_key_request *request, enum tls_role signer)
{
	uint8_t context[TLS13_CONTEXT_LEN];
	size_t hash_len = request->len - sizeof(context);

	tls13_put_context(signer, context);
	return request->len > sizeof(context) &&
	       !memcmp(request->data, context, sizeof(context)) &&
	       (hash_len == tls_hash_size(TLS_HASH_SHA256) ||
		hash_len == tls_hash_size(TLS_HASH_SHA384));
}

static bool is_server13(const struct tls_key_request *request)
{
	return is_verify13(request, TLS_SERVER);
}

static bool is_client13(const struct tls_key_request *request)
{
	return is_verify13(request, TLS_CLIENT);
}

/* RFC 8422 section 5.4: both randoms and ServerECDHParams. */
static bool is_server12(const struct tls_key_request *request)
{
	struct tls_reader data, point;
	bool known;

	tls_reader_init(&data, request->data, request->len);
	(void)tls_read_bytes(&data, 2 * TLS_RANDOM_LEN);
	known = tls_read_u8(&data) == NAMED_CURVE;
	known &= tls_group_find(tls_read_u16(&data)) != NULL;
	tls_read_vec8(&data, &point);
	return tls_read_at_end(&data) && known && point.left;
}

/* RFC 5246 section 7.4.8: the handshake messages so far, which Ed25519 takes whole. */
static bool is_messages12(const struct tls_key_request *request)
{
	static const uint8_t begin[] = { TLS_MSG_CLIENT_HELLO, TLS_MSG_SERVER_HELLO };
	struct tls_reader data, body;
	size_t i;

	tls_reader_init(&data, request->data, request->len);
	for (i = 0; tls_read_more(&data); i++) {
		uint8_t type = tls_read_u8(&data);

		if (i < sizeof(begin) && type != begin[i])
			return false;
		tls_read_vec24(&data, &body);
	}
	return tls_read_at_end(&data) && i > sizeof(begin);
}

static bool is_anything(const struct tls_key_request *request)
{
	(void)request;
	return true;
}

/* A bare digest and a ciphertext have no form: that a use allows them is all there is. */
static const struct form {
	unsigned int use;
	enum tls_key_op op;
	bool (*fits)(const struct tls_key_request *request);
} forms[] = {
	{ TLS_KEY_FOR_SERVER13, TLS_KEY_SIGN, is_server13 },
	{ TLS_KEY_FOR_CLIENT13, TLS_KEY_SIGN, is_client13 },
	{ TLS_KEY_FOR_SERVER12, TLS_KEY_SIGN, is_server12 },
	{ TLS_KEY_FOR_CLIENT12, TLS_KEY_SIGN, is_messages12 },
	{ TLS_KEY_FOR_CLIENT12, TLS_KEY_SIGN_DIGEST, is_anything },
	{ TLS_KEY_FOR_PREMASTER, TLS_KEY_DECRYPT, is_anything },
};

bool tls_key_request_fits(const struct tls_key_request *request, unsigned int uses)
{
	const struct form *form;

	for (form = forms; form < forms + sizeof(forms) / sizeof(forms[0]); form++)
		if (uses & form->use && request->op == form->op && form->fits(request))
			return true;
	return false;
}

unsigned int tls_config_key_uses(const struct tls_config *config)
{
	bool server = config->role == TLS_SERVER;
	unsigned int uses = 0;
	size_t i;

	if (tls_config_has_version(config, TLS_1_3))
		uses |= server ? TLS_KEY_FOR_SERVER13 : TLS_KEY_FOR_CLIENT13;
	if (tls_config_has_version(config, TLS_1_2) && !server)
		uses |= TLS_KEY_FOR_CLIENT12;
	for (i = 0; i < config->suite_count && server; i++) {
		if (config->min_version > TLS_1_2)
			break;
		if (config->suites[i]->kx == TLS_KX_ECDHE)
			uses |= TLS_KEY_FOR_SERVER12;
		if (config->suites[i]->kx == TLS_KX_RSA)
			uses |= TLS_KEY_FOR_PREMASTER;
	}
	return uses;
}
