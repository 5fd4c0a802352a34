/* SPDX-License-Identifier: MIT */
/*
 * UNIX sockets that gates listen on: unix:/path, perhaps with ,mode=OCTAL ,user=NAME and
 * ,group=NAME behind it, or unix:@name.
 */
#ifndef TLSGATE_DAEMON_UNIX_LISTEN_H
#define TLSGATE_DAEMON_UNIX_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/addr.h"

#define UNIX_LISTEN_MODE	0660	/* by default */

/* The file of a socket, which another one may have replaced. */
struct unix_file {
	dev_t dev;
	ino_t ino;			/* 0: there is none */
};

bool unix_listen_is(const struct addr *addr);
/* Is what stands behind the address well formed?  0, or -1 and *why is a static sentence. */
int unix_listen_check(const char *text, const char **why);
/*
 * Binds to addr with the rights that text has; a file that a daemon left behind goes.  0 or
 * -errno: -EADDRINUSE: somebody listens there; -EEXIST: a file that is no socket is there;
 * -ESRCH: there is no such user or group; -EPERM: the file cannot be given to it.
 */
int unix_listen_bind(int fd, const struct addr *addr, const char *text);
/*
 * Which of these errors would it find, as far as that is seen without binding?  Also -ENOENT and -ENOTDIR: there is no
 * such folder.
 */
int unix_listen_try(const struct addr *addr, const char *text);
/* Which file addr is now. */
struct unix_file unix_listen_file(const struct addr *addr);
/* Removes it, if it is still that one. */
void unix_listen_remove(const struct addr *addr, const struct unix_file *file);

#endif
