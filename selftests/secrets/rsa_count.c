// SPDX-License-Identifier: MIT
/*
 * TLS 1.2 RSA key exchange: whatever a ClientKeyExchange decrypts to, the
 * server does and says the same (RFC 5246 section 7.4.7.1); for valgrind's
 * callgrind.
 *
 * An attacker sends a ciphertext, and a Finished under keys he does not have.
 * Measured is all that the server does from the first byte of them to its
 * alert: the engine, the key's operation, and libcrypto under them, but for
 * the raw RSA itself (EVP_PKEY_decrypt() without padding), in whose multiplication
 * carries of blinded numbers cost an instruction or not.  Every case runs in a
 * child forked from the same server, waiting for the ClientKeyExchange: with
 * the same memory and randoms.  So instruction counts may be compared to the
 * last one, and show what the ciphertext's meaning changes.
 *
 * Controls answer for the key in ways that leak, and must be told apart.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <valgrind/callgrind.h>

#include "engine/config.h"
#include "engine/conn.h"
#include "tests/pair.h"
#include "tests/tap.h"

#define RSA_LEN		256
#define SECRET_LEN	TLS12_MASTER_LEN
#define MESSAGE_AT	(RSA_LEN - SECRET_LEN)

/* What differs from a well-formed block: 0, 2, non-zero bytes, 0, version, random bytes. */
struct block {
	const char *name;
	struct {
		unsigned int at;
		uint8_t value;
	} changes[3];			/* ends with at 0; at 0 itself is changed by FIRST */
	bool first, no_zero, random;
};

static const struct block blocks[] = {
	{ .name = "right premaster" },
	{ .name = "another premaster", .random = true },
	{ .name = "wrong version", .changes = { { MESSAGE_AT + 1, 1 } } },
	{ .name = "version 0.0", .changes = { { MESSAGE_AT, 0 }, { MESSAGE_AT + 1, 0 } } },
	{ .name = "first byte not 0", .first = true },
	{ .name = "second byte 1", .changes = { { 1, 1 } } },
	{ .name = "second byte 0", .changes = { { 1, 0 } } },
	{ .name = "padding of no byte", .changes = { { 2, 0 } } },
	{ .name = "padding of 7 bytes", .changes = { { 9, 0 } } },
	{ .name = "padding of 8 bytes", .changes = { { 10, 0 } } },
	{ .name = "secret of 49 bytes",
	  .changes = { { MESSAGE_AT - 2, 0 }, { MESSAGE_AT - 1, 7 } } },
	{ .name = "secret of 47 bytes",
	  .changes = { { MESSAGE_AT - 1, 7 }, { MESSAGE_AT, 0 } } },
	{ .name = "secret of no byte", .no_zero = true, .changes = { { RSA_LEN - 1, 0 } } },
	{ .name = "no zero at all", .no_zero = true },
};

#define BLOCKS	(sizeof(blocks) / sizeof(*blocks))

/* How the key's owner answers. */
enum answer {
	ANSWER_OURS,
	ANSWER_EARLY,			/* reads the padding until something is wrong */
	ANSWER_REFUSES,			/* says that the padding is bad */
};

/* Of one case: shared with the child that runs it. */
struct outcome {
	size_t len;
	uint8_t sent[512];
};

static const char *folder;		/* where callgrind writes */
static struct outcome *outcome;
static uint8_t ciphertexts[BLOCKS][RSA_LEN];

/* ---- ciphertexts ---- */

static void make_block(const struct block *block, uint8_t em[RSA_LEN])
{
	memset(em, 0x5c, RSA_LEN);
	em[0] = block->first;
	em[1] = 2;
	if (!block->no_zero)
		em[MESSAGE_AT - 1] = 0;
	em[MESSAGE_AT] = em[MESSAGE_AT + 1] = 3;
	if (block->random && RAND_bytes(em + MESSAGE_AT + 2, SECRET_LEN - 2) != 1)
		tap_bail("no random bytes");
	for (size_t i = 0; i < 3 && block->changes[i].at; i++)
		em[block->changes[i].at] = block->changes[i].value;
}

