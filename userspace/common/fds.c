// SPDX-License-Identifier: MIT
#include "common/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void fds_open_standard(void)
{
	int fd;

	/* open() gives the lowest number, which is the closed one */
	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
			_exit(1);
}
