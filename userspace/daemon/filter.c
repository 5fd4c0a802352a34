// SPDX-License-Identifier: MIT
#include "daemon/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/log.h"

_Static_assert(sizeof(void *) == 8, "64-bit only: the calls of 32-bit libcs are not in these lists");

#define SOCK_TYPES	0xf		/* the others of socket(2)'s second argument are flags */
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

#define WORKER		(1u << FILTER_WORKER)
#define KEYD		(1u << FILTER_KEYD)
#define ANSWERER	(1u << FILTER_ANSWERER)
#define NAMES		(1u << FILTER_NAMES)
/* An answerer stands under keyd's filter as well: keyd must have what it has. */
#define KEYS		(KEYD | ANSWERER)
/* An asker stands under the filter of names as well. */
#define ASKER		(1u << FILTER_ASKER)
#define LOOKUP		(NAMES | ASKER)
#define LOG		(1u << FILTER_LOG)
#define METRICS		(1u << FILTER_METRICS)
#define SEALED		(WORKER | KEYS | LOG | METRICS)	/* those that open nothing and load no code */
#define ALL		(SEALED | LOOKUP)

#define ALLOW		SCMP_ACT_ALLOW
#define FORBID		SCMP_ACT_TRAP

#define CALL(call)	SCMP_SYS(call), #call
#define ALWAYS		{ { 0 } }
#define ARG_IS(n, value)	{ .arg = (n), .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)(value) }
#define EQUALS(n, value)	{ ARG_IS(n, value) }
#define OPTION(level, name)	{ ARG_IS(1, level), ARG_IS(2, name) }
#define ABOVE(n, value)		\
	{ { .arg = (n), .op = SCMP_CMP_GT, .datum_a = (scmp_datum_t)(value) } }
#define ARG_HAS(n, mask, value)	\
	{ .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (value) }
#define MASKED(n, mask, value)	{ ARG_HAS(n, mask, value) }
/* Other protocols' streams, MPTCP's and SCTP's, Landlock lets connect to any port. */
#define STREAM(family)		\
	{ ARG_IS(0, family), ARG_HAS(1, SOCK_TYPES, SOCK_STREAM), ARG_IS(2, 0) }
#define TCP_OR_UDP(family, type)	\
	{ ARG_IS(0, family), ARG_HAS(1, SOCK_TYPES, type),	\
	  { .arg = 2, .op = SCMP_CMP_LE, .datum_a = IPPROTO_UDP } }
#define NETLINK(protocol)	{ ARG_IS(0, AF_NETLINK), ARG_IS(2, protocol) }
#define CREATES		(O_ACCMODE | O_CREAT | O_TRUNC)	/* or writes */
#define WRITES_TOO	(PROT_EXEC | PROT_WRITE)
#define CODE(anonymous)		\
	{ ARG_HAS(2, WRITES_TOO, PROT_EXEC), ARG_HAS(3, MAP_ANONYMOUS, anonymous) }

/* One system call, or some of its uses.  Calls that the architecture lacks are passed over. */
struct rule {
	int call;
	const char *name;
	unsigned int roles;
	uint32_t action;
	struct scmp_arg_cmp when[3];	/* all; an empty one always is */
};

