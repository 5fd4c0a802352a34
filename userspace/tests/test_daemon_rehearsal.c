// SPDX-License-Identifier: MIT
/* daemon/rehearsal: which ends of a worker's handshake with itself are those of a worker that works. */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/gates.h"
#include "daemon/options.h"
#include "daemon/rehearsal.h"
#include "daemon/settings.h"
#include "pki.h"
#include "tap.h"

#define MAX_ARGS	24
#define SERVE		"serve 127.0.0.1:2 127.0.0.1:1 --cert one.pem --key one.key "
#define CONNECT		"connect 127.0.0.1:2 127.0.0.1:1 --server-name host.test --ca one.pem "

enum manner { SIGNS, LIES, REFUSES, IS_SECOND };	/* it signs, but somebody connected first */

/* What is at the other end of the worker's pipes. */
struct answerer {
	struct keypipe end;
	struct tls_private_key *key;
	enum manner manner;
};

static void answer(const struct answerer *answerer, const uint8_t *packet)
{
	struct { struct keypipe_answer head; uint8_t data[TLS_MAX_KEY_REPLY]; } reply;
	struct tls_key_request request;
	struct keypipe_request head;
	size_t len = sizeof(reply.data);

	memcpy(&head, packet, sizeof(head));
	request = (struct tls_key_request){
		.op = (enum tls_key_op)head.op, .key_id = head.key_id, .scheme = head.scheme,
		.data = packet + sizeof(head), .len = head.len,
	};
	if (answerer->manner == REFUSES ||
	    tls_private_key_perform(answerer->key, &request, reply.data, &len))
		len = 0;
	if (answerer->manner == LIES)
		reply.data[len - 1] ^= 1;
	reply.head = (struct keypipe_answer){ .number = head.number, .len = (uint32_t)len };
	if (write(answerer->end.out, &reply, sizeof(reply.head) + len) < 0)
		tap_bail("no answer");
}

/* Until the worker's end is closed. */
static void *run_answerer(void *arg)
{
	const struct answerer *answerer = arg;
	uint8_t packet[KEYPIPE_REQUEST_MAX];

	while (read(answerer->end.in, packet, sizeof(packet)) > 0)
		answer(answerer, packet);
	return NULL;
}

/* Another process, which knows the name, says what is no TLS, and goes. */
static void intrude(const struct sockaddr_storage *name, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(connect(fd, (const struct sockaddr *)name, len) || write(fd, "x", 1) != 1);
	close(fd);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		tap_bail("no other process connects");
}

/* As rehearsal_open(), but somebody else connects first. */
static int open_second(struct rehearsal *rehearsal)
{
	struct sockaddr_storage name = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(name);
	const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

	rehearsal->listener = socket(AF_UNIX, type, 0);
	rehearsal->client = socket(AF_UNIX, type, 0);
	if (bind(rehearsal->listener, (struct sockaddr *)&name, sizeof(name.ss_family)) ||
	    listen(rehearsal->listener, 2) ||
	    getsockname(rehearsal->listener, (struct sockaddr *)&name, &len))
		return -1;
	intrude(&name, len);
	return connect(rehearsal->client, (struct sockaddr *)&name, len);
}

static int rehearse(const struct gate *gate, struct tls_private_key *key, enum manner manner)
{
	struct rehearsal rehearsal = { .gates = gate, .count = 1 };
	struct answerer answerer = { .key = key, .manner = manner };
	struct keypipe worker;
	pthread_t thread;
	int ret;

	if (keypipe_open(&worker, &answerer.end) ||
	    (manner == IS_SECOND ? open_second : rehearsal_open)(&rehearsal) ||
	    pthread_create(&thread, NULL, run_answerer, &answerer))
		tap_bail("set-up");
	ret = rehearsal_run(&rehearsal, &worker);
	keypipe_close(&worker);
	(void)pthread_join(thread, NULL);
	keypipe_close(&answerer.end);
	return ret;
}

static void check(const char *line, struct tls_private_key *key, enum manner manner, int want,
		  const char *what)
{
	char *argv[MAX_ARGS + 1] = { (char *)"tlsgated" };
	char *copy = xstrdup(line), *word, *save = NULL;
	struct options options;
	struct gate gate;
	int argc = 1;

	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	optind = 0;
	memset(&gate, 0, sizeof(gate));
	if (options_parse(argc, argv, &options) != OPTIONS_RUN ||
	    gates_build(&gate, options.settings, -1))
		tap_bail("refused: %s", line);
	tap_equal(rehearse(&gate, key, manner), want, "%s", what);
	gate_clear(&gate);
	settings_free(options.settings);
	free(copy);
}

static void put(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	if (!file || fputs(text, file) < 0 || fclose(file))
		tap_bail("cannot write %s", name);
}

static void sound_ends(struct tls_private_key *key)
{
	check(SERVE, key, SIGNS, 0, "a server");
	check(SERVE "--max-version 1.2", key, SIGNS, 0, "a server of TLS 1.2");
	check(SERVE "--client-ca one.pem", key, SIGNS, 0, "one that wants a client's certificate");
	check(SERVE "--client-ca one.pem --max-version 1.2", key, SIGNS, 0, "and in TLS 1.2");
	check(CONNECT, key, SIGNS, 0, "a client, which does not believe the server");
	check(CONNECT "--max-version 1.2", key, SIGNS, 0, "and in TLS 1.2");
	check(CONNECT "--max-version 1.2 --ciphersuites TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", key,
	      SIGNS, 0, "a client that wants another server");
}

static void other_clients(struct tls_private_key *key)
{
	check(SERVE, key, IS_SECOND, 0, "a server that another process connects to first");
}

static void broken_ends(struct tls_private_key *key)
{
	check(SERVE, key, REFUSES, -1, "a signature that is refused");
	check(SERVE, key, LIES, -1, "a signature that is wrong");
	check(SERVE "--max-version 1.2", key, LIES, -1, "and in TLS 1.2");
	check(SERVE "--client-ca one.pem", key, LIES, -1,
	      "where a client's certificate is wanted, too");
	check(SERVE "--client-ca one.pem --max-version 1.2", key, LIES, -1, "and in TLS 1.2");
}

int main(void)
{
	const struct pki_options options = {
		.names = "DNS:host.test",
		.not_before = (int64_t)time(NULL) - PKI_DAY,
		.not_after = (int64_t)time(NULL) + 30 * PKI_DAY,
	};
	char dir[] = "/tmp/test_daemon_rehearsal.XXXXXX";
	struct pki *pki = pki_new(PKI_P256, NULL, &options);
	struct tls_private_key *key;

	if (!mkdtemp(dir) || chdir(dir) ||
	    tls_private_key_new(&key, pki_key(pki), strlen(pki_key(pki)), NULL))
		tap_bail("set-up");
	put("one.pem", pki_certificate(pki));
	put("one.key", pki_key(pki));
	sound_ends(key);
	other_clients(key);
	broken_ends(key);
	if (unlink("one.pem") || unlink("one.key") || rmdir(dir))
		tap_bail("clean-up");
	tls_private_key_free(key);
	pki_free(pki);
	return tap_done();
}
