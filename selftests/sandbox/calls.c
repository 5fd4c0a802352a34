// SPDX-License-Identifier: MIT
/*
 * What the system call filters (daemon/filter.h) do to a call, for each process
 * that has one: it is made, it is told ENOSYS, or the process ends by SIGSYS and
 * the log says which call it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/filter.h"
#include "tests/tap.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define MINE		-2		/* an argument: the process's own id */
#define PAGE		4096

enum outcome { MADE, UNKNOWN, ENDS };

static const char *const outcomes[] = { "is made", "is told ENOSYS", "ends the process" };
static const char *const roles[] = { "worker", "keyd", "answerer", "names", "log", "metrics", "asker" };
static uint8_t buffer[PAGE];		/* for whatever a call may write */

static const struct row {
	const char *what;
	long number, args[5];
	enum outcome outcomes[COUNT(roles)];
} rows[] = {
#define CALL(call)	#call, SYS_##call
#define EACH(outcome)	{ outcome, outcome, outcome, outcome, outcome, outcome, outcome }
/* Of worker, keyd, answerer, log, metrics, asker; and of names. */
#define BUT_NAMES(outcome, of_names)	{ outcome, outcome, outcome, of_names, outcome, outcome, outcome }
	/* what libc asks the machine now and then, as qsort() does for its memory */
	{ CALL(sysinfo), { (long)buffer }, EACH(MADE) },
	{ CALL(getrandom), { (long)buffer, 1 }, EACH(MADE) },
	{ CALL(uname), { (long)buffer }, EACH(MADE) },
	{ "mmap for data", SYS_mmap, { 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1 },
	  EACH(MADE) },
	{ "mmap for code", SYS_mmap, { 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 },
	  EACH(ENDS) },
	/* as dlopen() maps a module, and otherwise */
	{ "mmap of a file's code", SYS_mmap, { 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, -1 },
	  BUT_NAMES(ENDS, MADE) },
	{ "mmap of code to write", SYS_mmap, { 0, PAGE, PROT_WRITE | PROT_EXEC, MAP_PRIVATE, -1 },
	  EACH(ENDS) },
	/* the log's pipe is everybody's: no write to it may wait, and its lines stay apart */
	{ "fcntl to wait", SYS_fcntl, { -1, F_SETFL, O_DIRECT }, EACH(UNKNOWN) },
	{ "fcntl to join lines", SYS_fcntl, { -1, F_SETFL, O_NONBLOCK }, EACH(UNKNOWN) },
	{ "fcntl to size a pipe", SYS_fcntl, { -1, F_SETPIPE_SZ, PAGE }, EACH(UNKNOWN) },
	{ "mprotect to data", SYS_mprotect, { 0, 0, PROT_READ }, EACH(MADE) },
	{ "mprotect to code", SYS_mprotect, { 0, 0, PROT_EXEC }, EACH(ENDS) },
	{ CALL(memfd_create), { (long)"x", 0 }, EACH(UNKNOWN) },
	/* files */
	{ "openat to read", SYS_openat, { AT_FDCWD, (long)"/dev/null", O_RDONLY },
	  { UNKNOWN, UNKNOWN, UNKNOWN, MADE, UNKNOWN, UNKNOWN, MADE } },
	{ "openat to write", SYS_openat, { AT_FDCWD, (long)"/dev/null", O_WRONLY }, BUT_NAMES(ENDS, UNKNOWN) },
	{ "openat for both", SYS_openat, { AT_FDCWD, (long)"/dev/null", O_RDWR }, BUT_NAMES(ENDS, UNKNOWN) },
	{ "openat to create", SYS_openat, { AT_FDCWD, (long)"/dev/null", O_RDONLY | O_CREAT },
	  EACH(UNKNOWN) },
	{ CALL(unlinkat), { AT_FDCWD, (long)"/nothing/there" }, EACH(UNKNOWN) },
	{ CALL(execve), { (long)"/nothing/there" }, EACH(ENDS) },
	/* processes */
	{ CALL(kill), { 0, 0 }, EACH(ENDS) },
	{ "tgkill of itself", SYS_tgkill, { MINE, MINE, 0 }, EACH(MADE) },
	{ "tgkill of another", SYS_tgkill, { 1, 1, 0 }, EACH(UNKNOWN) },
	{ CALL(ptrace), { 0 }, EACH(ENDS) },
	{ CALL(process_vm_readv), { 1 }, EACH(ENDS) },
	{ CALL(clone3), { 0 }, EACH(UNKNOWN) },
	{ "clone into a user namespace", SYS_clone, { CLONE_NEWUSER }, { UNKNOWN, ENDS, ENDS, ENDS, UNKNOWN, UNKNOWN, ENDS } },
	{ CALL(wait4), { -1, 0, WNOHANG }, { UNKNOWN, MADE, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN } },
	{ CALL(unshare), { CLONE_NEWUSER }, EACH(ENDS) },
	{ CALL(setresuid), { 0, 0, 0 }, EACH(ENDS) },
	{ "sched_setaffinity of itself", SYS_sched_setaffinity, { 0 }, { UNKNOWN, MADE, MADE, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN } },
	{ "sched_setaffinity of another", SYS_sched_setaffinity, { 1 }, EACH(UNKNOWN) },
	/* sockets */
	{ "an IPv4 socket", SYS_socket, { AF_INET, SOCK_STREAM }, { MADE, ENDS, ENDS, MADE, ENDS, ENDS, MADE } },
	{ "an IPv6 socket", SYS_socket, { AF_INET6, SOCK_STREAM }, { MADE, ENDS, ENDS, MADE, ENDS, ENDS, MADE } },
	{ "an IPv4 socket with flags", SYS_socket, { AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC },
	  { MADE, ENDS, ENDS, MADE, ENDS, ENDS, MADE } },
	{ "a UDP socket", SYS_socket, { AF_INET, SOCK_DGRAM }, { UNKNOWN, ENDS, ENDS, MADE, ENDS, ENDS, MADE } },
	{ "an MPTCP socket", SYS_socket, { AF_INET, SOCK_STREAM, IPPROTO_MPTCP }, { UNKNOWN, ENDS, ENDS, UNKNOWN, ENDS, ENDS, UNKNOWN } },
	{ "an SCTP socket", SYS_socket, { AF_INET6, SOCK_STREAM, IPPROTO_SCTP }, { UNKNOWN, ENDS, ENDS, UNKNOWN, ENDS, ENDS, UNKNOWN } },
	{ "a raw socket", SYS_socket, { AF_INET6, SOCK_RAW }, { UNKNOWN, ENDS, ENDS, UNKNOWN, ENDS, ENDS, UNKNOWN } },
	{ "a UNIX socket", SYS_socket, { AF_UNIX, SOCK_STREAM }, { ENDS, ENDS, ENDS, MADE, UNKNOWN, ENDS, UNKNOWN } },
	{ "a UNIX datagram socket", SYS_socket, { AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC },
	  { ENDS, ENDS, ENDS, MADE, MADE, ENDS, UNKNOWN } },
	{ "a netlink socket", SYS_socket, { AF_NETLINK, SOCK_RAW }, BUT_NAMES(ENDS, MADE) },
	{ "another netlink socket", SYS_socket, { AF_NETLINK, SOCK_RAW, NETLINK_GENERIC },
	  BUT_NAMES(ENDS, UNKNOWN) },
	{ "a packet socket", SYS_socket, { AF_PACKET, SOCK_RAW }, EACH(ENDS) },
	{ "an AF_ALG socket", SYS_socket, { AF_ALG, SOCK_SEQPACKET }, EACH(ENDS) },
	{ CALL(bind), { -1 }, BUT_NAMES(ENDS, MADE) },
	{ CALL(listen), { -1 }, EACH(ENDS) },
	{ CALL(accept4), { -1 }, { MADE, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, MADE, UNKNOWN } },
	{ CALL(connect), { -1 }, { MADE, UNKNOWN, UNKNOWN, MADE, MADE, UNKNOWN, MADE } },
	{ CALL(sendto), { -1 }, { MADE, UNKNOWN, UNKNOWN, MADE, MADE, MADE, MADE } },
	{ CALL(sendmsg), { -1 }, { MADE, MADE, UNKNOWN, MADE, MADE, MADE, MADE } },
	/* these would connect */
	{ "sendto with MSG_FASTOPEN", SYS_sendto, { -1, 0, 0, MSG_FASTOPEN }, { ENDS, UNKNOWN, UNKNOWN, MADE, ENDS, ENDS, MADE } },
	{ "sendmsg with MSG_FASTOPEN", SYS_sendmsg, { -1, 0, MSG_FASTOPEN }, { ENDS, UNKNOWN, UNKNOWN, MADE, ENDS, ENDS, MADE } },
	{ CALL(recvmsg), { -1 }, { MADE, MADE, UNKNOWN, MADE, MADE, MADE, UNKNOWN } },
	/* listeners are shared with the monitor, and with workers to come */
	{ "shutdown of one direction", SYS_shutdown, { -1, SHUT_WR }, { MADE, UNKNOWN, UNKNOWN, MADE, UNKNOWN, MADE, UNKNOWN } },
	{ "shutdown of the other", SYS_shutdown, { -1, SHUT_RD }, { UNKNOWN, UNKNOWN, UNKNOWN, MADE, UNKNOWN, UNKNOWN, UNKNOWN } },
	{ "shutdown of both", SYS_shutdown, { -1, SHUT_RDWR }, { UNKNOWN, UNKNOWN, UNKNOWN, MADE, UNKNOWN, MADE, UNKNOWN } },
	{ "setsockopt of what is needed", SYS_setsockopt, { -1, SOL_SOCKET, SO_KEEPALIVE },
	  { MADE, UNKNOWN, UNKNOWN, MADE, UNKNOWN, UNKNOWN, UNKNOWN } },
	/* the close() of such a socket waits, also the monitor's, to whom it may be passed */
	{ "setsockopt of SO_LINGER", SYS_setsockopt, { -1, SOL_SOCKET, SO_LINGER }, EACH(UNKNOWN) },
	/* the kernel takes an int, and a filter sees all of the register */
	{ "setsockopt of SO_LINGER in a long", SYS_setsockopt, { -1, SOL_SOCKET, (long)(1ULL << 32 | SO_LINGER) },
	  EACH(UNKNOWN) },
	{ "setsockopt of another", SYS_setsockopt, { -1, IPPROTO_TCP, TCP_ULP }, { UNKNOWN, UNKNOWN, UNKNOWN, MADE, UNKNOWN, UNKNOWN, UNKNOWN } },
	{ "setsockopt of a filter for all listeners", SYS_setsockopt, { -1, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF },
	  { ENDS, UNKNOWN, UNKNOWN, MADE, UNKNOWN, UNKNOWN, UNKNOWN } },
	{ "setsockopt of a filter", SYS_setsockopt, { -1, SOL_SOCKET, SO_ATTACH_FILTER },
	  { ENDS, UNKNOWN, UNKNOWN, MADE, UNKNOWN, UNKNOWN, UNKNOWN } },
	{ "getsockopt of a socket", SYS_getsockopt, { -1, SOL_SOCKET, SO_ERROR },
	  { MADE, UNKNOWN, UNKNOWN, MADE, UNKNOWN, UNKNOWN, UNKNOWN } },
	{ "getsockopt of TCP", SYS_getsockopt, { -1, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE },
	  { UNKNOWN, UNKNOWN, UNKNOWN, MADE, UNKNOWN, UNKNOWN, UNKNOWN } },
	{ CALL(setitimer), { ITIMER_REAL }, { MADE, UNKNOWN, UNKNOWN, MADE, UNKNOWN, MADE, UNKNOWN } },
	/* the event loop's, on this and on other architectures */
	{ CALL(epoll_pwait), { -1 }, { MADE, UNKNOWN, UNKNOWN, MADE, UNKNOWN, MADE, UNKNOWN } },
	{ CALL(ppoll), { 0, -1 }, { MADE, UNKNOWN, UNKNOWN, MADE, MADE, MADE, MADE } },
	/* the kernel's doors */
	{ CALL(bpf), { -1 }, EACH(ENDS) },
	{ CALL(io_uring_setup), { 1 }, EACH(ENDS) },
	{ CALL(keyctl), { -1 }, EACH(ENDS) },
};