static const struct rule rules[] = {
	/* memory; none of it may be made executable, but what dlopen() maps of a file may be so */
	{ CALL(brk), ALL, ALLOW, ALWAYS },
#ifdef __s390x__
	{ CALL(mmap), ALL, ALLOW, ALWAYS },	/* its arguments are in memory */
#else
	{ CALL(mmap), ALL, ALLOW, MASKED(2, PROT_EXEC, 0) },
	{ CALL(mmap), SEALED | ASKER, FORBID, MASKED(2, PROT_EXEC, PROT_EXEC) },
	{ CALL(mmap), NAMES, ALLOW, CODE(0) },
	{ CALL(mmap), NAMES, FORBID, CODE(MAP_ANONYMOUS) },
	{ CALL(mmap), NAMES, FORBID, MASKED(2, WRITES_TOO, WRITES_TOO) },
#endif
	{ CALL(mmap2), ALL, ALLOW, MASKED(2, PROT_EXEC, 0) },
	{ CALL(mmap2), SEALED | ASKER, FORBID, MASKED(2, PROT_EXEC, PROT_EXEC) },
	{ CALL(mmap2), NAMES, ALLOW, CODE(0) },
	{ CALL(mmap2), NAMES, FORBID, CODE(MAP_ANONYMOUS) },
	{ CALL(mmap2), NAMES, FORBID, MASKED(2, WRITES_TOO, WRITES_TOO) },
	{ CALL(mprotect), ALL, ALLOW, MASKED(2, PROT_EXEC, 0) },
	{ CALL(mprotect), ALL, FORBID, MASKED(2, PROT_EXEC, PROT_EXEC) },
	{ CALL(munmap), ALL, ALLOW, ALWAYS },
	{ CALL(mremap), ALL, ALLOW, ALWAYS },
	{ CALL(madvise), ALL, ALLOW, ALWAYS },
	{ CALL(futex), ALL, ALLOW, ALWAYS },
	{ CALL(futex_time64), ALL, ALLOW, ALWAYS },
	{ CALL(membarrier), ALL, ALLOW, ALWAYS },

	/* descriptors that are open */
	{ CALL(read), ALL, ALLOW, ALWAYS },
	{ CALL(write), ALL, ALLOW, ALWAYS },
	{ CALL(writev), ALL, ALLOW, ALWAYS },
	{ CALL(lseek), ALL, ALLOW, ALWAYS },
	{ CALL(fstat), ALL, ALLOW, ALWAYS },
	{ CALL(close), ALL, ALLOW, ALWAYS },
	{ CALL(close_range), KEYD, ALLOW, ALWAYS },
	{ CALL(recvmsg), WORKER | KEYD | LOG | METRICS, ALLOW, ALWAYS },
	{ CALL(sendmsg), WORKER | KEYD | LOG | METRICS, ALLOW, MASKED(2, MSG_FASTOPEN, 0) },

	/* clocks, randomness, what the machine and the process are */
	{ CALL(getrandom), ALL, ALLOW, ALWAYS },
	{ CALL(clock_gettime), ALL, ALLOW, ALWAYS },
	{ CALL(clock_gettime64), ALL, ALLOW, ALWAYS },
	{ CALL(clock_getres), ALL, ALLOW, ALWAYS },
	{ CALL(clock_nanosleep), ALL, ALLOW, ALWAYS },
	{ CALL(nanosleep), ALL, ALLOW, ALWAYS },
	{ CALL(gettimeofday), ALL, ALLOW, ALWAYS },
	{ CALL(time), ALL, ALLOW, ALWAYS },
	{ CALL(times), ALL, ALLOW, ALWAYS },
	{ CALL(getrusage), ALL, ALLOW, ALWAYS },
	{ CALL(sysinfo), ALL, ALLOW, ALWAYS },
	{ CALL(uname), ALL, ALLOW, ALWAYS },
	{ CALL(getpid), ALL, ALLOW, ALWAYS },
	{ CALL(gettid), ALL, ALLOW, ALWAYS },
	{ CALL(getuid), ALL, ALLOW, ALWAYS },
	{ CALL(geteuid), ALL, ALLOW, ALWAYS },
	{ CALL(getgid), ALL, ALLOW, ALWAYS },
	{ CALL(getegid), ALL, ALLOW, ALWAYS },
	{ CALL(getcpu), ALL, ALLOW, ALWAYS },
	{ CALL(sched_yield), ALL, ALLOW, ALWAYS },
	{ CALL(sched_getaffinity), ALL, ALLOW, EQUALS(0, 0) },
	{ CALL(sched_setaffinity), KEYS, ALLOW, EQUALS(0, 0) },

	/* signals and the end */
	{ CALL(restart_syscall), ALL, ALLOW, ALWAYS },
	{ CALL(rt_sigreturn), ALL, ALLOW, ALWAYS },
	{ CALL(rt_sigprocmask), ALL, ALLOW, ALWAYS },
	{ CALL(sigaltstack), ALL, ALLOW, ALWAYS },
	{ CALL(exit), ALL, ALLOW, ALWAYS },
	{ CALL(exit_group), ALL, ALLOW, ALWAYS },

	/* sockets */
	{ CALL(accept4), WORKER | METRICS, ALLOW, ALWAYS },
	{ CALL(connect), WORKER | LOG, ALLOW, ALWAYS },
	{ CALL(recvfrom), WORKER | METRICS, ALLOW, ALWAYS },
	/* with MSG_FASTOPEN these connect as well, which Landlock does not see */
	{ CALL(sendto), WORKER | LOG | METRICS, ALLOW, MASKED(3, MSG_FASTOPEN, 0) },
	{ CALL(sendto), WORKER | LOG | METRICS, FORBID, MASKED(3, MSG_FASTOPEN, MSG_FASTOPEN) },
	{ CALL(sendmsg), WORKER | LOG | METRICS, FORBID, MASKED(2, MSG_FASTOPEN, MSG_FASTOPEN) },
	/* the others end a listener, which the next worker gets as it is */
	{ CALL(shutdown), WORKER | METRICS, ALLOW, EQUALS(1, SHUT_WR) },
	{ CALL(shutdown), METRICS, ALLOW, EQUALS(1, SHUT_RDWR) },	/* its listener listens again after its death */
	{ CALL(setsockopt), WORKER, ALLOW, OPTION(SOL_SOCKET, SO_KEEPALIVE) },
	{ CALL(setsockopt), WORKER | METRICS, ALLOW, OPTION(IPPROTO_TCP, TCP_NODELAY) },
	{ CALL(setsockopt), METRICS, ALLOW, OPTION(IPPROTO_TCP, TCP_CORK) },
	{ CALL(setsockopt), WORKER, ALLOW, OPTION(IPPROTO_TCP, TCP_QUICKACK) },
	{ CALL(setsockopt), WORKER, ALLOW, OPTION(IPPROTO_TCP, TCP_KEEPIDLE) },
	{ CALL(setsockopt), WORKER, ALLOW, OPTION(IPPROTO_TCP, TCP_KEEPINTVL) },
	{ CALL(setsockopt), WORKER, ALLOW, OPTION(IPPROTO_TCP, TCP_KEEPCNT) },
	{ CALL(setsockopt), WORKER, ALLOW, OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT) },
	/* that of one listener steers the connections of all workers */
	{ CALL(setsockopt), WORKER, FORBID, OPTION(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF) },
	{ CALL(setsockopt), WORKER, FORBID, OPTION(SOL_SOCKET, SO_ATTACH_FILTER) },
	{ CALL(getsockopt), WORKER, ALLOW, EQUALS(1, SOL_SOCKET) },
	{ CALL(getsockopt), METRICS, ALLOW, OPTION(SOL_SOCKET, SO_PEERCRED) },
	{ CALL(getsockname), WORKER, ALLOW, ALWAYS },
	/* for UNIX sockets: common/hurry.h */
	{ CALL(setitimer), WORKER | METRICS, ALLOW, EQUALS(0, ITIMER_REAL) },
	/* its process for a name has LOOKUP_SECONDS */
	{ CALL(setitimer), NAMES, ALLOW, EQUALS(0, ITIMER_REAL) },
	/* libtlsgate, when the module comes back */
	{ CALL(fcntl), WORKER, ALLOW, EQUALS(1, F_DUPFD_CLOEXEC) },
	{ CALL(fcntl64), WORKER, ALLOW, EQUALS(1, F_DUPFD_CLOEXEC) },
	{ CALL(getpeername), WORKER, ALLOW, ALWAYS },
	{ CALL(socket), WORKER, ALLOW, STREAM(AF_INET) },
	{ CALL(socket), WORKER, ALLOW, STREAM(AF_INET6) },
	{ CALL(socket), WORKER | ASKER, FORBID, ABOVE(0, AF_INET6) },
	{ CALL(socket), LOG, ALLOW, { ARG_IS(0, AF_UNIX), ARG_HAS(1, SOCK_TYPES, SOCK_DGRAM) } },
	{ CALL(socket), LOG, FORBID, ABOVE(0, AF_UNIX) },
	{ CALL(socket), KEYS | METRICS, FORBID, ALWAYS },
	{ CALL(bind), SEALED | ASKER, FORBID, ALWAYS },
	{ CALL(listen), ALL, FORBID, ALWAYS },

	/* libev; other architectures have the p-calls only.  It makes its descriptor
	 * afresh when a listener that it closed lives on elsewhere and still reports. */
	{ CALL(epoll_create1), WORKER, ALLOW, ALWAYS },
	{ CALL(epoll_ctl), WORKER | METRICS, ALLOW, ALWAYS },
	{ CALL(epoll_wait), WORKER | METRICS, ALLOW, ALWAYS },
	{ CALL(epoll_pwait), WORKER | METRICS, ALLOW, ALWAYS },
	{ CALL(epoll_pwait2), WORKER | METRICS, ALLOW, ALWAYS },
	{ CALL(poll), WORKER | LOG | METRICS, ALLOW, ALWAYS },
	{ CALL(ppoll), WORKER | LOG | METRICS, ALLOW, ALWAYS },
	{ CALL(ppoll_time64), WORKER | LOG | METRICS, ALLOW, ALWAYS },

	/* keyd forks an answerer, which goes under its own filter; names a process for each */
	{ CALL(clone), KEYD | NAMES, ALLOW, MASKED(0, CLONE_NEWUSER, 0) },
	{ CALL(set_robust_list), KEYD | NAMES, ALLOW, ALWAYS },
	{ CALL(rseq), KEYD | NAMES, ALLOW, ALWAYS },
	{ CALL(rt_sigaction), KEYD | NAMES, ALLOW, ALWAYS },
	{ CALL(prctl), KEYD | NAMES, ALLOW, ALWAYS },
	{ CALL(seccomp), KEYD | NAMES, ALLOW, ALWAYS },
	{ CALL(wait4), KEYD, ALLOW, ALWAYS },
	{ CALL(waitid), KEYD, ALLOW, ALWAYS },

	/*
	 * What libc and its modules (nsswitch.conf) do to resolve a name: they read the
	 * machine's files, talk to name servers and to services of this machine, and ask the
	 * kernel for its addresses.
	 */
	{ CALL(open), LOOKUP, ALLOW, MASKED(1, CREATES, O_RDONLY) },
	{ CALL(openat), LOOKUP, ALLOW, MASKED(2, CREATES, O_RDONLY) },
	{ CALL(stat), LOOKUP, ALLOW, ALWAYS },
	{ CALL(stat64), LOOKUP, ALLOW, ALWAYS },
	{ CALL(lstat), LOOKUP, ALLOW, ALWAYS },
	{ CALL(lstat64), LOOKUP, ALLOW, ALWAYS },
	{ CALL(fstat64), LOOKUP, ALLOW, ALWAYS },
	{ CALL(fstatat64), LOOKUP, ALLOW, ALWAYS },
	{ CALL(newfstatat), LOOKUP, ALLOW, ALWAYS },
	{ CALL(statx), LOOKUP, ALLOW, ALWAYS },
	{ CALL(statfs), NAMES, ALLOW, ALWAYS },
	{ CALL(fstatfs), NAMES, ALLOW, ALWAYS },
	{ CALL(access), LOOKUP, ALLOW, ALWAYS },
	{ CALL(faccessat), LOOKUP, ALLOW, ALWAYS },
	{ CALL(faccessat2), LOOKUP, ALLOW, ALWAYS },
	{ CALL(readlink), LOOKUP, ALLOW, ALWAYS },
	{ CALL(readlinkat), LOOKUP, ALLOW, ALWAYS },
	{ CALL(getdents64), NAMES, ALLOW, ALWAYS },
	{ CALL(getcwd), NAMES, ALLOW, ALWAYS },
	{ CALL(pread64), LOOKUP, ALLOW, ALWAYS },
	{ CALL(_llseek), LOOKUP, ALLOW, ALWAYS },
	/*
	 * All share the log's pipe: no F_SETFL, since without O_NONBLOCK a write to it waits,
	 * and without O_DIRECT its lines run together; no F_SETPIPE_SZ.
	 */
	{ CALL(fcntl), NAMES, ALLOW, EQUALS(1, F_GETFD) },
	{ CALL(fcntl), NAMES, ALLOW, EQUALS(1, F_SETFD) },
	{ CALL(fcntl), NAMES, ALLOW, EQUALS(1, F_GETFL) },
	{ CALL(fcntl), NAMES, ALLOW, EQUALS(1, F_DUPFD) },
	{ CALL(fcntl), NAMES, ALLOW, EQUALS(1, F_DUPFD_CLOEXEC) },
	{ CALL(fcntl64), NAMES, ALLOW, EQUALS(1, F_GETFD) },
	{ CALL(fcntl64), NAMES, ALLOW, EQUALS(1, F_SETFD) },
	{ CALL(fcntl64), NAMES, ALLOW, EQUALS(1, F_GETFL) },
	{ CALL(fcntl64), NAMES, ALLOW, EQUALS(1, F_DUPFD) },
	{ CALL(fcntl64), NAMES, ALLOW, EQUALS(1, F_DUPFD_CLOEXEC) },
	{ CALL(dup), NAMES, ALLOW, ALWAYS },
	{ CALL(ioctl), NAMES, ALLOW, EQUALS(1, FIONREAD) },
	{ CALL(socket), LOOKUP, ALLOW, TCP_OR_UDP(AF_INET, SOCK_STREAM) },
	{ CALL(socket), LOOKUP, ALLOW, TCP_OR_UDP(AF_INET, SOCK_DGRAM) },
	{ CALL(socket), LOOKUP, ALLOW, TCP_OR_UDP(AF_INET6, SOCK_STREAM) },
	{ CALL(socket), LOOKUP, ALLOW, TCP_OR_UDP(AF_INET6, SOCK_DGRAM) },
	{ CALL(socket), NAMES, ALLOW, EQUALS(0, AF_UNIX) },
	{ CALL(socket), NAMES, ALLOW, NETLINK(NETLINK_ROUTE) },
	{ CALL(socket), NAMES, FORBID, EQUALS(0, AF_PACKET) },
	{ CALL(socket), NAMES, FORBID, EQUALS(0, AF_ALG) },
	{ CALL(socketpair), NAMES, ALLOW, EQUALS(0, AF_UNIX) },
	{ CALL(bind), NAMES, ALLOW, ALWAYS },
	{ CALL(connect), LOOKUP, ALLOW, ALWAYS },
	{ CALL(sendto), LOOKUP, ALLOW, ALWAYS },
	{ CALL(sendmsg), LOOKUP, ALLOW, ALWAYS },
	{ CALL(sendmmsg), NAMES, ALLOW, ALWAYS },
	{ CALL(recvfrom), LOOKUP, ALLOW, ALWAYS },
	{ CALL(recvmsg), NAMES, ALLOW, ALWAYS },
	{ CALL(recvmmsg), NAMES, ALLOW, ALWAYS },
	{ CALL(shutdown), NAMES, ALLOW, ALWAYS },
	{ CALL(getsockopt), NAMES, ALLOW, ALWAYS },
	{ CALL(getsockname), LOOKUP, ALLOW, ALWAYS },
	{ CALL(getpeername), NAMES, ALLOW, ALWAYS },
	{ CALL(poll), LOOKUP, ALLOW, ALWAYS },
	{ CALL(ppoll), LOOKUP, ALLOW, ALWAYS },
	{ CALL(ppoll_time64), LOOKUP, ALLOW, ALWAYS },
	{ CALL(select), NAMES, ALLOW, ALWAYS },
	{ CALL(pselect6), NAMES, ALLOW, ALWAYS },
	{ CALL(epoll_create1), NAMES, ALLOW, ALWAYS },
	{ CALL(epoll_ctl), NAMES, ALLOW, ALWAYS },
	{ CALL(epoll_wait), NAMES, ALLOW, ALWAYS },
	{ CALL(epoll_pwait), NAMES, ALLOW, ALWAYS },
	{ CALL(timerfd_create), NAMES, ALLOW, ALWAYS },
	{ CALL(timerfd_settime), NAMES, ALLOW, ALWAYS },
	{ CALL(eventfd2), NAMES, ALLOW, ALWAYS },
	{ CALL(getppid), NAMES, ALLOW, ALWAYS },
	{ CALL(getresuid), NAMES, ALLOW, ALWAYS },
	{ CALL(getresgid), NAMES, ALLOW, ALWAYS },

	/* programs and files; a module of libc's that writes one can do without */
	{ CALL(execve), ALL, FORBID, ALWAYS },
	{ CALL(execveat), ALL, FORBID, ALWAYS },
	{ CALL(open), SEALED | ASKER, FORBID, MASKED(1, O_ACCMODE, O_WRONLY) },
	{ CALL(open), SEALED | ASKER, FORBID, MASKED(1, O_ACCMODE, O_RDWR) },
	{ CALL(openat), SEALED | ASKER, FORBID, MASKED(2, O_ACCMODE, O_WRONLY) },
	{ CALL(openat), SEALED | ASKER, FORBID, MASKED(2, O_ACCMODE, O_RDWR) },
	{ CALL(creat), SEALED | ASKER, FORBID, ALWAYS },
	{ CALL(open_by_handle_at), ALL, FORBID, ALWAYS },

	/* other processes */
	{ CALL(ptrace), ALL, FORBID, ALWAYS },
	{ CALL(process_vm_readv), ALL, FORBID, ALWAYS },
	{ CALL(process_vm_writev), ALL, FORBID, ALWAYS },
	{ CALL(pidfd_getfd), ALL, FORBID, ALWAYS },
	{ CALL(pidfd_send_signal), ALL, FORBID, ALWAYS },
	{ CALL(kill), ALL, FORBID, ALWAYS },
	{ CALL(tkill), ALL, FORBID, ALWAYS },
	{ CALL(rt_sigqueueinfo), ALL, FORBID, ALWAYS },
	{ CALL(rt_tgsigqueueinfo), ALL, FORBID, ALWAYS },

	/* identity, namespaces, the machine */
	{ CALL(setuid), ALL, FORBID, ALWAYS },
	{ CALL(setgid), ALL, FORBID, ALWAYS },
	{ CALL(setreuid), ALL, FORBID, ALWAYS },
	{ CALL(setregid), ALL, FORBID, ALWAYS },
	{ CALL(setresuid), ALL, FORBID, ALWAYS },
	{ CALL(setresgid), ALL, FORBID, ALWAYS },
	{ CALL(setgroups), ALL, FORBID, ALWAYS },
	{ CALL(capset), ALL, FORBID, ALWAYS },
	{ CALL(clone), KEYD | NAMES, FORBID, MASKED(0, CLONE_NEWUSER, CLONE_NEWUSER) },
	{ CALL(unshare), ALL, FORBID, ALWAYS },
	{ CALL(setns), ALL, FORBID, ALWAYS },
	{ CALL(chroot), ALL, FORBID, ALWAYS },
	{ CALL(pivot_root), ALL, FORBID, ALWAYS },
	{ CALL(mount), ALL, FORBID, ALWAYS },
	{ CALL(umount2), ALL, FORBID, ALWAYS },
	{ CALL(bpf), ALL, FORBID, ALWAYS },
	{ CALL(perf_event_open), ALL, FORBID, ALWAYS },
	{ CALL(userfaultfd), ALL, FORBID, ALWAYS },
	{ CALL(io_uring_setup), ALL, FORBID, ALWAYS },
	{ CALL(add_key), ALL, FORBID, ALWAYS },
	{ CALL(request_key), ALL, FORBID, ALWAYS },
	{ CALL(keyctl), ALL, FORBID, ALWAYS },
	{ CALL(init_module), ALL, FORBID, ALWAYS },
	{ CALL(finit_module), ALL, FORBID, ALWAYS },
	{ CALL(kexec_load), ALL, FORBID, ALWAYS },
	{ CALL(reboot), ALL, FORBID, ALWAYS },
	{ CALL(personality), ALL, FORBID, ALWAYS },
};

