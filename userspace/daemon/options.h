/* SPDX-License-Identifier: MIT */
/* The command line of tlsgated. */
#ifndef TLSGATE_DAEMON_OPTIONS_H
#define TLSGATE_DAEMON_OPTIONS_H

#include "daemon/settings.h"

#define OPTIONS_CONFIG_FILE	"/etc/tlsgate/tlsgated.conf"	/* the unit's, and -t's */

struct options {
	const char *config_file;	/* NULL: settings come from the command line */
	struct settings *settings;	/* NULL with config_file; the caller's to free */
	bool verbose;			/* --verbose beside -c */
	char **argv;			/* all of the command line */
	bool test;			/* only look at config_file */
};

/* An option that is no setting; a list of them ends with name NULL. */
struct other_option {
	const char *name;
	char letter;			/* "-c" is "--config"; 0: it has none */
	const char *argument;		/* as help writes it; NULL: none */
	int code;			/* for options.c */
	const char *help;
};
const struct other_option *options_others(void);

enum options_result {
	OPTIONS_RUN,
	OPTIONS_DONE,			/* help, a version or a completion was printed */
	OPTIONS_BAD,			/* what was wrong was written to stderr */
};

enum options_result options_parse(int argc, char **argv, struct options *options);

#endif
