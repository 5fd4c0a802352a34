/* SPDX-License-Identifier: MIT */
/*
 * For UNIX sockets whose other end is a stranger's.  With a message comes whatever
 * descriptor the sender likes, also one of a socket whose close() waits for hours
 * (SO_LINGER).  Nobody has asked for it, but ours is the last one: so recv(), which
 * drops it, waits, or the close() of the UNIX socket where it was not read.  A
 * signal ends such a wait, after 10 ms for all of a message.  Takes SIGALRM and the timer of it; for one thread.
 */
#ifndef TLSGATE_COMMON_HURRY_H
#define TLSGATE_COMMON_HURRY_H

#include <stddef.h>
#include <sys/types.h>

/* Once before the others, in this process or before it was forked. */
void hurry_init(void);
/*
 * As recv() without flags, of a socket that does not block.  EBADMSG: a descriptor came
 * along, and was closed; whoever sends one may send more, so the connection is to end.
 */
ssize_t hurry_recv(int fd, void *buf, size_t len);
/* As close(). */
void hurry_close(int fd);

#endif
