// SPDX-License-Identifier: MIT
#include "daemon/logline.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

_Static_assert(PIPE_BUF + 256 <= LOGLINE_MAX, "a line and what stands before it fit");

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

/* As syslog(3) writes it: local time, no host. */
size_t logline_syslog(const struct logline *line, int facility, char out[LOGLINE_MAX])
{
	const time_t seconds = (time_t)(line->time_ms / 1000);
	char date[32] = "", process[32] = "";
	struct tm tm = {0};

	(void)localtime_r(&seconds, &tm);
	(void)strftime(date, sizeof(date), "%b %e %T", &tm);
	if (line->process)
		snprintf(process, sizeof(process), "[%ld]", line->process);
	return (size_t)snprintf(out, LOGLINE_MAX, "<%d>%s tlsgated%s: %.*s",
				facility | line->priority, date, process, line->len, line->text);
}
