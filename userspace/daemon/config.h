/* SPDX-License-Identifier: MIT */
/* The configuration file of tlsgated. */
#ifndef TLSGATE_DAEMON_CONFIG_H
#define TLSGATE_DAEMON_CONFIG_H

#include "daemon/settings.h"

enum config_result {
	CONFIG_OK,
	CONFIG_UNREADABLE,		/* the file cannot be read */
	CONFIG_BAD,			/* its content was refused */
};

/*
 * Reads the file into a new object and checks every gate.  Otherwise *out is
 * NULL and one line, with file and line number, was logged.
 */
enum config_result config_read(const char *path, struct settings **out);

#endif
