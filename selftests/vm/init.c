// SPDX-License-Identifier: MIT
/*
 * PID 1 of a test guest. Loads the modules its initramfs brings, puts a writable overlay over the
 * build machine's root (virtiofs), makes that the root, runs one script with the second serial
 * port as its terminal, or what COMMAND_TTY of the kernel's command line names, and powers off. The
 * kernel's own console is the first serial port.
 *
 * What went wrong is for the host to notice: it believes only the token that the script writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define COMMAND_TTY	"/dev/ttyS1"
#define OUT_DIR		"/mnt/out"

static void __attribute__((noreturn)) power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) fail(const char *what, const char *on)
{
	printf("guest init: %s %s: %s\n", what, on, strerror(errno));
	fflush(stdout);
	power_off();
}

struct mount_row {
	const char *type;
	const char *source;
	const char *target;
	unsigned long flags;
	const char *options;
	int optional;
};

/* In the initramfs; /new becomes the root. */
static const struct mount_row before[] = {
	{ "virtiofs", "hostroot", "/host", MS_RDONLY, NULL, 0 },
	{ "tmpfs", "rw", "/rw", 0, "size=75%", 0 },
};

static const struct mount_row inside[] = {
	{ "proc", "proc", "/proc", 0, NULL, 0 },
	{ "sysfs", "sys", "/sys", 0, NULL, 0 },
	{ "devtmpfs", "dev", "/dev", 0, NULL, 0 },
	{ "devpts", "devpts", "/dev/pts", 0, NULL, 0 },
	{ "tmpfs", "shm", "/dev/shm", 0, NULL, 0 },
	{ "tmpfs", "run", "/run", 0, NULL, 0 },
	{ "virtiofs", "hostout", OUT_DIR, 0, NULL, 0 },
	{ "debugfs", "debugfs", "/sys/kernel/debug", 0, NULL, 1 },
	{ "tracefs", "tracefs", "/sys/kernel/tracing", 0, NULL, 1 },
};

/* What a distribution's udev adds to devtmpfs, and shells rely on. */
static const char *const dev_links[][2] = {
	{ "/proc/self/fd", "/dev/fd" },
	{ "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" },
};

static void mount_rows(const struct mount_row *row, size_t count)
{
	for (; count; count--, row++) {
		mkdir(row->target, 0755);
		if (mount(row->source, row->target, row->type, row->flags, row->options) &&
		    !row->optional)
			fail("mount", row->target);
	}
}

/* Numbered by the host in the order of their dependencies, and already decompressed. */
static void load_modules(void)
{
	glob_t list;
	size_t i;
	int fd;

	if (glob("/modules/*.ko", 0, NULL, &list))
		return;
	for (i = 0; i < list.gl_pathc; i++) {
		fd = open(list.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			fail("load", list.gl_pathv[i]);
		close(fd);
	}
	globfree(&list);
}

/* Not a bare chroot: user namespaces are refused inside one. */
static void switch_root(void)
{
	mkdir("/rw/upper", 0755);
	mkdir("/rw/work", 0755);
	if (mount("root", "/new", "overlay", 0,
		  "lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work"))
		fail("mount", "/new");
	if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		fail("switch to", "/new");
}

static void link_devices(void)
{
	size_t i;

	for (i = 0; i < sizeof(dev_links) / sizeof(dev_links[0]); i++)
		if (symlink(dev_links[i][0], dev_links[i][1]))
			fail("link", dev_links[i][1]);
}

static void read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");

	if (!file || !fgets(line, size, file))
		fail("read", path);
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
}

/* The terminal passes bytes as they are: no echo, no carriage returns in the host's log. */
static void take_terminal(void)
{
	const char *tty = getenv("COMMAND_TTY");
	struct termios mode;
	int fd;

	if (!tty)
		tty = COMMAND_TTY;
	setsid();
	fd = open(tty, O_RDWR);
	if (fd < 0 || tcgetattr(fd, &mode))
		fail("open", tty);
	mode.c_oflag &= ~OPOST;
	mode.c_lflag &= ~ECHO;
	if (tcsetattr(fd, TCSANOW, &mode) || ioctl(fd, TIOCSCTTY, 0))
		fail("set up", tty);
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static pid_t start(char *script)
{
	static char *const env[] = {
		"HOME=/root", "TERM=dumb", "LC_ALL=C.UTF-8", "OUT=" OUT_DIR,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
	};
	char *argv[] = { "bash", script, NULL };
	pid_t child = fork();

	if (child < 0)
		fail("fork for", script);
	if (child)
		return child;
	take_terminal();
	execve("/bin/bash", argv, env);
	fail("run", script);
}

static void reap_until(pid_t child)
{
	pid_t pid;

	do {
		pid = wait(NULL);
	} while (pid != child && (pid > 0 || errno == EINTR));
}

int main(int argc, char **argv)
{
	char script[4096];

	/* The host only asks whether this accelerator runs a guest at all. */
	if (argc > 1 && !strcmp(argv[1], "probe")) {
		puts("tlsgate-guest: probe ok");
		fflush(stdout);
		power_off();
	}
	puts("tlsgate-guest: init");
	fflush(stdout);
	load_modules();
	mount_rows(before, sizeof(before) / sizeof(before[0]));
	read_line("/script", script, sizeof(script));
	switch_root();
	mount_rows(inside, sizeof(inside) / sizeof(inside[0]));
	link_devices();
	sethostname("guest", 5);
	reap_until(start(script));
	power_off();
}
