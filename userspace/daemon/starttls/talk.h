/* SPDX-License-Identifier: MIT */
/* What the files of this folder share.  A protocol's file has one table for each role. */
#ifndef TLSGATE_DAEMON_STARTTLS_TALK_H
#define TLSGATE_DAEMON_STARTTLS_TALK_H

#include "daemon/starttls/starttls.h"

#define TALK_OUTPUT_MAX		1024	/* the longest answer to one command */
#define TALK_GREETING_MAX	512	/* of SMTP and POP3: a line (RFC 5321, section 4.5.3.1.5) */
#define TALK_WHY_MAX		640

/* What the bytes so far are. */
enum talk_unit {
	UNIT_MORE,			/* a part of a command or message */
	UNIT_WHOLE,
	UNIT_TLS,			/* the last one is the first byte of TLS */
	UNIT_BAD,
};

struct talk_role {
	size_t max;			/* bytes of a command or message */
	/* Sent before anything comes; '$' stands for the host.  NULL: nothing. */
	const char *opening;
	const uint8_t *request;		/* or this */
	size_t request_len;
	/* Looks at talk->in after each byte; may set talk->why with BAD. */
	enum talk_unit (*unit)(struct starttls *talk);
	/* Takes a whole one. */
	enum starttls_result (*take)(struct starttls *talk);
	const struct talk_command *commands;	/* for commands_take() */
};

struct talk_protocol {
	const char *name;
	const struct talk_role *roles[STARTTLS_ROLES];	/* NULL: it has no such part */
};

struct starttls {
	const struct talk_role *role;
	const char *host;
	bool keeps_on;			/* beyond the greeting */
	bool direct;
	enum starttls_result result;
	int state;			/* the protocol's own; 0 at first */
	unsigned int units;		/* taken so far */
	size_t in_len, out_len, out_done, greeting_len;
	char why[TALK_WHY_MAX];
	uint8_t greeting[TALK_GREETING_MAX + 1];	/* and the NUL of text */
	uint8_t out[TALK_OUTPUT_MAX];
	uint8_t in[];			/* role->max */
};

extern const struct talk_protocol talk_postgresql, talk_smtp, talk_imap, talk_pop3, talk_ldap;

/* BAD, since the peer did what is said; text NULL: with this text of its own. */
enum starttls_result talk_bad(struct starttls *talk, const char *what, const char *text);
/* Adds to the output. */
void talk_put(struct starttls *talk, const void *data, size_t len);
/* Likewise text, in which '$' stands for the host and '#' for the tag (NULL: not in it). */
void talk_say(struct starttls *talk, const char *text, const char *tag);
/* What starttls_greeting() gives. */
void talk_keep_greeting(struct starttls *talk, const char *text);

/* ---- lines.c: protocols of lines ---- */

/* A line ends with CR LF and has no NUL, and neither alone (RFC 5321, section 2.3.8). */
enum talk_unit line_unit(struct starttls *talk);
/* The line that is whole, without its end. */
char *line_text(struct starttls *talk);
/* Does text begin with the word, in either case, and end there or go on with a blank?  What follows, or NULL. */
const char *line_after(const char *text, const char *word);

/* What a client may say before TLS.  The table ends with verb NULL: the answer to all else. */
struct talk_command {
	const char *verb;
	enum { ARGUMENTS_NONE, ARGUMENTS_SOME, ARGUMENTS_ANY } arguments;
	enum starttls_result result;
	const char *answer;		/* as for talk_say() */
	const char *wrong;		/* where the arguments are */
};

/* Answers one command by the role's table. */
enum starttls_result commands_answer(struct starttls *talk, const char *command, const char *tag);

#endif
