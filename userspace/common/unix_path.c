// SPDX-License-Identifier: MIT
#include "common/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIX_PATH_MAX	sizeof(((struct sockaddr_un *)0)->sun_path)

/* Does somebody listen there, or has so many waiting that it cannot be asked? */
static int is_answered(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret;

	if (fd < 0)
		return -errno;
	ret = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || errno == EAGAIN;
	close(fd);
	return ret;
}

int unix_path_clear(const struct sockaddr_un *addr)
{
	struct stat st;
	int ret;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	ret = is_answered(addr);
	if (ret)
		return ret < 0 ? ret : -EADDRINUSE;
	return unlink(addr->sun_path) ? -errno : 0;
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat st_a, st_b;

	return !stat(a, &st_a) && !stat(b, &st_b) && st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
}

/* Both absolute. */
bool unix_path_same(const char *a, const char *b)
{
	const char *name_a = strrchr(a, '/') + 1, *name_b = strrchr(b, '/') + 1;
	char folder_a[UNIX_PATH_MAX], folder_b[UNIX_PATH_MAX];

	if (!strcmp(a, b) || is_same_file(a, b))
		return true;
	snprintf(folder_a, sizeof(folder_a), "%.*s", (int)(name_a - a), a);
	snprintf(folder_b, sizeof(folder_b), "%.*s", (int)(name_b - b), b);
	return !strcmp(name_a, name_b) && is_same_file(folder_a, folder_b);
}

int unix_path_open(const char *path, struct stat *st)
{
	int ret = 0, node = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (node < 0)
		return -errno;
	if (fstat(node, st))
		ret = -errno;
	else if (!S_ISSOCK(st->st_mode))
		ret = -EEXIST;
	if (!ret)
		return node;
	close(node);
	return ret;
}

int unix_path_set_rights(int node, uid_t user, gid_t group, mode_t mode)
{
	char name[32];

	if ((user != (uid_t)-1 || group != (gid_t)-1) && fchownat(node, "", user, group, AT_EMPTY_PATH))
		return -errno;
	/* fchmod() takes no O_PATH, and fchmodat2() came with Linux 6.6 */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", node);
	if (!chmod(name, mode))
		return 0;
	return errno == ENOENT ? -EOPNOTSUPP : -errno;		/* no /proc */
}
