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

struct unix_rights {
	mode_t mode;
	uid_t user;			/* -1: the process's */
	gid_t group;			/* likewise */
};

bool unix_listen_is(const struct addr *addr);
/* Is what stands behind the address well formed?  0, or -1 and *why is a static sentence. */
int unix_listen_check(const char *text, const char **why);
/* The rights that text, an address as the settings have it, asks for.  0, or -ESRCH: no such user or group. */
int unix_listen_rights(const char *text, struct unix_rights *out);
/*
 * Binds to addr with these rights; a file that a daemon left behind goes.  0 or -errno:
 * -EADDRINUSE: somebody listens there; -EEXIST: a file that is no socket is there; -EPERM: the
 * file cannot be given to the user or group.
 */
int unix_listen_bind(int fd, const struct addr *addr, const struct unix_rights *rights);
/*
 * Which of these errors would it find, as far as that is seen without binding?  Also -ENOENT and -ENOTDIR: there is no
 * such folder.
 */
int unix_listen_try(const struct addr *addr, const char *text);
bool unix_listen_same_rights(const struct unix_rights *a, const struct unix_rights *b);
/*
 * Changes the rights of a socket's file from before's.  What these had and the others leave to
 * the process is the process's then.  0 or -errno: -ESTALE: another file is there.
 */
int unix_listen_change(const struct addr *addr, const struct unix_file *file, const struct unix_rights *before,
		       const struct unix_rights *rights);
/* Which file addr is now. */
struct unix_file unix_listen_file(const struct addr *addr);
/* Removes it, if it is still that one. */
void unix_listen_remove(const struct addr *addr, const struct unix_file *file);

#endif