static const char *name_of(int call)
{
	size_t i;

	for (i = 0; i < COUNT(rules); i++)
		if (rules[i].call == call)
			return rules[i].name;
	return "of no name";
}

/*
 * The call was not made and is not to be: says which it was, and ends.  It may
 * have come from within malloc() or the log.  SIGSYS has its default action
 * again (SA_RESETHAND), and kill() is forbidden as well.
 */
static void on_forbidden(int signum, siginfo_t *info, void *context)
{
	(void)signum;
	(void)context;
	log_from_signal("the sandbox forbids the system call ", name_of(info->si_syscall),
			": this process ends");
	(void)syscall(SYS_kill, 0, 0);
	_exit(1);
}

static int catch_forbidden(void)
{
	struct sigaction action = {
		.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER,
	};

	return sigaction(SIGSYS, &action, NULL) ? -errno : 0;
}

static int add_rules(scmp_filter_ctx filter, unsigned int role)
{
	const struct rule *rule;
	unsigned int count;
	int ret = 0;

	for (rule = rules; rule < rules + COUNT(rules) && !ret; rule++) {
		count = !!rule->when[0].op + !!rule->when[1].op + !!rule->when[2].op;
		if (rule->roles & role)
			ret = seccomp_rule_add_array(filter, rule->action, rule->call, count, rule->when);
	}
	return ret;
}

