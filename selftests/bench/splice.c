// SPDX-License-Identifier: MIT
/*
 * The relay one could build without tlsgate: handshake by OpenSSL, keys to
 * in-tree kTLS in both directions, bytes by splice() through pipes.  One
 * connection at a time, TLS 1.3 AES-128-GCM only.  (OpenSSL 3.0 itself knows no
 * kTLS for receiving TLS 1.3: the keys are taken from its key log.)
 *
 *	splice PORT BACKEND-PORT CERTIFICATE KEY
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include "ktls.h"

#define SECRET_LEN	32
#define PIPE_SIZE	(1 << 20)

struct secrets {
	uint8_t client[SECRET_LEN], server[SECRET_LEN];
};

struct flow {
	int from, to, pipe[2];
	size_t held;		/* bytes in the pipe */
	bool ended;
};

static void log_secret(const SSL *ssl, const char *line)
{
	struct secrets *s = SSL_get_app_data(ssl);
	uint8_t *into = NULL;
	const char *hex = strrchr(line, ' ') + 1;
	int i;

	if (!strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24))
		into = s->client;
	else if (!strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24))
		into = s->server;
	for (i = 0; into && i < SECRET_LEN; i++)
		sscanf(hex + 2 * i, "%2hhx", &into[i]);
}

/* RFC 8446, 7.1: HKDF-Expand-Label with an empty context. */
static void expand(const uint8_t *secret, const char *label, uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	uint8_t info[32] = { 0, len, strlen(label) };
	OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA256", 0),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, SECRET_LEN),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, info, 3 + info[2] + 1),
		OSSL_PARAM_END,
	};

	memcpy(info + 3, label, info[2]);
	if (!ctx || EVP_KDF_derive(ctx, out, len, params) <= 0)
		errx(1, "HKDF");
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static int install(int fd, int direction, const uint8_t *secret)
{
	uint8_t key[KTLS_KEY_LEN], iv[KTLS_IV_LEN];

	expand(secret, "tls13 key", key, sizeof(key));
	expand(secret, "tls13 iv", iv, sizeof(iv));
	return ktls_install(fd, direction, key, iv);
}

static bool secure(SSL_CTX *ctx, int fd)
{
	struct secrets secrets = { 0 };
	SSL *ssl = SSL_new(ctx);
	bool good;

	good = ssl && SSL_set_app_data(ssl, &secrets) && SSL_set_fd(ssl, fd) && SSL_accept(ssl) == 1;
	if (good && (ktls_attach(fd) || install(fd, TLS_TX, secrets.server) ||
		     install(fd, TLS_RX, secrets.client)))
		err(1, "kTLS");
	SSL_free(ssl);
	return good;
}

/* 1: something moved, 0: must wait, -1: broken. */
static int move(struct flow *f)
{
	const unsigned int flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
	ssize_t in = 0, out = 0;

	if (!f->ended && f->held < PIPE_SIZE) {
		in = splice(f->from, NULL, f->pipe[1], NULL, PIPE_SIZE - f->held, flags);
		if (in < 0 && errno != EAGAIN)
			return -1;
		if (in > 0)
			f->held += in;
		f->ended = in == 0;
	}
	if (f->held) {
		out = splice(f->pipe[0], NULL, f->to, NULL, f->held, flags);
		if (out < 0 && errno != EAGAIN)
			return -1;
		if (out > 0)
			f->held -= out;
	}
	return in > 0 || out > 0;
}

static void relay(int tls, int plain)
{
	struct flow flows[2] = { { .from = tls, .to = plain }, { .from = plain, .to = tls } };
	struct pollfd p[2] = { { .fd = tls }, { .fd = plain } };
	int i, moved = 0;

	for (i = 0; i < 2; i++)
		if (pipe2(flows[i].pipe, O_NONBLOCK | O_CLOEXEC) ||
		    fcntl(flows[i].pipe[0], F_SETPIPE_SZ, PIPE_SIZE) < 0)
			err(1, "pipe");
	while (!flows[0].ended && !flows[1].ended && moved >= 0) {
		p[0].events = POLLIN | (flows[1].held ? POLLOUT : 0);
		p[1].events = POLLIN | (flows[0].held ? POLLOUT : 0);
		if (!moved && poll(p, 2, -1) < 0)
			err(1, "poll");
		moved = move(&flows[0]);
		i = move(&flows[1]);
		moved = i < 0 || moved < 0 ? -1 : moved | i;
	}
	for (i = 0; i < 2; i++) {
		close(flows[i].pipe[0]);
		close(flows[i].pipe[1]);
	}
}

static struct sockaddr_in loopback(const char *port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(strtoul(port, NULL, 10)),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void serve(SSL_CTX *ctx, int fd, const char *backend)
{
	struct sockaddr_in to = loopback(backend);
	int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (plain < 0 || connect(plain, (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(plain, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		err(1, "backend");
	if (secure(ctx, fd) && !fcntl(fd, F_SETFL, O_NONBLOCK) && !fcntl(plain, F_SETFL, O_NONBLOCK))
		relay(fd, plain);
	close(plain);
}

int main(int argc, char **argv)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, fd;
	struct sockaddr_in at;

	if (argc != 5)
		errx(2, "usage: splice PORT BACKEND-PORT CERTIFICATE KEY");
	signal(SIGPIPE, SIG_IGN);
	at = loopback(argv[1]);
	/* A ticket would have used a sequence number. */
	if (!ctx || !SSL_CTX_use_certificate_chain_file(ctx, argv[3]) ||
	    !SSL_CTX_use_PrivateKey_file(ctx, argv[4], SSL_FILETYPE_PEM) ||
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) || !SSL_CTX_set_num_tickets(ctx, 0) ||
	    !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256"))
		errx(1, "certificate, key or context");
	SSL_CTX_set_keylog_callback(ctx, log_secret);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 64))
		err(1, "port %s", argv[1]);
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		serve(ctx, fd, argv[2]);
		close(fd);
	}
	err(1, "accept");
}
