// SPDX-License-Identifier: MIT
/* RFC 1939 with CAPA of RFC 2449 and STLS of RFC 2595, section 4. */
#include "daemon/starttls/talk.h"

#define LINE_MAX	512		/* RFC 2449, section 4: an answer; a command has 255 */
#define WRONG		"-ERR Wrong arguments\r\n"

/* The greeting has no timestamp, so that no client tries APOP before TLS. */
static const struct talk_command commands[] = {
	{ "CAPA", ARGUMENTS_NONE, STARTTLS_MORE, "+OK\r\nSTLS\r\n.\r\n", WRONG },
	{ "NOOP", ARGUMENTS_NONE, STARTTLS_MORE, "+OK\r\n", WRONG },
	{ "QUIT", ARGUMENTS_NONE, STARTTLS_END, "+OK $ closes the connection\r\n", WRONG },
	{ "STLS", ARGUMENTS_NONE, STARTTLS_DONE, "+OK Begin TLS\r\n", WRONG },
	{ NULL, ARGUMENTS_ANY, STARTTLS_MORE, "-ERR Must issue an STLS command first\r\n", WRONG },
};

static enum starttls_result answer(struct starttls *talk)
{
	return commands_answer(talk, line_text(talk), NULL);
}

enum { GREETING, STLS };		/* what the server's line answers */

/* The greeting may have the timestamp of APOP, which a client of ours needs as it is. */
static enum starttls_result take_line(struct starttls *talk)
{
	const char *line = line_text(talk);

	if (!line_after(line, "+OK"))
		return talk_bad(talk, talk->state == STLS ? "it refuses STLS" :
				"it greets otherwise than with +OK", line);
	if (talk->state == STLS || !talk->keeps_on)
		return STARTTLS_DONE;
	talk_keep_greeting(talk, line);
	talk_say(talk, "STLS\r\n", NULL);
	talk->state = STLS;
	return STARTTLS_MORE;
}

static const struct talk_role server = {
	.max = LINE_MAX, .opening = "+OK $ ready\r\n", .unit = line_unit, .take = answer,
	.commands = commands,
};

static const struct talk_role client = { .max = LINE_MAX, .unit = line_unit, .take = take_line };

const struct talk_protocol talk_pop3 = {
	.name = "pop3",
	.roles = {
		[STARTTLS_SERVER] = &server, [STARTTLS_CLIENT] = &client, [STARTTLS_GREETING] = &client,
	},
};
