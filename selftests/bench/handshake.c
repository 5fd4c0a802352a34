// SPDX-License-Identifier: MIT
/*
 * Handshakes in memory: no socket, no other process, one thread, so that what
 * is left is the TLS code itself.
 *
 *	handshake SERVER full|resume COUNT CERT KEY
 *	handshake SERVER memory COUNT CERT KEY
 *
 * SERVER is tlsgate (our engine, the key operation included) or libssl.  The
 * client is libssl: TLS 1.3, X25519, AES-128-GCM.  full, resume: prints the
 * server's CPU nanoseconds per handshake, set-up and freeing of the connection
 * included.  memory: prints the bytes per connection that the server has
 * allocated while COUNT of them wait for the client's Finished.
 *
 * The server's part is serve(), so that callgrind can count it alone:
 * valgrind --tool=callgrind --toggle-collect=serve
 */
#include <err.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "engine/engine.h"

static struct tls_config *config;
static struct tls_private_key *key;
static SSL_CTX *server_ctx, *client_ctx;
static SSL_SESSION *session;		/* the client's newest */
static uint64_t served_ns;

struct server {
	bool ours;
	struct tls_conn *conn;
	SSL *ssl;
	BIO *in, *out;
};

static void die(const char *what)
{
	ERR_print_errors_fp(stderr);
	errx(1, "%s", what);
}

static int64_t now(void *arg)
{
	(void)arg;
	return time(NULL);
}

/* ---- the two servers ---- */

static char *read_file(const char *path, size_t *len)
{
	static char buf[65536];
	FILE *f = fopen(path, "r");

	if (!f)
		err(1, "%s", path);
	*len = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	return buf;
}

static void configure_ours(const char *cert_path, const char *key_path)
{
	const struct tls_hooks hooks = { .now = now };
	static struct tls_ticket_key ticket;
	struct tls_certificate *cert;
	const char *why;
	size_t len;
	char *pem = read_file(cert_path, &len);

	config = tls_config_new(TLS_SERVER, &hooks);
	RAND_bytes(ticket.key, sizeof(ticket.key));
	if (!config || tls_certificate_new(&cert, pem, len, &why) ||
	    tls_config_add_certificate(config, cert) ||
	    tls_config_set_ticket_keys(config, &ticket, 1))
		errx(1, "%s", cert_path);
	pem = read_file(key_path, &len);
	if (tls_private_key_new(&key, pem, len, &why))
		errx(1, "%s", key_path);
}

static void configure_libssl(const char *cert_path, const char *key_path)
{
	server_ctx = SSL_CTX_new(TLS_server_method());
	if (!server_ctx || SSL_CTX_use_certificate_chain_file(server_ctx, cert_path) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server_ctx, key_path, SSL_FILETYPE_PEM) != 1)
		die("the server's context");
	SSL_CTX_set_session_cache_mode(server_ctx, SSL_SESS_CACHE_OFF);
}

static void serve_ours(struct server *s, const uint8_t *data, size_t len, BIO *to_client)
{
	const struct tls_key_request *request;
	uint8_t reply[TLS_MAX_KEY_REPLY];
	size_t reply_len = sizeof(reply);
	const uint8_t *out;

	if (tls_conn_input(s->conn, data, len))
		errx(1, "tls_conn_input");
	request = tls_conn_key_request(s->conn);
	if (request && (tls_private_key_perform(key, request, reply, &reply_len) ||
			tls_conn_key_reply(s->conn, reply, reply_len)))
		errx(1, "tls_conn_key_reply");
	out = tls_conn_output(s->conn, &len);
	BIO_write(to_client, out, (int)len);
	tls_conn_output_done(s->conn, len);
}

static void serve_libssl(struct server *s, const uint8_t *data, size_t len, BIO *to_client)
{
	char *out;

	BIO_write(s->in, data, (int)len);
	if (SSL_accept(s->ssl) != 1 && SSL_get_error(s->ssl, -1) != SSL_ERROR_WANT_READ)
		die("SSL_accept");
	len = (size_t)BIO_get_mem_data(s->out, &out);
	BIO_write(to_client, out, (int)len);
	(void)BIO_reset(s->out);
}

static void open_server(struct server *s)
{
	if (s->ours) {
		s->conn = tls_conn_new(config);
		if (!s->conn || tls_conn_start(s->conn))
			errx(1, "tls_conn_new");
		return;
	}
	s->ssl = SSL_new(server_ctx);
	s->in = BIO_new(BIO_s_mem());
	s->out = BIO_new(BIO_s_mem());
	if (!s->ssl || !s->in || !s->out)
		die("SSL_new");
	SSL_set_bio(s->ssl, s->in, s->out);
}

