// SPDX-License-Identifier: MIT
/* Who may load, key, list and end: docs/design.md, "Who may do what", cell by cell. */
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/genetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define NOBODY	65534
#define MEMBER	1000

#define REFUSED	"reason_refused_perm"

/* ---- identities, settings, children --------------------------------------------- */

/* With these groups and no capability. */
static bool become(uid_t uid, gid_t gid, gid_t egid, size_t count, const gid_t *more)
{
	return !setgroups(count, more) && !setresgid(gid, egid, egid) && !setresuid(uid, uid, uid) &&
	       !prctl(PR_SET_DUMPABLE, 1);
}

static bool become_nobody(void)
{
	return become(NOBODY, NOBODY, NOBODY, 0, NULL);
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };

	return !syscall(SYS_capset, &header, none);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != strlen(text))
		err = -errno;
	close(fd);
	return err;
}

static int set(const char *name, const char *value)
{
	char path[100];

	snprintf(path, sizeof(path), "/proc/sys/net/tlsgate/%s", name);
	return write_file(path, value);
}

static bool has(const char *name, const char *value)
{
	char path[100], text[100] = "";
	int fd, n;

	snprintf(path, sizeof(path), "/proc/sys/net/tlsgate/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n == strlen(value) + 1 && !strncmp(text, value, n - 1);
}

#define RANGE	"install_group_range"
#define ALLOW	"allow_install"

/* Root in a user namespace of its own, of which uid is the owner. */
static bool own_user_namespace(uid_t uid)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1", uid);
	return !unshare(CLONE_NEWUSER) && !write_file("/proc/self/setgroups", "deny") &&
	       !write_file("/proc/self/uid_map", map) && !write_file("/proc/self/gid_map", map);
}

static bool enter_network(pid_t pid)
{
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = setns(fd, CLONE_NEWNET);
	close(fd);
	return !err;
}

static uint32_t network(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : st.st_ino;
}

/* Two processes in turns. */
static void tell(int fd)
{
	if (write(fd, "", 1) != 1)
		_exit(1);
}

static void await(int fd)
{
	char c;

	if (net_read(fd, &c, 1))
		_exit(1);
}

static int send_fd(int via, int fd)
{
	char space[CMSG_SPACE(sizeof(fd))] = { 0 }, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(via, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int via)
{
	char space[CMSG_SPACE(sizeof(int))], c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space),
	};
	int fd = -1;

	if (recvmsg(via, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* ---- one connection and what is tried on it ------------------------------------------ */

FIXTURE(reach)
{
	struct pair p;		/* of root, not keyed */
	struct tg_info info;
	int counters, turn[2];
};

FIXTURE_SETUP(reach)
{
	memset(self, 0, sizeof(*self));
	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, AF_INET));
	self->counters = tg_counters();
	ASSERT_LE(0, self->counters);
	ASSERT_EQ(0, net_unix_pair(self->turn));
}

FIXTURE_TEARDOWN(reach)
{
	set(RANGE, "1 0");
	set(ALLOW, "1");
	pair_free(&self->p);
	close(self->counters);
}

/* A child, whose expectations become the test's when it is joined. */
static pid_t begin(struct __test_metadata *_metadata, FIXTURE_DATA(reach) *self,
		   void (*run)(struct __test_metadata *_metadata, FIXTURE_DATA(reach) *self))
{
	pid_t child = fork();

	if (!child) {
		run(_metadata, self);
		_exit(_metadata->exit_code);
	}
	return child;
}

