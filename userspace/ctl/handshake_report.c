// SPDX-License-Identifier: MIT
#include "ctl/handshake_report.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HEADER_LEN	4

void report_init(struct report *report)
{
	memset(report, 0, sizeof(*report));
	report->alert_sent = report->alert_received = -1;
}

void report_clear(struct report *report)
{
	tls_wipe(report->secrets, sizeof(report->secrets));
}

/* ---- certificates --------------------------------------------------------- */

static void name_text(const X509_NAME *name, char text[REPORT_TEXT])
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len = -1;

	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		len = BIO_read(bio, text, REPORT_TEXT - 1);
	text[len > 0 ? len : 0] = '\0';
	BIO_free(bio);
}

static void time_text(const ASN1_TIME *when, char text[32])
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(when, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(text, 32, "unreadable");
}

static void key_text(X509 *x509, char text[64])
{
	EVP_PKEY *key = X509_get0_pubkey(x509);
	char group[32] = "";
	size_t len;

	if (!key) {
		snprintf(text, 64, "unreadable");
		return;
	}
	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1)
		snprintf(text, 64, "%s %s", EVP_PKEY_get0_type_name(key), group);
	else
		snprintf(text, 64, "%s %d bits", EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
}

/* A NUL in it is no end: what is behind it belongs to the name. */
static void dns_name(const ASN1_STRING *value, char text[REPORT_TEXT])
{
	size_t len = (size_t)ASN1_STRING_length(value);
	size_t i;

	if (len >= REPORT_TEXT)
		len = REPORT_TEXT - 1;
	memcpy(text, ASN1_STRING_get0_data(value), len);
	text[len] = '\0';
	for (i = 0; i < len; i++)
		if (!text[i])
			text[i] = '?';
}

static bool general_name(const GENERAL_NAME *name, char text[REPORT_TEXT])
{
	const ASN1_STRING *value;

	if (name->type == GEN_DNS) {
		dns_name(name->d.dNSName, text);
		return true;
	}
	if (name->type != GEN_IPADD)
		return false;
	value = name->d.iPAddress;
	return inet_ntop(ASN1_STRING_length(value) == 4 ? AF_INET : AF_INET6,
			 ASN1_STRING_get0_data(value), text, REPORT_TEXT);
}

static void add_name(struct report_cert *cert, const char *name)
{
	size_t len = strlen(name) + 1;

	if (len > sizeof(cert->names) - cert->names_len)
		return;
	memcpy(cert->names + cert->names_len, name, len);
	cert->names_len += len;
}

static void add_names(X509 *x509, struct report_cert *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	char one[REPORT_TEXT];
	int i;

	cert->names_len = 0;
	for (i = 0; i < sk_GENERAL_NAME_num(names); i++)
		if (general_name(sk_GENERAL_NAME_value(names, i), one))
			add_name(cert, one);
	GENERAL_NAMES_free(names);
}

/* The one with this DER, which may be told of again with a worse verdict, or a new one. */
static struct report_cert *find_certificate(struct report *report, const struct tls_event *event)
{
	uint8_t digest[32];
	size_t i;

	if (!EVP_Digest(event->data, event->len, digest, NULL, EVP_sha256(), NULL))
		return NULL;
	for (i = 0; i < report->cert_count; i++)
		if (!memcmp(report->certs[i].digest, digest, sizeof(digest)))
			return &report->certs[i];
	if (i == REPORT_CERTS)
		return NULL;
	memcpy(report->certs[i].digest, digest, sizeof(digest));
	report->cert_count++;
	return &report->certs[i];
}

static void add_certificate(struct report *report, const struct tls_event *event)
{
	const unsigned char *der = event->data;
	struct report_cert *cert;
	X509 *x509;

	cert = find_certificate(report, event);
	if (!cert)
		return;
	snprintf(cert->verdict, sizeof(cert->verdict), "%s", event->text ? event->text : "");
	x509 = d2i_X509(NULL, &der, (long)event->len);
	if (!x509) {
		snprintf(cert->subject, sizeof(cert->subject), "unreadable");
		return;
	}
	name_text(X509_get_subject_name(x509), cert->subject);
	name_text(X509_get_issuer_name(x509), cert->issuer);
	add_names(x509, cert);
	time_text(X509_get0_notBefore(x509), cert->not_before);
	time_text(X509_get0_notAfter(x509), cert->not_after);
	key_text(x509, cert->key);
	X509_free(x509);
}

/* ---- events ---------------------------------------------------------------- */

static void add_secret(struct report *report, const struct tls_event *event)
{
	struct report_secret *secret;

	report->step = STEP_SESSION_KEYS;
	if (report->secret_count == REPORT_SECRETS || event->len > sizeof(secret->value))
		return;
	secret = &report->secrets[report->secret_count++];
	snprintf(secret->name, sizeof(secret->name), "%s", event->text);
	secret->len = event->len;
	if (report->show_secrets)
		memcpy(secret->value, event->data, event->len);
}

