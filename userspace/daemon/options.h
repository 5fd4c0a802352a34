/* SPDX-License-Identifier: MIT */
/* The command line of tlsgated. */
#ifndef TLSGATE_DAEMON_OPTIONS_H
#define TLSGATE_DAEMON_OPTIONS_H

#include "daemon/settings.h"

struct options {
	const char *config_file;	/* NULL: settings come from the command line */
	struct settings *settings;	/* NULL with config_file; the caller's to free */
	bool verbose;			/* --verbose beside -c */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_DONE,			/* --help or --version was printed */
	OPTIONS_BAD,			/* one line was written to stderr */
};

enum options_result options_parse(int argc, char **argv, struct options *options);

#endif