static void join(struct __test_metadata *_metadata, pid_t child)
{
	int status = -1;

	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* A connection of a child's own, of which the test has no descriptor. */
static bool connects_alone(struct pair *p)
{
	int fd[2];

	if (net_tcp_pair(AF_INET, fd))
		return false;
	p->fd = fd[0];
	p->peer.fd = fd[1];
	return true;
}

static bool still_plain(struct pair *p)
{
	char c = 0;

	return send(p->fd, "p", 1, 0) == 1 && !net_read(p->peer.fd, &c, 1) && c == 'p';
}

static bool echoes_keys(const struct pair *p)
{
	return memmem(p->tg->raw, p->tg->raw_len, p->tx.key, p->suite->key_len) ||
	       memmem(p->tg->raw, p->tg->raw_len, p->rx.secret, p->suite->secret_len);
}

/* One line that says what to do. */
static bool tells(const struct tg *tg, const char *word)
{
	return strstr(tg->ack.msg, word) && !strchr(tg->ack.msg, '\n');
}

/* Nothing is keyed, in one sentence, and nothing of the keys comes back. */
static void expect_not_keyed(struct __test_metadata *_metadata, struct pair *p, const char *word)
{
	EXPECT_EQ(-EPERM, pair_install(p));
	EXPECT_TRUE(tells(p->tg, word)) TH_LOG("'%s'", p->tg->ack.msg);
	EXPECT_GT(p->tg->raw_len, 36);
	EXPECT_FALSE(echoes_keys(p));
	EXPECT_TRUE(still_plain(p));
}

static struct nl_msg *garbage(struct tg *tg, int cmd)
{
	struct nl_msg *msg = tg_msg(tg, cmd, 0);

	if (nla_put_u8(msg, TLSGATE_A_FD, 1) || nla_put_u8(msg, TLSGATE_A_MAX + 1, 1))
		abort();
	return msg;
}

/* What helps who may not make the call, in a namespace where installing is on or off. */
static const char *what_helps(int cmd, bool on)
{
	if (!on)
		return "net.tlsgate." ALLOW;
	return cmd == TLSGATE_CMD_SESSION_NEW || cmd == TLSGATE_CMD_RELAY_NEW ?
	       "net.tlsgate." RANGE : "CAP_NET_ADMIN in the user namespace that owns";
}

/* No command looks at what it is sent: the answer to garbage is the same. */
static void expect_nothing_parsed(struct __test_metadata *_metadata, struct tg *tg, bool on)
{
	int count = 0;

	for (int cmd = TLSGATE_CMD_SESSION_NEW; cmd <= TLSGATE_CMD_RELAY_NEW; cmd++) {
		EXPECT_EQ(-EPERM, tg_call(tg, garbage(tg, cmd), NULL, NULL)) TH_LOG("%d", cmd);
		EXPECT_TRUE(tells(tg, what_helps(cmd, on))) TH_LOG("%d: '%s'", cmd, tg->ack.msg);
	}
	EXPECT_EQ(-EPERM, tg_session_dump(tg, 0, NULL, &count));
	EXPECT_EQ(-EPERM, tg_call(tg, tg_msg(tg, TLSGATE_CMD_CIPHER_GET, NLM_F_DUMP), NULL, NULL));
	EXPECT_EQ(0, count);
}

/* ---- without privilege ------------------------------------------------------------------ */

#define CHILD(name)	\
	static void name(struct __test_metadata *_metadata, FIXTURE_DATA(reach) *self)

CHILD(is_refused)
{
	struct pair p;

	ASSERT_TRUE(become_nobody());
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	expect_not_keyed(_metadata, &p, "CAP_NET_ADMIN");
	expect_nothing_parsed(_metadata, p.tg, true);
	EXPECT_EQ(-EPERM, tg_listen(p.tg));
}

TEST_F(reach, nobody_is_refused_before_anything_is_parsed)
{
	uint64_t before = tg_counter(self->counters, REFUSED);
	uint64_t opened = tg_counter(self->counters, "sessions_opened");

	join(_metadata, begin(_metadata, self, is_refused));
	/* SESSION_NEW, six commands of garbage, two dumps. */
	EXPECT_EQ(before + 9, tg_counter(self->counters, REFUSED));
	EXPECT_EQ(opened, tg_counter(self->counters, "sessions_opened"));
}

CHILD(only_uses_what_is_keyed)
{
	struct tg *tg;

	ASSERT_TRUE(become_nobody());
	tg = tg_open();
	ASSERT_NE(NULL, tg);
	EXPECT_EQ(-EPERM, tg_session_get(tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(-EPERM, tg_session_rekey(tg, BY_FD(self->p.fd)));
	EXPECT_EQ(-EPERM, tg_session_del(tg, BY_FD(self->p.fd), TLSGATE_CLOSE_RESET));
	EXPECT_EQ(4, send(self->p.fd, "data", 4, 0));
}

TEST_F(reach, nor_does_a_keyed_socket_reach_the_module)
{
	char data[4];

	ASSERT_EQ(0, pair_install(&self->p));
	join(_metadata, begin(_metadata, self, only_uses_what_is_keyed));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, data, 4) && !memcmp(data, "data", 4));
}

CHILD(is_root_of_a_user_namespace)
{
	struct pair p;

	ASSERT_TRUE(become_nobody());
	ASSERT_TRUE(own_user_namespace(NOBODY));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	expect_not_keyed(_metadata, &p, "CAP_NET_ADMIN");
	expect_nothing_parsed(_metadata, p.tg, true);
	EXPECT_GT(0, set(ALLOW, "0"));
	EXPECT_GT(0, set(RANGE, "0 0"));
}

/* It gives no capability over the network that one stays in. */
TEST_F(reach, nor_does_a_user_namespace_alone)
{
	join(_metadata, begin(_metadata, self, is_root_of_a_user_namespace));
	EXPECT_TRUE(has(ALLOW, "1"));
	EXPECT_TRUE(has(RANGE, "1\t0"));
}

/* ---- loading -------------------------------------------------------------------------------- */

/* A modprobe that logs what it is asked for, and loads the module for an alias of its own. */
static bool write_modprobe(const char *path, const char *log, const char *module)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return false;
	fprintf(file, "#!/bin/sh\n"
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
		"for wanted; do :; done\n"
		"echo \"$wanted\" >> %s\n"
		"for alias in tlsgate $(modinfo -F alias %s); do\n"
		"	[ \"$alias\" != \"$wanted\" ] || insmod %s\n"
		"done\n", log, module, module);
	return !fchmod(fileno(file), 0755) && !fclose(file);
}