static void message_sent(struct report *report, const struct tls_event *event)
{
	switch (event->type) {
	case MSG_CLIENT_HELLO:
		hello_read_client(report->retry.present ? &report->again : &report->client,
				  event->data, event->len);
		break;
	case MSG_CLIENT_KEY_EXCHANGE:
		report->kex12_client_len = event->len - HEADER_LEN;
		break;
	case MSG_FINISHED:
		report->finished_sent = true;
		break;
	default:
		break;
	}
}

static void server_hello(struct report *report, const struct tls_event *event)
{
	struct hello hello;

	hello_read_server(&hello, event->data, event->len);
	*(hello.is_retry ? &report->retry : &report->server) = hello;
	report->step = STEP_SERVER_HELLO;
}

static void message_received(struct report *report, const struct tls_event *event)
{
	switch (event->type) {
	case MSG_SERVER_HELLO:
		server_hello(report, event);
		break;
	case MSG_CERTIFICATE:
	case MSG_CERTIFICATE_VERIFY:
		report->step = STEP_AUTHENTICATION;
		break;
	case MSG_CERTIFICATE_REQUEST:
		report->certificate_asked = true;
		break;
	case MSG_SERVER_KEY_EXCHANGE:
		report->step = STEP_KEY_EXCHANGE;
		if (!kex12_read_server(&report->kex12, event->data, event->len))
			report->kex12 = (struct hello_share){0};
		break;
	case MSG_SERVER_HELLO_DONE:
		report->step = STEP_KEY_EXCHANGE;
		break;
	case MSG_FINISHED:
		report->step = STEP_FINISHED;
		break;
	default:
		break;
	}
}

/*
 * What passed since the last event belongs to this one's step.  The shared
 * secret of TLS 1.3 is computed on the way to the first secret.
 */
static void note_time(struct report *report, const struct tls_event *event)
{
	enum step step = report_step_of(report, event);

	if (event->kind == TLS_EVENT_SECRET_DERIVED && !report->secret_count &&
	    report->server.share_count)
		report_took(report, STEP_KEY_EXCHANGE);
	report_took(report, step);
	if (event->kind == TLS_EVENT_MESSAGE_RECEIVED)
		report->step_trip[step] = report->round_trips + report->awaits;
}

void report_event(void *arg, void *conn_arg, const struct tls_event *event)
{
	struct report *report = conn_arg;

	(void)arg;
	note_time(report, event);
	switch (event->kind) {
	case TLS_EVENT_MESSAGE_SENT:
		report->awaits = true;
		message_sent(report, event);
		break;
	case TLS_EVENT_MESSAGE_RECEIVED:
		report->round_trips += report->awaits;
		report->awaits = false;
		message_received(report, event);
		break;
	case TLS_EVENT_SECRET_DERIVED:
		add_secret(report, event);
		break;
	case TLS_EVENT_CERTIFICATE:
		add_certificate(report, event);
		break;
	case TLS_EVENT_SIGNATURE_CHECKED:
		snprintf(report->scheme, sizeof(report->scheme), "%s", event->text);
		break;
	case TLS_EVENT_FINISHED_CHECKED:
		report->finished_checked = true;
		break;
	case TLS_EVENT_ALERT_SENT:
		report->alert_sent = event->type;
		break;
	case TLS_EVENT_ALERT_RECEIVED:
		report->alert_received = event->type;
		break;
	case TLS_EVENT_REKEYED:
		break;
	}
}

size_t report_scts(const struct report *report)
{
	const uint8_t *list = report->info.scts;
	size_t count = 0;

	/* The engine has seen to it that the lengths fit. */
	for (size_t at = 2; at + 2 <= report->info.scts_len; count++)
		at += 2 + (size_t)(list[at] << 8 | list[at + 1]);
	return count;
}

void report_finish(struct report *report, const struct tls_conn *conn)
{
	report->established = !report->io_error && !report->err && tls_conn_established(conn);
	tls_conn_info(conn, &report->info);
	if (!tls_conn_reason(conn, report->err, report->cause))
		report->cause[0] = '\0';
}

/* ---- failures --------------------------------------------------------------- */

const char *report_cause(const struct report *report)
{
	if (report->cause[0])
		return report->cause;
	return report->certificate_asked && TLS_ERR_CLASS(report->err) == TLS_ERR_PEER ?
	       "the server does not take the client's certificate, or that there is none: see --cert and --key" :
	       NULL;
}

const char *report_failure(const struct report *report, char text[2 * REPORT_TEXT])
{
	const char *why = report->io_error ? report->io_error : tls_strerror(report->err);
	const char *verify = report->info.verify_error;

	snprintf(text, 2 * REPORT_TEXT, "%s%s%s%s", why, verify ? " (" : "", verify ? verify : "",
		 verify ? ")" : "");
	return text;
}
