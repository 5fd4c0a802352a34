// SPDX-License-Identifier: MIT
#include "daemon/trial.h"

#include <stdio.h>
#include <time.h>

#define CERTIFICATE_VERIFY	15	/* RFC 9846 appendix B.3 */
#define ROUNDS_MAX		64

/* A certificate with its key; both NULL: none. */
struct pair {
	struct tls_certificate *cert;
	struct tls_private_key *key;
};

/* What the other end shows, made when it is first wanted: [0] P-256, [1] RSA. */
struct throwaway {
	struct pair pairs[2];
};

struct end {
	struct tls_config *config;
	struct tls_conn *conn;
	const struct tls_private_key *key;
	bool has_signed;		/* sent a CertificateVerify */
	int err;			/* the first */
};

static int64_t now(void *arg)
{
	(void)arg;
	return (int64_t)time(NULL);
}

static void on_event(void *arg, void *conn_arg, const struct tls_event *event)
{
	struct end *end = arg;

	(void)conn_arg;
	if (event->kind == TLS_EVENT_MESSAGE_SENT && event->type == CERTIFICATE_VERIFY)
		end->has_signed = true;
}

static void note(struct end *end, int err)
{
	if (!end->err)
		end->err = err;
}

/* True: it did something. */
static bool answer_key(struct end *end)
{
	const struct tls_key_request *request = tls_conn_key_request(end->conn);
	uint8_t reply[TLS_MAX_KEY_REPLY];
	size_t len = sizeof(reply);

	if (!request)
		return false;
	if (end->key && !tls_private_key_perform(end->key, request, reply, &len))
		note(end, tls_conn_key_reply(end->conn, reply, len));
	else
		note(end, tls_conn_key_reply(end->conn, NULL, 0));
	tls_wipe(reply, sizeof(reply));
	return true;
}

static bool pass_output(struct end *from, struct end *to)
{
	const uint8_t *data;
	size_t len, room;

	data = tls_conn_output(from->conn, &len);
	if (!len)
		return false;
	room = tls_conn_input_space(to->conn);
	if (len > room)
		len = room;
	if (len && !to->err)
		note(to, tls_conn_input(to->conn, data, len));
	tls_conn_output_done(from->conn, len);
	return len;
}

static void pump(struct end *a, struct end *b)
{
	bool moved = true;
	int i;

	for (i = 0; moved && i < ROUNDS_MAX; i++) {
		moved = answer_key(a);
		moved |= answer_key(b);
		moved |= pass_output(a, b);
		moved |= pass_output(b, a);
	}
}

static int end_init(struct end *end, const struct gate *gate, enum tls_role role,
		    const struct pair *shows)
{
	const struct tls_hooks hooks = { .now = now, .event = on_event, .arg = end };

	end->key = shows->key;
	end->config = tls_config_new(role, &hooks);
	if (!end->config || gate_set_protocol(gate->settings, end->config) ||
	    tls_config_set_verify(end->config, TLS_VERIFY_NONE))
		return -1;
	return shows->cert ? tls_config_add_certificate(end->config, shows->cert) : 0;
}

static int end_start(struct end *end, const char *server_name)
{
	end->conn = tls_conn_new(end->config);
	if (!end->conn || (server_name && tls_conn_set_server_name(end->conn, server_name)))
		return -1;
	return tls_conn_start(end->conn);
}

static void end_clear(struct end *end)
{
	tls_conn_free(end->conn);
	tls_config_unref(end->config);
}

/* What came of one handshake. */
struct outcome {
	bool established, client_signed;
	int err;			/* of the gate's end, or else of the other */
};

static int set_up(struct end *ours, struct end *other, const struct gate *gate,
		  const struct pair *shows, const struct pair *other_shows)
{
	bool serve = gate->settings->mode == GATE_SERVE;
	bool asks = serve ? !!gate->settings->client_ca : !!shows->cert;
	struct end *server = serve ? ours : other;

	if (end_init(ours, gate, serve ? TLS_SERVER : TLS_CLIENT, shows) ||
	    end_init(other, gate, serve ? TLS_CLIENT : TLS_SERVER, other_shows) ||
	    (asks && tls_config_set_verify(server->config, TLS_VERIFY_REQUEST)))
		return -1;
	/* the gate's limit is for what it takes, not for what it sends */
	(void)tls_config_set_max_message(other->config, 65536);
	return end_start(ours, gate->pools->members->server_name) || end_start(other, NULL);
}