static bool has_line(const char *path, const char *word)
{
	FILE *file = fopen(path, "r");
	bool found = false;
	char line[400];

	while (file && fgets(line, sizeof(line), file))
		found |= !!strstr(line, word);
	if (file)
		fclose(file);
	return found;
}

static bool unloads(void *arg)
{
	return !syscall(SYS_delete_module, "tlsgate", O_NONBLOCK);
}

/* All by which the kernel looks for a module by name. */
static void ask_by_name(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tlsgate", 7);
	close(fd);
	tg_close(tg_open());
}

/* From its own namespaces as well. */
static void ask_as_nobody(struct __test_metadata *_metadata, bool apart)
{
	pid_t child = fork();

	if (!child) {
		ASSERT_TRUE(become_nobody());
		ASSERT_TRUE(!apart || (own_user_namespace(NOBODY) && net_namespace()));
		ask_by_name();
		_exit(_metadata->exit_code);
	}
	join(_metadata, child);
}

TEST(nobody_loads_the_module)
{
	static const char modprobe[] = "/tmp/reach-modprobe", log[] = "/tmp/reach-modprobe.log";
	char exe[PATH_MAX] = "", module[2 * PATH_MAX], insmod[3 * PATH_MAX], was[200] = "";
	struct utsname name;
	FILE *file;

	ASSERT_EQ(0, uname(&name));
	ASSERT_LT(0, readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	snprintf(module, sizeof(module), "%s/kmod/%s/tlsgate.ko", dirname(dirname(exe)),
		 name.release);
	ASSERT_EQ(0, access(module, R_OK)) TH_LOG("%s", module);
	file = fopen("/proc/sys/kernel/modprobe", "r");
	if (!file || !fgets(was, sizeof(was), file))
		SKIP(return, "this kernel loads no modules by name");
	fclose(file);
	ASSERT_TRUE(write_modprobe(modprobe, log, module));
	ASSERT_TRUE(net_until(unloads, NULL));
	ASSERT_EQ(0, write_file("/proc/sys/kernel/modprobe", modprobe));
	ask_as_nobody(_metadata, false);
	ask_as_nobody(_metadata, true);
	EXPECT_FALSE(has_line("/proc/modules", "tlsgate "));
	/* The kernel did look for it. */
	EXPECT_TRUE(has_line(log, "family-tlsgate"));
	EXPECT_EQ(0, write_file("/proc/sys/kernel/modprobe", was));
	snprintf(insmod, sizeof(insmod), "insmod %s", module);
	ASSERT_TRUE(has_line("/proc/modules", "tlsgate ") || !system(insmod));
}

/* ---- who opened the socket, and who sends on it ------------------------------------------ */

CHILD(installs_on_roots_socket)
{
	ASSERT_TRUE(connects_alone(&self->p));
	ASSERT_TRUE(become_nobody());
	ASSERT_EQ(0, pair_install(&self->p)) TH_LOG("%s", self->p.tg->ack.msg);
	EXPECT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(NOBODY, tg_num(&self->info, TLSGATE_A_UID));
	EXPECT_LE(0, pair_relay(&self->p, AF_INET, -1));
	/* It is for installing, and for what one holds. */
	EXPECT_EQ(-EPERM, tg_session_dump(self->p.tg, 0, NULL, NULL));
	EXPECT_EQ(-EPERM, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(-EPERM, tg_listen(self->p.tg));
}

TEST_F(reach, root_opens_and_nobody_sends)
{
	join(_metadata, begin(_metadata, self, installs_on_roots_socket));
}

TEST_F(reach, nobody_opens_and_root_sends)
{
	struct tg *root = self->p.tg;

	ASSERT_EQ(0, seteuid(NOBODY));
	self->p.tg = tg_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_NE(NULL, self->p.tg);
	expect_not_keyed(_metadata, &self->p, "CAP_NET_ADMIN");
	tg_close(self->p.tg);
	self->p.tg = root;
	ASSERT_EQ(0, pair_install(&self->p));
	EXPECT_EQ(0, tg_session_get(root, BY_ID(self->p.id), &self->info));
}

CHILD(exchanges_sockets)
{
	struct tg *mine;

	ASSERT_TRUE(connects_alone(&self->p));
	ASSERT_TRUE(become_nobody());
	mine = tg_open();
	ASSERT_NE(NULL, mine);
	ASSERT_EQ(0, send_fd(self->turn[1], nl_socket_get_fd(mine->sk)));
	self->p.tg = tg_open_fd(mine, receive_fd(self->turn[1]));
	ASSERT_NE(NULL, self->p.tg);
	EXPECT_EQ(0, pair_install(&self->p)) TH_LOG("%s", self->p.tg->ack.msg);
}

/* Nobody's to root, and root's, opened when nobody was nobody already, to nobody. */
TEST_F(reach, a_socket_is_passed_on)
{
	struct tg *root = self->p.tg, *other = tg_open();
	pid_t child = begin(_metadata, self, exchanges_sockets);

	ASSERT_NE(NULL, other);
	self->p.tg = tg_open_fd(root, receive_fd(self->turn[0]));
	ASSERT_NE(NULL, self->p.tg);
	expect_not_keyed(_metadata, &self->p, "CAP_NET_ADMIN");
	tg_close(self->p.tg);
	self->p.tg = root;
	ASSERT_EQ(0, send_fd(self->turn[0], nl_socket_get_fd(other->sk)));
	join(_metadata, child);
	tg_close(other);
}

/* ---- the range of groups ---------------------------------------------------------------------- */

struct member {
	const char *range;
	gid_t gid, egid;
	gid_t more[3];
	size_t count;
	bool may;
};

#define LAST	4294967294u

static const struct member members[] = {
	{ "1 0", 0, 0, { 0, 1 }, 2, false },
	{ "1 0", 1, 1, { 0 }, 0, false },
	{ "5 4", 5, 5, { 4 }, 1, false },
	{ "0 0", 0, 0, { 0 }, 0, true },
	{ "0 0", 1, 1, { 1 }, 1, false },
	{ "1000 1000", 1000, 1000, { 0 }, 0, true },
	{ "1000 1000", 999, 999, { 1001 }, 1, false },
	{ "1000 1002", 7, 1002, { 0 }, 0, true },
	{ "1000 1002", 7, 1003, { 999 }, 1, false },
	/* the effective group, not the real one */
	{ "1000 1000", 1000, 7, { 7 }, 1, false },
	{ "1000 1000", 7, 7, { 5, 1000, 2000 }, 3, true },
	{ "1000 1000", 7, 7, { 5, 6, 1000 }, 3, true },
	{ "1000 1000", 7, 7, { 5, 6, 8 }, 3, false },
	{ "0 4294967294", LAST, LAST, { 0 }, 0, true },
	{ "4294967294 4294967294", LAST, LAST, { 0 }, 0, true },
	{ "4294967294 4294967294", LAST - 1, LAST - 1, { 0 }, 0, false },
	{ "0 4294967293", LAST, LAST, { 0 }, 0, false },
};

static void try_member(struct __test_metadata *_metadata, const struct member *m)
{
	struct pair p;

	ASSERT_TRUE(become(NOBODY, m->gid, m->egid, m->count, m->more));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	EXPECT_EQ(m->may ? 0 : -EPERM, pair_install(&p))
		TH_LOG("range %s, group %u: '%s'", m->range, m->egid, p.tg->ack.msg);
	/* It is for installing only. */
	EXPECT_EQ(-EPERM, tg_session_dump(p.tg, 0, NULL, NULL));
	EXPECT_EQ(-EPERM, tg_listen(p.tg));
}

TEST_F(reach, a_range_of_groups_may)
{
	EXPECT_TRUE(has(RANGE, "1\t0"));
	for (const struct member *m = members; m < members + sizeof(members) / sizeof(*m); m++) {
		pid_t child;

		ASSERT_EQ(0, set(RANGE, m->range)) TH_LOG("%s", m->range);
		child = fork();
		if (!child) {
			try_member(_metadata, m);
			_exit(_metadata->exit_code);
		}
		join(_metadata, child);
	}
}

TEST_F(reach, no_range_is_half_taken)
{
	static const char *const bad[] = {
		"4294967295 4294967295", "7 4294967295", "7 18446744073709551616", "7 x", "x", "7 8x", "7",
		"-1 7", "7 -1",
	};

	ASSERT_EQ(0, set(RANGE, "3 4"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, set(RANGE, bad[i])) TH_LOG("'%s'", bad[i]);
		EXPECT_TRUE(has(RANGE, "3\t4")) TH_LOG("'%s'", bad[i]);
	}
}

CHILD(was_a_member_once)
{
	struct tg *member, *stranger;
	const gid_t groups[] = { 5, MEMBER };

	ASSERT_TRUE(connects_alone(&self->p));
	/* No capability from here on but to change groups. */
	ASSERT_EQ(0, setgroups(2, groups));
	ASSERT_EQ(0, seteuid(NOBODY));
	member = tg_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, seteuid(NOBODY));
	stranger = tg_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_NE(NULL, member);
	ASSERT_NE(NULL, stranger);
	ASSERT_TRUE(become(NOBODY, 7, 7, 0, NULL));
	self->p.tg = stranger;
	expect_not_keyed(_metadata, &self->p, RANGE);
	self->p.tg = member;
	EXPECT_EQ(0, pair_install(&self->p)) TH_LOG("%s", member->ack.msg);
}

/* As with the capability, who opens is asked, when that was. */
TEST_F(reach, the_group_is_the_openers)
{
	ASSERT_EQ(0, set(RANGE, "1000 1000"));
	join(_metadata, begin(_metadata, self, was_a_member_once));
}

/* ---- network namespaces ------------------------------------------------------------------------ */

static const struct {
	const char *value;
	int result;
} switches[] = {
	{ "0", 0 }, { "1", 0 }, { "2", -EINVAL }, { "-1", -EINVAL }, { "x", -EINVAL },
};

CHILD(is_root_without_capability)
{
	ASSERT_TRUE(drop_capabilities());
	EXPECT_EQ(-EPERM, set(ALLOW, "0"));
}

CHILD(writes_no_setting)
{
	ASSERT_TRUE(become_nobody());
	EXPECT_EQ(-EACCES, set(ALLOW, "0"));
	EXPECT_EQ(-EACCES, set(RANGE, "0 0"));
}

TEST_F(reach, the_switch_is_the_machines_roots)
{
	for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
		EXPECT_EQ(switches[i].result, set(ALLOW, switches[i].value))
			TH_LOG("'%s'", switches[i].value);
	}
	EXPECT_TRUE(has(ALLOW, "1"));
	join(_metadata, begin(_metadata, self, is_root_without_capability));
	join(_metadata, begin(_metadata, self, writes_no_setting));
	EXPECT_TRUE(has(ALLOW, "1"));
	/* Where it is off nobody installs, not even who may switch it on. */
	ASSERT_EQ(0, set(ALLOW, "0"));
	expect_not_keyed(_metadata, &self->p, ALLOW);
	EXPECT_EQ(0, tg_session_dump(self->p.tg, 0, NULL, NULL));
	ASSERT_EQ(0, set(ALLOW, "1"));
	EXPECT_EQ(0, pair_install(&self->p));
}

