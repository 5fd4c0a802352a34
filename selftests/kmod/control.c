// SPDX-License-Identifier: MIT
/* libtlsgate, the control tool and the kernel's ynl against a live module. */
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#include "lib/libtlsgate.h"

#define OUTPUT_MAX	16384

FIXTURE(control)
{
	struct pair p;
	char out[OUTPUT_MAX];	/* of the last command, stdout and stderr */
};

FIXTURE_VARIANT(control)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(control, v12_aes256, 0x0303, 0xc030, AF_INET)
PAIR_VARIANT(control, v13_chacha, 0x0304, 0x1303, AF_INET6)

FIXTURE_SETUP(control)
{
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(control)
{
	pair_free(&self->p);
}

/* The folder everything is built in, from our own place in it. */
static const char *build_folder(void)
{
	static char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (len < 0)
		return "build";
	path[len] = 0;
	return dirname(dirname(path));
}

/* Runs a command; its exit status, or -1. */
static int run(char out[OUTPUT_MAX], const char *format, ...)
{
	char command[PATH_MAX + 256];
	va_list args;
	FILE *pipe;
	size_t len;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	fflush(NULL);
	pipe = popen(command, "r");
	if (!pipe)
		return -1;
	len = fread(out, 1, OUTPUT_MAX - 1, pipe);
	out[len] = 0;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define TOOL(self, format, ...) \
	run((self)->out, "%s/tlsgate " format " 2>&1", build_folder(), ##__VA_ARGS__)

TEST_F(control, show)
{
	char row[64];

	ASSERT_EQ(0, peer_send_data(&self->p.peer, self->out, 2000));
	ASSERT_EQ(0, net_read(self->p.fd, self->out, 2000));
	EXPECT_EQ(0, TOOL(self, "show"));
	EXPECT_NE(NULL, strstr(self->out, self->p.suite->name));
	EXPECT_NE(NULL, strstr(self->out, variant->family == AF_INET ? "127.0.0.1:" : "[::1]:"));
	EXPECT_NE(NULL, strstr(self->out, "2.0 KiB"));
	EXPECT_EQ(0, TOOL(self, "show --json"));
	snprintf(row, sizeof(row), "\"id\":%u,", self->p.id);
	EXPECT_NE(NULL, strstr(self->out, row));
	EXPECT_NE(NULL, strstr(self->out, "\"rx_bytes\":2000,"));
	EXPECT_EQ(0, TOOL(self, "show %u", self->p.id));
	EXPECT_NE(NULL, strstr(self->out, "established"));
	EXPECT_EQ(1, TOOL(self, "show %u", self->p.id + 1000));
	EXPECT_EQ(2, TOOL(self, "show all"));
}

/* Whatever bytes it has, it forges no line and moves no cursor. */
TEST_F(control, show_label)
{
	static const char label[] = "web\033[2J\n\xff\"\0x";
	struct pair p;

	ASSERT_TRUE(pair_connect(&p, variant->version, variant->suite, variant->family));
	ASSERT_EQ(0, pair_install_as(&p, label, sizeof(label) - 1));
	EXPECT_EQ(0, TOOL(self, "show"));
	EXPECT_NE(NULL, strstr(self->out, " web\\x1b[2J\\x0a\\xff\"\\x00x  "));
	EXPECT_EQ(0, TOOL(self, "show %u", p.id));
	EXPECT_NE(NULL, strstr(self->out, "label          web\\x1b[2J\\x0a\\xff\"\\x00x\n"));
	EXPECT_EQ(0, TOOL(self, "show %u", self->p.id));
	EXPECT_NE(NULL, strstr(self->out, "label          -\n"));
	EXPECT_EQ(0, TOOL(self, "show --json %u | python3 -c '%s'", p.id,
			  "import json, sys; print(ascii(json.load(sys.stdin)[\"label\"]))"));
	EXPECT_STREQ("'web\\x1b[2J\\n\\ufffd\"\\x00x'\n", self->out);
	pair_free(&p);
}

/* The whole label counts, and one that contains it, or none, is another gate's. */
TEST_F(control, close_gate)
{
	static const char * const labels[] = { "web", "we", "web2", "mail" };
	struct pair p[4];
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_TRUE(pair_connect(&p[i], variant->version, variant->suite, variant->family));
		ASSERT_EQ(0, pair_install_as(&p[i], labels[i], strlen(labels[i])));
	}
	EXPECT_EQ(2, TOOL(self, "close --gate"));
	EXPECT_EQ(2, TOOL(self, "close --gate web --all"));
	EXPECT_EQ(2, TOOL(self, "close --gate web %u", self->p.id));
	EXPECT_EQ(0, TOOL(self, "close --gate nosuch"));
	EXPECT_EQ(0, TOOL(self, "close --gate web"));
	EXPECT_STREQ("", self->out);
	EXPECT_TRUE(peer_expect_alert(&p[0].peer, TLS_INTERNAL_ERROR));
	EXPECT_EQ(0, TOOL(self, "close --gate mail --reset"));
	EXPECT_EQ(PEER_RESET, peer_drain(&p[3].peer));
	EXPECT_EQ(3, send(p[1].fd, "abc", 3, 0));
	EXPECT_EQ(3, send(p[2].fd, "abc", 3, 0));
	EXPECT_EQ(3, send(self->p.fd, "abc", 3, 0));
	for (i = 0; i < 4; i++)
		pair_free(&p[i]);
}

TEST_F(control, show_relay)
{
	int plain = pair_relay(&self->p, AF_INET, 60000);

	ASSERT_LE(0, plain);
	EXPECT_EQ(0, TOOL(self, "show %u", self->p.id));
	EXPECT_NE(NULL, strstr(self->out, "relay peer     127.0.0.1:"));
	EXPECT_NE(NULL, strstr(self->out, "idle timeout   1m 00s"));
	close(plain);
}

/* From another namespace than the session's. */
TEST_F(control, all_namespaces)
{
	struct stat netns;
	char row[64];

	ASSERT_EQ(0, stat("/proc/self/ns/net", &netns));
	ASSERT_TRUE(net_namespace());
	EXPECT_EQ(0, TOOL(self, "show"));
	EXPECT_STREQ("no session in this network namespace\n", self->out);
	EXPECT_EQ(0, TOOL(self, "show --all-namespaces"));
	EXPECT_NE(NULL, strstr(self->out, "NETNS"));
	EXPECT_NE(NULL, strstr(self->out, self->p.suite->name));
	EXPECT_EQ(0, TOOL(self, "show --all-namespaces --json"));
	snprintf(row, sizeof(row), "\"id\":%u,", self->p.id);
	EXPECT_NE(NULL, strstr(self->out, row));
	snprintf(row, sizeof(row), "\"netns\":%lu", (unsigned long)netns.st_ino);
	EXPECT_NE(NULL, strstr(self->out, row));
	EXPECT_EQ(0, TOOL(self, "show %u", self->p.id));
	snprintf(row, sizeof(row), "namespace      %lu\n", (unsigned long)netns.st_ino);
	EXPECT_NE(NULL, strstr(self->out, row));
	EXPECT_EQ(2, TOOL(self, "show --all-namespaces %u", self->p.id));
	EXPECT_EQ(0, TOOL(self, "close --reset %u", self->p.id));
	EXPECT_EQ(PEER_RESET, peer_drain(&self->p.peer));
}

TEST_F(control, rekey)
{
	int status = TOOL(self, "rekey %u", self->p.id);
	uint8_t type = 0, message[16];

	if (variant->version == TLSGATE_TLS_1_2) {
		EXPECT_EQ(1, status);
		EXPECT_NE(NULL, strstr(self->out, "TLS 1.2 has no KeyUpdate"));
		return;
	}
	EXPECT_EQ(0, status);
	EXPECT_STREQ("", self->out);
	EXPECT_EQ(5, peer_recv(&self->p.peer, &type, message, sizeof(message)));
	EXPECT_EQ(22, type);
}

TEST_F(control, close)
{
	EXPECT_EQ(0, TOOL(self, "close %u", self->p.id));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_INTERNAL_ERROR));
	EXPECT_EQ(1, TOOL(self, "close %u", self->p.id));
	EXPECT_NE(NULL, strstr(self->out, "ended"));
	EXPECT_EQ(2, TOOL(self, "close"));
}