static void encrypt(EVP_PKEY *key, const uint8_t em[RSA_LEN], uint8_t out[RSA_LEN])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t len = RSA_LEN;

	if (!ctx || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1 ||
	    EVP_PKEY_encrypt(ctx, out, &len, em, RSA_LEN) != 1)
		tap_bail("cannot encrypt");
	EVP_PKEY_CTX_free(ctx);
}

static void make_ciphertexts(const struct pki *pki)
{
	BIO *bio = BIO_new_mem_buf(pki_key(pki), -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	uint8_t em[RSA_LEN];

	for (size_t i = 0; i < BLOCKS; i++) {
		make_block(&blocks[i], em);
		encrypt(key, em, ciphertexts[i]);
	}
	EVP_PKEY_free(key);
	BIO_free(bio);
}

/* ---- the server ---- */

static bool early_padding(const uint8_t *em)
{
	if (em[0] || em[1] != 2)
		return false;
	for (size_t i = 2; i < MESSAGE_AT - 1; i++) {
		if (!em[i])
			return false;
	}
	return !em[MESSAGE_AT - 1];
}

/* A control: the blocks are known here, for ciphertexts are. */
static void answer_badly(struct pair_end *server, size_t block, enum answer answer)
{
	const struct tls_key_request *req = tls_conn_key_request(server->conn);
	uint8_t em[RSA_LEN], reply[TLS_MAX_KEY_REPLY];
	size_t len = sizeof(reply);
	bool good;

	make_block(&blocks[block], em);
	if (!req || tls_private_key_perform(server->keys[0], req, reply, &len))
		tap_bail("no request");
	good = early_padding(em);
	tls_conn_key_reply(server->conn, good || answer == ANSWER_EARLY ? reply : NULL, len);
}

/* ClientKeyExchange, ChangeCipherSpec, and a Finished that nobody could have made. */
static size_t make_flight(const uint8_t ciphertext[RSA_LEN], struct tls_buf *out)
{
	struct tls_vec record, message, secret;

	tls_put_u8(out, TLS_RECORD_HANDSHAKE);
	tls_put_u16(out, TLS_1_2);
	record = tls_put_open(out, 2);
	tls_put_u8(out, TLS_MSG_CLIENT_KEY_EXCHANGE);
	message = tls_put_open(out, 3);
	secret = tls_put_open(out, 2);
	tls_put_bytes(out, ciphertext, RSA_LEN);
	tls_put_close(out, secret);
	tls_put_close(out, message);
	tls_put_close(out, record);
	tls_put_bytes(out, "\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x28", 11);
	memset(tls_put_space(out, 40), 0x33, 40);
	return out->len;
}

/* In the child. */
static void measure(struct pair *pair, size_t block, enum answer answer)
{
	struct tls_buf flight = { .limit = 1024 };
	struct tls_conn *server = pair->server.conn;
	const uint8_t *p;
	size_t len = make_flight(ciphertexts[block], &flight);

	CALLGRIND_START_INSTRUMENTATION;
	tls_conn_input(server, flight.data, len);
	if (answer == ANSWER_OURS)
		pair_answer_key(&pair->server);
	else
		answer_badly(&pair->server, block, answer);
	CALLGRIND_STOP_INSTRUMENTATION;
	CALLGRIND_DUMP_STATS;
	p = tls_conn_output(server, &len);
	outcome->len = len;
	memcpy(outcome->sent, p, len < sizeof(outcome->sent) ? len : 0);
}

extern __typeof__(EVP_PKEY_decrypt) __wrap_EVP_PKEY_decrypt, __real_EVP_PKEY_decrypt;
int __wrap_EVP_PKEY_decrypt(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *len,
			    const unsigned char *in, size_t in_len)
{
	int ok;

	CALLGRIND_TOGGLE_COLLECT;
	ok = __real_EVP_PKEY_decrypt(ctx, out, len, in, in_len);
	CALLGRIND_TOGGLE_COLLECT;
	return ok;
}

/* The sum of "totals:" in what callgrind wrote about a process. */
static long count_of(pid_t pid)
{
	struct dirent *entry;
	char path[4096], name[32], line[256];
	DIR *dir = opendir(folder);
	long sum = 0, n;

	snprintf(name, sizeof(name), "%d.", pid);
	while (dir && (entry = readdir(dir))) {
		FILE *f;

		if (strncmp(entry->d_name, name, strlen(name)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "totals: %ld", &n) == 1)
				sum += n;
		}
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return sum;
}

static long run(struct pair *pair, size_t block, enum answer answer)
{
	pid_t pid;
	int status;

	fflush(stdout);
	memset(outcome, 0, sizeof(*outcome));
	pid = fork();
	if (pid == 0) {
		measure(pair, block, answer);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		tap_bail("%s: the child failed", blocks[block].name);
	return count_of(pid);
}

/* What libcrypto does but once is done with it: above all the key's blinding is made. */
static void warm_up(const struct pair_end *server)
{
	const struct tls_key_request req = {
		.op = TLS_KEY_DECRYPT, .data = ciphertexts[0], .len = RSA_LEN,
	};
	uint8_t reply[TLS_MAX_KEY_REPLY];
	size_t len = sizeof(reply);

	if (tls_private_key_perform(server->keys[0], &req, reply, &len))
		tap_bail("cannot decrypt");
}

/* ---- tests ---- */

static void test_ours(struct pair *pair)
{
	static const uint8_t alert[] = { 0x15, 3, 3, 0, 2, 2, TLS_ALERT_BAD_RECORD_MAC };
	long first;

	tap_ok(!!tls_conn_wants(pair->server.conn), "the server waits for the ClientKeyExchange");
	/* the first child of all has a heap that run() and output have not been through */
	run(pair, 0, ANSWER_OURS);
	first = run(pair, 0, ANSWER_OURS);
	printf("# %ld instructions each\n", first);
	for (size_t i = 0; i < BLOCKS; i++) {
		long count = run(pair, i, ANSWER_OURS);

		tap_equal(count, first ? first : -1, "%s: instructions as of the first",
			  blocks[i].name);
		tap_ok(outcome->len == sizeof(alert) &&
		       !memcmp(outcome->sent, alert, sizeof(alert)),
		       "%s: bad_record_mac is all that is sent", blocks[i].name);
	}
}

/* A measurement that cannot tell these apart shows nothing. */
static void test_controls(struct pair *pair)
{
	long good = run(pair, 0, ANSWER_EARLY), bad = run(pair, 9, ANSWER_EARLY);
	struct outcome right;

	tap_ok(good != bad, "control, padding read until it is wrong: %ld and %ld instructions",
	       good, bad);
	run(pair, 0, ANSWER_REFUSES);
	right = *outcome;
	run(pair, 9, ANSWER_REFUSES);
	tap_ok(right.len && memcmp(&right, outcome, sizeof(right)),
	       "control, bad padding refused: other bytes are sent");
}

int main(int argc, char **argv)
{
	const struct pair_options options = {
		.suites = "TLS_RSA_WITH_AES_128_GCM_SHA256", .server = { pair_leaf(PKI_RSA2048) },
	};
	struct pair pair;

	if (argc != 2 || !RUNNING_ON_VALGRIND)
		tap_bail("run it by selftests/secrets.sh: it shows nothing without callgrind");
	folder = argv[1];
	outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	make_ciphertexts(options.server[0]);
	pair_init(&pair, &options);
	/* a key log has secrets in print; who writes one cares for no oracle */
	pair.server.config->hooks.keylog = NULL;
	tls_conn_start(pair.client.conn);
	pair_move(&pair, &pair.client, &pair.server);
	tls_conn_output_done(pair.server.conn, SIZE_MAX);
	warm_up(&pair.server);
	test_ours(&pair);
	test_controls(&pair);
	pair_free(&pair);
	pair_free_pki();
	return tap_done();
}
