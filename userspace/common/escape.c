// SPDX-License-Identifier: MIT
#include "common/escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PIECE_MAX	13		/* "\ud83d\ude00" and a NUL */
#define REPLACEMENT	0xfffdu

/* RFC 3629: the character at text, *used bytes long; one byte where it is none. */
static uint32_t decode(const unsigned char *text, size_t len, size_t *used)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	size_t more = text[0] < 0x80 ? 0 : text[0] < 0xe0 ? 1 : text[0] < 0xf0 ? 2 : 3;
	uint32_t c = text[0] & (more ? 0x3fu >> more : 0x7fu);
	size_t i;

	*used = 1;
	if ((more && text[0] < 0xc2) || text[0] > 0xf4 || more >= len)
		return more ? REPLACEMENT : c;
	for (i = 1; i <= more; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return REPLACEMENT;
		c = c << 6 | (text[i] & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return REPLACEMENT;
	*used = more + 1;
	return c;
}

static size_t json_piece(char piece[PIECE_MAX], const char *text, size_t len)
{
	size_t used;
	uint32_t c = decode((const unsigned char *)text, len, &used);

	if (c == '"' || c == '\\')
		snprintf(piece, PIECE_MAX, "\\%c", (char)c);
	else if (c >= 0x20 && c < 0x7f)
		snprintf(piece, PIECE_MAX, "%c", (char)c);
	else if (c < 0x10000)
		snprintf(piece, PIECE_MAX, "\\u%04x", c);
	else
		snprintf(piece, PIECE_MAX, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
			 0xdc00 + (c & 0x3ff));
	return used;
}

static size_t text_piece(char piece[PIECE_MAX], const char *text, bool quoted)
{
	unsigned char c = (unsigned char)*text;

	if (c < 0x20 || c > 0x7e || c == '\\' || (quoted && c == '"'))
		snprintf(piece, PIECE_MAX, "\\x%02x", c);
	else
		snprintf(piece, PIECE_MAX, "%c", c);
	return 1;
}

static bool needs_quotes(enum escape how, const char *text, size_t len)
{
	size_t i;

	if (how != ESCAPE_VALUE)
		return how == ESCAPE_JSON;
	for (i = 0; i < len; i++)
		if (text[i] == ' ' || text[i] == '"' || text[i] == '=')
			return true;
	return !len;
}

/*
 * Writes as many whole characters as fit into room, NUL not counted; out NULL:
 * only looks.  Returns their length, *taken of text.
 */
static size_t fill(enum escape how, bool quoted, char *out, size_t room, const char *text, size_t len,
		   size_t *taken)
{
	char piece[PIECE_MAX];
	size_t used, at = 0;

	for (*taken = 0; *taken < len; *taken += used) {
		used = how == ESCAPE_JSON ? json_piece(piece, text + *taken, len - *taken) :
					    text_piece(piece, text + *taken, quoted);
		if (at + strlen(piece) > room)
			break;
		if (out)
			memcpy(out + at, piece, strlen(piece));
		at += strlen(piece);
	}
	return at;
}

char *escape(enum escape how, char *out, size_t size, const char *text, size_t len)
{
	size_t room, taken, at = 0;
	bool quoted;

	quoted = needs_quotes(how, text, len);
	room = size - 1 - (quoted ? 2 : 0);
	(void)fill(how, quoted, NULL, room, text, len, &taken);
	if (quoted)
		out[at++] = '"';
	at += fill(how, quoted, out + at, taken < len ? room - 3 : room, text, len, &taken);
	if (taken < len)
		at += (size_t)snprintf(out + at, size - at, "...");
	if (quoted)
		out[at++] = '"';
	out[at] = '\0';
	return out;
}
