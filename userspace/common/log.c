// SPDX-License-Identifier: MIT
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES	4096	/* PIPE_BUF: one write is atomic */

static char program[48] = "tlsgate";
static bool verbose;
static bool journal;			/* stderr is */
static enum log_target target;		/* other than stderr: stderr is a pipe to the log process */
static bool timed;
static bool warned;
static int copy = -1;
static unsigned long lost;		/* lines, since the log last took one */
static struct log_lost own_count;
static struct log_lost *count = &own_count;	/* of all of them */

const char *log_target_name(enum log_target which)
{
	static const char * const names[LOG_TARGETS] = { "stderr", "syslog", "journal" };

	return names[which];
}

/* n by its last digits, so many; returns what follows them. */
static char *put_digits(char *out, int digits, long long n)
{
	int i;

	for (i = digits - 1; i >= 0; i--, n /= 10)
		out[i] = (char)('0' + n % 10);
	return out + digits;
}

void log_time(char text[LOG_TIME_MAX])
{
	struct timespec now = {0};
	struct tm tm = {0};
	char *p = text;

	clock_gettime(CLOCK_REALTIME, &now);
	/* no call within that a signal could come from, once libc has the time zone */
	(void)gmtime_r(&now.tv_sec, &tm);
	p = stpcpy(put_digits(p, 4, tm.tm_year + 1900), "-");
	p = stpcpy(put_digits(p, 2, tm.tm_mon + 1), "-");
	p = stpcpy(put_digits(p, 2, tm.tm_mday), "T");
	p = stpcpy(put_digits(p, 2, tm.tm_hour), ":");
	p = stpcpy(put_digits(p, 2, tm.tm_min), ":");
	p = stpcpy(put_digits(p, 2, tm.tm_sec), ".");
	(void)stpcpy(put_digits(p, 3, now.tv_nsec / 1000000), "Z");
}

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

void log_with_time(void)
{
	char text[LOG_TIME_MAX];

	timed = true;
	log_time(text);		/* libc reads the time zone's file now, and never again */
}

void log_goes_to(enum log_target to)
{
	target = to;
	journal = stderr_is_journal();
}

void log_count_in(struct log_lost *in)
{
	count = in;
}

uint64_t log_lost(enum log_target of)
{
	return atomic_load_explicit(&count->lines[of], memory_order_relaxed);
}

bool log_is_verbose(void)
{
	return verbose;
}

void log_copy_to(int fd)
{
	copy = fd;
}

int log_copy(void)
{
	return copy;
}

void log_copy_close(void)
{
	if (copy != -1)
		close(copy);
	copy = -1;
}

bool log_has_warned(void)
{
	return warned;
}

void log_never_wait(void)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) || S_ISREG(st.st_mode))
		return;
	/* a description of our own: O_NONBLOCK in a shared one would be everybody's */
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0) {
		(void)dup2(fd, STDERR_FILENO);
		close(fd);
		return;
	}
	/* a socket, or somebody else's pipe */
	(void)fcntl(STDERR_FILENO, F_SETFL, fcntl(STDERR_FILENO, F_GETFL) | O_NONBLOCK);
}

/* What snprintf() really wrote into size bytes when it returned n. */
static size_t written(size_t size, int n)
{
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

/* Appends the text and a newline to the len bytes that are there; returns how many are then. */
static size_t finish_line(char line[LINE_MAX_BYTES], size_t len, const char *format, va_list args)
{
	size_t room = LINE_MAX_BYTES - 1;	/* for the newline */
	size_t i;

	len += written(room - len, vsnprintf(line + len, room - len, format, args));
	for (i = 0; i < len; i++)
		if (line[i] < 0x20 || line[i] > 0x7e)
			line[i] = '?';
	line[len++] = '\n';
	return len;
}

/* False: fd did not take it. */
static bool write_line(int fd, const char *line, size_t len)
{
	ssize_t n;

	do {
		n = write(fd, line, len);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

static char *add_sender(char *p)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	p = put_digits(p, 13, (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	p = put_digits(stpcpy(p, " "), 10, getpid());
	return stpcpy(p, " ");
}

/* What stands before the text; async-signal-safe, so that stdio is not used.  Returns its length. */
static size_t begin_line(char line[LINE_MAX_BYTES], int level)
{
	const bool piped = target != LOG_TO_STDERR;
	char *p = line;

	if (journal || piped) {
		p = stpcpy(p, "<0>");
		p[-2] += (char)level;
	}
	if (piped)
		p = add_sender(p);
	if (journal || piped)
		return (size_t)(p - line);
	if (timed) {
		log_time(p);
		p = stpcpy(p + strlen(p), " ");
	}
	return (size_t)(stpcpy(stpcpy(p, program), ": ") - line);
}

/* False: the log did not take it. */
static bool put_line(int level, const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];
	size_t len = begin_line(line, level);

	return write_line(STDERR_FILENO, line, finish_line(line, len, format, args));
}

static void copy_line(const char *format, va_list args)
{
	char line[LINE_MAX_BYTES];

	(void)write_line(copy, line, finish_line(line, 0, format, args));
}

__attribute__((format(printf, 2, 3)))
static bool put(int level, const char *format, ...)
{
	va_list args;
	bool taken;

	va_start(args, format);
	taken = put_line(level, format, args);
	va_end(args);
	return taken;
}

void log_catch_up(void)
{
	if (lost && put(LOG_WARNING, "%lu lines were lost: the log did not take them", lost))
		lost = 0;
}

static void lose_line(void)
{
	_Atomic uint64_t *lines = &count->lines[target];

	lost++;
	/* there is no other writer, so that no locked instruction is needed */
	atomic_store_explicit(lines, atomic_load_explicit(lines, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static void log_line(int level, const char *format, va_list args)
{
	va_list again;

	warned |= level == LOG_WARNING;
	if (copy != -1 && level <= LOG_WARNING) {
		va_copy(again, args);
		copy_line(format, again);
		va_end(again);
	}
	log_catch_up();
	if (lost || !put_line(level, format, args))
		lose_line();
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

static size_t append(char line[LINE_MAX_BYTES], size_t len, const char *text)
{
	size_t part = strlen(text);

	if (part > LINE_MAX_BYTES - len)
		part = LINE_MAX_BYTES - len;
	memcpy(line + len, text, part);
	return len + part;
}

void log_from_signal(const char *before, const char *name, const char *after)
{
	const char *const texts[] = { before, name, after, "\n" };
	char line[LINE_MAX_BYTES];
	size_t len, start, i;

	len = begin_line(line, LOG_ERR);
	for (start = len, i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		len = append(line, len, texts[i]);
	(void)write_line(STDERR_FILENO, line, len);
	if (copy != -1)
		(void)write_line(copy, line + start, len - start);
}

void log_limit_tell(struct log_limit *limit)
{
	if (limit->suppressed)
		log_warn("%u more lines about peers were kept back", limit->suppressed);
	limit->suppressed = 0;
}

bool log_allowed(struct log_limit *limit, uint64_t now_ms)
{
	uint64_t refill = (now_ms - limit->last_ms) * LOG_RATE / 1000;

	if (refill) {
		limit->used = refill >= limit->used ? 0 : limit->used - (unsigned int)refill;
		limit->last_ms = now_ms;
		log_limit_tell(limit);
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
