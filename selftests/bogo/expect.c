// SPDX-License-Identifier: MIT
/* What the runner wants to be true of a finished handshake. */
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool expect_number(const char *what, int wanted, int found)
{
	if (!wanted || wanted == found)
		return true;
	fprintf(stderr, "%s is 0x%04x, wanted 0x%04x\n", what, found, wanted);
	return false;
}

static bool expect_text(const char *what, const char *wanted, const char *found)
{
	if (same_text(wanted, found))
		return true;
	fprintf(stderr, "%s is '%s', wanted '%s'\n", what, found ? found : "",
		wanted ? wanted : "");
	return false;
}

static bool expect_flag(const char *what, bool wanted, bool found)
{
	if (wanted == found)
		return true;
	fprintf(stderr, "%s%s, against what was wanted\n", found ? "" : "no ", what);
	return false;
}

static bool expect_scheme(const struct exchange *x)
{
	int wanted = x->options->expect_scheme;

	return !wanted || expect_text("the peer's signature scheme",
				      tls_scheme_name((uint16_t)wanted), x->observed.scheme);
}

/* The leaf alone: the engine keeps no more of the chain for its caller. */
static bool expect_certificate(const char *path, const struct tls_conn_info *info)
{
	size_t len;
	char *text = path ? file_read(path, &len) : NULL;
	unsigned char *der = NULL;
	char *name = NULL, *header = NULL;
	long der_len = 0;
	bool same = !path;
	BIO *bio = text ? BIO_new_mem_buf(text, (int)len) : NULL;

	if (bio && PEM_read_bio(bio, &name, &header, &der, &der_len) == 1)
		same = (size_t)der_len == info->peer_certificate_len &&
		       !memcmp(der, info->peer_certificate, info->peer_certificate_len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(bio);
	free(text);
	return expect_flag("the peer's certificate", true, same);
}

static bool expect_bytes(const char *what, const uint8_t *wanted, size_t wanted_len,
			 const uint8_t *found, size_t found_len)
{
	if (wanted_len && wanted_len == found_len && !memcmp(wanted, found, found_len))
		return true;
	fprintf(stderr, "%s: %zu bytes, not the %zu that were wanted\n", what, found_len,
		wanted_len);
	return false;
}

static bool expect_base64(const char *what, const char *wanted, const uint8_t *found, size_t len)
{
	uint8_t bytes[1024];

	return !wanted ||
	       expect_bytes(what, bytes, base64_decode(wanted, bytes, sizeof(bytes)), found, len);
}

static bool expect_names(const char *wanted, const struct seen *found)
{
	uint8_t names[MAX_SEEN];

	return !wanted || expect_bytes("the CAs named", names,
				       hex_names(wanted, names, sizeof(names)), found->bytes,
				       found->len);
}

static bool expect_schemes(const struct int_list *wanted, const struct seen *found)
{
	uint8_t list[2 * MAX_LIST];

	for (size_t i = 0; i < wanted->count; i++) {
		list[2 * i] = (uint8_t)(wanted->values[i] >> 8);
		list[2 * i + 1] = (uint8_t)wanted->values[i];
	}
	return !wanted->count || expect_bytes("the peer's signature schemes", list,
					      2 * wanted->count, found->bytes, found->len);
}

static bool expect_requests(const struct exchange *x)
{
	const struct options *o = x->options;
	const struct observed *observed = &x->observed;

	return expect_base64("the certificate types", o->expect_cert_types,
			     observed->cert_types.bytes, observed->cert_types.len) &&
	       expect_names(o->expect_ca_names, &observed->ca_names) &&
	       expect_schemes(&o->expect_peer_schemes, &observed->peer_schemes);
}

static bool expect_peer(const struct exchange *x, const struct tls_conn_info *info)
{
	const struct options *o = x->options;

	if ((!o->server || o->require_certificate) &&
	    !expect_flag("certificate of the peer", true, info->peer_certificate != NULL))
		return false;
	if (o->expect_verify_result &&
	    !expect_flag("verification error", o->verify_fail, info->verify_error != NULL))
		return false;
	/* All are of the handshake that made a session, which does not keep them. */
	if (!info->resumed &&
	    !(expect_scheme(x) && expect_requests(x) &&
	      expect_base64("the OCSP response", o->expect_ocsp_response, info->ocsp_response,
			    info->ocsp_response_len) &&
	      expect_base64("the SCTs", o->expect_scts, info->scts, info->scts_len)))
		return false;
	return expect_certificate(o->expect_peer_cert_file, info);
}

/* TLS 1.2's comes within the handshake, TLS 1.3's later: the caller knows when to ask. */
bool expect_session(const struct exchange *x)
{
	const struct options *o = x->options;
	size_t len;
	bool has = tls_conn_session(x->conn, &len) != NULL;

	if (o->expect_no_session)
		return expect_flag("session to resume", false, has);
	return !o->expect_ticket_renewal || expect_flag("session to resume", true, has);
}

bool expect_trace(const struct exchange *x)
{
	const char *wanted = x->options->expect_trace, *found = x->observed.trace;
	bool same = true;

	/* Of change_cipher_spec, in either direction, there is no event. */
	for (; same && wanted && *wanted; wanted += strcspn(wanted, "\n") + 1) {
		size_t len = strcspn(wanted, "\n") + 1;

		if (!strncmp(wanted + len - 4, "ccs\n", 4))
			continue;
		same = !strncmp(wanted, found, len);
		found += same ? len : 0;
	}
	return !wanted || expect_flag("the messages expected", true, same && !*found);
}

bool expect_handshake(const struct exchange *x, bool resumption)
{
	const struct options *o = x->options;
	struct tls_conn_info info;

	tls_conn_info(x->conn, &info);
	if (o->handshake_never_done)
		return expect_flag("finished handshake", false, true);
	if (o->expect_hrr && !expect_flag("HelloRetryRequest", true, info.hello_retry))
		return false;
	if (o->expect_no_hrr && !expect_flag("HelloRetryRequest", false, info.hello_retry))
		return false;
	/* TLS 1.3 has its properties without the extension */
	if (o->expect_extended_master_secret && info.version == TLS_1_2 &&
	    !expect_flag("extended master secret", true, info.extended_master_secret))
		return false;
	if (o->expect_server_name &&
	    !expect_text("the server's name", o->expect_server_name, info.server_name))
		return false;
	if (o->expect_advertised_alpn &&
	    !expect_bytes("the client's ALPN", (const uint8_t *)o->expect_advertised_alpn,
			  strlen(o->expect_advertised_alpn), x->observed.alpn.bytes,
			  x->observed.alpn.len))
		return false;
	return expect_flag("resumption", resumption && !o->expect_session_miss, info.resumed) &&
	       expect_text("the application protocol", o->server ? o->select_alpn : o->expect_alpn,
			   info.alpn) &&
	       expect_number("the version", o->expect_version, info.version) &&
	       expect_number("the suite", o->expect_cipher, info.suite) &&
	       expect_number("the suite", o->expect_cipher_aes, info.suite) &&
	       expect_number("the group", o->expect_group, info.group) &&
	       expect_peer(x, &info);
}
