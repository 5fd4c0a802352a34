/* SPDX-License-Identifier: MIT */
/* An io_uring over the bare system calls. */
#ifndef TLSGATE_SELFTESTS_RING_H
#define TLSGATE_SELFTESTS_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
	int fd;
	struct io_uring_params params;
	uint8_t *sq, *cq;
	struct io_uring_sqe *sqes;
	bool more;		/* the last completion is not the last of its operation */
};

/* False and errno: this kernel has none. */
bool ring_open(struct ring *r);
/* Room for @n direct descriptors; 0 or negative errno. */
int ring_files(struct ring *r, unsigned int n);
/* The same with IORING_SETUP_ flags. */
bool ring_setup(struct ring *r, uint32_t flags);
void ring_submit(struct ring *r, const struct io_uring_sqe *sqe);
/* The next completion's result; -ETIME if none comes. */
int ring_wait(struct ring *r);
/* One operation on a buffer, and its result. */
int ring_run(struct ring *r, int op, int fd, void *data, size_t len, int flags);
/* The same on a direct descriptor. */
int ring_run_direct(struct ring *r, int op, int slot, void *data, size_t len);
/* A socket's own command, enum io_uring_socket_op, and its result. */
int ring_command(struct ring *r, int fd, uint32_t command);

#endif
