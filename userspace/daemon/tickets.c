// SPDX-License-Identifier: MIT
#include "daemon/tickets.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sodium.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/ticket_file.h"
#include "daemon/board.h"
#include "daemon/ticket.h"

#define LABEL	"tlsgate ticket key 1"	/* the number: of this way to derive */

struct keys {
	size_t count;
	struct tls_ticket_key keys[TLS_MAX_TICKET_KEYS];
};

/* In locked memory; zeros in a child to which it is not lent. */
struct secrets {
	struct keys keys, next;		/* of the board; on their way from it */
	struct ticket_chain chain;	/* without files */
};

struct tickets {
	const struct gate_settings *gate;
	struct binding binding;
	struct board *board;		/* struct keys; NULL: without files */
	unsigned int seen;		/* on it */
	int64_t changed;		/* when the first file was, in the monitor; seconds since the epoch */
	struct secrets *secrets;
};

/* HKDF-SHA256 (RFC 5869) over all of the file's key; info is the label and what it is bound to. */
static int derive(const struct ticket_secret *secret, const struct binding *binding,
		  struct tls_ticket_key *out)
{
	uint8_t info[sizeof(LABEL) - 1 + sizeof(binding->digest)], okm[sizeof(*out)];
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret->bytes, secret->len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int ret;

	memcpy(info, LABEL, sizeof(LABEL) - 1);
	memcpy(info + sizeof(LABEL) - 1, binding->digest, sizeof(binding->digest));
	ret = ctx && EVP_KDF_derive(ctx, okm, sizeof(okm), params) == 1 ? 0 : -1;
	if (!ret) {
		memcpy(out->name, okm, sizeof(out->name));
		memcpy(out->key, okm + sizeof(out->name), sizeof(out->key));
	}
	tls_wipe(okm, sizeof(okm));
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ret;
}

static int add_key(const struct tickets *tickets, struct keys *keys, const struct ticket_secret *secret,
		   const char **why)
{
	*why = "with the files before it there are more than 8 keys: leave the oldest out";
	if (keys->count == TLS_MAX_TICKET_KEYS)
		return -1;
	*why = "out of memory: have more memory";
	return derive(secret, &tickets->binding, &keys->keys[keys->count++]);
}

/* The one that seals comes first. */
static int add_file(const struct tickets *tickets, struct keys *keys,
		    const struct ticket_secrets *secrets, const char **why)
{
	const size_t sealing = ticket_secrets_sealing(secrets);
	int ret = add_key(tickets, keys, &secrets->keys[sealing], why);
	size_t i;

	for (i = 0; !ret && i < secrets->count; i++)
		if (i != sealing)
			ret = add_key(tickets, keys, &secrets->keys[i], why);
	return ret;
}

static int read_file(const struct tickets *tickets, struct keys *keys, const char *path)
{
	struct ticket_secrets *secrets;
	const char *why;
	int ret = -1;

	secrets = ticket_file_read(path, geteuid(), &why);
	if (secrets)
		ret = add_file(tickets, keys, secrets, &why);
	ticket_secrets_free(secrets);
	return ret ? gate_refuse(tickets->gate, "ticket-keys", path, why) : 0;
}

int tickets_read(struct tickets *tickets)
{
	const struct text_list *files = &tickets->gate->ticket_keys;
	struct keys *next = &tickets->secrets->next;
	struct stat st;
	int ret = 0;
	size_t i;

	memset(next, 0, sizeof(*next));
	for (i = 0; i < files->count; i++)
		ret |= read_file(tickets, next, files->items[i]);
	if (!ret && memcmp(next, &tickets->secrets->keys, sizeof(*next))) {
		board_write(tickets->board, next);
		tickets->changed = stat(files->items[0], &st) ? (int64_t)time(NULL) : st.st_mtime;
		ret = 1;
	}
	tls_wipe(next, sizeof(*next));
	return ret;
}

