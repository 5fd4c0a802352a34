/* SPDX-License-Identifier: MIT */
/*
 * For UNIX sockets whose other end is a stranger's.  A message can bring any descriptor that
 * the sender likes, also one of a socket whose close() waits for hours (SO_LINGER).  Nobody
 * asked for it, but ours may be the last one.  Then recv(), which drops it, waits; or the
 * close() of the UNIX socket does, if the message was not read.  A signal ends such a wait,
 * after 10 ms for all of a message.  Uses SIGALRM and its timer; for one thread.
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
/*
 * For calls of a library: from begin to end any wait ends so, also one in poll() and the like, with
 * EINTR.
 */
void hurry_begin(void);
void hurry_end(void);

#endif
