/* SPDX-License-Identifier: MIT */
/*
 * The configuration file of tlsgated:
 *
 *	NAME = VALUE			a setting of the process
 *	gate TITLE {
 *		NAME = VALUE		a setting of the gate
 *		NAME = { VALUE, ... }	one that may be given several times
 *		route TITLE {		a block: settings for some of its clients
 *			NAME = VALUE
 *		}
 *		pass TITLE { ... }	another one
 *	}
 *
 * VALUE and TITLE are a word, or a text of one line in "..." (\" and \\ stand for " and \)
 * or '...'.  Comments are #, // and between slash-star and star-slash.
 */
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
 * NULL and a line was logged for each error, with file, line and column.
 */
enum config_result config_read(const char *path, struct settings **out);

#endif
