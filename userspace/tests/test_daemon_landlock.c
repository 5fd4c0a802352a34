// SPDX-License-Identifier: MIT
/* daemon/landlock: what a process can still do with files, ports and other processes. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/landlock.h"
#include "tests/tap.h"

static uint16_t allowed;		/* port, where somebody listens */

/* Each gives 0 or errno. */
static int open_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

static int write_file(void)
{
	return open("/dev/null", O_WRONLY) < 0 ? errno : 0;
}

static int open_folder(void)
{
	return open("/", O_RDONLY | O_DIRECTORY) < 0 ? errno : 0;
}

static int make_folder(void)
{
	return mkdir("/tmp/tlsgate-test-landlock", 0700) ? errno : 0;
}

static int execute(void)
{
	return execl("/bin/true", "true", NULL) ? errno : 0;
}

static int read_null(void)
{
	char c;

	return read(STDIN_FILENO, &c, 1) ? errno : 0;
}

static int bind_port(void)
{
	const struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return bind(fd, (const struct sockaddr *)&any, sizeof(any)) ? errno : 0;
}

static int connect_to(uint16_t port)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) ? errno : 0;
}

static int connect_allowed(void)
{
	return connect_to(allowed);
}

static int connect_other(void)
{
	return connect_to((uint16_t)(allowed + 1));
}

static int signal_parent(void)
{
	return kill(getppid(), 0) ? errno : 0;
}

static const struct row {
	const char *what;
	int (*try)(void);
	long since;			/* version of Landlock */
	int error;
	int reader_error;		/* of a process that may read */
} rows[] = {
	{ "a file cannot be opened", open_file, 1, EACCES, 0 },
	{ "nor a folder", open_folder, 1, EACCES, 0 },
	{ "nor be written", write_file, 1, EACCES, EACCES },
	{ "nor a folder be made", make_folder, 1, EACCES, EACCES },
	{ "nor a program be executed", execute, 1, EACCES, EACCES },
	{ "what is open can be read", read_null, 1, 0, 0 },
	{ "no TCP port can be bound", bind_port, 4, EACCES, EACCES },
	{ "nor be connected to", connect_other, 4, EACCES, ECONNREFUSED },
	{ "but one that is allowed", connect_allowed, 4, 0, 0 },
	{ "the parent cannot be signalled", signal_parent, 6, EPERM, EPERM },
};

static void listen_somewhere(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 8) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		tap_bail("a listening socket");
	allowed = ntohs(addr.sin_port);
}

/* 0, or why a child that may not or may connect to abstract UNIX sockets cannot. */
static int connect_abstract(bool may)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);
	int status, fd;
	pid_t pid;

	/* by a name that the kernel chooses */
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr.sun_family)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		tap_bail("an abstract socket");
	pid = fork();
	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    (may ? landlock_enter_abstract(&allowed, 1) : landlock_enter(&allowed, 1)))
			_exit(255);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		_exit(connect(fd, (struct sockaddr *)&addr, len) ? errno : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		tap_bail("a child");
	close(listener);
	return WEXITSTATUS(status);
}

static int enter(bool reads)
{
	return reads ? landlock_enter_reading() : landlock_enter(&allowed, 1);
}

static int in_child(const struct row *row, bool reads)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || enter(reads))
			_exit(255);
		_exit(row->try());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		tap_bail("a child");
	return WEXITSTATUS(status);
}

int main(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
	const struct row *row;
	int null = open("/dev/null", O_RDONLY);

	if (dup2(null, STDIN_FILENO))
		tap_bail("/dev/null");
	close(null);
	listen_somewhere();
	for (row = rows; row < rows + sizeof(rows) / sizeof(rows[0]); row++) {
		if (version < row->since) {
			tap_skip("the kernel's Landlock is older", "%s", row->what);
			continue;
		}
		tap_equal(in_child(row, false), row->error, "%s", row->what);
		tap_equal(in_child(row, true), row->reader_error, "who reads: %s: %s", row->what,
			  row->reader_error == row->error ? "as well" : "it can");
	}
	tap_equal(connect_abstract(true), 0, "abstract UNIX sockets, where a gate has one");
	if (version >= 6)
		tap_equal(connect_abstract(false), EPERM, "and not without");
	return tap_done();
}
