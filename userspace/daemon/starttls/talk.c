// SPDX-License-Identifier: MIT
#include "daemon/starttls/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNITS_MAX	100	/* commands, or lines of a server, before TLS */

static const struct talk_protocol * const protocols[STARTTLS_PROTOCOLS] = {
	[STARTTLS_POSTGRESQL] = &talk_postgresql,
	[STARTTLS_SMTP] = &talk_smtp,
	[STARTTLS_IMAP] = &talk_imap,
	[STARTTLS_POP3] = &talk_pop3,
	[STARTTLS_LDAP] = &talk_ldap,
};

const char *starttls_name(enum starttls_protocol protocol)
{
	if (protocol == STARTTLS_NONE)
		return "none";
	return protocol < STARTTLS_PROTOCOLS ? protocols[protocol]->name : NULL;
}

bool starttls_server_begins(enum starttls_protocol protocol)
{
	return protocol != STARTTLS_NONE && protocols[protocol]->roles[STARTTLS_GREETING];
}

enum starttls_result talk_bad(struct starttls *talk, const char *what, const char *text)
{
	snprintf(talk->why, sizeof(talk->why), "%s%s%.512s%s", what, text ? ": '" : "",
		 text ? text : "", text ? "'" : "");
	talk->out_len = 0;
	return STARTTLS_BAD;
}

void talk_put(struct starttls *talk, const void *data, size_t len)
{
	const size_t room = sizeof(talk->out) - talk->out_len;

	/* by the limits of tag and host there is room */
	if (len > room)
		len = room;
	memcpy(talk->out + talk->out_len, data, len);
	talk->out_len += len;
}

void talk_say(struct starttls *talk, const char *text, const char *tag)
{
	for (; *text; text++) {
		if (*text == '$')
			talk_put(talk, talk->host, strlen(talk->host));
		else if (*text == '#')
			talk_put(talk, tag, strlen(tag));
		else
			talk_put(talk, text, 1);
	}
}

void talk_keep_greeting(struct starttls *talk, const char *text)
{
	const int len = snprintf((char *)talk->greeting, sizeof(talk->greeting), "%s\r\n", text);

	talk->greeting_len = (size_t)len < sizeof(talk->greeting) ? (size_t)len : 0;
}

struct starttls *starttls_new(enum starttls_protocol protocol, enum starttls_role role,
			      const char *host)
{
	const struct talk_role *row = protocols[protocol]->roles[role];
	struct starttls *talk = calloc(1, sizeof(*talk) + row->max);

	if (!talk)
		return NULL;
	talk->role = row;
	talk->host = host;
	talk->keeps_on = role != STARTTLS_GREETING;
	if (row->opening)
		talk_say(talk, row->opening, NULL);
	else if (row->request)
		talk_put(talk, row->request, row->request_len);
	return talk;
}

void starttls_free(struct starttls *talk)
{
	free(talk);
}

/* One byte of the peer's. */
static enum starttls_result take_byte(struct starttls *talk, uint8_t byte)
{
	enum starttls_result result;

	if (talk->in_len == talk->role->max)
		return talk_bad(talk, "it sent a command or message that is too long", NULL);
	talk->in[talk->in_len++] = byte;
	switch (talk->role->unit(talk)) {
	case UNIT_MORE:
		return STARTTLS_MORE;
	case UNIT_TLS:
		talk->direct = true;
		return STARTTLS_DONE;
	case UNIT_WHOLE:
		break;
	case UNIT_BAD:
		talk->out_len = 0;
		return STARTTLS_BAD;
	}
	if (++talk->units > UNITS_MAX)
		return talk_bad(talk, "it says too much before TLS", NULL);
	result = talk->role->take(talk);
	talk->in_len = 0;
	return result;
}

/*
 * A man in the middle can put commands behind the one that begins TLS.  Who carries them over
 * takes them for the peer's (CVE-2011-0411, and CVE-2021-23222 for a server's answer).
 */
static enum starttls_result refuse_more(struct starttls *talk)
{
	return talk_bad(talk, "it sent more in plain text behind the start of TLS: it does not wait for the answer, or somebody on the way injects commands",
			NULL);
}

enum starttls_result starttls_input(struct starttls *talk, const uint8_t *data, size_t len,
				    size_t *used)
{
	*used = 0;
	while (*used < len && talk->result == STARTTLS_MORE && !talk->out_len)
		talk->result = take_byte(talk, data[(*used)++]);
	if (talk->result != STARTTLS_DONE)
		return talk->result;
	if (talk->direct)
		(*used)--;
	else if (*used < len && talk->keeps_on)
		talk->result = refuse_more(talk);
	return talk->result;
}

enum starttls_result starttls_result(const struct starttls *talk)
{
	return talk->result;
}

const uint8_t *starttls_output(const struct starttls *talk, size_t *len)
{
	*len = talk->out_len - talk->out_done;
	return talk->out + talk->out_done;
}

void starttls_output_done(struct starttls *talk, size_t len)
{
	talk->out_done += len;
	if (talk->out_done == talk->out_len)
		talk->out_done = talk->out_len = 0;
}

const char *starttls_why(const struct starttls *talk)
{
	return talk->why;
}

bool starttls_is_direct(const struct starttls *talk)
{
	return talk->direct;
}

const uint8_t *starttls_greeting(const struct starttls *talk, size_t *len)
{
	*len = talk->greeting_len;
	return talk->greeting;
}
