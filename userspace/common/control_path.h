/* SPDX-License-Identifier: MIT */
/* Where tlsgated's control socket is when nobody says. */
#ifndef TLSGATE_COMMON_CONTROL_PATH_H
#define TLSGATE_COMMON_CONTROL_PATH_H

/* In $RUNTIME_DIRECTORY, which systemd sets for a unit, or in /run/tlsgate; freed by free(). */
char *control_default_path(void);

#endif
