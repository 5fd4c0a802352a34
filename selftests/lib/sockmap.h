/* SPDX-License-Identifier: MIT */
/* A sockmap, whose programs read what its sockets receive and redirect it. */
#ifndef TLSGATE_SELFTESTS_SOCKMAP_H
#define TLSGATE_SELFTESTS_SOCKMAP_H

/* A map of one socket, or -1 and errno: this kernel has none. */
int sockmap_new(void);
/* Puts the socket into it; 0, or -1 and errno. */
int sockmap_add(int map, int fd);

#endif
