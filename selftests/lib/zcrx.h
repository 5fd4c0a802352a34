/* SPDX-License-Identifier: MIT */
/* Zero-copy receive of io_uring, without a device (Linux 7.1): past the socket's calls. */
#ifndef TLSGATE_SELFTESTS_ZCRX_H
#define TLSGATE_SELFTESTS_ZCRX_H

#include <stdbool.h>

/* False and errno: this kernel has none, or not for this process. */
bool zcrx_open(void);
/* Receives once.  Bytes, or a negative errno: -ETIME if nothing comes. */
int zcrx_recv(int fd);
void zcrx_close(void);

#endif
