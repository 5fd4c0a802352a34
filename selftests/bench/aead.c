// SPDX-License-Identifier: MIT
/*
 * What OpenSSL's AEADs cost on this clock: seals records of two sizes, opens
 * none (the work is the same), and prints "u SUITE SIZE INSTRUCTIONS" a record.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>

#include <openssl/evp.h>

#include "busy.h"

#define RECORDS	200
#define RECORD	16384

static const struct {
	const char *name, *algorithm;
} suites[] = {
	{ "aes128", "AES-128-GCM" },
	{ "aes256", "AES-256-GCM" },
	{ "chacha20", "ChaCha20-Poly1305" },
};

static const int sizes[] = { 256, RECORD };

static unsigned char text[RECORD], sealed[RECORD + 16];

/* One record as libssl does it: nonce, additional data, text, tag. */
static void seal(EVP_CIPHER_CTX *ctx, int size)
{
	unsigned char nonce[12] = { 0 }, header[5] = { 23, 3, 3 };
	int n;

	if (!EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) ||
	    !EVP_EncryptUpdate(ctx, NULL, &n, header, sizeof(header)) ||
	    !EVP_EncryptUpdate(ctx, sealed, &n, text, size) ||
	    !EVP_EncryptFinal_ex(ctx, sealed + n, &n) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, sealed + size))
		errx(1, "EVP");
}

static uint64_t cost(EVP_CIPHER_CTX *ctx, int size)
{
	struct busy busy;
	int i;

	seal(ctx, size);
	busy = busy_start();
	for (i = 0; i < RECORDS; i++)
		seal(ctx, size);
	return busy_used(&busy);
}

int main(void)
{
	unsigned char key[32] = { 1 };
	size_t i, j;

	for (i = 0; i < sizeof(suites) / sizeof(*suites); i++) {
		EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, suites[i].algorithm, NULL);
		EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

		if (!cipher || !ctx || !EVP_EncryptInit_ex2(ctx, cipher, key, NULL, NULL))
			errx(1, "%s", suites[i].algorithm);
		for (j = 0; j < sizeof(sizes) / sizeof(*sizes); j++)
			printf("u %s %d %" PRIu64 "\n", suites[i].name, sizes[j],
			       cost(ctx, sizes[j]) / RECORDS);
		EVP_CIPHER_CTX_free(ctx);
		EVP_CIPHER_free(cipher);
	}
	return 0;
}
