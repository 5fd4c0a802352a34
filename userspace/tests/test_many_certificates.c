// SPDX-License-Identifier: MIT
/* A server with a thousand certificates: each name gets its own, and a handshake costs no more than with one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pair.h"
#include "tap.h"

#define MANY	1000
#define ROUNDS	200
#define MOST	1.10			/* times the CPU time of one certificate; noise is a few percent */

static struct tls_certificate *certs[MANY];

static struct tls_certificate *make(unsigned int number)
{
	struct pki_options options = { 0 };
	struct tls_certificate *cert;
	char names[64];
	struct pki *pki;

	snprintf(names, sizeof(names), "DNS:n%u.test, DNS:*.n%u.test", number, number);
	options.names = names;
	pki = pki_new(PKI_P256, pair_ca(), &options);
	if (tls_certificate_new(&cert, pki_certificate(pki), strlen(pki_certificate(pki)), NULL))
		tap_bail("certificate %u", number);
	tls_certificate_set_key_id(cert, number);
	pki_free(pki);
	return cert;
}

/* With the others behind the one whose key the pair has. */
static void start(struct pair *pair, const struct pair_options *options, bool many)
{
	size_t i;

	pair_init(pair, options);
	for (i = 0; many && i < MANY; i++)
		if (tls_config_add_certificate(pair->server.config, certs[i]))
			tap_bail("out of memory");
}

static void connect_anew(struct pair_end *end)
{
	tls_conn_free(end->conn);
	end->conn = tls_conn_new(end->config);
	if (!end->conn)
		tap_bail("out of memory");
	tls_conn_set_arg(end->conn, end);
}

/* Seconds of CPU time of one handshake more with the configurations of a pair. */
static double cost(struct pair *pair, const char *server_name)
{
	clock_t begin;

	connect_anew(&pair->client);
	connect_anew(&pair->server);
	if (*server_name && tls_conn_set_server_name(pair->client.conn, server_name))
		tap_bail("name");
	begin = clock();
	pair_handshake(pair);
	begin = clock() - begin;
	if (!pair_up(pair))
		tap_bail("no handshake: %s", tls_strerror(pair->server.err));
	return (double)begin / CLOCKS_PER_SEC;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Few of the better half are disturbed by other programs. */
static double typical(double times[ROUNDS])
{
	qsort(times, ROUNDS, sizeof(*times), compare);
	return times[ROUNDS / 4];
}

static void test_cost(const char *what, uint16_t version, const char *server_name)
{
	const struct pair_options options = {
		.max = version, .server_name = server_name, .client_verifies_nothing = true,
	};
	double one[ROUNDS], many[ROUNDS], with_one, with_many;
	struct pair few_pair, many_pair;
	size_t i;

	start(&few_pair, &options, false);
	start(&many_pair, &options, true);
	for (i = 0; i < ROUNDS; i++) {
		one[i] = cost(&few_pair, server_name);
		many[i] = cost(&many_pair, server_name);
	}
	pair_free(&few_pair);
	pair_free(&many_pair);
	with_one = typical(one);
	with_many = typical(many);
	tap_ok(with_many < with_one * MOST, "%s: %.0f us with one certificate, %.0f with %d more", what,
	       1e6 * with_one, 1e6 * with_many, MANY);
}

/* Which key the server asks for. */
static uint32_t key_for(const char *server_name)
{
	const struct pair_options options = {
		.server_name = server_name, .client_verifies_nothing = true,
	};
	const struct tls_key_request *request;
	uint32_t id = UINT32_MAX;
	struct pair pair;

	start(&pair, &options, true);
	if (tls_conn_start(pair.client.conn) || tls_conn_start(pair.server.conn))
		tap_bail("start");
	pair_move(&pair, &pair.client, &pair.server);
	request = tls_conn_key_request(pair.server.conn);
	if (request)
		id = request->key_id;
	pair_free(&pair);
	return id;
}

static void test_names(void)
{
	char name[64], below[64];
	unsigned int i, wrong = 0;

	for (i = 0; i < MANY; i += 37) {
		snprintf(name, sizeof(name), "n%u.test", i);
		snprintf(below, sizeof(below), "x.n%u.test", i);
		wrong += key_for(name) != i;
		wrong += key_for(below) != i;
	}
	tap_equal((int)wrong, 0, "names that got another certificate than theirs");
}

int main(void)
{
	unsigned int i;

	for (i = 0; i < MANY; i++)
		certs[i] = make(i);
	test_names();
	test_cost("TLS 1.3, by name", TLS_1_3, "host.test");
	test_cost("TLS 1.2, by name", TLS_1_2, "host.test");
	test_cost("TLS 1.3, no name", TLS_1_3, "");
	test_cost("TLS 1.3, a name that is not known", TLS_1_3, "unknown.test");
	for (i = 0; i < MANY; i++)
		tls_certificate_free(certs[i]);
	pair_free_pki();
	return tap_done();
}
