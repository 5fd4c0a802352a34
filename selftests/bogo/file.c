// SPDX-License-Identifier: MIT
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

size_t hex_names(const char *text, uint8_t *out, size_t max)
{
	size_t len = 0, start = 0;

	while (*text && max - len > 3) {
		start = len;
		len += 2;
		while (hex_digit(text[0]) >= 0 && hex_digit(text[1]) >= 0 && len < max) {
			out[len++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
			text += 2;
		}
		out[start] = (uint8_t)((len - start - 2) >> 8);
		out[start + 1] = (uint8_t)(len - start - 2);
		if (*text == ',')
			text++;
		else if (*text)
			return 0;
	}
	return len;
}

size_t base64_decode(const char *text, uint8_t *out, size_t max)
{
	size_t len = strlen(text), padding = 0;

	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	if (len / 4 * 3 > max ||
	    EVP_DecodeBlock(out, (const unsigned char *)text, (int)len) != (int)(len / 4 * 3))
		return 0;
	return len / 4 * 3 - padding;
}
