// SPDX-License-Identifier: MIT
#include "common/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES	1024	/* well under PIPE_BUF: one write is atomic */

static char program[48] = "tlsgate";
static bool verbose;
static bool journal;

/* $JOURNAL_STREAM names the device and inode that systemd gave us as stderr. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

void log_init(const char *name, bool be_verbose)
{
	snprintf(program, sizeof(program), "%s", name);
	verbose = be_verbose;
	journal = stderr_is_journal();
}

bool log_is_verbose(void)
{
	return verbose;
}

/* What snprintf() really wrote into size bytes when it returned n. */
static size_t written(size_t size, int n)
{
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

static void log_line(int level, const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];
	size_t room = sizeof(line) - 1;	/* for the newline */
	size_t len, i;
	ssize_t ret;

	if (journal)
		len = written(room, snprintf(line, room, "<%d>", level));
	else
		len = written(room, snprintf(line, room, "%s: ", program));
	len += written(room - len, vsnprintf(line + len, room - len, format, args));
	for (i = 0; i < len; i++)
		if (line[i] < 0x20 || line[i] > 0x7e)
			line[i] = '?';
	line[len++] = '\n';
	ret = write(STDERR_FILENO, line, len);
	(void)ret;	/* where should a failure to log be logged? */
}

#define LOG_FUNCTION(name, level, condition)		\
	void name(const char *format, ...)		\
	{						\
		va_list args;				\
							\
		if (!(condition))			\
			return;				\
		va_start(args, format);			\
		log_line(level, format, args);		\
		va_end(args);				\
	}

LOG_FUNCTION(log_error, LOG_ERR, true)
LOG_FUNCTION(log_warn, LOG_WARNING, true)
LOG_FUNCTION(log_info, LOG_INFO, true)
LOG_FUNCTION(log_verbose, LOG_DEBUG, verbose)

bool log_allowed(struct log_limit *limit, uint64_t now_ms)
{
	uint64_t refill = (now_ms - limit->last_ms) * LOG_RATE / 1000;

	if (refill) {
		limit->used = refill >= limit->used ? 0 : limit->used - (unsigned int)refill;
		limit->last_ms = now_ms;
		if (limit->suppressed)
			log_warn("%u more lines about peers were kept back", limit->suppressed);
		limit->suppressed = 0;
	}
	if (limit->used >= LOG_BURST) {
		limit->suppressed++;
		return false;
	}
	limit->used++;
	return true;
}

uint64_t log_now_ms(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
