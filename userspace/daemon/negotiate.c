// SPDX-License-Identifier: MIT
#include "daemon/negotiate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS	" \t"

/* A piece of a header's value. */
struct piece {
	const char *p;
	size_t len;
};

/* Takes what stands before the separator off the rest, without the blanks around it. */
static struct piece take(struct piece *rest, char separator)
{
	const char *end = memchr(rest->p, separator, rest->len);
	struct piece piece = { rest->p, end ? (size_t)(end - rest->p) : rest->len };

	rest->len -= piece.len + (end != NULL);
	rest->p += piece.len + (end != NULL);
	while (piece.len && strchr(BLANKS, *piece.p)) {
		piece.p++;
		piece.len--;
	}
	while (piece.len && strchr(BLANKS, piece.p[piece.len - 1]))
		piece.len--;
	return piece;
}

static bool is(struct piece piece, const char *text)
{
	return piece.len == strlen(text) && !strncasecmp(piece.p, text, piece.len);
}

/* A weight in thousandths; what is none counts as 0. */
static int weight_of(struct piece text)
{
	char copy[8] = "";
	double weight;

	memcpy(copy, text.p, text.len < sizeof(copy) ? text.len : sizeof(copy) - 1);
	weight = strtod(copy, NULL);
	return weight >= 0 && weight <= 1 ? (int)(weight * 1000) : 0;
}

/* Of one media range: its weight, and whether it is of another version than 1.0. */
static int read_parameters(struct piece range, bool *other)
{
	struct piece name, value;
	int weight = 1000;

	*other = false;
	while (range.len) {
		value = take(&range, ';');
		name = take(&value, '=');
		if (is(name, "q"))
			weight = weight_of(value);
		else if (is(name, "version"))
			*other = !is(value, "1.0.0") && !is(value, "1.0");
	}
	return weight;
}

enum metrics_format negotiate(const char *accept)
{
	struct piece rest = { accept, accept ? strlen(accept) : 0 }, range, type;
	int openmetrics = 0, text = 0, weight;
	bool other;

	while (rest.len) {
		range = take(&rest, ',');
		type = take(&range, ';');
		weight = read_parameters(range, &other);
		if (is(type, "application/openmetrics-text") && !other && weight > openmetrics)
			openmetrics = weight;
		if (is(type, "text/plain") && weight > text)
			text = weight;
	}
	return openmetrics && openmetrics >= text ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}
