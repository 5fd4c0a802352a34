// SPDX-License-Identifier: MIT
#include "zcrx.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring.h"

/* Newer than the headers that this is built with: linux/io_uring.h, linux/io_uring/zcrx.h. */
#define SETUP_CQE32		(1U << 11)
#define SETUP_SINGLE_ISSUER	(1U << 12)
#define SETUP_DEFER_TASKRUN	(1U << 13)
#define REGISTER_ZCRX_IFQ	32
#define REGION_IS_USERS		1
#define REG_NODEV		2
#define OP_RECV_ZC		58
#define RECV_MULTISHOT		(1U << 1)

#define ENTRIES		64
#define PAGE		4096
#define AREA		(64 * PAGE)

struct region_desc {
	uint64_t user_addr, size;
	uint32_t flags, id;
	uint64_t mmap_offset, resv[4];
};

struct area_reg {
	uint64_t addr, len, token;
	uint32_t flags, dmabuf_fd;
	uint64_t resv[2];
};

struct ifq_reg {
	uint32_t if_idx, if_rxq, rq_entries, flags;
	uint64_t area_ptr, region_ptr;
	uint32_t head, tail, rqes, resv2;
	uint64_t resv[2];
	uint32_t zcrx_id, rx_buf_len;
	uint64_t event_desc, resv3[2];
};

static struct ring ring;
static uint32_t ifq;

static void *pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

bool zcrx_open(void)
{
	struct area_reg area = { .addr = (unsigned long)pages(AREA), .len = AREA };
	struct region_desc region = {
		.user_addr = (unsigned long)pages(PAGE), .size = PAGE, .flags = REGION_IS_USERS,
	};
	struct ifq_reg reg = {
		.rq_entries = ENTRIES, .flags = REG_NODEV, .area_ptr = (unsigned long)&area,
		.region_ptr = (unsigned long)&region,
	};

	if (!ring_setup(&ring, SETUP_CQE32 | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN))
		return false;
	if (syscall(SYS_io_uring_register, ring.fd, REGISTER_ZCRX_IFQ, &reg, 1))
		return false;
	ifq = reg.zcrx_id;
	return true;
}

int zcrx_recv(int fd)
{
	struct io_uring_sqe sqe = {
		.opcode = OP_RECV_ZC, .ioprio = RECV_MULTISHOT, .fd = fd, .splice_fd_in = ifq,
	};

	ring_submit(&ring, &sqe);
	return ring_wait(&ring);
}

void zcrx_close(void)
{
	close(ring.fd);
}
