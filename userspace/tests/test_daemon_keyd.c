// SPDX-License-Identifier: MIT
/* daemon/keyd, keypipe: what a worker that has been taken over could send, too. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ipc.h"
#include "daemon/keyd.h"
#include "daemon/keypipe.h"
#include "engine/crypto/certificate.h"
#include "engine/key_request.h"
#include "tests/pki.h"
#include "tests/tap.h"

#define WAIT_MS		20000
#define CROWD		1000u		/* requests, more than a pipe has room for */
#define SHORT		32		/* bytes to sign */

static struct tls_certificate *cert;
static pid_t keyd;
static int control;			/* keyd's */
static uint8_t filler[TLS_MAX_KEY_REQUEST + 1];

static char *key_file(const struct pki *pki)
{
	static char path[32];
	const char *pem = pki_key(pki);
	int fd;

	strcpy(path, "/tmp/tlsgate-test-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || write(fd, pem, strlen(pem)) != (ssize_t)strlen(pem))
		tap_bail("a key cannot be written");
	close(fd);
	return path;
}

static void start_keyd(const struct pki *pki)
{
	const struct identity who = {0};
	char *key = key_file(pki), *name = (char []){ "of the test" };
	struct gate_settings settings = {
		.name = name, .mode = GATE_CONNECT,
	};
	struct cert_file file = { "cert", "key", name, key };
	const struct tls_hooks hooks = {0};
	struct member member = { .server_name = (char []){ "host.test" } };
	struct pool pool = { .settings = &settings, .members = &member, .count = 1 };
	struct gate gate = {
		.settings = &settings, .files = { &file, 1 }, .certs = &cert, .sound = true,
		.pools = &pool, .pool_count = 1,
		.config = tls_config_new(TLS_CLIENT, &hooks),
	};
	struct ipc_message message;
	bool up;

	keyd = keyd_start(&gate, 1, &who, &control);
	up = keyd > 0 && ipc_receive(control, &message) == 1 && message.type == IPC_READY;
	(void)unlink(key);
	tls_config_unref(gate.config);
	if (!up)
		tap_bail("keyd does not start");
}

/* A worker's end of new pipes to an answerer. */
static struct keypipe new_answerer(void)
{
	struct keypipe ours, theirs;

	if (keypipe_open(&ours, &theirs) ||
	    ipc_send(control, IPC_NEW_WORKER, (const int[]){ theirs.in, theirs.out }, 2))
		tap_bail("no answerer");
	keypipe_close(&theirs);
	return ours;
}

static struct keypipe_request head(uint32_t number, uint32_t len)
{
	return (struct keypipe_request){ .number = number, .len = len, .op = TLS_KEY_SIGN,
		.scheme = TLS_SCHEME_ED25519, .cpu = -1 };
}

/*
 * What a TLS 1.2 client signs with such a key, and the only form that can have
 * any length: handshake messages, ClientHello and ServerHello first, and one more.
 */
static void fill(size_t len)
{
	const size_t body = len - 12;
	const uint8_t first[] = { 1, (uint8_t)(body >> 16), (uint8_t)(body >> 8), (uint8_t)body };
	const uint8_t others[] = { 2, 0, 0, 0, 11, 0, 0, 0 };

	memset(filler, 0x5a, sizeof(filler));
	memcpy(filler, first, sizeof(first));
	memcpy(filler + 4 + body, others, sizeof(others));
}

/* False: there is no room. */
static bool send_all(int pipe, const struct keypipe_request *head, size_t len)
{
	uint8_t request[sizeof(*head) + sizeof(filler)];
	struct pollfd pfd = { .fd = pipe, .events = POLLOUT };
	size_t done = 0;
	ssize_t n;

	memcpy(request, head, sizeof(*head));
	memcpy(request + sizeof(*head), filler, len);
	while (done < sizeof(*head) + len) {
		n = write(pipe, request + done, sizeof(*head) + len - done);
		if (n < 0 && errno == EAGAIN && !done)
			return false;
		if (n < 0 && (errno != EAGAIN || poll(&pfd, 1, WAIT_MS) != 1))
			tap_bail("a request cannot be written: %s", strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* As read(2), once there is something. */
static ssize_t wait_answer(int pipe, uint8_t *answer)
{
	struct pollfd pfd = { .fd = pipe, .events = POLLIN };

	return poll(&pfd, 1, WAIT_MS) == 1 ? read(pipe, answer, KEYPIPE_ANSWER_MAX) : -1;
}

static bool is_signature(const uint8_t *answer, ssize_t len, const struct keypipe_request *request)
{
	struct keypipe_answer start;

	if (len <= (ssize_t)sizeof(start))
		return false;
	memcpy(&start, answer, sizeof(start));
	return start.number == request->number && (size_t)len == sizeof(start) + start.len &&
	       !tls_certificate_check_signature(cert,
			tls_scheme_find(request->scheme),
			(struct tls_slice){ filler, request->len },
			(struct tls_slice){ answer + sizeof(start), start.len });
}

static void test_lengths(const struct keypipe *end)
{
	static const uint32_t lengths[] = {
		SHORT, PIPE_BUF - sizeof(struct keypipe_request),
		PIPE_BUF - sizeof(struct keypipe_request) + 1, TLS_MAX_KEY_REQUEST,
	};
	uint8_t answer[KEYPIPE_ANSWER_MAX];
	uint32_t i;

	for (i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		const struct keypipe_request request = head(i, lengths[i]);

		fill(lengths[i]);
		tap_ok(send_all(end->out, &request, request.len) &&
		       is_signature(answer, wait_answer(end->in, answer), &request),
		       "%u bytes are signed", request.len);
	}
}

static void test_refused(const struct keypipe *end)
{
	struct keypipe_request request = head(77, SHORT);
	uint8_t answer[KEYPIPE_ANSWER_MAX];

	fill(SHORT);
	request.key_id = 1;
	tap_ok(send_all(end->out, &request, SHORT) &&
	       wait_answer(end->in, answer) == sizeof(struct keypipe_answer),
	       "a key that is not there: an empty answer");
	request = head(78, SHORT);
	request.scheme = TLS_SCHEME_ECDSA_SECP256R1_SHA256;
	tap_ok(send_all(end->out, &request, SHORT) &&
	       wait_answer(end->in, answer) == sizeof(struct keypipe_answer),
	       "a scheme of another key: an empty answer");
	request = head(79, SHORT);
	request.op = TLS_KEY_DECRYPT;
	tap_ok(send_all(end->out, &request, SHORT) &&
	       wait_answer(end->in, answer) == sizeof(struct keypipe_answer),
	       "what no gate needs: an empty answer");
	request = head(80, SHORT);
	filler[0] = 'x';
	tap_ok(send_all(end->out, &request, SHORT) &&
	       wait_answer(end->in, answer) == sizeof(struct keypipe_answer),
	       "a text that is not TLS: an empty answer");
	fill(SHORT);
}

/* The longest signature there is, in TLS 1.3's form for a client: more than one packet. */
static void test_long_answer(void)
{
	struct keypipe_request request = head(5, TLS13_CONTEXT_LEN + 32);
	uint8_t answer[KEYPIPE_ANSWER_MAX];
	struct keypipe end = new_answerer();
	ssize_t first, more;

	request.scheme = TLS_SCHEME_MLDSA87;
	tls13_put_context(TLS_CLIENT, filler);
	if (!send_all(end.out, &request, request.len))
		tap_bail("no room");
	first = wait_answer(end.in, answer);
	more = first > 0 ? wait_answer(end.in, answer + first) : 0;
	tap_ok(first == PIPE_BUF && more > 0 && is_signature(answer, first + more, &request),
	       "a signature of %zd bytes", first + more - (ssize_t)sizeof(struct keypipe_answer));
	keypipe_close(&end);
}

/* More than both pipes hold: the answerer waits for us, and we for it. */
static void test_crowd(const struct keypipe *end)
{
	uint32_t sent = 0, answered = 0, good = 0, full = 0;
	uint8_t answer[KEYPIPE_ANSWER_MAX];
	ssize_t n;

	while (answered < CROWD) {
		const struct keypipe_request first = head(answered, SHORT);

		while (sent < CROWD) {
			const struct keypipe_request request = head(sent, SHORT);

			if (!send_all(end->out, &request, SHORT))
				break;
			sent++;
		}
		full += sent < CROWD;
		n = wait_answer(end->in, answer);
		if (n < 0)
			break;
		good += is_signature(answer, n, &first);
		answered++;
	}
	tap_ok(full && good == CROWD, "%u at once: in order (%u), in turns (%u)", CROWD, good, full);
}

static void test_malformed(void)
{
	static const struct {
		const char *what;
		size_t head, data;		/* bytes sent of them */
		uint32_t len;
	} rows[] = {
		{ "less than a request", sizeof(struct keypipe_request) - 1, 0, 0 },
		{ "more data than it says", sizeof(struct keypipe_request), 10, 9 },
		{ "more data than there may be", sizeof(struct keypipe_request), 10,
		  TLS_MAX_KEY_REQUEST + 1 },
		{ "more data than a size can be", sizeof(struct keypipe_request), 10, UINT32_MAX },
	};
	uint8_t packet[64], answer[KEYPIPE_ANSWER_MAX];
	size_t i, len;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct keypipe_request request = head(0, rows[i].len);
		struct keypipe end = new_answerer();

		memset(packet, 0, sizeof(packet));
		memcpy(packet, &request, rows[i].head);
		len = rows[i].head + rows[i].data;
		tap_ok(write(end.out, packet, len) == (ssize_t)len &&
		       !wait_answer(end.in, answer), "%s: the answerer ends", rows[i].what);
		keypipe_close(&end);
	}
}

static bool is_refused(const struct keypipe *end)
{
	uint8_t answer[KEYPIPE_ANSWER_MAX];

	return !wait_answer(end->in, answer);
}

static bool answers(const struct keypipe *end)
{
	const struct keypipe_request request = {0};
	uint8_t answer[KEYPIPE_ANSWER_MAX];

	return write(end->out, &request, sizeof(request)) == sizeof(request) &&
	       wait_answer(end->in, answer) == sizeof(struct keypipe_answer);
}

/* More than the monitor asks for. */
static void test_many(void)
{
	static struct keypipe ends[KEYD_ANSWERERS_MAX];
	const struct rlimit room = { 4 * KEYD_ANSWERERS_MAX, 4 * KEYD_ANSWERERS_MAX };
	struct keypipe more;
	size_t i;

	if (setrlimit(RLIMIT_NOFILE, &room)) {
		tap_skip("this user may have too few descriptors", "answerers have a limit");
		return;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	/* one lives already */
	for (i = 0; i < KEYD_ANSWERERS_MAX - 1; i++)
		ends[i] = new_answerer();
	tap_ok(answers(&ends[KEYD_ANSWERERS_MAX - 2]), "the last that may live answers");
	more = new_answerer();
	tap_ok(is_refused(&more), "another one is refused");
	keypipe_close(&more);
	for (i = 0; i < KEYD_ANSWERERS_MAX - 1; i++)
		keypipe_close(&ends[i]);
	for (more = new_answerer(); !answers(&more); more = new_answerer())
		keypipe_close(&more);
	tap_ok(true, "and made once those are gone");
	keypipe_close(&more);
}

static void test_ends(void)
{
	struct keypipe end = new_answerer();
	const struct keypipe_request request = head(0, TLS_MAX_KEY_REQUEST);
	uint8_t answer[KEYPIPE_ANSWER_MAX];

	tap_ok(write(end.out, &request, sizeof(request)) == sizeof(request) && !close(end.out) &&
	       !wait_answer(end.in, answer), "the worker ends amid a request: so does the answerer");
	close(end.in);
	end = new_answerer();
	close(control);
	if (waitpid(keyd, NULL, 0) != keyd)
		tap_bail("keyd: %s", strerror(errno));
	tap_ok(send_all(end.out, &(struct keypipe_request){0}, 0) &&
	       wait_answer(end.in, answer) == sizeof(struct keypipe_answer),
	       "an answerer outlives keyd");
	keypipe_close(&end);
}

static struct pki *start_with(enum pki_key type)
{
	const struct pki_options options = {0};
	struct pki *pki = pki_new(type, NULL, &options);
	const char *why;

	if (tls_certificate_new(&cert, pki_certificate(pki), strlen(pki_certificate(pki)), &why))
		tap_bail("certificate: %s", why);
	start_keyd(pki);
	return pki;
}

static void stop_with(struct pki *pki)
{
	tls_certificate_free(cert);
	pki_free(pki);
}

static void test_mldsa87(void)
{
	struct pki *pki;

	if (!pki_has(PKI_MLDSA87)) {
		tap_skip("this libcrypto has no ML-DSA", "an answer of two packets");
		return;
	}
	pki = start_with(PKI_MLDSA87);
	test_long_answer();
	close(control);
	if (waitpid(keyd, NULL, 0) != keyd)
		tap_bail("keyd: %s", strerror(errno));
	stop_with(pki);
}

int main(void)
{
	struct pki *pki = start_with(PKI_ED25519);
	struct keypipe end = new_answerer();

	test_lengths(&end);
	test_refused(&end);
	test_crowd(&end);
	test_many();
	keypipe_close(&end);
	test_malformed();
	test_ends();
	stop_with(pki);
	test_mldsa87();
	return tap_done();
}
