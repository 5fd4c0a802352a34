/* SPDX-License-Identifier: MIT */
/* tlsgate, the control tool: what its commands share. */
#ifndef TLSGATE_CTL_H
#define TLSGATE_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

#include "lib/libtlsgate.h"

/* Exit status. */
enum ctl_status {
	CTL_DONE,
	CTL_FAILED,		/* at run time */
	CTL_USAGE,		/* bad usage; main.c then shows the command's own */
	CTL_NOT_SERVING,	/* gates: it is shown, and a gate serves nobody */
};

/* An option of a command; a list of them ends with name NULL. */
struct ctl_option {
	const char *name;		/* "--json" */
	const char *argument;		/* as help writes it: "NAME", "FILE", "1.2|1.3", "[=SECONDS]"; NULL: none */
	const char *what;
	int code;			/* handshake.c's */
};

struct ctl_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *operand;		/* as help writes it; "": none */
	const char *what;
	bool asks_daemon;		/* on its control socket, which -S names */
	const struct ctl_option *options;
	const char *more;		/* for help, or NULL */
};

/* Ends with name NULL. */
extern const struct ctl_command ctl_commands[];
extern const struct ctl_option ctl_handshake_options[];
/* NULL: there is none. */
const struct ctl_command *ctl_find_command(const char *name);
const struct ctl_option *ctl_find_option(const struct ctl_command *command, const char *name);
/* Whether the next word is its value. */
bool ctl_takes_value(const struct ctl_option *option);
/* CTL_DONE, or CTL_FAILED. */
int ctl_print_help(FILE *out);
int ctl_print_command(const struct ctl_command *command);
void ctl_print_usage(FILE *out, const struct ctl_command *command);

/* The commands; argv[0] is the command's name.  Each returns enum ctl_status. */
int cmd_show(int argc, char **argv);
int cmd_monitor(int argc, char **argv);
int cmd_rekey(int argc, char **argv);
int cmd_close(int argc, char **argv);
int cmd_ciphers(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_handshake(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_upgrade(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_undrain(int argc, char **argv);
int cmd_gates(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_ticket_key(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_complete(int argc, char **argv);

/* The control socket of the tlsgated that reload, drain, gates and the like talk to (-S); NULL: the default. */
extern const char *ctl_control;

/* One line on stderr, "tlsgate: " in front. */
void ctl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The line for a call of the library that gave err: what was to be done, as by printf(), and the
 * library's sentence; for -EPERM with whom to be instead.
 */
void ctl_failed(const struct tlsgate *tg, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A handle, or NULL after an error line. */
struct tlsgate *ctl_open(void);

/*
 * Reads the arguments: "--json" is allowed where json is not NULL, and one that
 * is no option where operand is not NULL; *operand is NULL without one.  0, or
 * CTL_USAGE after an error line.
 */
int ctl_arguments(int argc, char **argv, bool *json, const char **operand);
/* Takes a command's own option out of the arguments; true if it was there. */
bool ctl_flag(int *argc, char **argv, const char *flag);
/* The same, where "--watch=5" is allowed beside "--watch": *value is "5", or NULL. */
bool ctl_flag_value(int *argc, char **argv, const char *flag, const char **value);
/* The same of an option with a value, "--gate NAME"; NULL: it was not there, or has none. */
const char *ctl_option(int *argc, char **argv, const char *option);
/*
 * What tlsgated says of its connections (docs/daemon.md), for json_object_put(): by -S, or by
 * the default socket if that is there.  NULL: none answers, which is an error line only where one
 * should.  json: its texts are as they are; else they can be printed.
 */
struct json_object *ctl_connections(bool json);
/* The same for gates, to be printed. */
struct json_object *ctl_gates(void);
/* A text of what a daemon answered; "" where there is none. */
const char *ctl_member(struct json_object *object, const char *key);
/* A session id; 0 after an error line. */
uint32_t ctl_id(const char *text);

/* ---- text.c ---- */

#define CTL_TEXT_MAX	64

/* "0 B", "999 B", "1.0 KiB", "64.0 MiB"; returns text. */
const char *ctl_size(uint64_t bytes, char text[CTL_TEXT_MAX]);
/* "250 ms", "12 s", "3m 04s", "2h 05m", "4d 03h"; returns text. */
const char *ctl_time(uint64_t ms, char text[CTL_TEXT_MAX]);
/* A session's label, harmless for a terminal; "-" without one. */
#define CTL_LABEL_MAX	(4 * TLSGATE_LABEL_MAX + 1)
const char *ctl_label(const struct tlsgate_session *session, char text[CTL_LABEL_MAX]);
/* IANA name, or "0x1301" if the engine does not know it. */
const char *ctl_suite(uint16_t suite, char text[CTL_TEXT_MAX]);

/*
 * A table for people: columns as wide as their longest cell.  Cells are
 * copied; numbers are columns whose heading starts with '>' (right-aligned).
 */
struct ctl_table;
struct ctl_table *ctl_table_new(const char * const headings[], size_t columns);
/* The next cell, row by row. */
void ctl_table_add(struct ctl_table *table, const char *cell);
size_t ctl_table_rows(const struct ctl_table *table);
/*
 * What may be left out where a terminal is narrow, first to last: headings, NULL at the end, that
 * outlive the table.  Then texts are cut.  Without a terminal everything is printed.
 */
void ctl_table_spare(struct ctl_table *table, const char * const headings[]);
void ctl_table_print(struct ctl_table *table);		/* on stdout */
/* The same of the first rows only. */
void ctl_table_print_rows(struct ctl_table *table, size_t rows);
void ctl_table_free(struct ctl_table *table);

/* ---- terminal.c: standard output ---- */

bool ctl_is_terminal(void);
/* Columns and lines; 0: it is no terminal, or does not say.  $COLUMNS counts where it is none. */
int ctl_terminal_width(void);
int ctl_terminal_height(void);
/* Of a terminal, unless $NO_COLOR says that it is to be without. */
bool ctl_has_colours(void);

/* ---- json.c ---- */

struct json_object *ctl_session_json(const struct tlsgate_session *session);
struct json_object *ctl_event_json(const struct tlsgate_event *event, int64_t now_ms);
struct json_object *ctl_cipher_json(uint16_t version, const char *name, const char *driver);
/* Prints on stdout and frees; CTL_FAILED if that could not be written. */
int ctl_json_print(struct json_object *object, int flags);
/* NULL is out of memory and ends the program with an error line. */
void *ctl_must(void *p);

#endif /* TLSGATE_CTL_H */
