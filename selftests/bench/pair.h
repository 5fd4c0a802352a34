/* SPDX-License-Identifier: MIT */
/* Two connected sockets, and the keys they get.  All end the program on failure. */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include "ktls.h"
#include "libtlsgate.h"

extern const uint8_t pair_key[KTLS_KEY_LEN], pair_iv[KTLS_IV_LEN];

/* Over loopback, without Nagle's delay, with buffers of @room bytes. */
void pair_connect(int fds[2], int room);

struct tlsgate *pair_open(void);
/*
 * TLS 1.3 AES-128-GCM, the same key both ways: only for measuring.  @relay_fd is
 * joined with it, or -1.
 */
void pair_install(struct tlsgate *tg, int fd, enum tlsgate_role role, int relay_fd);

#endif
