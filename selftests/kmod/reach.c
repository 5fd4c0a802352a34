// SPDX-License-Identifier: MIT
/*
 * Who may load the module and key sockets: docs/design.md, "Who may do what", in the
 * first network namespace.  reach_netns has the others.
 */
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/reach.h"

#define MEMBER	1000

#define REFUSED	"reason_refused_perm"

REACH_FIXTURE

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

/* ---- without privilege -------------------------------------------------------------- */

CHILD(is_refused)
{
	struct pair p;

	ASSERT_TRUE(task_become(TASK_NOBODY));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	EXPECT_NOT_KEYED(&p, "CAP_NET_ADMIN");
	EXPECT_NOTHING_PARSED(p.tg, true);
	EXPECT_EQ(-EPERM, tg_listen(p.tg));
}

TEST_F(reach, nobody_is_refused_before_anything_is_parsed)
{
	uint64_t before = tg_counter(self->counters, REFUSED);
	uint64_t opened = tg_counter(self->counters, "sessions_opened");

	JOIN(BEGIN(is_refused));
	/* SESSION_NEW, seven commands of garbage, two dumps. */
	EXPECT_EQ(before + 10, tg_counter(self->counters, REFUSED));
	EXPECT_EQ(opened, tg_counter(self->counters, "sessions_opened"));
}

CHILD(only_uses_what_is_keyed)
{
	struct tg *tg;

	ASSERT_TRUE(task_become(TASK_NOBODY));
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
	JOIN(BEGIN(only_uses_what_is_keyed));
	EXPECT_TRUE(peer_recv_data(&self->p.peer, data, 4) && !memcmp(data, "data", 4));
}

CHILD(is_root_of_a_user_namespace)
{
	struct pair p;

	ASSERT_TRUE(task_become(TASK_NOBODY));
	ASSERT_TRUE(task_own_user_namespace(TASK_NOBODY));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	EXPECT_NOT_KEYED(&p, "CAP_NET_ADMIN");
	EXPECT_NOTHING_PARSED(p.tg, true);
	EXPECT_GT(0, reach_set(ALLOW, "0"));
	EXPECT_GT(0, reach_set(RANGE, "0 0"));
}

/* It gives no capability over the network that one stays in. */
TEST_F(reach, nor_does_a_user_namespace_alone)
{
	JOIN(BEGIN(is_root_of_a_user_namespace));
	EXPECT_TRUE(reach_has(ALLOW, "1"));
	EXPECT_TRUE(reach_has(RANGE, "1\t0"));
}

/* ---- loading ------------------------------------------------------------------------ */

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
		ASSERT_TRUE(task_become(TASK_NOBODY));
		ASSERT_TRUE(!apart || (task_own_user_namespace(TASK_NOBODY) && net_namespace()));
		ask_by_name();
		_exit(_metadata->exit_code);
	}
	JOIN(child);
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
	ASSERT_EQ(0, task_write_file("/proc/sys/kernel/modprobe", modprobe));
	ask_as_nobody(_metadata, false);
	ask_as_nobody(_metadata, true);
	EXPECT_FALSE(has_line("/proc/modules", "tlsgate "));
	/* The kernel did look for it. */
	EXPECT_TRUE(has_line(log, "family-tlsgate"));
	EXPECT_EQ(0, task_write_file("/proc/sys/kernel/modprobe", was));
	snprintf(insmod, sizeof(insmod), "insmod %s", module);
	ASSERT_TRUE(has_line("/proc/modules", "tlsgate ") || !system(insmod));
}

/* ---- who opened the socket, and who sends on it ------------------------------------- */