CHILD(passes_the_switch_out)
{
	int fd;

	ASSERT_TRUE(become_nobody());
	ASSERT_TRUE(own_user_namespace(NOBODY));
	ASSERT_TRUE(net_namespace());
	fd = open("/proc/sys/net/tlsgate/" ALLOW, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, send_fd(self->turn[1], fd));
	await(self->turn[1]);
	EXPECT_TRUE(has(ALLOW, "0"));
}

/* A set-user-ID program of the machine writes to whatever descriptors it was given. */
TEST_F(reach, the_switch_is_for_who_is_there)
{
	pid_t child = begin(_metadata, self, passes_the_switch_out);
	int fd = receive_fd(self->turn[0]);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, write(fd, "1", 1));
	EXPECT_EQ(EPERM, errno);
	close(fd);
	tell(self->turn[0]);
	join(_metadata, child);
}

CHILD(has_a_network_of_roots)
{
	struct pair p;

	ASSERT_TRUE(net_namespace());
	EXPECT_TRUE(has(ALLOW, "1"));
	EXPECT_TRUE(has(RANGE, "1\t0"));	/* each namespace has its own */
	EXPECT_TRUE(pair_start(&p, 0x0304, 0x1301, AF_INET));
	ASSERT_TRUE(become_nobody());
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	expect_not_keyed(_metadata, &p, "CAP_NET_ADMIN");
}

