// SPDX-License-Identifier: MIT
/* Which step an event belongs to and how long each took; what a step did, in words. */
#include <string.h>
#include <time.h>

#include "ctl/handshake_report.h"

const char *const step_names[STEPS] = {
	[STEP_CLIENT_HELLO] = "ClientHello",
	[STEP_SERVER_HELLO] = "ServerHello",
	[STEP_AUTHENTICATION] = "Authentication",
	[STEP_KEY_EXCHANGE] = "Key exchange",
	[STEP_SESSION_KEYS] = "Session keys",
	[STEP_FINISHED] = "Finished",
};

struct message_step {
	uint8_t type;
	enum step step;
};

static const struct message_step message_steps[] = {
	{ MSG_CLIENT_HELLO, STEP_CLIENT_HELLO },
	{ MSG_SERVER_HELLO, STEP_SERVER_HELLO },
	{ MSG_ENCRYPTED_EXTENSIONS, STEP_SERVER_HELLO },
	{ MSG_CERTIFICATE, STEP_AUTHENTICATION },
	{ MSG_CERTIFICATE_REQUEST, STEP_AUTHENTICATION },
	{ MSG_CERTIFICATE_STATUS, STEP_AUTHENTICATION },
	{ MSG_CERTIFICATE_VERIFY, STEP_AUTHENTICATION },
	{ MSG_SERVER_KEY_EXCHANGE, STEP_KEY_EXCHANGE },
	{ MSG_SERVER_HELLO_DONE, STEP_KEY_EXCHANGE },
	{ MSG_CLIENT_KEY_EXCHANGE, STEP_KEY_EXCHANGE },
	/* TLS 1.2: it comes with the server's Finished */
	{ MSG_NEW_SESSION_TICKET, STEP_FINISHED },
	{ MSG_FINISHED, STEP_FINISHED },
};

static enum step of_message(const struct report *report, uint8_t type)
{
	size_t i;

	for (i = 0; i < sizeof(message_steps) / sizeof(message_steps[0]); i++)
		if (message_steps[i].type == type)
			return message_steps[i].step;
	return report->step;
}

enum step report_step_of(const struct report *report, const struct tls_event *event)
{
	switch (event->kind) {
	case TLS_EVENT_MESSAGE_SENT:
	case TLS_EVENT_MESSAGE_RECEIVED:
		return of_message(report, event->type);
	case TLS_EVENT_SECRET_DERIVED:
		return STEP_SESSION_KEYS;
	case TLS_EVENT_CERTIFICATE:
	case TLS_EVENT_SIGNATURE_CHECKED:
		return STEP_AUTHENTICATION;
	case TLS_EVENT_FINISHED_CHECKED:
		return STEP_FINISHED;
	default:
		return report->step;
	}
}

double report_now_ms(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1000.0 + (double)ts.tv_nsec / 1e6;
}

void report_took(struct report *report, enum step step)
{
	double now = report_now_ms();

	if (report->last_ms > 0)
		report->step_ms[step] += now - report->last_ms;
	report->last_ms = now;
	report->reached[step] = true;
}

void report_kex(const struct report *report, struct report_kex *kex)
{
	const struct hello *client = report->again.present ? &report->again : &report->client;
	size_t i;

	*kex = (struct report_kex){0};
	if (report->server.share_count) {
		kex->group = report->server.shares[0].group;
		kex->server_len = report->server.shares[0].len;
		for (i = 0; i < client->share_count; i++)
			if (client->shares[i].group == kex->group)
				kex->client_len = client->shares[i].len;
	} else if (report->kex12.group) {
		kex->group = report->kex12.group;
		kex->server_len = report->kex12.len;
		/* one byte of length before the point */
		kex->client_len = report->kex12_client_len ? report->kex12_client_len - 1 : 0;
	} else if (report->kex12_client_len) {
		/* two, before the encrypted premaster secret */
		kex->encrypted_len = report->kex12_client_len - 2;
	}
}

struct origin {
	const char *name, *from;
};

/* By how names begin: the application secrets carry their generation. */
static const struct origin origins[] = {
	{ "client_handshake_traffic_secret", "the shared secret and all messages up to ServerHello" },
	{ "server_handshake_traffic_secret", "the shared secret and all messages up to ServerHello" },
	{ "client_application_traffic_secret",
	  "the main secret and all messages up to the server's Finished" },
	{ "server_application_traffic_secret",
	  "the main secret and all messages up to the server's Finished" },
	{ "exporter_", "the main secret and all messages up to the server's Finished" },
	{ "resumption_", "the main secret and all messages of the handshake" },
};

const char *report_origin(const struct report *report, const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(origins) / sizeof(origins[0]); i++)
		if (!strncmp(origins[i].name, name, strlen(origins[i].name)))
			return origins[i].from;
	if (strcmp(name, "master_secret"))
		return "";
	return report->info.extended_master_secret ?
	       "the premaster secret and all messages so far (extended master secret)" :
	       "the premaster secret and both randoms";
}

const char *report_verdict(const struct report *report, size_t index)
{
	const struct report_cert *cert = &report->certs[index];

	if (strcmp(cert->verdict, "ok"))
		return cert->verdict;
	if (index + 1 == report->cert_count)
		return "ok: one of the CAs trusted here, and valid today";
	return "ok: its issuer's signature on it is right, and it is valid today";
}

const char *report_proof(const struct report *report)
{
	if (report->info.verify_error)
		return report->insecure ? "not trusted, gone on with (--insecure)" : "refused";
	return report->cert_count && report->reached[STEP_FINISHED] ? "verified" : "not verified yet";
}
