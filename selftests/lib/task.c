// SPDX-License-Identifier: MIT
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

bool task_become_with(uid_t uid, gid_t gid, gid_t egid, size_t count, const gid_t *more)
{
	/* Dumpable again, so that its own /proc is open to it. */
	return !setgroups(count, more) && !setresgid(gid, egid, egid) && !setresuid(uid, uid, uid) &&
	       !prctl(PR_SET_DUMPABLE, 1);
}

bool task_become(uid_t uid)
{
	return task_become_with(uid, uid, uid, 0, NULL);
}

bool task_drop_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };

	return !syscall(SYS_capset, &header, none);
}

int task_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != strlen(text))
		err = -errno;
	close(fd);
	return err;
}

long task_read_number(const char *path, const char *beginning)
{
	FILE *file = fopen(path, "re");
	size_t len = strlen(beginning);
	char line[256];
	long n = -1;

	while (file && n < 0 && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, beginning, len))
			n = atol(line + len);
	}
	if (file)
		fclose(file);
	return n;
}

bool task_files(unsigned int soft, unsigned int hard)
{
	return !setrlimit(RLIMIT_NOFILE, &(struct rlimit){ soft, hard });
}

bool task_own_user_namespace(uid_t uid)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1", uid);
	return !unshare(CLONE_NEWUSER) && !task_write_file("/proc/self/setgroups", "deny") &&
	       !task_write_file("/proc/self/uid_map", map) &&
	       !task_write_file("/proc/self/gid_map", map);
}

void task_tell(int fd)
{
	if (write(fd, "", 1) != 1)
		_exit(1);
}

void task_await(int fd)
{
	char c;

	if (net_read(fd, &c, 1))
		_exit(1);
}

/* Of the call that the thread sleeps in; -1: it runs.  /proc says so, or the number first. */
static long sleeps_in(pid_t tid)
{
	char path[64], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof(text) - 1) < 0)
		*text = 0;
	close(fd);
	return *text >= '0' && *text <= '9' ? atol(text) : -1;
}

bool task_sleeps(pid_t tid)
{
	return sleeps_in(tid) >= 0;
}

struct place {
	pid_t tid;
	long nr;
};

static bool sleeps_there(void *arg)
{
	const struct place *place = arg;

	return sleeps_in(place->tid) == place->nr;
}

bool task_sleeps_in(pid_t tid, long nr)
{
	return net_until(sleeps_there, &(struct place){ tid, nr });
}

/* False: it has not ended within ms. */
static bool ended(pid_t child, int ms, int *status)
{
	uint64_t end = net_now() + ms;

	while (!waitpid(child, status, WNOHANG)) {
		if (net_now() > end)
			return false;
		poll(NULL, 0, 5);
	}
	return true;
}

int task_wait(pid_t child, int ms)
{
	int status;

	return ended(child, ms, &status) && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool task_takes_sol_socket(void)
{
	int major, minor;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%d.%d", &major, &minor) != 2)
		return false;
	return major < 6 || (major == 6 && minor < 7);
}

bool task_has_kasan(void)
{
	char line[400];
	bool found = false;
	FILE *f = fopen("/proc/kallsyms", "r");

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, " kasan_");
	if (f)
		fclose(f);
	return found;
}

bool task_kill(pid_t child)
{
	int status;

	if (child <= 0)
		return true;
	kill(child, SIGKILL);
	return ended(child, NET_DEADLINE, &status);
}

bool trap_new(struct trap *t)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	t->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	t->page = mmap(NULL, 2 * TRAP_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (unsigned long)t->page;
	reg.range.len = 2 * TRAP_SIZE;
	return t->uffd >= 0 && t->page != MAP_FAILED && !ioctl(t->uffd, UFFDIO_API, &api) &&
	       !ioctl(t->uffd, UFFDIO_REGISTER, &reg);
}

bool trap_holds(struct trap *t)
{
	return net_poll(t->uffd, POLLIN, NET_DEADLINE) & POLLIN;
}

bool trap_holds_many(struct trap *t, int n)
{
	struct uffd_msg msg;

	while (n > 0 && trap_holds(t))
		n -= read(t->uffd, &msg, sizeof(msg)) == sizeof(msg);
	return !n;
}

/* What was told of the last one. */
static void trap_forget(struct trap *t)
{
	struct uffd_msg msg;

	while (read(t->uffd, &msg, sizeof(msg)) == sizeof(msg))
		;
}

static void trap_zero(struct trap *t, size_t at)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)t->page + at, .len = TRAP_SIZE },
	};

	/* Fails where the page is there already, and then nobody waits for it. */
	ioctl(t->uffd, UFFDIO_ZEROPAGE, &zero);
}

bool trap_holds_second(struct trap *t)
{
	trap_forget(t);
	trap_zero(t, 0);
	return trap_holds(t);
}

void trap_answer_second(struct trap *t)
{
	trap_zero(t, TRAP_SIZE);
}

void trap_set(struct trap *t)
{
	trap_forget(t);
	madvise(t->page, TRAP_SIZE, MADV_DONTNEED);
}

void trap_answer(struct trap *t)
{
	trap_zero(t, 0);
}

void trap_answer_with(struct trap *t, const void *data, size_t len)
{
	uint8_t page[TRAP_SIZE] __attribute__((aligned(TRAP_SIZE))) = { };
	struct uffdio_copy copy = {
		.dst = (unsigned long)t->page, .src = (unsigned long)page, .len = TRAP_SIZE,
	};

	memcpy(page, data, len);
	ioctl(t->uffd, UFFDIO_COPY, &copy);
}

void trap_free(struct trap *t)
{
	trap_answer(t);
	trap_answer_second(t);
	close(t->uffd);
	munmap(t->page, 2 * TRAP_SIZE);
}