/* As ip netns makes them: the initial user namespace owns the network namespace. */
TEST_F(reach, a_network_namespace_of_roots_is_as_the_first_one)
{
	ASSERT_EQ(0, set(RANGE, "0 4294967294"));
	join(_metadata, begin(_metadata, self, has_a_network_of_roots));
}

/* Root of its user namespace in a network namespace that this owns. */
static void be_root_of_ones_own(struct __test_metadata *_metadata)
{
	ASSERT_TRUE(become_nobody());
	ASSERT_TRUE(own_user_namespace(NOBODY));
	ASSERT_TRUE(net_namespace());
}

/* In the namespace at hand; group 0 there is the only one that there is. */
static void install_without_capability(struct __test_metadata *_metadata, int wanted)
{
	pid_t child = fork();
	struct pair p;

	if (!child) {
		ASSERT_TRUE(drop_capabilities());
		ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
		EXPECT_EQ(wanted, pair_install(&p)) TH_LOG("'%s'", p.tg->ack.msg);
		EXPECT_EQ(-EPERM, tg_session_dump(p.tg, 0, NULL, NULL));
		_exit(_metadata->exit_code);
	}
	join(_metadata, child);
}

/* What somebody else's session is, by an id that was guessed. */
static void expect_unknown(struct __test_metadata *_metadata, struct tg *tg, uint32_t id)
{
	struct tg_info info;

	EXPECT_EQ(-ENOENT, tg_session_get(tg, BY_ID(id), &info));
	EXPECT_EQ(-ENOENT, tg_session_set(tg, BY_ID(id), TLSGATE_A_RECORD_SIZE, 512, 2));
	EXPECT_EQ(-ENOENT, tg_session_rekey(tg, BY_ID(id)));
	EXPECT_EQ(-ENOENT, tg_session_del(tg, BY_ID(id), TLSGATE_CLOSE_RESET));
}

