// SPDX-License-Identifier: MIT
/* RFC 9051 and, for clients of before, RFC 3501. */
#include <string.h>

#include "daemon/starttls/talk.h"

#define LINE_MAX	8192		/* RFC 7162, section 4 */
#define TAG_MAX		64
#define CAPABILITIES	"CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED"
#define WRONG		"# BAD Wrong arguments\r\n"

static const struct talk_command commands[] = {
	{ "CAPABILITY", ARGUMENTS_NONE, STARTTLS_MORE, "* " CAPABILITIES "\r\n# OK Completed\r\n", WRONG },
	{ "NOOP", ARGUMENTS_NONE, STARTTLS_MORE, "# OK Completed\r\n", WRONG },
	{ "LOGOUT", ARGUMENTS_NONE, STARTTLS_END, "* BYE $ closes the connection\r\n# OK Completed\r\n", WRONG },
	{ "STARTTLS", ARGUMENTS_NONE, STARTTLS_DONE, "# OK Begin TLS\r\n", WRONG },
	/* RFC 5530 */
	{ NULL, ARGUMENTS_ANY, STARTTLS_MORE, "# NO [PRIVACYREQUIRED] Must issue a STARTTLS command first\r\n", WRONG },
};

/* Of characters that may stand in one (RFC 9051, section 9: tag), and so in our answer. */
static size_t tag_length(const char *line)
{
	size_t len = 0;

	while (line[len] > ' ' && line[len] < 0x7f && !strchr("(){%*\"\\+", line[len]))
		len++;
	return line[len] == ' ' && line[len + 1] && line[len + 1] != ' ' && len <= TAG_MAX ? len : 0;
}

/* "{5+}" at the end of a line: five bytes follow unasked, which are no command (RFC 7888). */
static bool has_literal(const char *line)
{
	const size_t len = strlen(line);

	return len > 1 && (!strcmp(line + len - 2, "+}") || !strcmp(line + len - 2, "-}"));
}

static enum starttls_result answer(struct starttls *talk)
{
	char *line = line_text(talk);
	const size_t tag = tag_length(line);

	if (has_literal(line))
		return talk_bad(talk, "it sent a literal before TLS", NULL);
	if (!tag) {
		talk_say(talk, "* BAD No tag or no command\r\n", NULL);
		return STARTTLS_MORE;
	}
	line[tag] = 0;
	return commands_answer(talk, line + tag + 1, line);
}

enum { GREETING, STARTTLS };		/* what the server's line belongs to */

/*
 * The server's greeting may say LOGINDISABLED, which is over with TLS.  So a client of ours gets
 * one without capabilities, and asks (RFC 9051, section 6.2.1).
 */
static enum starttls_result take_greeting(struct starttls *talk, const char *line)
{
	if (!line_after(line, "* OK"))	/* nor PREAUTH, after which STARTTLS is not allowed */
		return talk_bad(talk, "it greets otherwise than with * OK", line);
	if (!talk->keeps_on)
		return STARTTLS_DONE;
	talk_keep_greeting(talk, "* OK ready");
	talk_say(talk, "t STARTTLS\r\n", NULL);
	talk->state = STARTTLS;
	return STARTTLS_MORE;
}

static enum starttls_result take_line(struct starttls *talk)
{
	const char *line = line_text(talk);

	if (talk->state == GREETING)
		return take_greeting(talk, line);
	if (line_after(line, "t OK"))
		return STARTTLS_DONE;
	return line_after(line, "*") && !line_after(line, "* BYE") ? STARTTLS_MORE :
		talk_bad(talk, "it refuses STARTTLS", line);
}

static const struct talk_role server = {
	.max = LINE_MAX, .opening = "* OK [" CAPABILITIES "] $ ready\r\n", .unit = line_unit,
	.take = answer, .commands = commands,
};

static const struct talk_role client = { .max = LINE_MAX, .unit = line_unit, .take = take_line };

const struct talk_protocol talk_imap = {
	.name = "imap",
	.roles = {
		[STARTTLS_SERVER] = &server, [STARTTLS_CLIENT] = &client, [STARTTLS_GREETING] = &client,
	},
};