TEST_F(control, close_reset)
{
	EXPECT_EQ(0, TOOL(self, "close --reset %u", self->p.id));
	EXPECT_EQ(PEER_RESET, peer_drain(&self->p.peer));
}

TEST_F(control, ciphers)
{
	EXPECT_EQ(0, TOOL(self, "ciphers"));
	EXPECT_NE(NULL, strstr(self->out, self->p.suite->name));
	EXPECT_EQ(NULL, strstr(self->out, "not loaded"));
	EXPECT_EQ(0, TOOL(self, "version"));
	EXPECT_NE(NULL, strstr(self->out, "netlink interface 3\nkernel"));
}

/* What tlsgate's show, monitor and close say to whoever lacks the capability. */
static void expect_advice(struct __test_metadata *_metadata, const char *as, const char *arguments,
			  const char *advice)
{
	char out[OUTPUT_MAX];

	EXPECT_EQ(1, run(out, "%s %s/tlsgate %s 2>&1", as, build_folder(), arguments));
	EXPECT_NE(NULL, strstr(out, "needs CAP_NET_ADMIN")) TH_LOG("%s", out);
	EXPECT_NE(NULL, strstr(out, advice)) TH_LOG("%s", out);
	EXPECT_EQ(NULL, strstr(out, "install_group_range"));	/* would not help */
}

