/* SPDX-License-Identifier: MIT */
/* A file opened read-only whose pages go into sockets as they are. */
#ifndef TLSGATE_SELFTESTS_ROFILE_H
#define TLSGATE_SELFTESTS_ROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

struct rofile {
	int fd;
	size_t len;
	const uint8_t *page;	/* its page cache, mapped */
	uint8_t *copy;		/* what it was made with */
};

enum rofile_way {
	ROFILE_SENDFILE,
	ROFILE_SPLICE,
	ROFILE_VMSPLICE,	/* of the mapping */
	ROFILE_URING,		/* splice by the ring */
	ROFILE_SEND_ZC,		/* of the mapping, by the ring */
	ROFILE_WAYS,
};

bool rofile_make(struct rofile *f, const void *data, size_t len);
void rofile_free(struct rofile *f);
/* Bytes at off to fd, at most piece at once; 0, or -1 and errno: ENOTSUP for a way not there. */
int rofile_send(const struct rofile *f, enum rofile_way way, struct ring *ring, int fd, size_t off,
		size_t len, size_t piece);
/* True if each of its bytes, mapped and read, is what it was made with. */
bool rofile_same(const struct rofile *f);

#endif