static void enter(enum filter_role role, bool unix_sockets)
{
	log_init("test", false);
	/* an answerer stands under keyd's filter, and its own came later; an asker under that of names */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    (role == FILTER_ANSWERER && filter_load(FILTER_KEYD, false)) ||
	    (role == FILTER_ASKER && filter_load(FILTER_NAMES, false)) ||
	    filter_load(role, unix_sockets))
		_exit(100);
}

static long argument(long value)
{
	return value == MINE ? getpid() : value;
}

static _Noreturn void make(const struct row *row, enum filter_role role, bool unix_sockets)
{
	const long *a = row->args;
	long ret;

	enter(role, unix_sockets);
	ret = syscall(row->number, argument(a[0]), argument(a[1]), a[2], a[3], a[4], 0L);
	_exit(ret < 0 && errno == ENOSYS ? UNKNOWN : MADE);
}

/* What became of the child; text: what it wrote to stderr. */
static int outcome_of(const struct row *row, enum filter_role role, bool unix_sockets, char text[256])
{
	int ends[2], status;
	ssize_t n = 0, len = 0;
	pid_t pid;

	if (pipe(ends))
		tap_bail("pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDERR_FILENO);
		make(row, role, unix_sockets);
	}
	close(ends[1]);
	while (len < 255 && (n = read(ends[0], text + len, (size_t)(255 - len))) > 0)
		len += n;
	text[len] = '\0';
	close(ends[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		tap_bail("no child: %s", strerror(errno));
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? (int)ENDS : -1;
	return WEXITSTATUS(status);
}

static void check(const struct row *row, enum filter_role role)
{
	enum outcome want = row->outcomes[role];
	char text[256], word[32];
	int got = outcome_of(row, role, false, text);

	tap_ok(got == (int)want, "%s: %s %s", roles[role], row->what, outcomes[want]);
	if (want != ENDS)
		return;
	/* the name that the table has is the call's, or says what is done by it */
	snprintf(word, sizeof(word), " %.*s:", (int)strcspn(row->what, " "), row->what);
	if (row->number == SYS_socket)
		strcpy(word, " socket:");
	tap_ok(strstr(text, "the sandbox forbids the system call") && strstr(text, word) &&
	       strchr(text, '\n') == text + strlen(text) - 1,
	       "%s: %s is named in one line of the log", roles[role], row->what);
}

static void test_unix_backends(void)
{
	const struct row row = { CALL(socket), { AF_UNIX, SOCK_STREAM }, EACH(MADE) };
	char text[256];

	tap_ok(outcome_of(&row, FILTER_WORKER, true, text) == MADE,
	       "worker: a UNIX socket is made where a backend has one");
}

int main(void)
{
	enum filter_role role;
	size_t i;

	for (i = 0; i < COUNT(rows); i++)
		for (role = FILTER_WORKER; role <= FILTER_ASKER; role++)
			check(&rows[i], role);
	test_unix_backends();
	return tap_done();
}