/* Without capabilities: what needs none works, what needs some says so, and what would help. */
TEST_F(control, unprivileged)
{
	static const char as_nobody[] = "setpriv --reuid 65534 --clear-groups --bounding-set -all "
					"--inh-caps -all --";
	static const char as_root[] = "setpriv --bounding-set -net_admin --inh-caps -net_admin --";
	static const char * const commands[] = {
		"show", "show --json", "show --all-namespaces", "monitor", "close --all",
	};
	char by_id[32];
	size_t i;

	EXPECT_EQ(0, run(self->out, "%s %s/tlsgate ciphers 2>&1", as_nobody, build_folder()));
	EXPECT_NE(NULL, strstr(self->out, self->p.suite->name));
	EXPECT_NE(NULL, strstr(self->out, "CAP_NET_ADMIN"));
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		expect_advice(_metadata, as_nobody, commands[i], ": run tlsgate as root, ");
		expect_advice(_metadata, as_root, commands[i], ": this root lacks that, ");
	}
	for (i = 0; i < 3; i++) {
		snprintf(by_id, sizeof(by_id), "%s %u", ((const char *[]){ "show", "close", "rekey" })[i],
			 self->p.id);
		expect_advice(_metadata, as_nobody, by_id, ": run tlsgate as root, ");
	}
}

/* Reads lines until one has both words; false at the end or after NET_DEADLINE. */
static bool line_with(FILE *from, const char *a, const char *b, char line[OUTPUT_MAX])
{
	while (net_poll(fileno(from), POLLIN, NET_DEADLINE) & POLLIN) {
		if (!fgets(line, OUTPUT_MAX, from))
			return false;
		if (strstr(line, a) && strstr(line, b))
			return true;
	}
	return false;
}

/* The monitor's output, unbuffered so that poll() sees what is left; NULL on failure. */
static FILE *start_monitor(pid_t *pid)
{
	char tool[PATH_MAX];
	int ends[2];
	FILE *lines;

	snprintf(tool, sizeof(tool), "%s/tlsgate", build_folder());
	if (pipe(ends))
		return NULL;
	*pid = fork();
	if (*pid == 0) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		execl(tool, "tlsgate", "monitor", "--json", NULL);
		_exit(127);
	}
	close(ends[1]);
	lines = fdopen(ends[0], "r");
	if (lines)
		setvbuf(lines, NULL, _IONBF, 0);
	return lines;
}

TEST_F(control, monitor)
{
	pid_t pid = -1;
	FILE *lines = start_monitor(&pid);
	char id[32];

	ASSERT_NE(NULL, lines);
	ASSERT_LT(0, pid);
	snprintf(id, sizeof(id), "\"id\":%u,", self->p.id);
	ASSERT_TRUE(line_with(lines, "following events", "", self->out));
	if (variant->version == TLSGATE_TLS_1_3) {
		EXPECT_EQ(0, tg_session_rekey(self->p.tg, BY_ID(self->p.id)));
		EXPECT_TRUE(line_with(lines, id, "\"event\":\"rekeyed\"", self->out));
		EXPECT_NE(NULL, strstr(self->out, "\"tx_epoch\":1"));
	}
	EXPECT_EQ(0, tg_session_del(self->p.tg, BY_ID(self->p.id), TLSGATE_CLOSE_RESET));
	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_TRUE(line_with(lines, id, "\"event\":\"closed\"", self->out));
	EXPECT_NE(NULL, strstr(self->out, "\"reason\":\"admin_reset\""));
	kill(pid, SIGTERM);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	fclose(lines);
}

/* ---- the kernel's own tool ---------------------------------------------------------- */

