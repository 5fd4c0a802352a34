/* SPDX-License-Identifier: MIT */
#ifndef TLSGATE_COMMON_UNIX_PATH_H
#define TLSGATE_COMMON_UNIX_PATH_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/un.h>

/*
 * Makes way for a UNIX stream socket at this path: one that a daemon left behind, by kill -9 say,
 * goes.  0 or -errno: -EADDRINUSE: a socket that answers is there; -EEXIST: a file that is none.
 */
int unix_path_clear(const struct sockaddr_un *addr);
/*
 * Do both lead to one file, by another spelling or a link?  Also to one that is not there yet,
 * unless by a link to it.
 */
bool unix_path_same(const char *a, const char *b);
/*
 * The socket's file itself (O_PATH), whatever comes to stand at path later, and what it is.
 * -errno: -EEXIST: it is no socket, but a link to one perhaps.
 */
int unix_path_open(const char *path, struct stat *st);
/*
 * Gives that file an owner, a group ((uid_t)-1, (gid_t)-1: it stays) and a mode.  0 or -errno:
 * -EOPNOTSUPP: there is no /proc.
 */
int unix_path_set_rights(int node, uid_t user, gid_t group, mode_t mode);

#endif
