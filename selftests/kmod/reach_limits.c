// SPDX-License-Identifier: MIT
/* How many relays a user may have, by whatever way round, and what asking for one leaves behind. */
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/reach.h"

REACH_FIXTURE

#define LIMIT	12
#define HARD	1000
#define USERS	3
#define SUBORDINATE	100000

/* How many relays the process gets until it is told that there are enough; at most count. */
static int use_up(struct pair *p, int count)
{
	int fd[2], err, i;

	for (i = 0; i < count; i++) {
		task_files(500, HARD);
		if (pair_install(&p[i]) || net_tcp_pair(AF_INET, fd))
			return -1;
		task_files(LIMIT, HARD);
		err = tg_relay_new(p[i].tg, p[i].fd, fd[0], -1);
		if (err)
			return err == -EDQUOT && reach_tells(p[i].tg, "RLIMIT_NOFILE") ? i : -1;
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
	ASSERT_TRUE(task_become_with(kind->owner, kind->owner, kind->owner, 0, NULL));
	ASSERT_EQ(0, unshare(CLONE_NEWUSER));
	task_tell(turn);
	task_await(turn);
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
		task_await(user->turn[1]);
		got = use_up(p, LIMIT + 1);
		ASSERT_EQ(sizeof(got), write(user->turn[1], &got, sizeof(got)));
		task_await(user->turn[1]);
		_exit(_metadata->exit_code);
	}
	task_await(user->turn[0]);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", user->pid);
	snprintf(map, sizeof(map), "0 %u 1", kind->uid);
	ASSERT_EQ(0, task_write_file(path, map));
	task_tell(user->turn[0]);
}

static int user_got(struct user *user)
{
	int got = -1;

	task_tell(user->turn[0]);
	return net_read(user->turn[0], &got, sizeof(got)) ? -1 : got;
}

static void user_end(struct __test_metadata *_metadata, struct user *user)
{
	task_tell(user->turn[0]);
	JOIN(user->pid);
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
	users_share(_metadata, self->p.tg, (struct kind){ TASK_NOBODY, TASK_NOBODY, false }, 0, shared);
}

TEST_F(reach, network_namespaces_do_not_multiply_relays)
{
	users_share(_metadata, self->p.tg, (struct kind){ TASK_NOBODY, TASK_NOBODY, true }, 0, shared);
}

TEST_F(reach, subordinate_ids_do_not_multiply_relays)
{
	users_share(_metadata, self->p.tg, (struct kind){ TASK_NOBODY, SUBORDINATE, false }, 1, shared);
}

/* The users in root's containers have nothing to share. */
TEST_F(reach, root_owns_without_a_limit)
{
	users_share(_metadata, self->p.tg, (struct kind){ 0, SUBORDINATE, true }, 1, each);
}

/* ---- what an audit hears --------------------------------------------------------------- */

#define TRACING	"/sys/kernel/tracing/"
#define EVENT	TRACING "events/reach/audited/"

/*
 * That this process is asked whether it may pass limits, in the way that a refusal is
 * audited (no CAP_OPT_NOAUDIT).  False: this kernel cannot probe that.
 */
static bool probe_start(void)
{
	char filter[100];

	snprintf(filter, sizeof(filter), "common_pid == %d && (cap == %d || cap == %d) && !(opts & 2)",
		 getpid(), CAP_SYS_RESOURCE, CAP_SYS_ADMIN);
	return !task_write_file(TRACING "kprobe_events",
				"p:reach/audited security_capable cap=$arg3:u32 opts=$arg4:u32") &&
	       !task_write_file(EVENT "filter", filter) &&
	       !task_write_file(TRACING "tracing_on", "1") && !task_write_file(EVENT "enable", "1");
}

static void probe_end(void)
{
	task_write_file(EVENT "enable", "0");
	task_write_file(TRACING "kprobe_events", "-:reach/audited");
}

static int audited(void)
{
	FILE *trace = fopen(TRACING "trace", "r");
	char line[400];
	int n = 0;

	while (trace && fgets(line, sizeof(line), trace))
		n += !!strstr(line, " audited: ");
	if (trace)
		fclose(trace);
	return n;
}

/* As root, so that what is traced can be read; but without the capabilities to pass limits. */
CHILD(makes_a_relay)
{
	struct pair p;
	int before;

	ASSERT_TRUE(task_files(500, HARD));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	ASSERT_TRUE(task_drop_capabilities());
	before = audited();
	EXPECT_EQ(1, use_up(&p, 1)) TH_LOG("%s", p.tg->ack.msg);
	EXPECT_EQ(before, audited());
	/* The probe does see one. */
	EXPECT_FALSE(task_files(LIMIT, HARD + 1));
	EXPECT_EQ(before + 1, audited());
}

CHILD(is_probed)
{
	bool probed = probe_start();

	if (probed)
		makes_a_relay(_metadata, self);
	probe_end();
	if (!probed)
		_exit(KSFT_SKIP);
}

/* Who has no capability to pass the limit is within it, and nothing is refused. */
TEST_F(reach, relays_are_not_audited)
{
	int status = task_wait(BEGIN(is_probed), 3 * NET_DEADLINE);

	if (status == KSFT_SKIP)
		SKIP(return, "this kernel has no kprobe events on security_capable()");
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