/*
 * With SO_LINGER the close() of a socket waits, also the monitor's, to whom it may be
 * passed.  The kernel takes an int, but seccomp compares all of the register: so another
 * option is one of which a bit of that int is another.
 */
static int add_options_but_linger(scmp_filter_ctx filter)
{
	uint32_t bit;
	int ret = 0;

	for (bit = 1; bit && !ret; bit <<= 1)
		ret = seccomp_rule_add(filter, ALLOW, SCMP_SYS(setsockopt), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, bit, ~(uint32_t)SO_LINGER & bit));
	return ret;
}

/* What depends on this process: its id, and what its gates need. */
static int add_own(scmp_filter_ctx filter, unsigned int role, bool unix_sockets)
{
	int ret = seccomp_rule_add(filter, ALLOW, SCMP_SYS(tgkill), 1,
				   SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));

	if (!ret && role == NAMES)
		ret = add_options_but_linger(filter);
	if (ret || role != WORKER)
		return ret;
	return seccomp_rule_add(filter, unix_sockets ? ALLOW : FORBID, SCMP_SYS(socket), 1,
				SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

static int build(scmp_filter_ctx filter, unsigned int role, bool unix_sockets)
{
	/* calls of another architecture, which only crafted code makes */
	int ret = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (!ret)
		ret = add_rules(filter, role);
	return ret ? ret : add_own(filter, role, unix_sockets);
}

int filter_load(enum filter_role role, bool unix_sockets)
{
	scmp_filter_ctx filter;
	int ret;

#ifdef __SANITIZE_ADDRESS__
	/* the sanitizer's own calls, at exit above all, cannot be listed */
	(void)role;
	(void)unix_sockets;
	return 0;
#endif
	filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter) {
		log_error("seccomp filter cannot be built: out of memory: have fewer workers, or more memory");
		return -1;
	}
	ret = build(filter, 1u << role, unix_sockets);
	if (!ret)
		ret = catch_forbidden();
	if (!ret)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	if (ret)
		log_error("seccomp filter cannot be set: %s: the kernel must have CONFIG_SECCOMP_FILTER, and let it be used",
			  strerror(-ret));
	return ret ? -1 : 0;
}
