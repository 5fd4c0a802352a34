// SPDX-License-Identifier: MIT
#include "daemon/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

#define MAX_FILE	(1u << 20)
#define MAX_VALUE	4096
#define BYTE_ORDER_MARK	"\xef\xbb\xbf"
#define PUNCTUATION	"={},"
#define TITLE_END	"={}#\n\"'"	/* or a quoted part of it */

enum token {
	TOKEN_END = 0,
	TOKEN_TEXT = 1,			/* a word or a quoted text */
	TOKEN_BAD = 2,			/* was reported */
	/* or a character of PUNCTUATION */
};

struct parser {
	struct settings *settings;
	const char *p;			/* what comes next */
	struct position here;		/* of p */
	int token;			/* read last */
	struct position place;		/* where it began */
	char text[MAX_VALUE];		/* of TOKEN_TEXT */
	bool lost;			/* some text was passed over, settings perhaps */
};

__attribute__((format(printf, 3, 4)))
static void complain(struct parser *parser, struct position place, const char *format, ...)
{
	const char *file = parser->settings->file;
	char text[512];
	va_list args;

	if (!settings_may_refuse(parser->settings))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s:%u:%u: refused: %s", file, place.line, place.column, text);
}

/* ---- tokens ---- */

static void advance(struct parser *parser, size_t count)
{
	while (count--) {
		parser->here.column++;
		if (*parser->p++ != '\n')
			continue;
		parser->here.line++;
		parser->here.column = 1;
	}
}

static bool at(const struct parser *parser, const char *text)
{
	return !strncmp(parser->p, text, strlen(text));
}

static void skip_long_comment(struct parser *parser)
{
	const char *end = strstr(parser->p + 2, "*/");

	if (!end)
		complain(parser, parser->here, "a comment is not closed: write */ at its end");
	advance(parser, end ? (size_t)(end - parser->p) + 2 : strlen(parser->p));
}

static void skip_blanks(struct parser *parser)
{
	for (;;) {
		advance(parser, strspn(parser->p, " \t\r\n"));
		if (at(parser, "/*"))
			skip_long_comment(parser);
		else if (at(parser, "#") || at(parser, "//"))
			advance(parser, strcspn(parser->p, "\n"));
		else
			return;
	}
}

/* Takes over len bytes of the text that follow. */
static void take_text(struct parser *parser, size_t len)
{
	if (len >= sizeof(parser->text)) {
		complain(parser, parser->place, "it is longer than %zu bytes",
			 sizeof(parser->text) - 1);
		parser->token = TOKEN_BAD;
		advance(parser, len);
		return;
	}
	memcpy(parser->text, parser->p, len);
	parser->text[len] = '\0';
	advance(parser, len);
}

/*
 * The quote that ends the text, or the end of the line: no value has a newline, and the next quote
 * may be in another line, where it begins one.
 */
static const char *closing_quote(const char *p, char quote)
{
	for (; *p && *p != '\n' && *p != quote; p++)
		if (quote == '"' && *p == '\\' && p[1] && p[1] != '\n')
			p++;
	return p;
}

/* \" and \\ ; others are refused, lest they mean something else than is thought. */
static void unescape(struct parser *parser)
{
	char *in = parser->text, *out = parser->text;

	for (; *in; *out++ = *in++) {
		if (*in != '\\')
			continue;
		if (in[1] != '"' && in[1] != '\\') {
			complain(parser, parser->place,
				 "\\ in a text stands before \" or \\ only: write \\\\ for one");
			parser->token = TOKEN_BAD;
			return;
		}
		in++;
	}
	*out = '\0';
}

static void read_quoted(struct parser *parser)
{
	char quote = *parser->p;
	const char *end = closing_quote(parser->p + 1, quote);

	if (*end != quote) {
		complain(parser, parser->place, "the quote is not closed in its line: write %c at its end",
			 quote);
		parser->token = TOKEN_BAD;
		parser->lost = true;
		advance(parser, (size_t)(end - parser->p));
		return;
	}
	advance(parser, 1);
	take_text(parser, (size_t)(end - parser->p));
	advance(parser, 1);
	if (quote == '"' && parser->token == TOKEN_TEXT)
		unescape(parser);
}

static void next(struct parser *parser)
{
	skip_blanks(parser);
	parser->place = parser->here;
	parser->token = TOKEN_TEXT;
	if (!*parser->p) {
		parser->token = TOKEN_END;
	} else if (strchr(PUNCTUATION, *parser->p)) {
		parser->token = *parser->p;
		advance(parser, 1);
	} else if (*parser->p == '"' || *parser->p == '\'') {
		read_quoted(parser);
	} else {
		take_text(parser, strcspn(parser->p, " \t\r\n\"'#" PUNCTUATION));
	}
}

