// SPDX-License-Identifier: MIT
/*
 * The one client of every row: HTTP/1.1 over OpenSSL, or over plain TCP.
 *
 *	client [-n] [-p] [-2] [-c SUITE] PORT get|put|both|churn|resume|full|again|first SIZE COUNT
 *
 * get, put, both: COUNT transactions of SIZE bytes down, up, or both ways at
 * once, on one connection that has carried one already.  churn: COUNT times
 * connect, full handshake, one get of SIZE bytes, close; resume: the same with
 * the first connection's session; full, again: as these two, but without the
 * get.  Prints the instructions of the whole guest for them, one number
 * (busy.h).  -n: nothing; -p: plain TCP; -2: TLS 1.2.  first: as churn, with
 * Nagle's algorithm, as sockets have it by default; prints the median of the
 * nanoseconds from request to answer instead.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "busy.h"

#define CHUNK	(64 << 10)

struct client {
	SSL_CTX *ctx;		/* NULL: plain */
	SSL *ssl;
	SSL_SESSION *session;	/* owned; the newest ticket */
	int fd;
	bool nagle;
	uint16_t port;
	size_t have;		/* bytes of buf that are not yet looked at */
	char buf[CHUNK];
};

static char filler[CHUNK];

static void die_ssl(const char *what)
{
	ERR_print_errors_fp(stderr);
	errx(1, "%s", what);
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct client *c = SSL_get_app_data(ssl);

	SSL_SESSION_free(c->session);
	c->session = session;
	return 1;
}

static SSL_CTX *make_context(const char *suite, bool tls12)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int version = tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;

	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, version) ||
	    !SSL_CTX_set_max_proto_version(ctx, version) ||
	    !(tls12 ? SSL_CTX_set_cipher_list(ctx, suite) : SSL_CTX_set_ciphersuites(ctx, suite)))
		die_ssl(suite);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	return ctx;
}

static void client_connect(struct client *c, SSL_SESSION *resume)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(c->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	SSL_SESSION *copy;
	int one = 1;

	c->have = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof(to)) ||
	    (!c->nagle && setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))))
		err(1, "port %u", c->port);
	if (!c->ctx)
		return;
	c->ssl = SSL_new(c->ctx);
	/* libssl resumes no session twice: a copy, since there may be no newer one */
	copy = resume ? SSL_SESSION_dup(resume) : NULL;
	if (!c->ssl || !SSL_set_app_data(c->ssl, c) || !SSL_set_fd(c->ssl, c->fd) ||
	    (resume && !SSL_set_session(c->ssl, copy)) || SSL_connect(c->ssl) != 1)
		die_ssl("handshake");
	SSL_SESSION_free(copy);
	if (resume && !SSL_session_reused(c->ssl))
		errx(1, "the session was not resumed");
}

static void client_close(struct client *c)
{
	if (c->ssl)
		SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	c->ssl = NULL;
	close(c->fd);
}

static void client_write(struct client *c, const void *data, size_t len)
{
	ssize_t n;

	for (; len; len -= n, data = (const char *)data + n) {
		n = c->ssl ? SSL_write(c->ssl, data, len) : write(c->fd, data, len);
		if (n <= 0)
			die_ssl("write");
	}
}

static size_t client_read(struct client *c, void *data, size_t len)
{
	ssize_t n = c->ssl ? SSL_read(c->ssl, data, len) : read(c->fd, data, len);

	if (n <= 0)
		die_ssl("the connection ended");
	return n;
}

/* Reads an answer's header; its Content-Length, less what of the body came along, is returned. */
static uint64_t read_header(struct client *c)
{
	size_t have = 0, header;
	uint64_t length;
	char *end, *field;

	do {
		if (have >= sizeof(c->buf) - 1)
			errx(1, "no end of the answer's header");
		have += client_read(c, c->buf + have, sizeof(c->buf) - 1 - have);
		c->buf[have] = 0;
		end = strstr(c->buf, "\r\n\r\n");
	} while (!end);
	field = strcasestr(c->buf, "content-length:");
	if (strncmp(c->buf, "HTTP/1.1 200 ", 13) || !field || field > end)
		errx(1, "not a good answer: %.40s", c->buf);
	length = strtoull(field + 15, NULL, 10);
	header = end + 4 - c->buf;
	if (have - header > length)
		errx(1, "more came than was asked for");
	return length - (have - header);
}

static void get(struct client *c, uint64_t size)
{
	char request[128];
	uint64_t left;

	client_write(c, request, snprintf(request, sizeof(request),
					  "GET /%" PRIu64 " HTTP/1.1\r\nHost: gate.test\r\n\r\n", size));
	for (left = read_header(c); left; )
		left -= client_read(c, c->buf, left < CHUNK ? left : CHUNK);
}

static void put(struct client *c, uint64_t size)
{
	char request[128];
	size_t n;

	client_write(c, request, snprintf(request, sizeof(request),
		     "POST /0 HTTP/1.1\r\nHost: gate.test\r\nContent-Length: %" PRIu64 "\r\n\r\n", size));
	for (; size; size -= n) {
		n = size < CHUNK ? size : CHUNK;
		client_write(c, filler, n);
	}
	if (read_header(c))
		errx(1, "a body nobody asked for");
}

