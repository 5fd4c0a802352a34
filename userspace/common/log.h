/* SPDX-License-Identifier: MIT */
/*
 * One line per event, on stderr: "program: text", with the time before it from
 * log_with_time() on, or "<N>text" when stderr is the journal.  A line is one write(), so processes may share stderr.  Bytes
 * that are not printable ASCII (a peer's server name, say) come out as '?'.
 */
#ifndef TLSGATE_COMMON_LOG_H
#define TLSGATE_COMMON_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_target {
	LOG_TO_STDERR,
	LOG_TO_SYSLOG,
	LOG_TO_JOURNAL,
	LOG_TARGETS,
};

/* "stderr", "syslog", "journal". */
const char *log_target_name(enum log_target target);

/* What each line starts with ("tlsgated", "tlsgated worker 2"); copied. */
void log_init(const char *program, bool verbose);
/*
 * From now on each line of this process, and of those that it forks, begins with
 * the time, unless the journal adds that.
 */
void log_with_time(void);
/*
 * What stderr now is, for this process and those that it forks: a stderr (LOG_TO_STDERR, as
 * at first), or a pipe to the log process of another target.  Into the pipe a line is
 * written as "<N>MILLISECONDS PROCESS text": its priority, its time since the epoch, who
 * wrote it.
 */
void log_goes_to(enum log_target target);
/*
 * From now on writing a line never waits, in this process and in those that it forks.  A
 * line that is not taken at once is lost and counted; the next line that is taken says how
 * many.
 */
void log_never_wait(void);
/* Lines that were lost, by what log_goes_to() was last given. */
struct log_lost {
	_Atomic uint64_t lines[LOG_TARGETS];
};

/* From now on this process counts them in lost, which it alone writes. */
void log_count_in(struct log_lost *lost);
/* Those that this process counted. */
uint64_t log_lost(enum log_target target);
/* Says what was lost, if the log takes it now: for when no line comes for long. */
void log_catch_up(void);
/*
 * From now on each error and warning of this process, and of those that it forks
 * and that keep fd, is written to fd as well, as a line without what stands
 * before it in the log.  -1: no more.
 */
void log_copy_to(int fd);
/* What log_copy_to() was last given; -1 at first. */
int log_copy(void);
/* Of a child that is ready: what it has to say from now on is for the log alone. */
void log_copy_close(void);
/* Does log_verbose() write? */
bool log_is_verbose(void);

/* The operator must act: what was refused, why, what to do. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something is less than it should be, but goes on. */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Did this process ever call log_warn()? */
bool log_has_warned(void);
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Only with --verbose. */
void log_verbose(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As log_error(), the texts in a row; async-signal-safe. */
void log_from_signal(const char *before, const char *name, const char *after);

/*
 * Keeps peers from filling the log: a burst of LOG_BURST lines, then LOG_RATE a second.
 * Once a second a line says how many were kept back.  Starts zeroed.
 */
#define LOG_BURST	50
#define LOG_RATE	20
struct log_limit {
	uint64_t last_ms;
	unsigned int used, suppressed;
};

/* May the caller log one more line now?  now_ms: any monotonic clock. */
bool log_allowed(struct log_limit *limit, uint64_t now_ms);
/* Says what was kept back, if that was something: for when no line comes for long. */
void log_limit_tell(struct log_limit *limit);

#define LOG_TIME_MAX	25
/* Now, as in RFC 3339: UTC, to the millisecond. */
void log_time(char text[LOG_TIME_MAX]);

/* Milliseconds of the coarse monotonic clock. */
uint64_t log_now_ms(void);

#endif
