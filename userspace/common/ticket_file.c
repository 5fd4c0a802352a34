// SPDX-License-Identifier: MIT
#include "common/ticket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/mem.h"

#define LINE_MAX_BYTES	128	/* base64 of TICKET_LONG bytes takes 108 */
#define FILE_MAX	(TICKET_FILE_KEYS * LINE_MAX_BYTES)

static const char no_memory[] = "out of memory: have more memory";
static const char wrong_size[] =
	"it has no whole number of keys of 80 or 48 bytes: make one with tlsgate ticket-key new FILE";

struct ticket_secrets *ticket_secrets_new(void)
{
	struct ticket_secrets *secrets;

	if (sodium_init() < 0)
		return NULL;
	secrets = sodium_malloc(sizeof(*secrets));
	if (secrets)
		*secrets = (struct ticket_secrets){ .text = true };
	return secrets;
}

void ticket_secrets_free(struct ticket_secrets *secrets)
{
	sodium_free(secrets);
}

size_t ticket_secrets_sealing(const struct ticket_secrets *secrets)
{
	return secrets->text ? secrets->count - 2 : 0;
}

static bool is_text(const uint8_t *data, size_t len)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n";
	size_t i;

	for (i = 0; i < len; i++)
		if (!data[i] || !strchr(allowed, data[i]))
			return false;
	return true;
}

/* An editor made it, then, and no raw key is like that. */
static bool is_printable(const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (data[i] >= 0x7f || (data[i] < ' ' && !(data[i] >= '\t' && data[i] <= '\r')))
			return false;
	return true;
}

/* Bytes up to the end of the line. */
static size_t line_length(const char *p, const char *end)
{
	const char *at = p;

	while (at < end && *at != '\n' && *at != '\r')
		at++;
	return (size_t)(at - p);
}

/* 0, or -1: it is no key of either length. */
static int parse_line(struct ticket_secret *key, const char *line, size_t len)
{
	if (sodium_base642bin(key->bytes, sizeof(key->bytes), line, len, NULL, &key->len, NULL,
			      sodium_base64_VARIANT_ORIGINAL))
		return -1;
	return key->len == TICKET_LONG || key->len == TICKET_SHORT ? 0 : -1;
}

/* NULL, or what is wrong. */
static const char *parse_text(struct ticket_secrets *secrets, const char *p, const char *end)
{
	size_t len;

	for (; p < end; p += len) {
		len = line_length(p, end);
		if (!len) {
			len = 1;	/* the end of a line */
			continue;
		}
		if (secrets->count == TICKET_FILE_KEYS)
			return "it has more than 8 keys: leave the oldest out";
		if (parse_line(&secrets->keys[secrets->count++], p, len))
			return "a line of it is no base64 of 80 or 48 bytes: make it anew with tlsgate ticket-key new FILE";
	}
	if (secrets->count < TICKET_TEXT_KEYS)
		return "it has fewer than 3 lines: the last key is for later, the one before it seals, and the others only open; make it with tlsgate ticket-key new FILE";
	return NULL;
}

static const char *parse_raw(struct ticket_secrets *secrets, const uint8_t *data, size_t len)
{
	const size_t size = len % TICKET_LONG ? TICKET_SHORT : TICKET_LONG;
	struct ticket_secret *key;

	secrets->text = false;
	if (len % size)
		return wrong_size;
	if (len / size > TICKET_FILE_KEYS)
		return "it has more than 8 keys: leave the oldest out, which are the last";
	for (; secrets->count < len / size; secrets->count++) {
		key = &secrets->keys[secrets->count];
		memcpy(key->bytes, data + secrets->count * size, size);
		key->len = size;
	}
	return NULL;
}

struct ticket_secrets *ticket_file_parse(const uint8_t *data, size_t len, const char **why)
{
	struct ticket_secrets *secrets = ticket_secrets_new();

	errno = 0;
	*why = no_memory;
	if (!secrets)
		return NULL;
	if (!len)
		*why = "it is empty: make keys with tlsgate ticket-key new FILE";
	else if (is_text(data, len))
		*why = parse_text(secrets, (const char *)data, (const char *)data + len);
	else if (is_printable(data, len))
		*why = "it is text that is not base64 alone: leave comments and blanks out, or make it with tlsgate ticket-key new FILE";
	else
		*why = parse_raw(secrets, data, len);
	if (!*why)
		return secrets;
	ticket_secrets_free(secrets);
	return NULL;
}

/* What must be known before a secret is read.  NULL, or what is wrong. */
static const char *check_file(int fd, uid_t owner)
{
	struct stat st;

	errno = 0;
	if (fstat(fd, &st))
		return file_strerror(errno);
	if (!S_ISREG(st.st_mode))
		return file_strerror(S_ISDIR(st.st_mode) ? EISDIR : ESPIPE);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return "others than its owner may read or write it: chmod 600 FILE, and make new keys if somebody did";
	if (owner != TICKET_ANY_OWNER && st.st_uid && st.st_uid != owner)
		return "it belongs to another user, who can read it: chown it to root or to who starts tlsgated, and make new keys";
	return st.st_size > FILE_MAX ? wrong_size : NULL;
}

static struct ticket_secrets *read_locked(int fd, uint8_t *data, const char **why)
{
	size_t len = 0;
	ssize_t n = 0;

	while (len <= FILE_MAX && (n = read(fd, data + len, FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0) {
		*why = file_strerror(errno);
		return NULL;
	}
	if (len > FILE_MAX) {
		*why = wrong_size;
		return NULL;
	}
	return ticket_file_parse(data, len, why);
}

struct ticket_secrets *ticket_file_read(const char *path, uid_t owner, const char **why)
{
	struct ticket_secrets *secrets = NULL;
	uint8_t *data;
	int fd, error;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		*why = file_strerror(errno);
		return NULL;
	}
	*why = check_file(fd, owner);
	if (!*why) {
		*why = no_memory;
		data = sodium_init() < 0 ? NULL : sodium_malloc(FILE_MAX + 1);
		if (data)
			secrets = read_locked(fd, data, why);
		sodium_free(data);
	}
	error = errno;
	close(fd);
	errno = error;
	return secrets;
}
