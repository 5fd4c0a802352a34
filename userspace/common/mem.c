// SPDX-License-Identifier: MIT
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *checked(void *memory)
{
	if (memory)
		return memory;
	fputs("out of memory\n", stderr);
	exit(1);
}

void *xcalloc(size_t count, size_t size)
{
	return checked(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *old, size_t count, size_t size)
{
	return checked(reallocarray(old, count ? count : 1, size ? size : 1));
}

char *xstrdup(const char *text)
{
	return checked(strdup(text));
}

char *xprintf(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int ret;

	va_start(args, format);
	ret = vasprintf(&text, format, args);
	va_end(args);
	return checked(ret < 0 ? NULL : text);
}

static int read_all(int fd, char *data, size_t size)
{
	size_t done = 0;
	ssize_t n;

	while (done < size) {
		n = read(fd, data + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = EIO;	/* shrank while we read it */
			return -1;
		}
		done += (size_t)n;
	}
	return 0;
}

char *file_read(const char *path, size_t max, size_t *len)
{
	char *data = NULL;
	struct stat st;
	int error = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st))
		error = errno;
	else if (!S_ISREG(st.st_mode))
		error = S_ISDIR(st.st_mode) ? EISDIR : ESPIPE;
	else if ((size_t)st.st_size > max)
		error = EFBIG;
	if (error)
		goto out;

	*len = (size_t)st.st_size;
	data = malloc(*len + 1);
	if (!data) {
		error = ENOMEM;
		goto out;
	}
	data[*len] = '\0';
	if (read_all(fd, data, *len)) {
		error = errno;
		file_wipe(data, *len);
		data = NULL;
	}
out:
	close(fd);
	errno = error;
	return data;
}

const char *file_strerror(int error)
{
	switch (error) {
	case ENOENT:
		return "No such file or directory: correct the path, or create the file";
	case EACCES:
		return "Permission denied: let the user who starts this program read it, and pass the folders above";
	case EISDIR:
		return "it is a directory: give a file";
	case ESPIPE:
		return "it is no regular file: write its content to one";
	case EFBIG:
		return "it is too long for a file of its kind: see that it is the right one";
	case ENOTDIR:
		return "Not a directory: correct the path, of which a part is a file";
	case ELOOP:
		return "Too many levels of symbolic links: correct the links";
	case ENAMETOOLONG:
		return "File name too long: give a shorter path";
	case EIO:
		return "Input/output error: see that the file is whole, and that its disk is sound";
	case EMFILE:
	case ENFILE:
		return "Too many open files: raise the limit of open files";
	default:
		return strerror(error);
	}
}

void file_wipe(char *data, size_t len)
{
	if (!data)
		return;
	explicit_bzero(data, len);
	free(data);
}
