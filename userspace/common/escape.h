/* SPDX-License-Identifier: MIT */
/*
 * What a peer chose, made harmless for whoever reads it: the result is printable
 * ASCII, so that it neither moves a terminal's cursor nor forges a line.
 */
#ifndef TLSGATE_COMMON_ESCAPE_H
#define TLSGATE_COMMON_ESCAPE_H

#include <stddef.h>

enum escape {
	ESCAPE_PLAIN,	/* for people: other bytes, and a backslash, as \xNN */
	ESCAPE_VALUE,	/* of key=value: the same, in quotes where it has a blank, quote or '=' */
	ESCAPE_JSON,	/* a string in quotes: UTF-8 as \uNNNN, what is none as \ufffd */
};

/*
 * Writes text, which is len bytes of any value, into out, with a NUL at its end.
 * What does not fit is left out from a whole character on, and "..." stands for it.
 * size: at least 16.  Returns out.
 */
char *escape(enum escape how, char *out, size_t size, const char *text, size_t len);

#endif
