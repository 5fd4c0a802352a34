/* SPDX-License-Identifier: MIT */
#ifndef TLSGATE_COMMON_UNIX_PATH_H
#define TLSGATE_COMMON_UNIX_PATH_H

#include <sys/un.h>

/*
 * Makes way for a UNIX stream socket at this path: one that a daemon left behind, by kill -9 say,
 * goes.  0 or -errno: -EADDRINUSE: a socket that answers is there; -EEXIST: a file that is none.
 */
int unix_path_clear(const struct sockaddr_un *addr);

#endif
