/* SPDX-License-Identifier: MIT */
/* How a child process gives up what it does not need; its files: landlock.h, its system calls: filter.h. */
#ifndef TLSGATE_DAEMON_SANDBOX_H
#define TLSGATE_DAEMON_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "daemon/settings.h"

/* Who the children run as. */
struct identity {
	bool change;			/* false: not started as root, stay who we are */
	uid_t uid;
	gid_t gid;
};

/*
 * The identity for a user's name or number; NULL is nobody.  settings and setting are where
 * it comes from, for messages.  Only looks up when started as root, and refuses
 * root.  0, or -1 and a line was logged.
 */
int sandbox_identity(const struct settings *settings, const char *setting, const char *user,
		     struct identity *out);

/* Names the process, lets it die quietly with its sockets: call first in a child. */
void sandbox_child(const char *name);

/* Closes every descriptor above stderr but the ones listed; sorts the list. */
int sandbox_keep_fds(int *keep, size_t count);

/* No core dump and no ptrace from now on: before a secret is read. */
int sandbox_hide_memory(void);

/* Identity, capabilities, files (landlock.h), irrevocably.  0, or -1 and a line was logged. */
int sandbox_drop(const struct identity *who);

#endif
