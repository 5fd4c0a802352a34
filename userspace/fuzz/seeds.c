// SPDX-License-Identifier: MIT
/*
 * Writes the seeds of our own engine's making below the folder given: every
 * message of an honest handshake of each variant, as the target wants it that
 * reads such messages; sessions; records of data, KeyUpdate and close_notify.
 * `make fuzz-seeds` runs it; what it writes is part of the repository.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static const char *folder;
static size_t variant;
static unsigned int number;		/* of the message within the handshake */
static uint8_t seen[256];		/* how many of each type */

static void save(const char *target, const char *what, const struct tls_buf *seed)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/%s-%s", folder, target, fuzz_variant_name(variant),
		 what);
	f = fopen(path, "wb");
	if (!f || seed->failed || fwrite(seed->data, 1, seed->len, f) != seed->len || fclose(f)) {
		perror(path);
		exit(1);
	}
}

/* ---- messages ---- */

static const struct {
	uint8_t type;
	const char *target;
	bool flag;			/* FUZZ_FLAG says that the client sends it */
} targets[] = {
	{ TLS_MSG_CLIENT_HELLO, "client_hello", false },
	{ TLS_MSG_SERVER_HELLO, "server_hello", false },
	{ TLS_MSG_ENCRYPTED_EXTENSIONS, "encrypted_extensions", false },
	{ TLS_MSG_CERTIFICATE, "certificate", true },
	{ TLS_MSG_CERTIFICATE_VERIFY, "certificate_verify", true },
	{ TLS_MSG_NEW_SESSION_TICKET, "new_session_ticket", false },
};

static void save_message(const char *target, bool typed, uint8_t choice, struct tls_slice message)
{
	struct tls_buf seed = { .limit = SIZE_MAX };
	char what[16];

	tls_put_u8(&seed, choice);
	if (typed)
		tls_put_u8(&seed, message.p[0]);
	tls_put_bytes(&seed, message.p + TLS_HANDSHAKE_HEADER, message.len - TLS_HANDSHAKE_HEADER);
	snprintf(what, sizeof(what), "%02u", number);
	save(target, what, &seed);
	tls_buf_free(&seed);
}

static void on_sent(enum tls_role role, struct tls_slice message)
{
	uint8_t type = message.p[0], choice = (uint8_t)variant;
	uint8_t client = role == TLS_CLIENT ? FUZZ_FLAG : 0;
	bool known = false;

	if (seen[type]++)
		choice |= FUZZ_SECOND;
	number++;
	for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		if (targets[i].type != type)
			continue;
		save_message(targets[i].target, false, choice | (targets[i].flag ? client : 0),
			     message);
		known = true;
	}
	if (!known)
		save_message("message", true, choice | client, message);
}

/* ---- the rest ---- */

static void save_session(const struct fuzz_pair *pair)
{
	struct tls_buf seed = { .limit = SIZE_MAX };
	size_t len;
	const uint8_t *p = tls_conn_session(pair->client.conn, &len);

	if (!p)
		return;
	tls_put_u8(&seed, (uint8_t)variant);
	tls_put_bytes(&seed, p, len);
	save("ticket", "session", &seed);
	tls_buf_free(&seed);
}

static void save_records(struct fuzz_pair *pair)
{
	static const uint8_t data[300];
	struct tls_buf seed = { .limit = SIZE_MAX };
	struct tls_conn *conn = pair->client.conn;
	const uint8_t *p;
	size_t len;
	int err = tls_conn_write(conn, data, sizeof(data));

	if (conn->version == TLS_1_3)
		err |= tls_conn_rekey(conn, true);
	err |= tls_conn_write(conn, data, 1) | tls_conn_close(conn);
	if (err)
		abort();
	p = tls_conn_output(conn, &len);
	tls_put_u8(&seed, (uint8_t)variant);
	tls_put_u8(&seed, 100);
	tls_put_bytes(&seed, p, len);
	save("record", "data", &seed);
	tls_buf_free(&seed);
}

static void save_post_handshake(void)
{
	static const uint8_t records[] = {
		TLS_RECORD_HANDSHAKE, 5, TLS_MSG_KEY_UPDATE, 0, 0, 1, 1,
		TLS_RECORD_APPLICATION_DATA, 2, 'h', 'i',
		TLS_RECORD_HANDSHAKE, 10, TLS_MSG_KEY_UPDATE, 0, 0, 1, 0,
		TLS_MSG_KEY_UPDATE, 0, 0, 1, 1,
		TLS_RECORD_ALERT, 2, TLS_LEVEL_WARNING, TLS_ALERT_USER_CANCELED,
		TLS_RECORD_ALERT, 2, TLS_LEVEL_WARNING, TLS_ALERT_CLOSE_NOTIFY,
	};
	struct tls_buf seed = { .limit = SIZE_MAX };

	for (int i = 0; i < 2; i++) {
		tls_put_u8(&seed, (uint8_t)(variant | (i ? FUZZ_FLAG : 0)));
		tls_put_bytes(&seed, records, sizeof(records));
		save("key_update", i ? "by-server" : "by-client", &seed);
		tls_buf_free(&seed);
	}
}

/* The steps are rows of the table in fuzz_connection.c. */
static void save_program(void)
{
	static const uint8_t program[] = {
		4, 5, 4, 5, 2, 40, 3, 60, 4, 5, 6, 0, 9, 1, 13, 0, 1, 0, 1,	/* in parts; spoilt */
		12, 15, 0, 1, 20, 2, 0, 21, 0, 9, 0, 1, 22, 1, 23, 0, 0, 1, 28, 29,
		18, 22, 5, 24, 0, 0, 1, 1, 24, 25, 0, 1, 26, 27,
	};
	static const uint8_t honest[] = {
		0, 1, 0, 1, 0, 1, 20, 0xff, 0xff, 0, 21, 0, 100, 1, 22, 1, 0, 23, 0, 1, 24, 0,
	};
	struct tls_buf seed = { .limit = SIZE_MAX };

	tls_put_u8(&seed, (uint8_t)variant);
	tls_put_bytes(&seed, program, sizeof(program));
	save("connection", "spoilt", &seed);
	tls_buf_free(&seed);
	tls_put_u8(&seed, (uint8_t)variant);
	tls_put_bytes(&seed, honest, sizeof(honest));
	save("connection", "honest", &seed);
	tls_buf_free(&seed);
}

static void one_variant(void)
{
	struct fuzz_pair pair;

	fuzz_on_sent = NULL;
	fuzz_pair_init(&pair, (uint8_t)variant);
	memset(seen, 0, sizeof(seen));
	number = 0;
	fuzz_on_sent = on_sent;
	fuzz_handshake(&pair);
	fuzz_on_sent = NULL;
	save_session(&pair);
	save_records(&pair);
	save_post_handshake();
	save_program();
	fuzz_pair_free(&pair);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	folder = argv[1];
	for (variant = 0; variant < fuzz_variants(); variant++)
		one_variant();
	return 0;
}