static bool take(struct parser *parser, int token)
{
	if (parser->token != token)
		return false;
	next(parser);
	return true;
}

/* Something else was wanted. */
static void say_unexpected(struct parser *parser, const char *wanted)
{
	parser->lost = true;
	if (parser->token == TOKEN_TEXT)
		complain(parser, parser->place, "'%.64s' is not understood here: %s", parser->text,
			 wanted);
	else if (parser->token == TOKEN_END)
		complain(parser, parser->place, "the file ends here: %s", wanted);
	else if (parser->token != TOKEN_BAD)
		complain(parser, parser->place, "'%c' is not understood here: %s", parser->token,
			 wanted);
}

/* Goes on with the next line. */
static void unexpected(struct parser *parser, const char *wanted)
{
	unsigned int line = parser->place.line;

	say_unexpected(parser, wanted);
	while (parser->token != TOKEN_END && parser->token != '}' && parser->place.line == line)
		next(parser);
}

static bool at_word(const struct parser *parser, const char *word)
{
	return parser->token == TOKEN_TEXT && !strcmp(parser->text, word);
}

/* No setting has this name: within a gate, the } of that gate is missing. */
static bool at_gate(const struct parser *parser)
{
	return at_word(parser, "gate");
}

/* Nor has a setting one of these: within a block, the } of that block is missing. */
static enum gate_mode at_block(const struct parser *parser)
{
	return at_word(parser, "route") ? GATE_ROUTE : at_word(parser, "pass") ? GATE_PASS : 0;
}

/* Does a { come, in this line or as the first of the next, before what would be a setting? */
static bool before_block(const struct parser *parser)
{
	const char *p = parser->p + strcspn(parser->p, TITLE_END);

	while (*p == '"' || *p == '\'') {
		p = closing_quote(p + 1, *p);
		p += *p && *p != '\n';
		p += strcspn(p, TITLE_END);
	}
	return p[strspn(p, " \t\r\n")] == '{';
}

/* Passes over a block that was refused, to its }: what is wrong within it follows from that. */
static void skip_block(struct parser *parser)
{
	size_t depth = 0;

	/* a comment may have it */
	while (parser->token != '{' && parser->token != TOKEN_END)
		next(parser);
	do {
		depth += parser->token == '{';
		depth -= parser->token == '}';
		next(parser);
	} while (depth && parser->token != TOKEN_END && !at_gate(parser));
}

/* As unexpected(), of what a block begins with. */
static void unexpected_title(struct parser *parser, const char *wanted)
{
	if (parser->token != '{' && !before_block(parser)) {
		unexpected(parser, wanted);
		return;
	}
	say_unexpected(parser, wanted);
	skip_block(parser);
}

/* ---- settings ---- */

/* A block begins that is none, or none here. */
static void refuse_block(struct parser *parser, const struct gate_settings *gate)
{
	const char *word = parser->text;
	const char *like = setting_like_block(word, gate);

	if (at_block(parser))
		complain(parser, parser->place, "%s belongs to a gate: write it into gate NAME { ... }", word);
	else if (like)
		complain(parser, parser->place, "no block is called '%.64s': did you mean %s?", word, like);
	else
		complain(parser, parser->place, "no block is called '%.64s': %s", word, gate ?
			 "in a gate there are route NAME { ... } and pass NAME { ... }" :
			 "write gate NAME { ... }");
	skip_block(parser);
}

/* A word that is no setting's name, nor followed by =: a part of the value before it, perhaps. */
static bool is_stray(const struct parser *parser)
{
	return parser->p[strspn(parser->p, " \t")] != '=' && !setting_find(parser->text) &&
	       !setting_like(parser->text);
}

/* The setting that a line begins with; NULL: there is none, which was reported. */
static const struct setting *find_row(struct parser *parser, const struct gate_settings *gate)
{
	const struct setting *row = setting_find(parser->text);
	bool global = row && row->scope & SETTING_GLOBAL;
	const struct given *given;
	const char *like;

	if (!row) {
		like = setting_like(parser->text);
		complain(parser, parser->place, "no setting is called '%.64s': %s%s%s", parser->text,
			 like ? "did you mean " : "", like ? like : "see tlsgated --help", like ? "?" : "");
		return NULL;
	}
	if (global != !gate) {
		complain(parser, parser->place, global ? "%s is for all gates: write it outside of them" :
			 "%s belongs to a gate: write it into gate NAME { ... }", row->name);
		return NULL;
	}
	if (gate && gate->of && !(row->scope & gate->mode)) {
		complain(parser, parser->place, "%s belongs to the gate: write it outside of this %s",
			 row->name, gate_kind(gate));
		return NULL;
	}
	given = setting_given(row, parser->settings, gate);
	if (!given->yes)
		return row;
	complain(parser, parser->place, "%s was given already, in line %u: %s", row->name,
		 given->place.line, row->scope & SETTING_LIST ? "write one list: { A, B }" :
								 "keep one of them");
	return NULL;
}

