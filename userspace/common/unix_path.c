// SPDX-License-Identifier: MIT
#include "common/unix_path.h"

#include <errno.h>
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
