// SPDX-License-Identifier: MIT
#include "common/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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