TEST_F(control, ynl)
{
	int status = run(self->out,
			 "cd %s/.. && test -d build/linux/tools/net/ynl/lib || exit 4; "
			 "PYTHONDONTWRITEBYTECODE=1 python3 -c '\n"
			 "import sys; sys.path.insert(0, \"build/linux/tools/net/ynl\")\n"
			 "from lib import YnlFamily\n"
			 "family = YnlFamily(\"kmod/tlsgate.yaml\", \"\")\n"
			 "one = family.do(\"session-get\", {\"id\": %u})\n"
			 "assert one[\"suite\"] == %u, one\n"
			 "assert one[\"state\"] == \"established\", one\n"
			 "assert %u in [s[\"id\"] for s in family.dump(\"session-get\", {})]\n"
			 "assert %u in [s[\"id\"] for s in family.dump(\"session-get\", {\"netns\": 0})]\n"
			 "assert len(family.dump(\"cipher-get\", {})) > 5\n"
			 "family.do(\"session-del\", {\"id\": %u, \"how\": \"reset\"})\n' 2>&1",
			 build_folder(), self->p.id, variant->suite, self->p.id, self->p.id, self->p.id);

	if (status == 4)
		SKIP(return, "the kernel's ynl is not unpacked: make linux-tools");
	EXPECT_EQ(0, status) {
		TH_LOG("%s", self->out);
	}
	EXPECT_EQ(PEER_RESET, peer_drain(&self->p.peer));
}

/* ---- the library --------------------------------------------------------------------- */

/* The socket's opener is asked, not its user. */
TEST_F(control, library_socket)
{
	struct tlsgate *tg;
	const char *why;
	int fd;

	ASSERT_EQ(0, seteuid(65534));
	fd = tlsgate_socket();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, tlsgate_open_fd(&tg, fd, &why)) TH_LOG("%s", why);
	EXPECT_EQ(0, close(fd));
	EXPECT_EQ(-EPERM, tlsgate_may_install(tg));
	EXPECT_NE(NULL, strstr(tlsgate_error(tg), "net.tlsgate.install_group_range"));
	tlsgate_close(tg);
	fd = tlsgate_socket();
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(0, tlsgate_open_fd(&tg, fd, &why)) TH_LOG("%s", why);
	EXPECT_EQ(0, tlsgate_may_install(tg));
	EXPECT_STREQ("", tlsgate_error(tg));
	tlsgate_close(tg);
	EXPECT_EQ(0, seteuid(0));
	close(fd);
}

static void keys_for_lib(struct tlsgate_keys *to, const struct ref_keys *from,
			 const struct ref_suite *suite)
{
	memcpy(to->key, from->key, suite->key_len);
	memcpy(to->iv, from->iv, suite->iv_len);
	memcpy(to->secret, from->secret, suite->secret_len);
	to->key_len = suite->key_len;
	to->iv_len = suite->iv_len;
	to->secret_len = suite->secret_len;
	to->seq = from->seq;
}

static struct tlsgate_session_params lib_params(const struct pair *p, int fd)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;

	params.fd = fd;
	params.version = p->suite->version;
	params.suite = p->suite->suite;
	params.role = TLSGATE_ROLE_SERVER;
	keys_for_lib(&params.tx, &p->tx, p->suite);
	keys_for_lib(&params.rx, &p->rx, p->suite);
	return params;
}

TEST_F(control, library)
{
	struct tlsgate_session session;
	struct tlsgate_session_params params;
	struct tlsgate *tg;
	uint32_t id = 0;
	int fd[2];

	ASSERT_EQ(0, tlsgate_open(&tg, NULL));
	EXPECT_EQ(TLSGATE_GENL_VERSION, tlsgate_family_version(tg));
	ASSERT_EQ(0, net_tcp_pair(variant->family, fd));
	params = lib_params(&self->p, fd[0]);
	params.tx.key_len--;
	EXPECT_EQ(-EINVAL, tlsgate_session_new(tg, &params, &id));
	EXPECT_EQ(0, strncmp(tlsgate_error(tg), "tx.key: ", 8)) {
		TH_LOG("%s", tlsgate_error(tg));
	}
	EXPECT_EQ(-ENOENT, tlsgate_session_get(tg, tlsgate_by_fd(fd[0]), &session));
	params.tx.key_len++;
	EXPECT_EQ(0, tlsgate_session_new(tg, &params, &id)) {
		TH_LOG("%s", tlsgate_error(tg));
	}
	EXPECT_EQ(0, tlsgate_session_get(tg, tlsgate_by_fd(fd[0]), &session));
	EXPECT_EQ(id, session.id);
	EXPECT_EQ(variant->suite, session.suite);
	EXPECT_EQ(-1, session.alert);
	EXPECT_EQ(-ENOENT, tlsgate_session_rekey(tg, tlsgate_by_id(id + 1000)));
	EXPECT_EQ(0, tlsgate_session_del(tg, tlsgate_by_id(id), TLSGATE_CLOSE_RESET));
	close(fd[0]);
	close(fd[1]);
	tlsgate_close(tg);
}

