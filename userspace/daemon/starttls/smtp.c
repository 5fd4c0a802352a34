// SPDX-License-Identifier: MIT
/* RFC 5321, with STARTTLS of RFC 3207. */
#include <string.h>

#include "daemon/starttls/talk.h"

#define LINE_MAX	512		/* of either side: RFC 5321, section 4.5.3.1 */
#define WRONG		"501 5.5.4 Wrong arguments\r\n"

/* Before TLS a client is told of STARTTLS alone: RFC 3207, section 4. */
static const struct talk_command commands[] = {
	{ "EHLO", ARGUMENTS_SOME, STARTTLS_MORE, "250-$\r\n250 STARTTLS\r\n", WRONG },
	{ "HELO", ARGUMENTS_SOME, STARTTLS_MORE, "250 $\r\n", WRONG },
	{ "NOOP", ARGUMENTS_ANY, STARTTLS_MORE, "250 2.0.0 OK\r\n", WRONG },
	{ "RSET", ARGUMENTS_NONE, STARTTLS_MORE, "250 2.0.0 OK\r\n", WRONG },
	{ "QUIT", ARGUMENTS_NONE, STARTTLS_END, "221 2.0.0 $ closes the connection\r\n", WRONG },
	{ "STARTTLS", ARGUMENTS_NONE, STARTTLS_DONE, "220 2.0.0 Go ahead\r\n", WRONG },
	{ NULL, ARGUMENTS_ANY, STARTTLS_MORE, "530 5.7.0 Must issue a STARTTLS command first\r\n", WRONG },
};

static enum starttls_result answer(struct starttls *talk)
{
	return commands_answer(talk, line_text(talk), NULL);
}

/* What the server's next line belongs to. */
enum {
	GREETING,
	EHLO,
	EHLO_OFFERS,			/* a line before it had STARTTLS */
	STARTTLS,
};

static const struct {
	const char *code, *refusal;
} answers[] = {
	[GREETING] = { "220", "it greets otherwise than with 220" },
	[EHLO] = { "250", "it refuses EHLO" },
	[EHLO_OFFERS] = { "250", "it refuses EHLO" },
	[STARTTLS] = { "220", "it refuses STARTTLS" },
};

/* The answer is whole, of which this is the last line. */
static enum starttls_result go_on(struct starttls *talk, const char *line)
{
	if (talk->state == STARTTLS || !talk->keeps_on)
		return STARTTLS_DONE;
	if (talk->state == EHLO)
		return talk_bad(talk, "it offers no STARTTLS", NULL);
	if (talk->state == GREETING) {
		talk_keep_greeting(talk, line);
		talk_say(talk, "EHLO $\r\n", NULL);
		talk->state = EHLO;
	} else {
		talk_say(talk, "STARTTLS\r\n", NULL);
		talk->state = STARTTLS;
	}
	return STARTTLS_MORE;
}

/* "250-text", the last one "250 text" or "250". */
static enum starttls_result take_line(struct starttls *talk)
{
	const char *line = line_text(talk);

	if (strncmp(line, answers[talk->state].code, 3) || (line[3] && !strchr(" -", line[3])))
		return talk_bad(talk, answers[talk->state].refusal, line);
	if (talk->state == EHLO && line[3] && line_after(line + 4, "STARTTLS"))
		talk->state = EHLO_OFFERS;
	return line[3] == '-' ? STARTTLS_MORE : go_on(talk, line);
}

static const struct talk_role server = {
	.max = LINE_MAX, .opening = "220 $ ESMTP\r\n", .unit = line_unit, .take = answer,
	.commands = commands,
};

static const struct talk_role client = { .max = LINE_MAX, .unit = line_unit, .take = take_line };

const struct talk_protocol talk_smtp = {
	.name = "smtp",
	.roles = {
		[STARTTLS_SERVER] = &server, [STARTTLS_CLIENT] = &client, [STARTTLS_GREETING] = &client,
	},
};
