// SPDX-License-Identifier: MIT
/* daemon/logline: a line from the pipe, whoever wrote it; what syslog and the journal get of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "daemon/logline.h"
#include "tests/tap.h"

#define HEAD	"<4>1764491454123 0000000042 "

static const struct {
	const char *what, *packet;
	int priority;
	long process;
	const char *text;
} rows[] = {
	{ "a line", HEAD "text\n", LOG_WARNING, 42, "text" },
	{ "a line without its end", HEAD "text", LOG_WARNING, 42, "text" },
	{ "an empty text", HEAD "\n", LOG_WARNING, 42, "" },
	{ "what would be a second line", HEAD "a\n<0>b\n", LOG_WARNING, 42, "a?<0>b" },
	{ "a terminal's sequence", HEAD "\033[2J\377", LOG_WARNING, 42, "?[2J?" },
	{ "words of libc's own", "malloc(): corrupted\n", LOG_ERR, 0, "malloc(): corrupted" },
	{ "a priority alone", "<3>forbidden\n", LOG_ERR, 0, "<3>forbidden" },
	{ "no priority that there is", "<8>1 1 text", LOG_ERR, 0, "<8>1 1 text" },
	{ "a time that is none", "<4>1x 1 text", LOG_ERR, 0, "<4>1x 1 text" },
	{ "a time without end", "<4>99999999999999999999999 1 text", LOG_ERR, 0,
	  "<4>99999999999999999999999 1 text" },
	{ "a process that cannot be", "<4>1 99999999999 text", LOG_ERR, 0, "<4>1 99999999999 text" },
	{ "a head cut off", "<4>1764491454123", LOG_ERR, 0, "<4>1764491454123" },
	{ "a head without process", "<4>1764491454123 ", LOG_ERR, 0, "<4>1764491454123 " },
	{ "two bytes", "<4", LOG_ERR, 0, "<4" },
	{ "nothing", "", LOG_ERR, 0, "" },
};

/* In memory of its own size, where a sanitizer sees its end. */
static char *packet_of(const char *text)
{
	char *packet = malloc(strlen(text) + !*text);

	if (!packet)
		tap_bail("no memory");
	memcpy(packet, text, strlen(text));
	return packet;
}

static void test_parse(void)
{
	struct logline line;
	char *packet;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		packet = packet_of(rows[i].packet);
		logline_parse(&line, packet, strlen(rows[i].packet));
		tap_ok(line.priority == rows[i].priority && line.process == rows[i].process &&
		       (size_t)line.len == strlen(rows[i].text) &&
		       !memcmp(line.text, rows[i].text, strlen(rows[i].text)),
		       "%s: <%d> [%ld] '%.*s'", rows[i].what, line.priority, line.process,
		       line.len, line.text);
		free(packet);
	}
}

static void test_time(void)
{
	char known[] = HEAD "x", unknown[] = "x";
	struct logline line;

	logline_parse(&line, known, strlen(known));
	tap_ok(line.time_ms == 1764491454123, "the time is the writer's");
	logline_parse(&line, unknown, strlen(unknown));
	tap_ok(llabs(line.time_ms / 1000 - (long long)time(NULL)) < 60, "or now");
}

static void need_form(const char *packet, const char *want,
		      size_t (*form)(const struct logline *line, int facility, char out[LOGLINE_MAX]))
{
	char out[LOGLINE_MAX], *copy = packet_of(packet);
	struct logline line;
	size_t len;

	logline_parse(&line, copy, strlen(packet));
	len = form(&line, LOG_LOCAL3, out);
	tap_ok(len == strlen(want) && !memcmp(out, want, len), "becomes what it should: %s",
	       strncmp(packet, HEAD, strlen(HEAD)) ? packet : packet + strlen(HEAD));
	free(copy);
}

static void test_syslog(void)
{
	setenv("TZ", "EST5", 1);
	tzset();
	need_form(HEAD "a text: %s", "<156>Nov 30 03:30:54 tlsgated[42]: a text: %s", logline_syslog);
	need_form("<6>1764923454000 0000000007 x", "<158>Dec  5 03:30:54 tlsgated[7]: x", logline_syslog);
	need_form("<3>1764923454000 0000000000 x", "<155>Dec  5 03:30:54 tlsgated: x", logline_syslog);
}

#define OF_JOURNAL	\
	"PRIORITY=4\nSYSLOG_FACILITY=19\nSYSLOG_IDENTIFIER=tlsgated\nSYSLOG_TIMESTAMP=Nov 30 03:30:54 \nSYSLOG_PID=42\n"
#define JOURNAL(text, fields)	HEAD text, OF_JOURNAL "MESSAGE=" text "\n" fields, logline_journal

static void test_journal(void)
{
	need_form(JOURNAL("a text", ""));
	need_form(JOURNAL("connection gate=web client-cert=\"a b\" bytes=1 none=",
			  "TLSGATE_GATE=web\nTLSGATE_CLIENT_CERT=a b\nTLSGATE_BYTES=1\nTLSGATE_NONE=\n"));
	/* what is no field ends them */
	need_form(JOURNAL("connection gate=\"a\"b c=d", "TLSGATE_GATE=a\n"));
	need_form(JOURNAL("connection gate=a  c=d", "TLSGATE_GATE=a\n"));
	need_form(JOURNAL("connection gate=a C=d", "TLSGATE_GATE=a\n"));
	need_form(JOURNAL("connection gate=a =d", "TLSGATE_GATE=a\n"));
	need_form(JOURNAL("connection gate=a c", "TLSGATE_GATE=a\n"));
	need_form(JOURNAL("connection gate=\"a", ""));
	need_form(JOURNAL("connection gate=", "TLSGATE_GATE=\n"));
	need_form(JOURNAL("connection gate", ""));
	need_form(JOURNAL("of a connection gate=a", ""));
}

/* The most that fields can grow to. */
static void test_many_fields(void)
{
	static char packet[4096], out[LOGLINE_MAX];
	struct logline line;
	size_t len, i;

	memcpy(packet, HEAD "connection gate=", strlen(HEAD "connection gate="));
	for (i = strlen(HEAD "connection gate="); i < sizeof(packet); i++)
		packet[i] = " a="[i % 3];
	logline_parse(&line, packet, sizeof(packet));
	len = logline_journal(&line, LOG_LOCAL7, out);
	tap_ok(len <= LOGLINE_MAX && out[len - 1] == '\n', "%zu bytes of fields end whole", len);
}

/* The longest that a pipe's packet can be. */
static void test_longest(void)
{
	static char packet[4096], out[LOGLINE_MAX];
	struct logline line;
	size_t len;

	memset(packet, 'x', sizeof(packet));
	memcpy(packet, HEAD, strlen(HEAD));
	logline_parse(&line, packet, sizeof(packet));
	len = logline_syslog(&line, LOG_LOCAL7, out);
	tap_ok(len < LOGLINE_MAX && out[len - 1] == 'x' && (size_t)line.len == sizeof(packet) - strlen(HEAD),
	       "a line of %zu bytes is whole: %zu", sizeof(packet), len);
}

int main(void)
{
	test_parse();
	test_time();
	test_syslog();
	test_journal();
	test_many_fields();
	test_longest();
	return tap_done();
}
