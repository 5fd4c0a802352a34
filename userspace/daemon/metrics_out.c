// SPDX-License-Identifier: MIT
#include "daemon/metrics_out.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"

#define LABEL_MAX	4096	/* of a value, escaped; what is longer ends in "..." */

/* Types by enum metric_type; Prometheus' format has no info. */
static const char * const types[] = { "counter", "gauge", "histogram", "info" };

int metrics_open(struct metrics_out *out, enum metrics_format format)
{
	*out = (struct metrics_out){ .format = format };
	if (format == METRICS_JSON)
		out->families = json_object_new_array();
	else
		out->file = open_memstream(&out->text, &out->len);
	return out->families || out->file ? 0 : -1;
}

/* ---- JSON ---- */

/* Without memory something is missing; nothing else can be done about it. */
static void add(struct json_object *object, const char *key, struct json_object *value)
{
	if (json_object_object_add(object, key, value))
		json_object_put(value);
}

static void append(struct json_object *array, struct json_object *item)
{
	if (json_object_array_add(array, item))
		json_object_put(item);
}

static void json_family(struct metrics_out *out, const char *help)
{
	struct json_object *family = json_object_new_object();

	out->samples = json_object_new_array();
	add(family, "name", json_object_new_string(out->name));
	add(family, "type", json_object_new_string(types[out->type]));
	add(family, "help", json_object_new_string(help));
	add(family, "samples", out->samples);
	append(out->families, family);
}

/* Takes over value. */
static void json_sample(struct metrics_out *out, const char *suffix, const struct metric_label *labels,
			struct json_object *value)
{
	struct json_object *sample = json_object_new_object(), *object = json_object_new_object();
	char name[128], text[LABEL_MAX];

	snprintf(name, sizeof(name), "%s%s", out->name, suffix);
	for (; labels->name; labels++)
		add(object, labels->name,
		    json_object_new_string(escape(ESCAPE_PLAIN, text, sizeof(text), labels->value,
						  strlen(labels->value))));
	add(sample, "name", json_object_new_string(name));
	add(sample, "labels", object);
	add(sample, "value", value);
	append(out->samples, sample);
}

/* ---- text ---- */

/* OpenMetrics names a family without what its samples have more. */
static int family_len(const struct metrics_out *out)
{
	const char *end = out->type == METRIC_COUNTER ? "_total" : out->type == METRIC_INFO ? "_info" : "";
	size_t len = strlen(out->name);

	return (int)(out->format == METRICS_OPENMETRICS ? len - strlen(end) : len);
}

static void text_family(struct metrics_out *out, const char *help)
{
	const char *type = out->format == METRICS_PROMETHEUS && out->type == METRIC_INFO ?
			   types[METRIC_GAUGE] : types[out->type];
	const int len = family_len(out);

	fprintf(out->file, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, out->name, help, len, out->name, type);
}

/* What escape() leaves: printable ASCII. */
static void write_value(FILE *file, const char *value)
{
	char text[LABEL_MAX];
	const char *p = escape(ESCAPE_PLAIN, text, sizeof(text), value, strlen(value));

	for (; *p; p++) {
		if (*p == '\\' || *p == '"')
			fputc('\\', file);
		fputc(*p, file);
	}
}

static void text_name(struct metrics_out *out, const char *suffix, const struct metric_label *labels)
{
	const char *before = "{";

	fprintf(out->file, "%s%s", out->name, suffix);
	for (; labels->name; labels++, before = ",") {
		fprintf(out->file, "%s%s=\"", before, labels->name);
		write_value(out->file, labels->value);
		fputc('"', out->file);
	}
	fputs(*before == ',' ? "} " : " ", out->file);
}

/* ---- either ---- */

void metrics_family(struct metrics_out *out, const char *name, enum metric_type type, const char *help)
{
	out->name = name;
	out->type = type;
	if (out->format == METRICS_JSON)
		json_family(out, help);
	else
		text_family(out, help);
}

void metrics_sample(struct metrics_out *out, const char *suffix, const struct metric_label *labels,
		    uint64_t value)
{
	if (out->format == METRICS_JSON) {
		json_sample(out, suffix, labels, json_object_new_uint64(value));
		return;
	}
	text_name(out, suffix, labels);
	fprintf(out->file, "%" PRIu64 "\n", value);
}

void metrics_seconds(struct metrics_out *out, const char *suffix, const struct metric_label *labels,
		     uint64_t us)
{
	if (out->format == METRICS_JSON) {
		json_sample(out, suffix, labels, json_object_new_double((double)us / 1e6));
		return;
	}
	text_name(out, suffix, labels);
	fprintf(out->file, "%" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
}

char *metrics_text(struct metrics_out *out, size_t *len)
{
	bool failed;

	if (out->format == METRICS_OPENMETRICS)
		fputs("# EOF\n", out->file);
	failed = ferror(out->file);
	if (fclose(out->file) || failed) {
		free(out->text);
		return NULL;
	}
	*len = out->len;
	return out->text;
}

struct json_object *metrics_json(struct metrics_out *out)
{
	return out->families;
}
