/* SPDX-License-Identifier: MIT */
/*
 * The certificates of a folder (setting cert-dir), as programs leave them there: pairs of files,
 * whole files as hitch and HAProxy have them, and a folder for each name as Kubernetes mounts
 * secrets (tls.crt, tls.key) or certbot keeps its own (fullchain.pem, privkey.pem).
 */
#ifndef TLSGATE_DAEMON_CERTDIR_H
#define TLSGATE_DAEMON_CERTDIR_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/settings.h"

/* A chain and its key; of a whole file both are one. */
struct cert_file {
	const char *cert_setting, *key_setting;	/* which asked for them, for messages */
	char *cert, *key;			/* paths */
};

struct cert_files {
	struct cert_file *items;
	size_t count;
};

/* Of cert and key, then of each cert-dir in the order of names.  0, or -1 and a line was logged. */
int cert_files_find(struct cert_files *files, const struct gate_settings *gate);
void cert_files_free(struct cert_files *files);

/*
 * What to do about a file of cert-dir that has no certificate, or no key though it is a whole one: a
 * static sentence.  NULL: it has, or another setting names it.
 */
const char *cert_file_advice(const struct cert_file *file, const char *pem, size_t len);

/*
 * Calls take() for the folder and each of those in it that may have certificates: where a change
 * may be one of theirs.
 */
void certdir_each_folder(const char *dir, void (*take)(void *arg, const char *folder), void *arg);

/* Whether a change of a file of this name, in one of those folders, may be one of a certificate. */
bool certdir_has_name(const char *name);

/*
 * What tells whether anything was changed that a gate takes from its cert-dir: which files these
 * are, and of each what stat(2) says.  The same for two times: nothing was.
 */
struct certdir_stamp {
	unsigned char digest[32];
};

void certdir_stamp(struct certdir_stamp *stamp, const struct gate_settings *gates, size_t count);

#endif