/* 0: would block. */
static size_t try_io(struct client *c, bool out, void *data, size_t len)
{
	ssize_t n;

	if (c->ssl)
		n = out ? SSL_write(c->ssl, data, len) : SSL_read(c->ssl, data, len);
	else
		n = out ? write(c->fd, data, len) : read(c->fd, data, len);
	if (n > 0)
		return n;
	if (c->ssl ? SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ &&
		     SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_WRITE :
		     n == 0 || errno != EAGAIN)
		die_ssl("both ways");
	return 0;
}

/* The backend answers /echo with what it is sent, as it comes. */
static void both(struct client *c, uint64_t size)
{
	struct pollfd p = { .fd = c->fd };
	uint64_t out = size, in;
	char request[128];
	size_t r, w;

	client_write(c, request, snprintf(request, sizeof(request),
		     "POST /echo HTTP/1.1\r\nHost: gate.test\r\nContent-Length: %" PRIu64 "\r\n\r\n", size));
	in = read_header(c);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	while (in) {
		w = out ? try_io(c, true, filler, out < CHUNK ? out : CHUNK) : 0;
		r = try_io(c, false, c->buf, CHUNK);
		out -= w;
		in -= r;
		p.events = POLLIN | (out ? POLLOUT : 0);
		if (!r && !w && in && poll(&p, 1, 30000) != 1)
			errx(1, "both ways: nothing comes or goes");
	}
	fcntl(c->fd, F_SETFL, 0);
}

static void nothing(struct client *c, uint64_t size)
{
	(void)c;
	(void)size;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure_first(struct client *c, uint64_t size, unsigned long count)
{
	uint64_t *times = calloc(count, sizeof(*times));
	unsigned long i;

	if (!times || !count)
		errx(1, "first: nothing to measure");
	c->nagle = true;
	for (i = 0; i < count; i++) {
		client_connect(c, NULL);
		times[i] = now_ns();
		get(c, size);
		times[i] = now_ns() - times[i];
		client_close(c);
	}
	qsort(times, count, sizeof(*times), compare_times);
	printf("%" PRIu64 "\n", times[count / 2]);
	free(times);
}

static const struct {
	const char *name;
	void (*transact)(struct client *c, uint64_t size);
	bool anew, resume;	/* a connection for each */
} jobs[] = {
	{ "get", get },
	{ "put", put },
	{ "both", both },
	{ "churn", get, .anew = true },
	{ "resume", get, .anew = true, .resume = true },
	{ "full", nothing, .anew = true },
	{ "again", nothing, .anew = true, .resume = true },
};

static void run(struct client *c, unsigned int job, uint64_t size, unsigned long count,
		bool count_instructions)
{
	struct busy busy = { 0 };
	unsigned long i;

	client_connect(c, NULL);
	/* by the answer, the tickets have come, too */
	if (jobs[job].anew)
		get(c, size);
	else
		jobs[job].transact(c, size);
	if (jobs[job].anew)
		client_close(c);
	if (count_instructions)
		busy = busy_start();
	for (i = 0; i < count; i++) {
		if (jobs[job].anew)
			client_connect(c, jobs[job].resume ? c->session : NULL);
		jobs[job].transact(c, size);
		if (jobs[job].anew)
			client_close(c);
	}
	if (count_instructions)
		printf("%" PRIu64 "\n", busy_used(&busy));
	if (!jobs[job].anew)
		client_close(c);
}

static void usage(void)
{
	errx(2, "usage: client [-n] [-p] [-2] [-c SUITE] PORT JOB SIZE COUNT; "
	     "JOB: get, put, both, churn, resume, full, again, first");
}

int main(int argc, char **argv)
{
	const char *suite = "TLS_AES_128_GCM_SHA256";
	bool plain = false, tls12 = false, first, count_instructions = true;
	struct client *c = calloc(1, sizeof(*c));
	unsigned int job = 0;
	unsigned long count;
	uint64_t size;
	int o;

	while ((o = getopt(argc, argv, "+np2c:")) != -1) {
		if (o == 'p')
			plain = true;
		else if (o == 'n')
			count_instructions = false;
		else if (o == '2')
			tls12 = true;
		else if (o == 'c')
			suite = optarg;
		else
			usage();
	}
	if (!c || argc - optind != 4)
		usage();
	first = !strcmp(argv[optind + 1], "first");
	while (job < sizeof(jobs) / sizeof(*jobs) && strcmp(argv[optind + 1], jobs[job].name))
		job++;
	if (!first && job == sizeof(jobs) / sizeof(*jobs))
		usage();
	signal(SIGPIPE, SIG_IGN);
	c->port = strtoul(argv[optind], NULL, 10);
	c->ctx = plain ? NULL : make_context(suite, tls12);
	size = strtoull(argv[optind + 2], NULL, 10);
	count = strtoul(argv[optind + 3], NULL, 10);
	if (first)
		measure_first(c, size, count);
	else
		run(c, job, size, count, count_instructions);
	SSL_SESSION_free(c->session);
	SSL_CTX_free(c->ctx);
	free(c);
	return 0;
}
