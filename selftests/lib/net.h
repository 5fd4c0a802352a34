/* SPDX-License-Identifier: MIT */
/* Sockets, bounded waits and position-dependent test data. */
#ifndef TLSGATE_SELFTESTS_NET_H
#define TLSGATE_SELFTESTS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* No wait in these tests lasts longer: what has not come by then is a failure. */
#define NET_DEADLINE	10000	/* ms */
/* How long "nothing may happen" is watched. */
#define NET_QUIET	60	/* ms */
/* Descriptors in a message, at most. */
#define NET_FDS		4

/*
 * Two ends of a TCP connection over loopback, fd[0] connected, fd[1] accepted;
 * send and receive time-outs of NET_DEADLINE, Nagle off.  0, or -1 and errno.
 */
int net_tcp_pair(int family, int fd[2]);
/* The same over a listener that stays. */
int net_tcp_pair_at(int listener, int fd[2]);
/* As socketpair(AF_UNIX, SOCK_STREAM), with the same time-outs. */
int net_unix_pair(int fd[2]);
/* net_unix_pair() for AF_UNIX, else net_tcp_pair(). */
int net_pair(int family, int fd[2]);
/*
 * net_tcp_pair() over IPv4: fd[0] has the smallest SO_SNDBUF that there is, and fd[1] this
 * SO_RCVBUF from its first segment on.
 */
int net_narrow_pair(int receive, int fd[2]);
/* A TCP socket that listens on loopback, or -1. */
int net_listener(int family);
/* A TCP socket connected to the listener, or -1; NULL family from the listener. */
int net_connect_to(int listener);
/* TCP segments that came for this socket so far, and that it sent. */
uint32_t net_segments_in(int fd);
uint32_t net_segments_out(int fd);
void net_timeouts(int fd, int ms);
/* SO_SNDBUF and SO_RCVBUF, 0: as it was.  0 or -1. */
int net_buffers(int fd, int send, int receive);
/* A number from the environment: how much of something a test is to do. */
long net_amount(const char *name, long otherwise);
/* Moves the process into a network namespace of its own, with loopback up. */
bool net_namespace(void);
/* Moves it into the one that process pid is in. */
bool net_enter(pid_t pid);
/* The inode number of the one it is in, 0: /proc does not tell. */
uint32_t net_current(void);
/* As send(2) with MSG_NOSIGNAL, and descriptors beside the data: 1 to NET_FDS. */
ssize_t net_send_fds(int via, const void *data, size_t len, int flags, const int *fds, int n);
/* Beside one byte came exactly so many: 0, or -1.  They are closed on exec. */
int net_receive_fds(int via, int *fds, int n);
/* One: 0 or -1; the descriptor or -1. */
int net_send_fd(int via, int fd);
int net_receive_fd(int via);

/* The events of poll(2) that came within ms, 0: none. */
int net_poll(int fd, int events, int ms);
/* True if poll(2) gives none of the events for NET_QUIET. */
bool net_quiet(int fd, int events);
/* True once the function returns true, false after NET_DEADLINE. */
bool net_until(bool (*cond)(void *arg), void *arg);
uint64_t net_now(void);		/* ms, monotonic */

/* All of len or -1 with errno; a read that ends before gives -1 and ENODATA. */
int net_write(int fd, const void *data, size_t len);
int net_read(int fd, void *data, size_t len);
/*
 * Sends data, over and over and without waiting in send(), until the socket has had no room
 * for ms or has taken so much: bytes that it took.
 */
size_t net_fill(int fd, const void *data, size_t len, size_t most, int ms);
/* True if the whole of data went out in segments of at most seg bytes. */
bool net_write_segments(int fd, const uint8_t *data, size_t len, size_t seg);
/* Aborts the connection: RST, not FIN.  Closes fd. */
void net_reset(int fd);

/* A stream whose every byte depends on its place and on the seed. */
void pat_fill(uint8_t *buf, uint64_t offset, size_t len, uint64_t seed);
/* Length that agrees: len if all does. */
size_t pat_check(const uint8_t *buf, uint64_t offset, size_t len, uint64_t seed);

#endif
