// SPDX-License-Identifier: MIT
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net.h"

#define ENTRIES		16
#define SETUP_CQE32	(1U << 11)	/* newer than the headers that this is built with */

/* Completions of this ring are of two entries each, the first being as always. */
static bool ring_is_wide(const struct ring *r)
{
	return r->params.flags & SETUP_CQE32;
}

bool ring_open(struct ring *r)
{
	return ring_setup(r, 0);
}

bool ring_setup(struct ring *r, uint32_t flags)
{
	size_t size;

	memset(r, 0, sizeof(*r));
	r->params.flags = flags;
	r->fd = syscall(SYS_io_uring_setup, ENTRIES, &r->params);
	if (r->fd < 0)
		return false;
	r->sq = mmap(NULL, r->params.sq_off.array + ENTRIES * 4, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	size = (2 * ENTRIES * sizeof(struct io_uring_cqe)) << ring_is_wide(r);
	r->cq = mmap(NULL, r->params.cq_off.cqes + size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, ENTRIES * sizeof(*r->sqes), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	return r->sq != MAP_FAILED && r->cq != MAP_FAILED && r->sqes != MAP_FAILED;
}

int ring_files(struct ring *r, unsigned int n)
{
	struct io_uring_rsrc_register files = { .nr = n, .flags = IORING_RSRC_REGISTER_SPARSE };

	return syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES2, &files,
		       sizeof(files)) ? -errno : 0;
}

void ring_submit(struct ring *r, const struct io_uring_sqe *sqe)
{
	_Atomic uint32_t *tail = (void *)(r->sq + r->params.sq_off.tail);
	uint32_t at = *tail % ENTRIES;

	r->sqes[at] = *sqe;
	((uint32_t *)(r->sq + r->params.sq_off.array))[at] = at;
	atomic_store(tail, *tail + 1);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0) != 1)
		abort();
}

int ring_wait(struct ring *r)
{
	_Atomic uint32_t *head = (void *)(r->cq + r->params.cq_off.head);
	_Atomic uint32_t *tail = (void *)(r->cq + r->params.cq_off.tail);
	struct io_uring_cqe *cqes = (void *)(r->cq + r->params.cq_off.cqes);
	uint32_t mask = *(uint32_t *)(r->cq + r->params.cq_off.ring_mask);
	uint64_t end = net_now() + NET_DEADLINE;
	const struct io_uring_cqe *cqe;
	int res;

	while (atomic_load(tail) == *head) {
		if (net_now() > end)
			return -ETIME;
		net_poll(r->fd, POLLIN, 100);
		/* Some rings do what is left to do in their owner's calls only. */
		syscall(SYS_io_uring_enter, r->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	}
	cqe = &cqes[(*head & mask) << ring_is_wide(r)];
	res = cqe->res;
	r->more = cqe->flags & IORING_CQE_F_MORE;
	atomic_store(head, *head + 1);
	return res;
}

int ring_run_direct(struct ring *r, int op, int slot, void *data, size_t len)
{
	struct io_uring_sqe sqe = {
		.opcode = op, .flags = IOSQE_FIXED_FILE, .fd = slot, .addr = (unsigned long)data,
		.len = len,
	};

	ring_submit(r, &sqe);
	return ring_wait(r);
}

int ring_run(struct ring *r, int op, int fd, void *data, size_t len, int flags)
{
	struct io_uring_sqe sqe = {
		.opcode = op, .fd = fd, .addr = (unsigned long)data, .len = len, .msg_flags = flags,
	};

	ring_submit(r, &sqe);
	return ring_wait(r);
}

int ring_command(struct ring *r, int fd, uint32_t command)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_URING_CMD, .fd = fd, .cmd_op = command };

	ring_submit(r, &sqe);
	return ring_wait(r);
}
