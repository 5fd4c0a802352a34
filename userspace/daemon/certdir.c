// SPDX-License-Identifier: MIT
#include "daemon/certdir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "common/mem.h"

/* The two files of a folder that is one certificate. */
static const struct {
	const char *cert, *key;
} folder_forms[] = {
	{ "tls.crt", "tls.key" },		/* a secret of Kubernetes, with its ..data links */
	{ "fullchain.pem", "privkey.pem" },	/* certbot and other ACME clients */
};

#define FOLDER_FORMS	(sizeof(folder_forms) / sizeof(folder_forms[0]))

/* How the name of a file with a chain ends; whether X.key is the key of such an X. */
static const struct {
	const char *ending;
	bool has_sibling;
} endings[] = {
	{ ".crt", true }, { ".pem", true },
	{ ".rsa", false }, { ".ecdsa", false },	/* HAProxy: chains of two kinds for one name */
};

#define ENDINGS		(sizeof(endings) / sizeof(endings[0]))

static bool exists(const char *path)
{
	return !access(path, F_OK);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* Takes both paths. */
static void add(struct cert_files *files, const char *cert_setting, const char *key_setting, char *cert,
		char *key)
{
	files->items = xrealloc(files->items, files->count + 1, sizeof(*files->items));
	files->items[files->count++] = (struct cert_file){ cert_setting, key_setting, cert, key };
}

/* True: the folder is of one of the forms. */
static bool add_folder(struct cert_files *files, const char *folder)
{
	char *cert, *key;
	size_t i;

	for (i = 0; i < FOLDER_FORMS; i++) {
		cert = xprintf("%s/%s", folder, folder_forms[i].cert);
		key = xprintf("%s/%s", folder, folder_forms[i].key);
		if (exists(cert) && exists(key)) {
			add(files, "cert-dir", "cert-dir", cert, key);
			return true;
		}
		free(cert);
		free(key);
	}
	return false;
}

static bool ends_in(const char *path, const char *ending)
{
	size_t len = strlen(path), ending_len = strlen(ending);

	return len > ending_len && !strcmp(path + len - ending_len, ending);
}

/* The path of a file's key: FILE.key, X.key of X.crt, or the file itself. */
static char *key_of(const char *path, size_t ending_len, bool has_sibling)
{
	char *key = xprintf("%s.key", path);

	if (exists(key))
		return key;
	free(key);
	key = xprintf("%.*s.key", (int)(strlen(path) - ending_len), path);
	if (has_sibling && exists(key))
		return key;
	free(key);
	return xstrdup(path);
}

static bool is_there(const struct cert_files *files, const char *cert)
{
	size_t i;

	for (i = 0; i < files->count; i++)
		if (!strcmp(files->items[i].cert, cert))
			return true;
	return false;
}

/* Files of other endings are somebody else's.  whole: one with its key in it is a certificate as well. */
static void add_file(struct cert_files *files, const char *path, bool whole)
{
	char *key;
	size_t i;

	for (i = 0; i < ENDINGS && !ends_in(path, endings[i].ending);)
		i++;
	if (i == ENDINGS || is_there(files, path))
		return;
	key = key_of(path, strlen(endings[i].ending), endings[i].has_sibling);
	if (whole || strcmp(key, path))
		add(files, "cert-dir", "cert-dir", xstrdup(path), key);
	else
		free(key);
}

/* ..data and the like: Kubernetes' own; and what editors leave. */
static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* By bytes, whatever the locale. */
static int compare(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Paths of what is in it, in order; *count of them, each and the list for free().  NULL: errno. */
static char **list(const char *dir, size_t *count)
{
	struct dirent **entries;
	char **paths;
	int i, n;

	n = scandir(dir, &entries, is_visible, compare);
	if (n < 0)
		return NULL;
	paths = xcalloc((size_t)n, sizeof(*paths));
	for (i = 0; i < n; i++) {
		paths[i] = xprintf("%s/%s", dir, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	*count = (size_t)n;
	return paths;
}

static void free_list(char **paths, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
}

/* *bad: the folders in it that have no certificate, for free_list().  0, or -1 and errno: it cannot be read. */
static int find_in_dir(struct cert_files *files, const char *dir, char ***bad, size_t *bad_count)
{
	size_t i, count;
	char **paths;
	bool is_one;

	paths = list(dir, &count);
	if (!paths)
		return -1;
	*bad = xcalloc(count, sizeof(**bad));
	*bad_count = 0;
	/* certbot has chain.pem beside the pair, which is none */
	is_one = add_folder(files, dir);
	for (i = 0; i < count; i++) {
		if (!is_folder(paths[i]))
			add_file(files, paths[i], !is_one);
		else if (!add_folder(files, paths[i]) && !is_one)
			(*bad)[(*bad_count)++] = xstrdup(paths[i]);
	}
	free_list(paths, count);
	return 0;
}

static int add_dir(struct cert_files *files, const struct gate_settings *gate, const char *dir)
{
	const size_t before = files->count;
	size_t i, count;
	char **bad;
	int ret = 0;

	if (find_in_dir(files, dir, &bad, &count))
		return gate_refuse(gate, "cert-dir", dir, errno == ENOENT ?
				   "No such file or directory: correct the path, or make the folder" :
				   file_strerror(errno));
	for (i = 0; i < count; i++)
		ret = gate_refuse(gate, "cert-dir", bad[i],
				  "this folder has neither tls.crt and tls.key nor fullchain.pem and privkey.pem: add them, or remove it");
	if (!ret && files->count == before)
		ret = gate_refuse(gate, "cert-dir", dir,
				  "there is no certificate in it: put X.crt and X.key there, or whole files X.pem, or folders with tls.crt and tls.key");
	free_list(bad, count);
	return ret;
}

int cert_files_find(struct cert_files *files, const struct gate_settings *gate)
{
	int ret = 0;
	size_t i;

	*files = (struct cert_files){0};
	for (i = 0; i < gate->certs.count; i++)
		add(files, "cert", "key", xstrdup(gate->certs.items[i]), xstrdup(gate->keys.items[i]));
	for (i = 0; i < gate->cert_dirs.count; i++)
		ret |= add_dir(files, gate, gate->cert_dirs.items[i]);
	return ret;
}

void cert_files_free(struct cert_files *files)
{
	size_t i;

	for (i = 0; i < files->count; i++) {
		free(files->items[i].cert);
		free(files->items[i].key);
	}
	free(files->items);
	*files = (struct cert_files){0};
}

const char *cert_file_advice(const struct cert_file *file, const char *pem, size_t len)
{
	static const char certificate[] = "-----BEGIN CERTIFICATE-----", key[] = "PRIVATE KEY-----";

	if (strcmp(file->cert_setting, "cert-dir") || strcmp(file->cert, file->key))
		return NULL;
	if (!memmem(pem, len, certificate, strlen(certificate)))
		return "there is no PEM certificate in it: if it is none of the gate's, take it out of the folder or rename it, so that it does not end in .pem or .crt";
	if (!memmem(pem, len, key, strlen(key)))
		return "there is no private key in it, nor a file beside it that ends in .key in place of .pem or .crt: add the key; if it is none of the gate's certificates, take it out of the folder or rename it";
	return NULL;
}

void certdir_each_folder(const char *dir, void (*take)(void *arg, const char *folder), void *arg)
{
	size_t i, count;
	char **paths;

	take(arg, dir);
	paths = list(dir, &count);
	if (!paths)
		return;
	for (i = 0; i < count; i++)
		if (is_folder(paths[i]))
			take(arg, paths[i]);
	free_list(paths, count);
}

bool certdir_has_name(const char *name)
{
	bool has = ends_in(name, ".key");
	size_t i;

	if (*name == '.')
		return !strcmp(name, "..data");		/* the link that Kubernetes moves */
	for (i = 0; i < ENDINGS; i++)
		has |= ends_in(name, endings[i].ending);
	return has;
}

static void stamp_path(crypto_generichash_state *state, const char *path)
{
	(void)crypto_generichash_update(state, (const unsigned char *)path, strlen(path) + 1);
}

static void stamp_number(crypto_generichash_state *state, uint64_t number)
{
	(void)crypto_generichash_update(state, (const unsigned char *)&number, sizeof(number));
}

/* Not when it was read, or when its times were set. */
static void stamp_file(crypto_generichash_state *state, const char *path)
{
	struct stat st;

	stamp_path(state, path);
	if (stat(path, &st))
		st = (struct stat){0};
	stamp_number(state, st.st_dev);
	stamp_number(state, st.st_ino);
	stamp_number(state, (uint64_t)st.st_size);
	stamp_number(state, (uint64_t)st.st_mtim.tv_sec);
	stamp_number(state, (uint64_t)st.st_mtim.tv_nsec);
	stamp_number(state, st.st_mode);
	stamp_number(state, st.st_uid);
	stamp_number(state, st.st_gid);
}

static void stamp_dir(crypto_generichash_state *state, const char *dir)
{
	struct cert_files files = {0};
	char **bad = NULL;
	size_t i, count = 0;

	(void)find_in_dir(&files, dir, &bad, &count);
	for (i = 0; i < files.count; i++) {
		stamp_file(state, files.items[i].cert);
		stamp_file(state, files.items[i].key);
	}
	stamp_number(state, count);
	for (i = 0; i < count; i++)
		stamp_path(state, bad[i]);
	free_list(bad, count);
	cert_files_free(&files);
}

void certdir_stamp(struct certdir_stamp *stamp, const struct gate_settings *gates, size_t count)
{
	crypto_generichash_state state;
	size_t i, j;

	(void)crypto_generichash_init(&state, NULL, 0, sizeof(stamp->digest));
	for (i = 0; i < count; i++)
		for (j = 0; j < gates[i].cert_dirs.count; j++)
			stamp_dir(&state, gates[i].cert_dirs.items[j]);
	(void)crypto_generichash_final(&state, stamp->digest, sizeof(stamp->digest));
}
