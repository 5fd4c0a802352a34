/* SPDX-License-Identifier: MIT */
/* tlsgated -t: what a start or a reload would say of the configuration file. */
#ifndef TLSGATE_DAEMON_CHECK_H
#define TLSGATE_DAEMON_CHECK_H

#include "daemon/options.h"

/*
 * Reads options->config_file and all files that it names, asks for the names of
 * backends, which may take long, and tries a handshake with each certificate; binds nothing and writes nothing.  Everything wrong is
 * a line in the log.  The exit status of the program: 0 nothing, 1 it would be
 * refused, 2 warnings alone.
 */
int check_run(const struct options *options);

#endif