/* row NULL: the value is read only. */
static bool read_value(struct parser *parser, const struct setting *row, struct gate_settings *gate)
{
	char why[SETTINGS_WHY_MAX] = "";

	if (parser->token != TOKEN_TEXT && parser->token != TOKEN_BAD) {
		unexpected(parser, "a value is wanted: NAME = VALUE");
		return false;
	}
	if (row && parser->token == TOKEN_TEXT &&
	    setting_apply(row, parser->settings, gate, parser->text, parser->place, why))
		complain(parser, parser->place, "%s = '%.128s': %s", row->name, parser->text, why);
	next(parser);
	return true;
}

static void read_items(struct parser *parser, const struct setting *row, struct gate_settings *gate)
{
	bool bad;

	while (parser->token != '}') {
		bad = parser->token == TOKEN_BAD;
		if (!read_value(parser, row, gate))
			return;
		if (take(parser, ',') || parser->token == '}')
			continue;
		if (!bad)
			unexpected(parser, "a list is written { A, B }");
		return;
	}
}

static void read_list(struct parser *parser, const struct setting *row, struct gate_settings *gate)
{
	if (row && !(row->scope & SETTING_LIST)) {
		complain(parser, parser->place, "%s takes one value, not a list: write %s = \"%s\"",
			 row->name, row->name, row->argument ? row->argument : "true");
		row = NULL;
	}
	next(parser);
	read_items(parser, row, gate);
	(void)take(parser, '}');
}

/* NAME = VALUE; gate NULL: outside of any. */
static void read_setting(struct parser *parser, struct gate_settings *gate)
{
	const struct setting *row;

	if (parser->token != TOKEN_TEXT) {
		unexpected(parser, parser->token == '=' || parser->token == ',' ?
			   "a value that has = or , in it stands in quotes" :
			   "write NAME = VALUE or gate NAME { ... }");
		if (!gate)
			(void)take(parser, '}');
		return;
	}
	if (before_block(parser) && !setting_find(parser->text)) {
		refuse_block(parser, gate);
		return;
	}
	if (is_stray(parser)) {
		unexpected(parser, "no setting is called so: write NAME = VALUE, and a value of several words in quotes");
		return;
	}
	row = find_row(parser, gate);
	next(parser);
	if (!take(parser, '='))
		unexpected(parser, "= is wanted: NAME = VALUE");
	else if (parser->token == '{')
		read_list(parser, row, gate);
	else
		(void)read_value(parser, row, gate);
}

static bool gate_is_there(const struct settings *settings, const char *name)
{
	size_t i;

	for (i = 0; i < settings->gate_count; i++)
		if (!strcmp(settings->gates[i].name, name))
			return true;
	return false;
}

static struct gate_settings *read_title(struct parser *parser)
{
	struct gate_settings *gate;

	if (parser->token != TOKEN_TEXT && parser->token != TOKEN_BAD) {
		unexpected_title(parser, "a name is wanted: gate NAME { ... }");
		return NULL;
	}
	if (parser->token == TOKEN_BAD) {
		parser->lost = true;
		next(parser);
		return settings_add_gate(parser->settings, "", parser->place);
	}
	if (!parser->text[0] || strlen(parser->text) > SETTINGS_MAX_NAME)
		complain(parser, parser->place, "the name of a gate must have 1 to %d bytes",
			 SETTINGS_MAX_NAME);
	if (gate_is_there(parser->settings, parser->text))
		complain(parser, parser->place, "two gates are called '%.64s': rename one",
			 parser->text);
	gate = settings_add_gate(parser->settings, parser->text, parser->place);
	next(parser);
	return gate;
}

/* Its } may have been taken for that of the gate. */
static const struct gate_settings *last_block(const struct gate_settings *gate)
{
	return &gate->blocks[gate->block_count - 1];
}

/* Of a gate or a block. */
static void end_gate(struct parser *parser, const struct gate_settings *gate, struct position start)
{
	if (take(parser, '}'))
		return;
	parser->lost = true;
	if (parser->token == TOKEN_END && gate->block_count)
		complain(parser, start, "this gate is not closed: write } at its end, or at that of the %s in line %u",
			 gate_kind(last_block(gate)), last_block(gate)->place.line);
	else if (parser->token == TOKEN_END)
		complain(parser, start, "this %s is not closed: write } at its end", gate_kind(gate));
	else
		complain(parser, start, "this %s is not closed: write } before the %s in line %u",
			 gate_kind(gate), parser->text, parser->place.line);
}