CHILD(is_let_in_and_out)
{
	struct pair p, q;
	int fd, count;

	be_root_of_ones_own(_metadata);
	EXPECT_TRUE(has(ALLOW, "0"));
	EXPECT_EQ(-EPERM, set(ALLOW, "1"));
	/* The other setting is its own, and no way round. */
	EXPECT_EQ(0, set(RANGE, "0 4294967294"));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	expect_not_keyed(_metadata, &p, ALLOW);
	expect_nothing_parsed(_metadata, p.tg, false);
	EXPECT_EQ(0, set(RANGE, "1 0"));
	tell(self->turn[1]);
	await(self->turn[1]);

	EXPECT_TRUE(has(ALLOW, "1"));
	ASSERT_EQ(0, pair_install(&p)) TH_LOG("%s", p.tg->ack.msg);
	EXPECT_EQ(0, tg_session_dump(p.tg, p.id, &self->info, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(network(), tg_num(&self->info, TLSGATE_A_NETNS));
	EXPECT_EQ(0, tg_num(&self->info, TLSGATE_A_UID));
	EXPECT_EQ(0, tg_session_dump_of(p.tg, network(), 0, NULL, NULL));
	EXPECT_EQ(-EPERM, tg_session_dump_of(p.tg, 0, 0, NULL, NULL));
	EXPECT_EQ(-EPERM, tg_session_dump_of(p.tg, network() + 1, 0, NULL, NULL));
	expect_unknown(_metadata, p.tg, self->p.id);
	install_without_capability(_metadata, -EPERM);
	EXPECT_EQ(0, set(RANGE, "0 0"));
	install_without_capability(_metadata, 0);
	EXPECT_EQ(0, set(RANGE, "1 65534"));	/* numbers of this user namespace */
	install_without_capability(_metadata, -EPERM);
	fd = tg_counters();
	EXPECT_EQ(2, tg_counter(fd, "sessions_opened"));
	ASSERT_EQ(sizeof(p.id), write(self->turn[1], &p.id, sizeof(p.id)));
	await(self->turn[1]);

	/* Switched off: what one has lives on, and is out of reach. */
	ASSERT_TRUE(pair_connect(&q, 0x0304, 0x1301, AF_INET));
	expect_not_keyed(_metadata, &q, ALLOW);
	expect_nothing_parsed(_metadata, p.tg, false);
	EXPECT_EQ(4, send(p.fd, "data", 4, 0));
	EXPECT_TRUE(peer_recv_data(&p.peer, self->info.buf, 4));
	tell(self->turn[1]);
	EXPECT_EQ(PEER_RESET, peer_drain(&p.peer));
}

static void switch_in(struct __test_metadata *_metadata, pid_t there, const char *value)
{
	pid_t child = fork();

	if (!child) {
		ASSERT_TRUE(enter_network(there));
		EXPECT_EQ(0, set(ALLOW, value));
		_exit(_metadata->exit_code);
	}
	join(_metadata, child);
}

/* As the machine's root: lists all, then what is there, and ends one by id. */
static void rule(struct __test_metadata *_metadata, FIXTURE_DATA(reach) *self, uint32_t id)
{
	struct tg *tg = self->p.tg;
	uint32_t there;
	int count;

	EXPECT_NE(self->p.id, id);
	ASSERT_EQ(0, tg_session_get(tg, BY_ID(id), &self->info));
	there = tg_num(&self->info, TLSGATE_A_NETNS);
	EXPECT_NE(network(), there);
	EXPECT_EQ(NOBODY, tg_num(&self->info, TLSGATE_A_UID));
	EXPECT_EQ(0, tg_session_dump(tg, id, NULL, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(0, tg_session_dump_of(tg, 0, id, &self->info, &count));
	EXPECT_EQ(2, count);
	EXPECT_EQ(id, tg_num(&self->info, TLSGATE_A_ID));
	EXPECT_EQ(0, tg_session_dump_of(tg, there, id, &self->info, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(id, tg_num(&self->info, TLSGATE_A_ID));
	EXPECT_EQ(0, tg_session_dump_of(tg, there + 1, id, NULL, &count));
	EXPECT_EQ(0, count);
	EXPECT_EQ(0, tg_session_set(tg, BY_ID(id), TLSGATE_A_RECORD_SIZE, 512, 2));
	EXPECT_EQ(0, tg_session_rekey(tg, BY_ID(id)));
	EXPECT_EQ(0, tg_session_del(tg, BY_ID(id), TLSGATE_CLOSE_RESET));
}

TEST_F(reach, others_install_where_the_machines_root_lets_them)
{
	pid_t child;
	uint32_t id;

	ASSERT_EQ(0, pair_install(&self->p));
	child = begin(_metadata, self, is_let_in_and_out);
	await(self->turn[0]);
	switch_in(_metadata, child, "1");
	tell(self->turn[0]);
	ASSERT_EQ(0, net_read(self->turn[0], &id, sizeof(id)));
	switch_in(_metadata, child, "0");
	tell(self->turn[0]);
	await(self->turn[0]);
	rule(_metadata, self, id);
	join(_metadata, child);
	/* Nothing happened to root's own. */
	EXPECT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(TLSGATE_STATE_ESTABLISHED, tg_num(&self->info, TLSGATE_A_STATE));
}

CHILD(has_a_network_of_its_own)
{
	be_root_of_ones_own(_metadata);
	tell(self->turn[1]);
	await(self->turn[1]);
}

/* The machine's root in somebody's namespace: installs no more than the switch says. */
TEST_F(reach, root_visits_a_namespace_that_is_off)
{
	pid_t child = begin(_metadata, self, has_a_network_of_its_own), visitor;
	struct pair p;

	await(self->turn[0]);
	visitor = fork();
	if (!visitor) {
		ASSERT_TRUE(enter_network(child));
		ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
		expect_not_keyed(_metadata, &p, ALLOW);
		EXPECT_EQ(0, tg_session_dump(p.tg, 0, NULL, NULL));
		EXPECT_EQ(0, set(ALLOW, "1"));
		EXPECT_EQ(0, pair_install(&p));
		_exit(_metadata->exit_code);
	}
	join(_metadata, visitor);
	tell(self->turn[0]);
	join(_metadata, child);
}

/* ---- counters ------------------------------------------------------------------------------------- */

CHILD(reads_no_counters)
{
	char c;

	ASSERT_TRUE(become_nobody());
	EXPECT_GT(0, tg_counters());
	EXPECT_EQ(EPERM, errno);
	/* Who opened it is asked, as with the netlink socket. */
	EXPECT_EQ(1, pread(self->counters, &c, 1, 0));
}

CHILD(is_root_without_counters)
{
	ASSERT_TRUE(drop_capabilities());
	EXPECT_GT(0, tg_counters());
	EXPECT_EQ(EPERM, errno);
}

CHILD(reads_its_own_counters)
{
	int fd;

	be_root_of_ones_own(_metadata);
	fd = tg_counters();
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, tg_counter(fd, "sessions_opened"));
}

TEST_F(reach, counters_are_for_who_may_list)
{
	ASSERT_EQ(0, pair_install(&self->p));
	EXPECT_LT(0, tg_counter(self->counters, "sessions_opened"));
	join(_metadata, begin(_metadata, self, reads_no_counters));
	join(_metadata, begin(_metadata, self, is_root_without_counters));
	join(_metadata, begin(_metadata, self, reads_its_own_counters));
}

CHILD(gives_its_counters_away)
{
	be_root_of_ones_own(_metadata);
	ASSERT_EQ(0, send_fd(self->turn[1], tg_counters()));
}

static bool gives_nothing(void *arg)
{
	char c;

	return pread(*(int *)arg, &c, 1, 0) < 0;
}

/* Neither does an open file hold the namespace, nor its end leave the file with memory that is gone. */
TEST_F(reach, counters_end_with_their_namespace)
{
	pid_t child = begin(_metadata, self, gives_its_counters_away);
	int fd = receive_fd(self->turn[0]);

	ASSERT_LE(0, fd);
	join(_metadata, child);
	EXPECT_TRUE(net_until(gives_nothing, &fd));
	close(fd);
}

/* ---- events --------------------------------------------------------------------------------------- */

CHILD(follows_its_own_events)
{
	struct tg *tg;

	/* The test keys it: it must have the only descriptor. */
	close(self->p.fd);
	be_root_of_ones_own(_metadata);
	EXPECT_TRUE(has(ALLOW, "0"));
	tg = tg_open();
	ASSERT_NE(NULL, tg);
	EXPECT_EQ(0, tg_listen(tg));
	tell(self->turn[1]);
	await(self->turn[1]);
	/* The first one that it hears of; another namespace's was opened before. */
	EXPECT_EQ(0, tg_event(tg, TLSGATE_CMD_NTF_SESSION_OPENED, 0, &self->info, NET_DEADLINE));
	EXPECT_EQ(network(), tg_num(&self->info, TLSGATE_A_NETNS));
}

CHILD(is_root_without_events)
{
	ASSERT_TRUE(drop_capabilities());
	EXPECT_EQ(-EPERM, tg_listen(self->p.tg));
}

/* Where nobody may install, too; and never another namespace's. */
TEST_F(reach, events_are_of_ones_own_namespace)
{
	pid_t child = begin(_metadata, self, follows_its_own_events), visitor;
	struct pair p;

	await(self->turn[0]);
	ASSERT_EQ(0, pair_install(&self->p));
	visitor = fork();
	if (!visitor) {
		ASSERT_TRUE(enter_network(child));
		ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
		ASSERT_EQ(0, set(ALLOW, "1"));
		EXPECT_EQ(0, pair_install(&p));
		_exit(_metadata->exit_code);
	}
	join(_metadata, visitor);
	tell(self->turn[0]);
	join(_metadata, child);
	join(_metadata, begin(_metadata, self, is_root_without_events));
}

/* ---- limits across user namespaces ------------------------------------------------------------------ */

#define LIMIT	12
#define USERS	3
#define SUBORDINATE	100000

static void set_nofile(rlim_t soft)
{
	struct rlimit r = { soft, 1000 };

	setrlimit(RLIMIT_NOFILE, &r);
}

/* How many relays the process gets until it is told that there are enough; at most count. */
static int use_up(struct pair *p, int count)
{
	int fd[2], err, i;

	for (i = 0; i < count; i++) {
		set_nofile(500);
		if (pair_install(&p[i]) || net_tcp_pair(AF_INET, fd))
			return -1;
		set_nofile(LIMIT);
		err = tg_relay_new(p[i].tg, p[i].fd, fd[0], -1);
		if (err)
			return err == -EDQUOT && tells(p[i].tg, "RLIMIT_NOFILE") ? i : -1;
	}
	return i;
}

/* What its owner is, which user of its user namespace it is, and whether on a network of its own. */
struct kind {
	uid_t owner, uid;
	bool apart;
};

/* Makes the sockets that nobody could; then a user namespace that the owner made, as root in it. */
static void be_user(struct __test_metadata *_metadata, int turn, struct pair *p,
		    const struct kind *kind)
{
	ASSERT_TRUE(!kind->apart || net_namespace());
	for (int i = 0; i <= LIMIT; i++)
		ASSERT_TRUE(pair_connect(&p[i], 0x0304, 0x1301, AF_INET));
	ASSERT_TRUE(become(kind->owner, kind->owner, kind->owner, 0, NULL));
	ASSERT_EQ(0, unshare(CLONE_NEWUSER));
	tell(turn);
	await(turn);
	ASSERT_EQ(0, setresuid(0, 0, 0));
}

struct user {
	pid_t pid;
	int turn[2];
};

/* A process that makes relays when it is told to, and holds them until it is told again. */
static void user_begin(struct __test_metadata *_metadata, struct user *user, const struct kind *kind)
{
	struct pair p[LIMIT + 1];
	char path[64], map[32];
	int got;

	ASSERT_EQ(0, net_unix_pair(user->turn));
	user->pid = fork();
	if (!user->pid) {
		be_user(_metadata, user->turn[1], p, kind);
		await(user->turn[1]);
		got = use_up(p, LIMIT + 1);
		ASSERT_EQ(sizeof(got), write(user->turn[1], &got, sizeof(got)));
		await(user->turn[1]);
		_exit(_metadata->exit_code);
	}
	await(user->turn[0]);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", user->pid);
	snprintf(map, sizeof(map), "0 %u 1", kind->uid);
	ASSERT_EQ(0, write_file(path, map));
	tell(user->turn[0]);
}

static int user_got(struct user *user)
{
	int got = -1;

	tell(user->turn[0]);
	return net_read(user->turn[0], &got, sizeof(got)) ? -1 : got;
}

static void user_end(struct __test_metadata *_metadata, struct user *user)
{
	tell(user->turn[0]);
	join(_metadata, user->pid);
	close(user->turn[0]);
	close(user->turn[1]);
}

static bool no_session(void *arg)
{
	int count = -1;

	return !tg_session_dump_of(arg, 0, 0, NULL, &count) && !count;
}

/* USERS of them at once, of the kind and its next ids: what each gets. */
static void users_share(struct __test_metadata *_metadata, struct tg *tg, struct kind kind, int step,
			const int *want)
{
	struct user users[USERS];

	for (int i = 0; i < USERS; i++) {
		user_begin(_metadata, &users[i], &kind);
		kind.uid += step;
	}
	for (int i = 0; i < USERS; i++) {
		EXPECT_EQ(want[i], user_got(&users[i])) TH_LOG("user %d", i);
	}
	for (int i = 0; i < USERS; i++)
		user_end(_metadata, &users[i]);
	/* What counted counts no more, once they are gone. */
	ASSERT_TRUE(net_until(no_session, tg));
}

static const int shared[USERS] = { LIMIT, 0, 0 }, each[USERS] = { LIMIT, LIMIT, LIMIT };

TEST_F(reach, user_namespaces_do_not_multiply_relays)
{
	users_share(_metadata, self->p.tg, (struct kind){ NOBODY, NOBODY, false }, 0, shared);
}

TEST_F(reach, network_namespaces_do_not_multiply_relays)
{
	users_share(_metadata, self->p.tg, (struct kind){ NOBODY, NOBODY, true }, 0, shared);
}

TEST_F(reach, subordinate_ids_do_not_multiply_relays)
{
	users_share(_metadata, self->p.tg, (struct kind){ NOBODY, SUBORDINATE, false }, 1, shared);
}

/* The users in root's containers have nothing to share. */
TEST_F(reach, root_owns_without_a_limit)
{
	users_share(_metadata, self->p.tg, (struct kind){ 0, SUBORDINATE, true }, 1, each);
}

TEST_HARNESS_MAIN
