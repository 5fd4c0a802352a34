/* SPDX-License-Identifier: MIT */
/* Metrics as they are written: OpenMetrics 1.0, Prometheus' text format 0.0.4, or JSON. */
#ifndef TLSGATE_DAEMON_METRICS_OUT_H
#define TLSGATE_DAEMON_METRICS_OUT_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum metrics_format {
	METRICS_OPENMETRICS,
	METRICS_PROMETHEUS,
	METRICS_JSON,
};

enum metric_type {
	METRIC_COUNTER,			/* its name ends in _total */
	METRIC_GAUGE,
	METRIC_HISTOGRAM,
	METRIC_INFO,			/* its name ends in _info; the value is 1 */
};

struct metric_label {
	const char *name, *value;	/* any bytes but NUL: those that cannot be printed are escaped */
};

/* A list for metrics_sample(). */
#define LABELS(...)	((const struct metric_label[]){ __VA_ARGS__, { NULL, NULL } })
#define NO_LABELS	((const struct metric_label[]){ { NULL, NULL } })

struct metrics_out {
	enum metrics_format format;
	FILE *file;			/* of a text: */
	char *text;
	size_t len;
	struct json_object *families, *samples;	/* of JSON; samples: of the last family */
	const char *name;		/* of the last family */
	enum metric_type type;
};

/* 0, or -1: no memory. */
int metrics_open(struct metrics_out *out, enum metrics_format format);
/* What follows are samples of this one.  The texts must live as long as they do. */
void metrics_family(struct metrics_out *out, const char *name, enum metric_type type, const char *help);
/* suffix: of a histogram, "_bucket", "_sum" or "_count"; else "". */
void metrics_sample(struct metrics_out *out, const char *suffix, const struct metric_label *labels,
		    uint64_t value);
/* The same of a time in microseconds, whose value is seconds. */
void metrics_seconds(struct metrics_out *out, const char *suffix, const struct metric_label *labels,
		     uint64_t us);
/* The text, to be freed, with its *len; NULL: no memory.  Not of JSON. */
char *metrics_text(struct metrics_out *out, size_t *len);
/* An array of families; the caller's. */
struct json_object *metrics_json(struct metrics_out *out);

#endif
