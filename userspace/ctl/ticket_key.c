// SPDX-License-Identifier: MIT
/* tlsgate ticket-key new FILE: makes a file of session ticket keys, or rotates it. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/mem.h"
#include "common/ticket_file.h"

#include "ctl.h"

/* With the NUL. */
#define LINE_SIZE	sodium_base64_ENCODED_LEN(TICKET_LONG, sodium_base64_VARIANT_ORIGINAL)

static int failed(const char *path, const char *why)
{
	ctl_error("ticket-key: '%s': %s", path, why);
	return CTL_FAILED;
}

/* The oldest makes room, so that those stay whose tickets still live. */
static int rotate(struct ticket_secrets *secrets)
{
	struct ticket_secret *key;

	if (secrets->count >= TICKET_TEXT_KEYS) {
		memmove(&secrets->keys[0], &secrets->keys[secrets->count - TICKET_TEXT_KEYS + 1],
			(TICKET_TEXT_KEYS - 1) * sizeof(secrets->keys[0]));
		secrets->count = TICKET_TEXT_KEYS - 1;
	}
	key = &secrets->keys[secrets->count++];
	key->len = sizeof(key->bytes);
	return getrandom(key->bytes, key->len, 0) == (ssize_t)key->len ? 0 : -1;
}

static int write_keys(int fd, const struct ticket_secrets *secrets)
{
	char line[LINE_SIZE];
	size_t i, len;
	int ret = 0;

	for (i = 0; !ret && i < secrets->count; i++) {
		sodium_bin2base64(line, sizeof(line), secrets->keys[i].bytes, secrets->keys[i].len,
				  sodium_base64_VARIANT_ORIGINAL);
		len = strlen(line);
		line[len++] = '\n';
		ret = write(fd, line, len) == (ssize_t)len ? 0 : -1;
	}
	sodium_memzero(line, sizeof(line));
	return ret || fsync(fd) ? -1 : 0;
}

/* The new name lasts, too. */
static int sync_folder(const char *path)
{
	char *copy = xstrdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	free(copy);
	return ret;
}

/* Those of the file that it replaces, if there is one.  0, or -1 and errno. */
static int keep_rights(int fd, const char *path)
{
	struct stat before, now;

	if (stat(path, &before))
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &now))
		return -1;
	if ((before.st_uid != now.st_uid || before.st_gid != now.st_gid) &&
	    fchown(fd, before.st_uid, before.st_gid))
		return -1;
	return fchmod(fd, before.st_mode & 07777);
}

/* Whoever reads path meanwhile sees all of the old keys or all of the new ones.  0, or -1 and errno. */
static int replace(const char *path, const struct ticket_secrets *secrets)
{
	char *temporary = xprintf("%s.XXXXXX", path);
	int fd, ret, error;

	fd = mkostemp(temporary, O_CLOEXEC);	/* with mode 0600 */
	ret = fd < 0 || keep_rights(fd, path) ? -1 : write_keys(fd, secrets);
	if (!ret)
		ret = rename(temporary, path) || sync_folder(path) ? -1 : 0;
	error = errno;
	if (ret && fd >= 0)
		(void)unlink(temporary);
	if (fd >= 0)
		close(fd);
	free(temporary);
	errno = error;
	return ret;
}

/* The keys that are there, or none; NULL after an error line. */
static struct ticket_secrets *begin(const char *path)
{
	struct ticket_secrets *secrets;
	const char *why = "out of memory";

	if (access(path, F_OK) && errno == ENOENT)
		secrets = ticket_secrets_new();
	else
		secrets = ticket_file_read(path, TICKET_ANY_OWNER, &why);
	if (secrets && !secrets->text) {
		why = "it has raw keys, and this rotates files of lines alone: name a new file, and give both until the old tickets have ended";
		ticket_secrets_free(secrets);
		secrets = NULL;
	}
	if (!secrets)
		(void)failed(path, why);
	return secrets;
}

static int make(const char *path)
{
	struct ticket_secrets *secrets = begin(path);
	int status = CTL_DONE;

	if (!secrets)
		return CTL_FAILED;
	do {
		if (rotate(secrets))
			status = failed(path, "the system has no randomness");
	} while (status == CTL_DONE && secrets->count < TICKET_TEXT_KEYS);
	if (status == CTL_DONE && replace(path, secrets))
		status = failed(path, errno == EPERM ? "its owner cannot be kept: run this as its owner or root" :
				file_strerror(errno));
	ticket_secrets_free(secrets);
	return status;
}

/* What a link leads to is replaced, lest others go on with the old keys there. */
static int make_at(const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	if (realpath(name, path))
		return make(path);
	if (errno != ENOENT)
		return failed(name, file_strerror(errno));
	if (!lstat(name, &st))
		return failed(name, "it is a link to a file that is not there: name that file");
	return make(name);
}

int cmd_ticket_key(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "new") && argv[2][0] != '-')
		return make_at(argv[2]);
	ctl_error("%s: write %s new FILE", argv[0], argv[0]);
	return CTL_USAGE;
}