static struct outcome handshake(const struct gate *gate, const struct pair *shows,
				const struct pair *other_shows)
{
	struct outcome outcome = { .err = TLS_ERR_NO_MEMORY };
	struct end ours = {0}, other = {0};

	if (!set_up(&ours, &other, gate, shows, other_shows)) {
		pump(&ours, &other);
		outcome.established = tls_conn_established(ours.conn) &&
				      tls_conn_established(other.conn);
		outcome.client_signed = ours.has_signed;
		outcome.err = ours.err ? ours.err : other.err;
	}
	end_clear(&ours);
	end_clear(&other);
	return outcome;
}

static const struct pair *throwaway_pair(struct throwaway *throwaway, bool rsa)
{
	struct pair *pair = &throwaway->pairs[rsa];

	if (!pair->cert && tls_self_signed_new(rsa, &pair->cert, &pair->key))
		*pair = (struct pair){0};
	return pair;
}

static void throwaway_clear(struct throwaway *throwaway)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		tls_certificate_free(throwaway->pairs[i].cert);
		tls_private_key_free(throwaway->pairs[i].key);
	}
}

/* Did it show what it was to show?  Nobody has the anchor of a client's certificate here. */
static bool succeeded(const struct gate *gate, const struct pair *shows,
		      const struct outcome *outcome)
{
	if (gate->settings->mode == GATE_CONNECT && shows->cert)
		return outcome->client_signed;
	return outcome->established;
}

/* file: of what it shows, or NULL. */
static int try_pair(const struct gate *gate, const struct pair *shows, const struct cert_file *file,
		    struct throwaway *throwaway)
{
	const struct pair nothing = {0};
	struct outcome outcome;
	char why[SETTINGS_WHY_MAX];
	bool rsa = false;

	if (gate->settings->mode == GATE_SERVE) {
		outcome = handshake(gate, shows, &nothing);
	} else {
		outcome = handshake(gate, shows, throwaway_pair(throwaway, false));
		rsa = !succeeded(gate, shows, &outcome);
	}
	if (rsa)	/* suites may want it */
		outcome = handshake(gate, shows, throwaway_pair(throwaway, true));
	if (succeeded(gate, shows, &outcome))
		return 0;
	snprintf(why, sizeof(why),
		 "no handshake can succeed%s (%s): see that versions, ciphersuites, groups and the key's type fit",
		 file ? " with it" : "", outcome.err ? tls_strerror(outcome.err) :
		 "the certificate was not shown");
	return gate_refuse(gate->settings, file ? file->cert_setting : NULL, file ? file->cert : NULL, why);
}

static int trial_gate(const struct gate *gate, struct tls_private_key *const *keys,
		      struct throwaway *throwaway)
{
	const struct cert_files *files = &gate->files;
	const struct pair nothing = {0};
	int ret = 0;
	size_t i;

	if (gate_only_passes(gate->settings))
		return 0;	/* it refuses every handshake, as it should */
	if (!files->count)
		return try_pair(gate, &nothing, NULL, throwaway);
	for (i = 0; i < files->count; i++) {
		const struct pair shows = { gate->certs[i], keys[gate->first_key_id + i] };

		ret |= try_pair(gate, &shows, &files->items[i], throwaway);
	}
	return ret;
}

int trial_gates(const struct gate *gates, size_t count, struct tls_private_key *const *keys)
{
	struct throwaway throwaway = {0};
	int ret = 0;
	size_t i;

	for (i = 0; i < count; i++)
		if (gates[i].sound)
			ret |= trial_gate(&gates[i], keys, &throwaway);
	throwaway_clear(&throwaway);
	return ret;
}
