// SPDX-License-Identifier: MIT
#include "task.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

bool task_become(uid_t uid)
{
	return !setgroups(0, NULL) && !setresgid(uid, uid, uid) && !setresuid(uid, uid, uid);
}

struct place {
	pid_t tid;
	long nr;
};

/* /proc says "running", or the call's number first. */
static bool sleeps_there(void *arg)
{
	const struct place *place = arg;
	char path[64], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", place->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		*text = 0;
	close(fd);
	return *text >= '0' && *text <= '9' && atol(text) == place->nr;
}

bool task_sleeps_in(pid_t tid, long nr)
{
	return net_until(sleeps_there, &(struct place){ tid, nr });
}

int task_wait(pid_t child, int ms)
{
	uint64_t end = net_now() + ms;
	int status;

	while (!waitpid(child, &status, WNOHANG)) {
		if (net_now() > end)
			return -1;
		poll(NULL, 0, 5);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool trap_new(struct trap *t)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	t->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	t->page = mmap(NULL, TRAP_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (unsigned long)t->page;
	reg.range.len = TRAP_SIZE;
	return t->uffd >= 0 && t->page != MAP_FAILED && !ioctl(t->uffd, UFFDIO_API, &api) &&
	       !ioctl(t->uffd, UFFDIO_REGISTER, &reg);
}

bool trap_holds(struct trap *t)
{
	return net_poll(t->uffd, POLLIN, NET_DEADLINE) & POLLIN;
}

void trap_answer(struct trap *t)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)t->page, .len = TRAP_SIZE },
	};

	/* Fails where the page is there already, and then nobody waits for it. */
	ioctl(t->uffd, UFFDIO_ZEROPAGE, &zero);
}

void trap_free(struct trap *t)
{
	trap_answer(t);
	close(t->uffd);
	munmap(t->page, TRAP_SIZE);
}
