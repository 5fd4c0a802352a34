// SPDX-License-Identifier: MIT
#include "daemon/logline.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#define CONNECTION	"connection gate="
#define FIELD		"TLSGATE_"

_Static_assert(2 * PIPE_BUF + 1024 <= LOGLINE_MAX, "a line, its fields and what stands before fit");

/* A number and a blank at *p.  False: there is none. */
static bool take_number(const char **p, const char *end, int64_t *out)
{
	const char *at = *p;
	int64_t n = 0;

	while (at < end && *at >= '0' && *at <= '9' && n < INT64_MAX / 10 - 9)
		n = n * 10 + (*at++ - '0');
	if (at == *p || at == end || *at != ' ')
		return false;
	*p = at + 1;
	*out = n;
	return true;
}

/* "<N>MILLISECONDS PROCESS ".  False: it is another beginning. */
static bool take_head(struct logline *line, const char **p, const char *end)
{
	const char *at = *p + 3;
	int64_t process;

	if (end - *p < 3 || at[-3] != '<' || at[-2] < '0' || at[-2] > '7' || at[-1] != '>')
		return false;
	line->priority = at[-2] - '0';
	if (!take_number(&at, end, &line->time_ms) || !take_number(&at, end, &process) ||
	    process > INT_MAX)
		return false;
	line->process = (long)process;
	*p = at;
	return true;
}

static int64_t now_ms(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void logline_parse(struct logline *line, char *packet, size_t len)
{
	const char *p = packet, *end;
	size_t i;

	if (len && packet[len - 1] == '\n')
		len--;
	for (i = 0; i < len; i++)
		if (packet[i] < 0x20 || packet[i] > 0x7e)
			packet[i] = '?';
	end = packet + len;
	if (!take_head(line, &p, end))
		*line = (struct logline){ .priority = LOG_ERR, .time_ms = now_ms() };
	line->text = p;
	line->len = (int)(end - p);
}

/* Of the line, in local time, as syslog(3) writes it. */
static const char *date_of(const struct logline *line, char date[32])
{
	const time_t seconds = (time_t)(line->time_ms / 1000);
	struct tm tm = {0};

	date[0] = '\0';
	(void)localtime_r(&seconds, &tm);
	(void)strftime(date, 32, "%b %e %T", &tm);
	return date;
}

size_t logline_syslog(const struct logline *line, int facility, char out[LOGLINE_MAX])
{
	char date[32], process[32] = "";

	if (line->process)
		snprintf(process, sizeof(process), "[%ld]", line->process);
	return (size_t)snprintf(out, LOGLINE_MAX, "<%d>%s tlsgated%s: %.*s",
				facility | line->priority, date_of(line, date), process, line->len, line->text);
}

/* ---- the journal: a field is NAME=value and a newline, which no value here has ---- */

struct field {
	const char *name, *value;
	size_t name_len, value_len;
};

/* " name=value" at p, as record.c writes it.  What follows; NULL: it is none. */
static const char *take_field(const char *p, const char *end, struct field *field)
{
	const char *stop;

	if (p == end || *p++ != ' ')
		return NULL;
	for (field->name = p; p < end && ((*p >= 'a' && *p <= 'z') || *p == '-'); p++)
		;
	field->name_len = (size_t)(p - field->name);
	if (!field->name_len || p == end || *p++ != '=')
		return NULL;
	if (p < end && *p == '"') {	/* a quote within is written \x22 */
		field->value = ++p;
		stop = memchr(p, '"', (size_t)(end - p));
		field->value_len = stop ? (size_t)(stop - p) : 0;
		return stop ? stop + 1 : NULL;
	}
	stop = memchr(p, ' ', (size_t)(end - p));
	field->value = p;
	field->value_len = (size_t)((stop ? stop : end) - p);
	return stop ? stop : end;
}

static char in_name(char c)
{
	return c == '-' ? '_' : (char)(c - 'a' + 'A');
}

/* Returns how many bytes there are then: as many as before where it has no room. */
static size_t add_field(char out[LOGLINE_MAX], size_t len, const struct field *field)
{
	size_t i;
	char *p;

	if (sizeof(FIELD) + field->name_len + 1 + field->value_len > LOGLINE_MAX - len)
		return len;
	p = stpcpy(out + len, FIELD);
	for (i = 0; i < field->name_len; i++)
		*p++ = in_name(field->name[i]);
	*p++ = '=';
	p = mempcpy(p, field->value, field->value_len);
	*p++ = '\n';
	return (size_t)(p - out);
}

size_t logline_journal(const struct logline *line, int facility, char out[LOGLINE_MAX])
{
	const char *p = line->text, *end = line->text + line->len;
	char date[32], process[32] = "";
	struct field field;
	size_t len;

	if (line->process)
		snprintf(process, sizeof(process), "SYSLOG_PID=%ld\n", line->process);
	len = (size_t)snprintf(out, LOGLINE_MAX,
			       "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=tlsgated\nSYSLOG_TIMESTAMP=%s \n%sMESSAGE=%.*s\n",
			       line->priority, LOG_FAC(facility), date_of(line, date), process,
			       line->len, line->text);
	if ((size_t)line->len < strlen(CONNECTION) ||
	    memcmp(line->text, CONNECTION, strlen(CONNECTION)))
		return len;
	p += strcspn(CONNECTION, " ");
	while ((p = take_field(p, end, &field)))
		len = add_field(out, len, &field);
	return len;
}
