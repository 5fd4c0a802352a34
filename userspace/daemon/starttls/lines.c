// SPDX-License-Identifier: MIT
#include <string.h>
#include <strings.h>

#include "daemon/starttls/talk.h"

#define TLS_BEGINS	0x16		/* a record of a handshake */

static enum talk_unit bad(struct starttls *talk, const char *why)
{
	(void)talk_bad(talk, why, NULL);
	return UNIT_BAD;
}

enum talk_unit line_unit(struct starttls *talk)
{
	const uint8_t last = talk->in[talk->in_len - 1];
	const bool after_cr = talk->in_len > 1 && talk->in[talk->in_len - 2] == '\r';

	if (talk->in[0] == TLS_BEGINS)
		return bad(talk, "it began TLS at once: a gate without starttls is for that");
	if (!last)
		return bad(talk, "it sent a NUL byte in a line");
	if ((last == '\n') != after_cr)
		return bad(talk, "it sent a line that does not end with CR LF");
	return last == '\n' ? UNIT_WHOLE : UNIT_MORE;
}

char *line_text(struct starttls *talk)
{
	talk->in[talk->in_len - 2] = 0;
	return (char *)talk->in;
}

const char *line_after(const char *text, const char *word)
{
	const size_t len = strlen(word);

	if (strncasecmp(text, word, len) || (text[len] && text[len] != ' '))
		return NULL;
	text += len;
	return text + strspn(text, " ");
}

enum starttls_result commands_answer(struct starttls *talk, const char *command, const char *tag)
{
	const struct talk_command *row = talk->role->commands;
	const char *arguments = NULL;

	while (row->verb && !(arguments = line_after(command, row->verb)))
		row++;
	if (row->verb && row->arguments != ARGUMENTS_ANY &&
	    !*arguments != (row->arguments == ARGUMENTS_NONE)) {
		talk_say(talk, row->wrong, tag);
		return STARTTLS_MORE;
	}
	talk_say(talk, row->answer, tag);
	return row->result;
}