TEST_F(control, library_delivers)
{
	struct tlsgate_address local = { .len = sizeof(local.un) }, server = local;
	struct tlsgate_session_params params;
	struct tlsgate_session session;
	struct tlsgate *tg;
	uint32_t id = 0;
	int handle, gate = net_listener(variant->family), there = net_listener(variant->family);
	int fd[2];

	ASSERT_EQ(0, tlsgate_open(&tg, NULL));
	ASSERT_EQ(0, getsockname(gate, &local.sa, &local.len));
	ASSERT_EQ(0, getsockname(there, &server.sa, &server.len));
	EXPECT_EQ(-EINVAL, tlsgate_deliver_new(tg, &local.sa, local.len, &server.sa, 4));
	EXPECT_EQ(0, strncmp(tlsgate_error(tg), "server: ", 8)) TH_LOG("%s", tlsgate_error(tg));
	handle = tlsgate_deliver_new(tg, &local.sa, local.len, &server.sa, server.len);
	ASSERT_LE(0, handle) TH_LOG("%s", tlsgate_error(tg));
	ASSERT_EQ(0, net_tcp_pair_at(gate, fd));
	params = lib_params(&self->p, fd[1]);
	EXPECT_EQ(-EBADF, tlsgate_session_deliver(tg, &params, -1, &id));
	params.fd = fd[0];
	EXPECT_EQ(-EACCES, tlsgate_session_deliver(tg, &params, handle, &id));
	params.fd = fd[1];
	ASSERT_EQ(0, tlsgate_session_deliver(tg, &params, handle, &id))
		TH_LOG("%s", tlsgate_error(tg));
	close(fd[1]);
	ASSERT_EQ(0, tlsgate_session_get(tg, tlsgate_by_id(id), &session));
	EXPECT_EQ(TLSGATE_DELIVERY_QUEUED, session.delivery);
	EXPECT_EQ(server.len, session.server.len);
	EXPECT_EQ(0, memcmp(&server.un, &session.server.un, server.len));
	fd[1] = accept4(there, NULL, NULL, SOCK_CLOEXEC);
	ASSERT_EQ(0, tlsgate_session_get(tg, tlsgate_by_id(id), &session));
	EXPECT_EQ(TLSGATE_DELIVERY_ACCEPTED, session.delivery);
	close(fd[0]);
	close(fd[1]);
	close(handle);
	close(gate);
	close(there);
	tlsgate_close(tg);
}

/* The child between two getppid(): everything it asks of the kernel there is counted. */
static void install_traced(const struct pair *p, int fd)
{
	struct tlsgate_session_params params = lib_params(p, -1);
	struct tlsgate *tg;
	uint32_t id;
	int err;

	if (tlsgate_open(&tg, NULL) || tlsgate_session_new(tg, &params, &id) != -EBADF)
		_exit(1);
	params.fd = fd;
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	getppid();
	err = tlsgate_session_new(tg, &params, &id);
	getppid();
	_exit(err ? 1 : 0);
}

/* System calls between the two getppid() of a child that stops first; -1: it went wrong. */
static int count_calls(pid_t child, int *status)
{
	struct __ptrace_syscall_info info;
	int calls = 0, markers = 0;

	if (waitpid(child, status, 0) != child || !WIFSTOPPED(*status))
		return -1;
	ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (;;) {
		ptrace(PTRACE_SYSCALL, child, NULL, NULL);
		if (waitpid(child, status, 0) != child)
			return -1;
		if (WIFEXITED(*status) || WIFSIGNALED(*status))
			return markers == 2 ? calls : -1;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) > 0 &&
		    info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			if (info.entry.nr == SYS_getppid)
				markers++;
			else if (markers == 1)
				calls++;
		}
	}
}

TEST_F(control, two_system_calls)
{
	int fd[2], status = 0, calls;
	pid_t child;

	ASSERT_EQ(0, net_tcp_pair(variant->family, fd));
	fflush(NULL);
	child = fork();
	if (child == 0)
		install_traced(&self->p, fd[0]);
	ASSERT_LT(0, child);
	close(fd[0]);	/* the child, which waits for its tracer, has the only one */
	calls = count_calls(child, &status);
	EXPECT_EQ(2, calls);
	EXPECT_EQ(0, status);
	close(fd[1]);
}

TEST_HARNESS_MAIN
