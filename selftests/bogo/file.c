// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>

#include "shim.h"

#define MAX_FILE	65536

char *file_read(const char *path, size_t *len)
{
	char *text = malloc(MAX_FILE + 1);
	FILE *file = fopen(path, "r");

	if (!file || !text) {
		perror(path);
		free(text);
		if (file)
			fclose(file);
		return NULL;
	}
	*len = fread(text, 1, MAX_FILE, file);
	text[*len] = '\0';
	fclose(file);
	return text;
}
