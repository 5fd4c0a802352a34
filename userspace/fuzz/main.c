// SPDX-License-Identifier: MIT
/*
 * Runs a target over files, without libFuzzer: `TARGET FOLDER...` for every
 * file in the folders, `TARGET FILE...` for single ones.  Prints how many; the
 * one under way, should it be the last, is in the last line.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define MAX_FILE	(1u << 20)

static void die(const char *path)
{
	fprintf(stderr, "fuzz: %s: %s\n", path, strerror(errno));
	exit(1);
}

/* In memory of its exact size, so that a read beyond it is seen. */
static void run_file(const char *path, size_t len)
{
	uint8_t *data = malloc(len ? len : 1);
	FILE *f = fopen(path, "rb");

	if (!data || !f || len > MAX_FILE || fread(data, 1, len, f) != len)
		die(path);
	fclose(f);
	fprintf(stderr, "# %s\n", path);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
}

static unsigned int run_path(const char *path);

static unsigned int run_folder(const char *path)
{
	struct dirent **entries;
	unsigned int count = 0;
	char file[4096];
	int n = scandir(path, &entries, NULL, alphasort);

	if (n < 0)
		die(path);
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			count += run_path(file);
		free(entries[i]);
	}
	free(entries);
	return count;
}

static unsigned int run_path(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		die(path);
	if (S_ISDIR(st.st_mode))
		return run_folder(path);
	run_file(path, (size_t)st.st_size);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned int count = 0;

	for (int i = 1; i < argc; i++)
		count += run_path(argv[i]);
	printf("%u\n", count);
	return count ? 0 : 1;
}
