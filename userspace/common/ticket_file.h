/* SPDX-License-Identifier: MIT */
/*
 * Files with session ticket keys that several hosts share, in either of two forms:
 *
 *   raw		keys of 80 bytes each, or of 48, one behind the other, as nginx and
 *			openssl rand make them: the first seals, all open
 *   text		a line for each key, base64 of 80 bytes or of 48, as HAProxy has them: the
 *			last but one seals, so that each host knows a key before any uses it
 *
 * The content tells which.  What a key is to other programs is not asked: it is a secret
 * from which tlsgate derives its own, so their tickets are not taken, nor ours by them.
 */
#ifndef TLSGATE_COMMON_TICKET_FILE_H
#define TLSGATE_COMMON_TICKET_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TICKET_FILE_KEYS	8	/* at most, in one file */
#define TICKET_TEXT_KEYS	3	/* at least, in the form text */
#define TICKET_LONG		80	/* bytes of a key */
#define TICKET_SHORT		48

struct ticket_secret {
	uint8_t bytes[TICKET_LONG];
	size_t len;			/* TICKET_LONG or TICKET_SHORT */
};

struct ticket_secrets {
	bool text;			/* the form */
	size_t count;
	struct ticket_secret keys[TICKET_FILE_KEYS];	/* in the file's order */
};

#define TICKET_ANY_OWNER	((uid_t)-1)

/*
 * Reads a file.  It must be a regular one that nobody but its owner may read or write, and that root
 * or owner owns, unless this is TICKET_ANY_OWNER.  What is
 * read stays in locked memory.  NULL: *why says what is wrong and what to do, a static sentence
 * or strerror()'s; errno is ENOENT where there is no such file, and 0 or another value else.
 */
struct ticket_secrets *ticket_file_read(const char *path, uid_t owner, const char **why);
/* Of so many bytes in memory.  As ticket_file_read(). */
struct ticket_secrets *ticket_file_parse(const uint8_t *data, size_t len, const char **why);
/* Empty, of the form text, in locked memory; NULL: no memory. */
struct ticket_secrets *ticket_secrets_new(void);
/* Wipes; NULL is fine. */
void ticket_secrets_free(struct ticket_secrets *secrets);
/* Which key seals. */
size_t ticket_secrets_sealing(const struct ticket_secrets *secrets);

#endif
