/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that this process was started with (sd_listen_fds(3)), and those that the next one
 * is to be started with: listening sockets wait in systemd's descriptor store from one
 * process to the next, so that a restart refuses nobody.
 */
#ifndef TLSGATE_DAEMON_PASSED_H
#define TLSGATE_DAEMON_PASSED_H

#include "daemon/listener.h"

/* What a descriptor is, by its name.  By any other: a socket of a socket unit. */
#define PASSED_LISTENER	"tlsgate-listener"	/* one of ours, of before a restart */

/* Calls take() once for each, which owns fd then.  Once in the life of a process. */
void passed_read(void (*take)(void *arg, int fd, const char *name), void *arg);

/*
 * Makes systemd's store hold the sockets that are ours, and no other.  Does nothing where
 * systemd did not start the process, or keeps nothing for it (FileDescriptorStoreMax=).
 */
void passed_keep(const struct listeners *listeners);

#endif