static void read_block(struct parser *parser, struct gate_settings *gate, enum gate_mode kind)
{
	struct position start = parser->place;
	struct gate_settings *block;

	next(parser);
	if (parser->token != TOKEN_TEXT) {
		unexpected_title(parser, kind == GATE_ROUTE ? "a name is wanted: route NAME { ... }" :
							      "a name is wanted: pass NAME { ... }");
		return;
	}
	block = settings_add_block(gate, kind, parser->text, parser->place);
	next(parser);
	if (!take(parser, '{')) {
		unexpected_title(parser, kind == GATE_ROUTE ?
				 "{ is wanted: route NAME { ... }, one for each name" :
				 "{ is wanted: pass NAME { ... }, one for each name");
		return;
	}
	while (parser->token != '}' && parser->token != TOKEN_END && !at_gate(parser) &&
	       !at_block(parser))
		read_setting(parser, block);
	end_gate(parser, block, start);
}

/* The inside of a gate.  False: it has more blocks than it may, and the rest is not read. */
static bool read_body(struct parser *parser, struct gate_settings *gate)
{
	while (parser->token != '}' && parser->token != TOKEN_END && !at_gate(parser) &&
	       gate->block_count <= SETTINGS_MAX_BLOCKS) {
		if (at_block(parser))
			read_block(parser, gate, at_block(parser));
		else
			read_setting(parser, gate);
	}
	return gate->block_count <= SETTINGS_MAX_BLOCKS;
}

static void read_gate(struct parser *parser)
{
	struct position start = parser->place;
	struct gate_settings *gate;
	bool bad;

	next(parser);
	parser->lost = false;
	bad = parser->token == TOKEN_BAD;	/* a quote that was not closed took the { along */
	gate = read_title(parser);
	if (!gate)
		return;
	if (!take(parser, '{') && !bad) {
		unexpected_title(parser, "{ is wanted: gate NAME { ... }");
		return;
	}
	if (!read_body(parser, gate))
		return;
	end_gate(parser, gate, start);
	/* what is missing may be what was passed over */
	if (!parser->lost)
		(void)gate_settings_check(gate);
}

static bool has_many_blocks(const struct settings *settings)
{
	size_t i;

	for (i = 0; i < settings->gate_count; i++)
		if (settings->gates[i].block_count > SETTINGS_MAX_BLOCKS)
			return true;
	return false;
}

static size_t count_listens(const struct settings *settings)
{
	size_t i, count = 0;

	for (i = 0; i < settings->gate_count; i++)
		count += settings->gates[i].listen.count;
	return count;
}

/* Of errors, or of what a configuration has a bound for: the rest is not read. */
static bool is_enough(struct parser *parser)
{
	if (parser->settings->refusals > SETTINGS_MAX_REFUSALS)
		return true;
	if (parser->settings->gate_count > SETTINGS_MAX_GATES)
		complain(parser, parser->place, "there are more than %d gates", SETTINGS_MAX_GATES);
	else if (has_many_blocks(parser->settings))
		complain(parser, parser->place, "the gate has more than %d routes and passes: divide it into several gates",
			 SETTINGS_MAX_BLOCKS);
	else if (count_listens(parser->settings) > SETTINGS_MAX_LISTENS)
		complain(parser, parser->place, "the gates listen on more than %d addresses: use :PORT for all addresses",
			 SETTINGS_MAX_LISTENS);
	else
		return false;
	return true;
}

static void read_file(struct parser *parser)
{
	bool enough = false;

	if (at(parser, BYTE_ORDER_MARK))
		parser->p += strlen(BYTE_ORDER_MARK);
	next(parser);
	while (!enough && parser->token != TOKEN_END) {
		if (at_gate(parser))
			read_gate(parser);
		else
			read_setting(parser, NULL);
		enough = is_enough(parser);
	}
	if (!enough && !parser->settings->gate_count && !parser->settings->refusals)
		complain(parser, parser->place, "there is no gate: write gate NAME { ... }");
}

enum config_result config_read(const char *path, struct settings **out)
{
	struct parser parser = { .here = { 1, 1 } };
	size_t len;
	char *text;

	*out = NULL;
	text = file_read(path, MAX_FILE, &len);
	if (!text) {
		log_error("configuration %s cannot be read: %s; -c FILE names another", path,
			  file_strerror(errno));
		return CONFIG_UNREADABLE;
	}
	parser.settings = settings_new(path);
	parser.p = text;
	if (strlen(text) == len)
		read_file(&parser);
	else
		complain(&parser, parser.here, "there is a NUL byte in it: write plain text");
	free(text);
	/* what is missing may be what was passed over */
	if (parser.settings->refusals || settings_check(parser.settings)) {
		settings_free(parser.settings);
		return CONFIG_BAD;
	}
	*out = parser.settings;
	return CONFIG_OK;
}