CHILD(installs_on_roots_socket)
{
	ASSERT_TRUE(connects_alone(&self->p));
	ASSERT_TRUE(task_become(TASK_NOBODY));
	ASSERT_EQ(0, pair_install(&self->p)) TH_LOG("%s", self->p.tg->ack.msg);
	EXPECT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(TASK_NOBODY, tg_num(&self->info, TLSGATE_A_UID));
	EXPECT_LE(0, pair_relay(&self->p, AF_INET, -1));
	/* It is for installing, and for what one holds. */
	EXPECT_EQ(-EPERM, tg_session_dump(self->p.tg, 0, NULL, NULL));
	EXPECT_EQ(-EPERM, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(-EPERM, tg_listen(self->p.tg));
}

TEST_F(reach, root_opens_and_nobody_sends)
{
	JOIN(BEGIN(installs_on_roots_socket));
}

TEST_F(reach, nobody_opens_and_root_sends)
{
	struct tg *root = self->p.tg;

	ASSERT_EQ(0, seteuid(TASK_NOBODY));
	self->p.tg = tg_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_NE(NULL, self->p.tg);
	EXPECT_NOT_KEYED(&self->p, "CAP_NET_ADMIN");
	tg_close(self->p.tg);
	self->p.tg = root;
	ASSERT_EQ(0, pair_install(&self->p));
	EXPECT_EQ(0, tg_session_get(root, BY_ID(self->p.id), &self->info));
}

CHILD(exchanges_sockets)
{
	struct tg *mine;

	ASSERT_TRUE(connects_alone(&self->p));
	ASSERT_TRUE(task_become(TASK_NOBODY));
	mine = tg_open();
	ASSERT_NE(NULL, mine);
	ASSERT_EQ(0, net_send_fd(self->turn[1], nl_socket_get_fd(mine->sk)));
	self->p.tg = tg_open_fd(mine, net_receive_fd(self->turn[1]));
	ASSERT_NE(NULL, self->p.tg);
	EXPECT_EQ(0, pair_install(&self->p)) TH_LOG("%s", self->p.tg->ack.msg);
}

/* Nobody's to root, and root's, opened when nobody was nobody already, to nobody. */
TEST_F(reach, a_socket_is_passed_on)
{
	struct tg *root = self->p.tg, *other = tg_open();
	pid_t child = BEGIN(exchanges_sockets);

	ASSERT_NE(NULL, other);
	self->p.tg = tg_open_fd(root, net_receive_fd(self->turn[0]));
	ASSERT_NE(NULL, self->p.tg);
	EXPECT_NOT_KEYED(&self->p, "CAP_NET_ADMIN");
	tg_close(self->p.tg);
	self->p.tg = root;
	ASSERT_EQ(0, net_send_fd(self->turn[0], nl_socket_get_fd(other->sk)));
	JOIN(child);
	tg_close(other);
}

/* ---- the range of groups ------------------------------------------------------------ */

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

	ASSERT_TRUE(task_become_with(TASK_NOBODY, m->gid, m->egid, m->count, m->more));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	EXPECT_EQ(m->may ? 0 : -EPERM, pair_install(&p))
		TH_LOG("range %s, group %u: '%s'", m->range, m->egid, p.tg->ack.msg);
	/* It is for installing only. */
	EXPECT_EQ(-EPERM, tg_session_dump(p.tg, 0, NULL, NULL));
	EXPECT_EQ(-EPERM, tg_listen(p.tg));
}

TEST_F(reach, a_range_of_groups_may)
{
	EXPECT_TRUE(reach_has(RANGE, "1\t0"));
	for (const struct member *m = members; m < members + sizeof(members) / sizeof(*m); m++) {
		pid_t child;

		ASSERT_EQ(0, reach_set(RANGE, m->range)) TH_LOG("%s", m->range);
		child = fork();
		if (!child) {
			try_member(_metadata, m);
			_exit(_metadata->exit_code);
		}
		JOIN(child);
	}
}

TEST_F(reach, no_range_is_half_taken)
{
	static const char *const bad[] = {
		"4294967295 4294967295", "7 4294967295", "7 18446744073709551616", "7 x", "x", "7 8x", "7",
		"-1 7", "7 -1",
	};

	ASSERT_EQ(0, reach_set(RANGE, "3 4"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		EXPECT_EQ(-EINVAL, reach_set(RANGE, bad[i])) TH_LOG("'%s'", bad[i]);
		EXPECT_TRUE(reach_has(RANGE, "3\t4")) TH_LOG("'%s'", bad[i]);
	}
}

CHILD(was_a_member_once)
{
	struct tg *member, *stranger;
	const gid_t groups[] = { 5, MEMBER };

	ASSERT_TRUE(connects_alone(&self->p));
	/* No capability from here on but to change groups. */
	ASSERT_EQ(0, setgroups(2, groups));
	ASSERT_EQ(0, seteuid(TASK_NOBODY));
	member = tg_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, seteuid(TASK_NOBODY));
	stranger = tg_open();
	ASSERT_EQ(0, seteuid(0));
	ASSERT_NE(NULL, member);
	ASSERT_NE(NULL, stranger);
	ASSERT_TRUE(task_become_with(TASK_NOBODY, 7, 7, 0, NULL));
	self->p.tg = stranger;
	EXPECT_NOT_KEYED(&self->p, RANGE);
	self->p.tg = member;
	EXPECT_EQ(0, pair_install(&self->p)) TH_LOG("%s", member->ack.msg);
}

/* As with the capability, who opens is asked, when that was. */
TEST_F(reach, the_group_is_the_openers)
{
	ASSERT_EQ(0, reach_set(RANGE, "1000 1000"));
	JOIN(BEGIN(was_a_member_once));
}

TEST_HARNESS_MAIN
