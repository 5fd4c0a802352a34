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

#include "engine/machine.h"
#include "engine/message/message.h"
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

static void save_whole(const char *target, struct tls_slice message)
{
	struct tls_buf seed = { .limit = SIZE_MAX };
	char what[16];

	tls_put_bytes(&seed, message.p, message.len);
	snprintf(what, sizeof(what), "%02u", number);
	save(target, what, &seed);
	tls_buf_free(&seed);
}

/* Where the extensions of a hello are, counted from its type; 0: there are none. */
static size_t extensions_at(struct tls_slice message)
{
	struct tls_reader in, vec;
	bool client = message.p[0] == TLS_MSG_CLIENT_HELLO;

	tls_reader_init(&in, message.p, message.len);
	(void)tls_read_bytes(&in, TLS_HANDSHAKE_HEADER + 2 + TLS_RANDOM_LEN);
	tls_read_vec8(&in, &vec);
	if (client)
		tls_read_vec16(&in, &vec);
	else
		(void)tls_read_u16(&in);
	if (client)
		tls_read_vec8(&in, &vec);
	else
		(void)tls_read_u8(&in);
	return tls_read_more(&in) ? (size_t)(in.p - message.p) : 0;
}

/* The hello with one extension more: the first, for pre_shared_key must be the last. */
static void add_extension(struct tls_slice hello, struct tls_slice extension, struct tls_buf *out)
{
	size_t at = extensions_at(hello);
	const uint8_t *p = hello.p + at;
	struct tls_vec message, extensions;

	if (!at)
		abort();
	tls_put_u8(out, hello.p[0]);
	message = tls_put_open(out, 3);
	tls_put_bytes(out, hello.p + TLS_HANDSHAKE_HEADER, at - TLS_HANDSHAKE_HEADER);
	extensions = tls_put_open(out, 2);
	tls_put_bytes(out, extension.p, extension.len);
	tls_put_bytes(out, p + 2, hello.len - at - 2);
	tls_put_close(out, extensions);
	tls_put_close(out, message);
}

/* What our own ends never send: a cookie, early data. */
static void save_cookie(uint8_t choice, struct tls_slice hello)
{
	static const uint8_t cookie[] = { 0, 44, 0, 5, 0, 3, 'a', 'b', 'c' };
	struct tls_buf more = { .limit = SIZE_MAX };

	add_extension(hello, (struct tls_slice){ cookie, sizeof(cookie) }, &more);
	number += 50;
	save_message("server_hello", false, choice, (struct tls_slice){ more.data, more.len });
	number -= 50;
	tls_buf_free(&more);
}

static void save_early_data(uint8_t choice, struct tls_slice hello)
{
	static const uint8_t early_data[] = { 0, 42, 0, 0 };
	struct tls_buf more = { .limit = SIZE_MAX }, seed = { .limit = SIZE_MAX };
	struct tls_vec record;

	add_extension(hello, (struct tls_slice){ early_data, sizeof(early_data) }, &more);
	number += 50;
	save_message("client_hello", false, choice, (struct tls_slice){ more.data, more.len });
	number -= 50;
	tls_put_u8(&seed, choice | FUZZ_SECOND);	/* fuzz_record.c: before the handshake */
	tls_put_u8(&seed, 0xff);
	tls_put_u8(&seed, TLS_RECORD_HANDSHAKE);
	tls_put_u16(&seed, TLS_1_2);
	record = tls_put_open(&seed, 2);
	tls_put_bytes(&seed, more.data, more.len);
	tls_put_close(&seed, record);
	tls_put_bytes(&seed, "\x17\x03\x03\x00\x14"
		      FUZZ_BAD FUZZ_BAD FUZZ_BAD FUZZ_BAD FUZZ_BAD, 25);
	save("record", "early-data", &seed);
	tls_buf_free(&seed);
	tls_buf_free(&more);
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
	if (type == TLS_MSG_CLIENT_HELLO || type == TLS_MSG_SERVER_HELLO ||
	    type == TLS_MSG_SERVER_KEY_EXCHANGE)
		save_whole("explain", message);
	if (type == TLS_MSG_SERVER_HELLO && !strcmp(fuzz_variant_name(variant), "tls13-retry"))
		save_cookie(choice, message);
	if (type == TLS_MSG_CLIENT_HELLO && number == 1)
		save_early_data(choice, message);
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
	static const char *const names[] = {
		"honest", "honest-sealed", "spoilt", "spoilt-sealed",
	};
	struct tls_buf seed = { .limit = SIZE_MAX };

	for (int i = 0; i < 4; i++) {
		tls_put_u8(&seed, (uint8_t)(variant | (i & 1 ? FUZZ_FLAG : 0)));
		if (i & 2)
			tls_put_bytes(&seed, program, sizeof(program));
		else
			tls_put_bytes(&seed, honest, sizeof(honest));
		save("connection", names[i], &seed);
		tls_buf_free(&seed);
	}
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
