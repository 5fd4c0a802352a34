// SPDX-License-Identifier: MIT
#include "daemon/pause.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

struct pause {
	atomic_bool on;
	int fd;
};

/* Memory that is mapped for writing now, and by nobody again; NULL. */
static struct pause *map_once(int fd)
{
	void *memory;

	if (ftruncate(fd, sizeof(struct pause)))
		return NULL;
	memory = mmap(NULL, sizeof(struct pause), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return NULL;
	if (!fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW))
		return memory;
	(void)munmap(memory, sizeof(struct pause));
	return NULL;
}

struct pause *pause_new(void)
{
	int fd = memfd_create("tlsgated-pause", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct pause *pause = fd < 0 ? NULL : map_once(fd);

	if (pause)
		pause->fd = fd;
	else if (fd >= 0)
		close(fd);
	return pause;
}

void pause_free(struct pause *pause)
{
	if (!pause)
		return;
	close(pause->fd);
	(void)munmap(pause, sizeof(*pause));
}

int pause_seal(struct pause *pause)
{
	return mmap(pause, sizeof(*pause), PROT_READ, MAP_SHARED | MAP_FIXED, pause->fd, 0) == pause
	       ? 0 : -1;
}

void pause_set(struct pause *pause, bool on)
{
	atomic_store(&pause->on, on);
}

bool pause_is_on(const struct pause *pause)
{
	return atomic_load_explicit(&pause->on, memory_order_relaxed);
}
