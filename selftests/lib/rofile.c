// SPDX-License-Identifier: MIT
#include "rofile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ring.h"

#define SEND_ZC_LEAST	8000

bool rofile_make(struct rofile *f, const void *data, size_t len)
{
	char path[] = "/tmp/rofile.XXXXXX";
	int fd = mkstemp(path);

	*f = (struct rofile){ .fd = open(path, O_RDONLY), .len = len, .copy = malloc(len) };
	unlink(path);
	if (fd < 0 || f->fd < 0 || !f->copy ||
	    write(fd, data, len) != (ssize_t)len || close(fd))
		return false;
	memcpy(f->copy, data, len);
	f->page = mmap(NULL, len, PROT_READ, MAP_SHARED, f->fd, 0);
	return f->page != MAP_FAILED && rofile_same(f);
}

void rofile_free(struct rofile *f)
{
	if (f->page && f->page != MAP_FAILED)
		munmap((void *)f->page, f->len);
	if (f->copy)
		close(f->fd);
	free(f->copy);
	memset(f, 0, sizeof(*f));
}

bool rofile_same(const struct rofile *f)
{
	uint8_t *now = malloc(f->len);
	bool same = now && pread(f->fd, now, f->len, 0) == (ssize_t)f->len &&
		    !memcmp(now, f->copy, f->len) && !memcmp(f->page, f->copy, f->len);

	free(now);
	return same;
}

static ssize_t ring_splice(struct ring *ring, int in, int64_t off, int out, size_t len)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SPLICE, .fd = out, .off = -1, .len = len,
		.splice_fd_in = in, .splice_off_in = off,
	};
	int n;

	ring_submit(ring, &sqe);
	n = ring_wait(ring);
	errno = n < 0 ? -n : 0;
	return n < 0 ? -1 : n;
}

/* One completion for the bytes, another when the pages are let go. */
static ssize_t ring_send_zc(struct ring *ring, int fd, const uint8_t *data, size_t len)
{
	int n = ring_run(ring, IORING_OP_SEND_ZC, fd, (void *)data, len, 0);

	while (ring->more)
		ring_wait(ring);
	errno = n == -EINVAL || n == -EOPNOTSUPP ? ENOTSUP : -n;
	return n < 0 ? -1 : n;
}

/* What a pipe was filled with goes on to fd. */
static ssize_t through_pipe(const struct rofile *f, enum rofile_way way, struct ring *ring, int fd,
			    size_t off, size_t len)
{
	struct iovec v = { (void *)(f->page + off), len };
	ssize_t in = -1, out = 0, n = 1;
	loff_t at = off;
	int pipefd[2];

	if (pipe(pipefd))
		return -1;
	if (way == ROFILE_SPLICE)
		in = splice(f->fd, &at, pipefd[1], NULL, len, 0);
	else if (way == ROFILE_VMSPLICE)
		in = vmsplice(pipefd[1], &v, 1, 0);
	else
		in = ring_splice(ring, f->fd, at, pipefd[1], len);
	for (; out < in && n > 0; out += n)
		n = way == ROFILE_URING ? ring_splice(ring, pipefd[0], -1, fd, in - out)
					: splice(pipefd[0], NULL, fd, NULL, in - out, 0);
	close(pipefd[0]);
	close(pipefd[1]);
	return in > 0 && n > 0 ? in : -1;
}

static ssize_t send_piece(const struct rofile *f, enum rofile_way way, struct ring *ring, int fd,
			  size_t off, size_t len)
{
	off_t at = off;

	if (way == ROFILE_SENDFILE)
		return sendfile(fd, f->fd, &at, len);
	if (way == ROFILE_SEND_ZC)
		return ring_send_zc(ring, fd, f->page + off, len);
	return through_pipe(f, way, ring, fd, off, len);
}

int rofile_send(const struct rofile *f, enum rofile_way way, struct ring *ring, int fd, size_t off,
		size_t len, size_t piece)
{
	ssize_t n;

	if (way >= ROFILE_URING && !ring) {
		errno = ENOTSUP;
		return -1;
	}
	/* Each waits until its pages are let go, for which a short one's ACK is late. */
	if (way == ROFILE_SEND_ZC && piece < SEND_ZC_LEAST)
		piece = SEND_ZC_LEAST;
	for (; len; off += n, len -= n) {
		n = send_piece(f, way, ring, fd, off, len < piece ? len : piece);
		if (n <= 0)
			return -1;
	}
	return 0;
}
