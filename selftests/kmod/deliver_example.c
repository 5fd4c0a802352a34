// SPDX-License-Identifier: MIT
/*
 * How another program delivers: OpenSSL shakes hands on a socket that the program accepted, its key log
 * tells the secrets, libtlsgate gives both to the kernel, and a server on another port, which
 * knows nothing of TLS, accepts the connection.  The peer is OpenSSL, too, to the end.
 */
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/net.h"
#include "lib/libtlsgate.h"

#define SECRET	32	/* of TLS_AES_128_GCM_SHA256 */

/* ---- from the key log to secrets -------------------------------------------------------- */

struct secrets {
	uint8_t client[SECRET], server[SECRET];
};

static void take_secret(const char *line, const char *label, uint8_t secret[SECRET])
{
	const char *hex = strrchr(line, ' ');

	if (strncmp(line, label, strlen(label)) || !hex)
		return;
	for (int i = 0; i < SECRET; i++)
		sscanf(hex + 1 + 2 * i, "%2hhx", &secret[i]);
}

static void on_keylog(const SSL *ssl, const char *line)
{
	struct secrets *s = SSL_get_app_data(ssl);

	if (!s)
		return;
	take_secret(line, "CLIENT_TRAFFIC_SECRET_0 ", s->client);
	take_secret(line, "SERVER_TRAFFIC_SECRET_0 ", s->server);
}

/* ---- the gate ------------------------------------------------------------------------- */

static SSL_CTX *new_context(bool server)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set_keylog_callback(ctx, on_keylog);
	/* They would be sent by the keys that the kernel gets. */
	SSL_CTX_set_num_tickets(ctx, 0);
	if (server) {
		X509_gmtime_adj(X509_getm_notBefore(cert), -60);
		X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
		X509_set_pubkey(cert, key);
		X509_sign(cert, key, EVP_sha256());
		SSL_CTX_use_certificate(ctx, cert);
		SSL_CTX_use_PrivateKey(ctx, key);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

/* NULL, or what went wrong. */
static const char *gate(struct tlsgate *tg, int fd, int handle)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
	SSL_CTX *ctx = new_context(true);
	SSL *ssl = SSL_new(ctx);
	struct secrets secrets;
	const char *why = NULL;
	uint32_t id;

	SSL_set_app_data(ssl, &secrets);
	SSL_set_fd(ssl, fd);
	params.fd = fd;
	params.version = TLSGATE_TLS_1_3;
	params.suite = 0x1301;
	params.role = TLSGATE_ROLE_SERVER;
	if (SSL_accept(ssl) != 1)
		why = "no handshake";
	/* Nothing was sent or read by these keys yet: the sequence number is 0. */
	else if (tlsgate_keys_from_secret(&params.tx, params.suite, secrets.server, SECRET) ||
		 tlsgate_keys_from_secret(&params.rx, params.suite, secrets.client, SECRET))
		why = "no keys";
	else if (tlsgate_session_deliver(tg, &params, handle, &id))
		why = tlsgate_error(tg);
	tlsgate_wipe(&params, sizeof(params));
	tlsgate_wipe(&secrets, sizeof(secrets));
	/* Says nothing to the peer, unlike SSL_shutdown(). */
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	/* It is on its way. */
	close(fd);
	return why;
}

/* ---- the server, and the peer --------------------------------------------------------------- */

/* A line, and its answer. */
static void *server(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);
	char line[64];
	ssize_t n = read(fd, line, sizeof(line));

	dprintf(fd, "you said %.*s", n > 0 ? (int)n : 0, line);
	close(fd);
	return NULL;
}

struct peer_of {
	int gate;
	char answer[64];
	int end;		/* of SSL_get_error() */
};

static void *peer(void *arg)
{
	struct peer_of *p = arg;
	SSL_CTX *ctx = new_context(false);
	SSL *ssl = SSL_new(ctx);
	int fd = net_connect_to(p->gate), n;

	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) == 1 && SSL_write(ssl, "hello", 5) == 5) {
		SSL_read(ssl, p->answer, sizeof(p->answer) - 1);
		n = SSL_read(ssl, p->answer, 1);
		p->end = SSL_get_error(ssl, n);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return NULL;
}

TEST(openssl_shakes_hands_and_a_plain_server_answers)
{
	struct tlsgate_address local = { .len = sizeof(local.un) }, to = local;
	int listener = net_listener(AF_INET), there = net_listener(AF_INET), handle;
	struct peer_of p = { .gate = listener };
	pthread_t threads[2];
	struct tlsgate *tg;
	const char *why;

	ASSERT_EQ(0, tlsgate_open(&tg, &why)) TH_LOG("%s", why);
	getsockname(listener, &local.sa, &local.len);
	getsockname(there, &to.sa, &to.len);
	handle = tlsgate_deliver_new(tg, &local.sa, local.len, &to.sa, to.len);
	ASSERT_LE(0, handle) TH_LOG("%s", tlsgate_error(tg));
	pthread_create(&threads[0], NULL, server, &there);
	pthread_create(&threads[1], NULL, peer, &p);
	why = gate(tg, accept(listener, NULL, NULL), handle);
	ASSERT_EQ(NULL, why) TH_LOG("%s", why);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	EXPECT_EQ(0, strncmp(p.answer + 1, "ou said hello", 13)) TH_LOG("'%s'", p.answer);
	/* close_notify: the server's close is an end in order. */
	EXPECT_EQ(SSL_ERROR_ZERO_RETURN, p.end);
	close(handle);
	close(listener);
	close(there);
	tlsgate_close(tg);
}

TEST_HARNESS_MAIN
