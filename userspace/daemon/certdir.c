// SPDX-License-Identifier: MIT
#include "daemon/certdir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Files of other endings are somebody else's. */
static void add_file(struct cert_files *files, const char *path)
{
	size_t i, len, ending_len;

	len = strlen(path);
	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		ending_len = strlen(endings[i].ending);
		if (len <= ending_len || strcmp(path + len - ending_len, endings[i].ending))
			continue;
		add(files, "cert-dir", "cert-dir", xstrdup(path),
		    key_of(path, ending_len, endings[i].has_sibling));
		return;
	}
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

static int add_dir(struct cert_files *files, const struct gate_settings *gate, const char *dir)
{
	const size_t before = files->count;
	size_t i, count;
	char **paths;
	int ret = 0;

	paths = list(dir, &count);
	if (!paths)
		return gate_refuse(gate, "cert-dir", dir, file_strerror(errno));
	if (add_folder(files, dir))
		goto out;
	for (i = 0; i < count; i++) {
		if (!is_folder(paths[i]))
			add_file(files, paths[i]);
		else if (!add_folder(files, paths[i]))
			ret = gate_refuse(gate, "cert-dir", paths[i],
					  "this folder has neither tls.crt and tls.key nor fullchain.pem and privkey.pem: add them, or remove it");
	}
	if (!ret && files->count == before)
		ret = gate_refuse(gate, "cert-dir", dir,
				  "there is no certificate in it: put X.crt and X.key there, or whole files X.pem, or folders with tls.crt and tls.key");
out:
	free_list(paths, count);
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