static void close_server(struct server *s)
{
	tls_conn_free(s->conn);
	SSL_free(s->ssl);
}

enum step { OPEN, FEED, CLOSE };

/* All that is counted. */
__attribute__((noinline)) void serve(struct server *s, enum step step, BIO *from_client,
				     BIO *to_client)
{
	uint8_t *data = NULL;
	size_t len;

	if (step == OPEN) {
		open_server(s);
	} else if (step == CLOSE) {
		close_server(s);
	} else {
		len = (size_t)BIO_get_mem_data(from_client, &data);
		(s->ours ? serve_ours : serve_libssl)(s, data, len, to_client);
		(void)BIO_reset(from_client);
	}
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void timed(struct server *s, enum step step, BIO *from_client, BIO *to_client)
{
	uint64_t start = cpu_ns();

	serve(s, step, from_client, to_client);
	served_ns += cpu_ns() - start;
}

/* ---- the client ---- */

static int keep_session(SSL *ssl, SSL_SESSION *newest)
{
	(void)ssl;
	SSL_SESSION_free(session);
	session = newest;
	return 1;
}

static void configure_client(void)
{
	client_ctx = SSL_CTX_new(TLS_client_method());
	if (!client_ctx || !SSL_CTX_set_min_proto_version(client_ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(client_ctx, "TLS_AES_128_GCM_SHA256"))
		die("the client's context");
	SSL_CTX_set_session_cache_mode(client_ctx,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(client_ctx, keep_session);
}

static SSL *open_client(bool resume)
{
	SSL *ssl = SSL_new(client_ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	if (!ssl || !in || !out || (resume && !SSL_set_session(ssl, session)))
		die("SSL_new");
	SSL_set_bio(ssl, in, out);
	return ssl;
}

static void handshake(bool ours, bool resume)
{
	struct server s = { .ours = ours };
	SSL *client = open_client(resume);
	char byte;

	SSL_connect(client);
	timed(&s, OPEN, NULL, NULL);
	timed(&s, FEED, SSL_get_wbio(client), SSL_get_rbio(client));
	if (SSL_connect(client) != 1)
		die("SSL_connect");
	if (resume && !SSL_session_reused(client))
		errx(1, "the session was not resumed");
	timed(&s, FEED, SSL_get_wbio(client), SSL_get_rbio(client));
	SSL_read(client, &byte, 1);	/* the tickets */
	if (s.ours ? !tls_conn_established(s.conn) : !SSL_is_init_finished(s.ssl))
		errx(1, "the handshake is not over");
	timed(&s, CLOSE, NULL, NULL);
	SSL_shutdown(client);
	SSL_free(client);
}

static void handshakes(bool ours, bool resume, unsigned long count)
{
	handshake(ours, false);
	handshake(ours, resume);
	served_ns = 0;
	for (unsigned long i = 0; i < count; i++)
		handshake(ours, resume);
	printf("%" PRIu64 "\n", served_ns / count);
}

static void memory(bool ours, unsigned long count)
{
	struct server *servers = calloc(count, sizeof(*servers));
	SSL *client = open_client(false);
	BIO *hello = BIO_new(BIO_s_mem());
	size_t before;
	char *data;
	long len;

	SSL_connect(client);
	len = BIO_get_mem_data(SSL_get_wbio(client), &data);
	handshake(ours, false);
	before = mallinfo2().uordblks;
	for (unsigned long i = 0; i < count; i++) {
		servers[i].ours = ours;
		serve(&servers[i], OPEN, NULL, NULL);
		BIO_write(hello, data, (int)len);
		serve(&servers[i], FEED, hello, BIO_new(BIO_s_null()));
	}
	printf("%zu\n", (mallinfo2().uordblks - before) / count);
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 6 ? strtoul(argv[3], NULL, 10) : 0;
	bool ours = count && !strcmp(argv[1], "tlsgate");

	if (!count || (!ours && strcmp(argv[1], "libssl")))
		errx(2, "usage: handshake tlsgate|libssl full|resume|memory COUNT CERT KEY");
	mallopt(M_MMAP_THRESHOLD, 1 << 30);	/* uordblks is to count all */
	configure_client();
	(ours ? configure_ours : configure_libssl)(argv[4], argv[5]);
	if (!strcmp(argv[2], "memory"))
		memory(ours, count);
	else
		handshakes(ours, !strcmp(argv[2], "resume"), count);
	return 0;
}
