/* SPDX-License-Identifier: MIT */
/* TAP output and hexadecimal vectors, for every test program here. */
#ifndef TLSGATE_TESTS_TAP_H
#define TLSGATE_TESTS_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/wire.h"

/* One result; gives back ok. */
bool tap_ok(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* got and want are the same number; shows both in hexadecimal when not. */
bool tap_equal(long got, long want, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* len bytes at got are those of hex; shows both when not. */
bool tap_bytes(const void *got, size_t len, const char *hex, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A loud, counted skip. */
void tap_skip(const char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the plan, frees what tap_hex() made; the exit status of the program. */
int tap_done(void);

/* The bytes of a string of hexadecimal digits (blanks allowed), until tap_done(). */
struct tls_slice tap_hex(const char *hex);

/* Ends the program as failed: set-up that must work did not. */
void tap_bail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif /* TLSGATE_TESTS_TAP_H */
