// SPDX-License-Identifier: MIT
/* TAP output and hexadecimal vectors. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

struct arena {
	struct arena *next;
	uint8_t data[];
};

static struct arena *arena;
static unsigned int tests, failures;

static void result(bool ok, const char *note, const char *format, va_list args)
{
	tests++;
	failures += !ok;
	printf("%s %u - ", ok ? "ok" : "not ok", tests);
	vprintf(format, args);
	printf("%s\n", note);
	fflush(stdout);
}

bool tap_ok(bool ok, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	result(ok, "", format, args);
	va_end(args);
	return ok;
}

bool tap_equal(long got, long want, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	result(got == want, "", format, args);
	va_end(args);
	if (got != want)
		printf("# got  %#lx\n# want %#lx\n", got, want);
	return got == want;
}

static void show(const char *what, const uint8_t *p, size_t len)
{
	printf("# %s", what);
	for (size_t i = 0; i < len; i++)
		printf("%02x", p[i]);
	printf(" (%zu bytes)\n", len);
}

bool tap_bytes(const void *got, size_t len, const char *hex, const char *format, ...)
{
	struct tls_slice want = tap_hex(hex);
	bool ok = len == want.len && (!len || !memcmp(got, want.p, len));
	va_list args;

	va_start(args, format);
	result(ok, "", format, args);
	va_end(args);
	if (!ok) {
		show("got  ", got, len);
		show("want ", want.p, want.len);
	}
	return ok;
}

void tap_skip(const char *why, const char *format, ...)
{
	char note[256];
	va_list args;

	snprintf(note, sizeof(note), " # SKIP %s", why);
	va_start(args, format);
	result(true, note, format, args);
	va_end(args);
}

int tap_done(void)
{
	while (arena) {
		struct arena *next = arena->next;

		free(arena);
		arena = next;
	}
	printf("1..%u\n", tests);
	if (failures)
		printf("# %u of %u failed\n", failures, tests);
	return failures || !tests;
}

void tap_bail(const char *format, ...)
{
	va_list args;

	printf("Bail out! ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	exit(1);
}

static unsigned int nibble(char c)
{
	if (!isxdigit((unsigned char)c))
		tap_bail("bad hexadecimal digit '%c' in a vector", c);
	return (unsigned int)(isdigit((unsigned char)c) ? c - '0' : tolower(c) - 'a' + 10);
}

struct tls_slice tap_hex(const char *hex)
{
	struct arena *a = malloc(sizeof(*a) + strlen(hex) / 2 + 1);
	size_t len = 0, digits = 0;

	if (!a)
		tap_bail("out of memory");
	a->next = arena;
	arena = a;
	for (; *hex; hex++) {
		if (isspace((unsigned char)*hex))
			continue;
		if (digits++ % 2)
			a->data[len++] |= (uint8_t)nibble(*hex);
		else
			a->data[len] = (uint8_t)(nibble(*hex) << 4);
	}
	if (digits % 2)
		tap_bail("a vector has an odd number of digits");
	return (struct tls_slice){ a->data, len };
}
