// SPDX-License-Identifier: MIT
#include "daemon/shared.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static void *map(int fd, size_t size, int protection)
{
	void *memory = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* The seal lets the first mapping stay, and keeps mprotect() from the second. */
static int map_both(struct shared *shared, int fd)
{
	shared->ours = map(fd, shared->size, PROT_READ | PROT_WRITE);
	if (!shared->ours || madvise(shared->ours, shared->size, MADV_DONTFORK) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW))
		return -1;
	shared->theirs = map(fd, shared->size, PROT_READ);
	return shared->theirs ? 0 : -1;
}

int shared_new(struct shared *shared, size_t size)
{
	int fd = memfd_create("tlsgated-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret = -1;

	*shared = (struct shared){ .size = size };
	if (fd < 0)
		return -1;
	if (!ftruncate(fd, (off_t)size))
		ret = map_both(shared, fd);
	close(fd);
	if (ret)
		shared_free(shared);
	return ret;
}

void shared_free(struct shared *shared)
{
	if (shared->ours)
		(void)munmap(shared->ours, shared->size);
	if (shared->theirs)
		(void)munmap((void *)shared->theirs, shared->size);
	*shared = (struct shared){0};
}
