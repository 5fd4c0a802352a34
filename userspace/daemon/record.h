/* SPDX-License-Identifier: MIT */
/* A line of the connection-log: fields in a row, as key=value or as a JSON object. */
#ifndef TLSGATE_DAEMON_RECORD_H
#define TLSGATE_DAEMON_RECORD_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_MAX	3900		/* bytes: with what stands before it, a line of the log */
#define RECORD_FIELD	320		/* of text, escaped: eleven of them fit */

struct record {
	bool json;
	size_t len;
	char text[RECORD_MAX];
};

void record_begin(struct record *record, bool json);
/* Escaped. */
void record_bytes(struct record *record, const char *key, const char *bytes, size_t len);
/* The same; NULL: the field is left out. */
void record_text(struct record *record, const char *key, const char *text);
void record_number(struct record *record, const char *key, uint64_t number);
void record_flag(struct record *record, const char *key, bool flag);
/* For one that is not logged: it has all its fields. */
void record_close(struct record *record);
/*
 * The fields so far of one that is neither closed nor ended; what was escaped for a line of text stays so.
 * For json_object_put(); NULL: no memory, or a worker that was taken over made the text.
 */
struct json_object *record_object(const struct record *record);
/* The last fields, of every connection; then the line is logged. */
void record_end(struct record *record, uint64_t from_client, uint64_t from_backend, uint64_t ms,
		const char *reason);

#endif