/* What is derived of files, for the first time. */
static int begin_with_files(struct tickets *tickets)
{
	tickets->board = board_new(sizeof(struct keys));
	if (!tickets->board)
		return gate_refuse(tickets->gate, "ticket-keys", NULL, "out of memory: have more memory");
	if (board_lock(tickets->board) || sodium_mlock(tickets->secrets, sizeof(*tickets->secrets)))
		gate_warn(tickets->gate, "ticket-keys", NULL,
			  "the keys may be written to swap: raise the limit of locked memory (LimitMEMLOCK=)");
	if (tickets_read(tickets) < 0)
		return -1;
	(void)tickets_refresh(tickets);
	return 0;
}

static int begin(struct tickets *tickets)
{
	if (tickets->gate->ticket_keys.count)
		return begin_with_files(tickets);
	if (!ticket_chain_init(&tickets->secrets->chain))
		return 0;
	log_error("%s: no session ticket keys: the system has no randomness: see why getrandom() fails",
		  tickets->gate->name);
	return -1;
}

struct tickets *tickets_new(const struct gate_settings *gate, const struct binding *binding)
{
	struct tickets *tickets = xcalloc(1, sizeof(*tickets));

	*tickets = (struct tickets){ .gate = gate, .binding = *binding };
	tickets->secrets = sodium_init() < 0 ? NULL : sodium_malloc(sizeof(*tickets->secrets));
	if (!tickets->secrets) {
		log_error("%s: no session ticket keys: out of memory: have more memory", gate->name);
		free(tickets);
		return NULL;
	}
	*tickets->secrets = (struct secrets){0};
	tickets_lend(tickets, false);
	if (!begin(tickets))
		return tickets;
	tickets_free(tickets);
	return NULL;
}

void tickets_free(struct tickets *tickets)
{
	if (!tickets)
		return;
	board_free(tickets->board);
	sodium_free(tickets->secrets);
	free(tickets);
}

void tickets_lend(struct tickets *tickets, bool lend)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin, end;

	if (!tickets)
		return;
	begin = (uintptr_t)tickets->secrets & ~(page - 1);
	end = (uintptr_t)(tickets->secrets + 1);
	/* cannot fail: these pages are anonymous, and libsodium has nothing else of worth to a child in them */
	(void)madvise((void *)begin, end - begin, lend ? MADV_KEEPONFORK : MADV_WIPEONFORK);
	if (tickets->board)
		board_lend(tickets->board, lend);
}

void tickets_forget(struct tickets *tickets)
{
	if (!tickets)
		return;
	tls_wipe(tickets->secrets, sizeof(*tickets->secrets));
}

void tickets_lock(struct tickets *tickets)
{
	if (!tickets)
		return;
	/* where this fails, it failed in the monitor, which said so */
	(void)sodium_mlock(tickets->secrets, sizeof(*tickets->secrets));
	if (tickets->board)
		(void)board_lock(tickets->board);
}

bool tickets_refresh(struct tickets *tickets)
{
	if (!tickets->board)
		return ticket_chain_advance(&tickets->secrets->chain);
	if (!board_read(tickets->board, &tickets->seen, &tickets->secrets->next))
		return false;
	tickets->secrets->keys = tickets->secrets->next;
	tls_wipe(&tickets->secrets->next, sizeof(tickets->secrets->next));
	return true;
}

const struct tls_ticket_key *tickets_keys(const struct tickets *tickets, size_t *count)
{
	*count = tickets->board ? tickets->secrets->keys.count : tickets->secrets->chain.count;
	return tickets->board ? tickets->secrets->keys.keys : tickets->secrets->chain.keys;
}

int64_t tickets_age(const struct tickets *tickets)
{
	const int64_t now = (int64_t)time(NULL);

	if (!tickets->board)
		return ticket_chain_age(&tickets->secrets->chain);
	return now > tickets->changed ? now - tickets->changed : 0;
}
