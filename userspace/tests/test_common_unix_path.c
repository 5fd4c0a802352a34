// SPDX-License-Identifier: MIT
/* common/unix_path: files of sockets, which others may exchange. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/unix_path.h"
#include "tests/tap.h"

static void make_file(const char *path)
{
	const int fd = creat(path, 0600);

	tap_ok(fd >= 0, "a file");
	close(fd);
}

static void bind_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	tap_ok(fd >= 0 && !bind(fd, (struct sockaddr *)&addr, sizeof(addr)), "a socket");
	close(fd);
}

static int close_node(int node)
{
	if (node >= 0)
		close(node);
	return node;
}

/* Whoever may write the folder may put a link in the socket's place. */
static void test_rights(void)
{
	struct stat st;
	int node;

	bind_socket("socket");
	tap_ok(!symlink("socket", "link") && !symlink("/etc/passwd", "other"), "links");
	node = unix_path_open("socket", &st);
	tap_ok(node >= 0 && S_ISSOCK(st.st_mode), "a socket's file");
	tap_equal(close_node(unix_path_open("link", &st)), -EEXIST, "a link to a socket");
	make_file("file");
	tap_ok(!rename("file", "socket"), "another file comes in its place");
	tap_equal(unix_path_set_rights(node, (uid_t)-1, (gid_t)-1, 0602), 0, "its rights");
	tap_ok(!fstat(node, &st) && (st.st_mode & 07777) == 0602, "are the socket's");
	tap_ok(!stat("socket", &st) && (st.st_mode & 07777) != 0602, "not the other file's");
	close(node);
	tap_equal(close_node(unix_path_open("socket", &st)), -EEXIST, "a file that is no socket");
	tap_equal(close_node(unix_path_open("other", &st)), -EEXIST, "a link to a file");
	tap_equal(close_node(unix_path_open("missing", &st)), -ENOENT, "nothing");
}

static void test_same(const char *folder)
{
	static const struct {
		const char *a, *b;	/* in the folder */
		bool same;
	} rows[] = {
		{ "/socket", "/socket", true }, { "/socket", "//socket", true },
		{ "/socket", "/./socket", true }, { "/socket", "/here/socket", true },
		{ "/socket", "/here/../socket", false }, { "/new", "/here/new", true },
		{ "/missing/new", "/missing//new", false }, { "/socket", "/link", true },
		{ "/socket", "/other", false }, { "/socket", "/sockets", false },
	};
	char a[128], b[128];
	size_t i;

	tap_ok(!symlink(".", "here"), "a folder has two names");
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(a, sizeof(a), "%s%s", folder, rows[i].a);
		snprintf(b, sizeof(b), "%s%s", folder, rows[i].b);
		tap_equal(unix_path_same(a, b), rows[i].same, "%s and %s", rows[i].a, rows[i].b);
	}
}

int main(void)
{
	char folder[] = "/tmp/tlsgate-unix-path.XXXXXX";

	tap_ok(mkdtemp(folder) && !chdir(folder), "a folder");
	test_rights();
	test_same(folder);
	tap_ok(!unlink("socket") && !unlink("link") && !unlink("other") && !unlink("here") && !rmdir(folder), "all is removed");
	return tap_done();
}
