// SPDX-License-Identifier: MIT
/* Who may key, list and end in which network namespace, and who says so (docs/design.md). */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/reach.h"

REACH_FIXTURE

/* ---- network namespaces ------------------------------------------------------------- */

static const struct {
	const char *value;
	int result;
} switches[] = {
	{ "0", 0 }, { "1", 0 }, { "2", -EINVAL }, { "-1", -EINVAL }, { "x", -EINVAL },
};

CHILD(is_root_without_capability)
{
	ASSERT_TRUE(task_drop_capabilities());
	EXPECT_EQ(-EPERM, reach_set(ALLOW, "0"));
}

CHILD(writes_no_setting)
{
	ASSERT_TRUE(task_become(TASK_NOBODY));
	EXPECT_EQ(-EACCES, reach_set(ALLOW, "0"));
	EXPECT_EQ(-EACCES, reach_set(RANGE, "0 0"));
}

TEST_F(reach, the_switch_is_the_machines_roots)
{
	for (size_t i = 0; i < sizeof(switches) / sizeof(*switches); i++) {
		EXPECT_EQ(switches[i].result, reach_set(ALLOW, switches[i].value))
			TH_LOG("'%s'", switches[i].value);
	}
	EXPECT_TRUE(reach_has(ALLOW, "1"));
	JOIN(BEGIN(is_root_without_capability));
	JOIN(BEGIN(writes_no_setting));
	EXPECT_TRUE(reach_has(ALLOW, "1"));
	/* Where it is off nobody installs, not even who may switch it on. */
	ASSERT_EQ(0, reach_set(ALLOW, "0"));
	EXPECT_NOT_KEYED(&self->p, ALLOW);
	EXPECT_EQ(0, tg_session_dump(self->p.tg, 0, NULL, NULL));
	ASSERT_EQ(0, reach_set(ALLOW, "1"));
	EXPECT_EQ(0, pair_install(&self->p));
}

CHILD(passes_the_switch_out)
{
	int fd;

	ASSERT_TRUE(task_become(TASK_NOBODY));
	ASSERT_TRUE(task_own_user_namespace(TASK_NOBODY));
	ASSERT_TRUE(net_namespace());
	fd = open("/proc/sys/net/tlsgate/" ALLOW, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, net_send_fd(self->turn[1], fd));
	task_await(self->turn[1]);
	EXPECT_TRUE(reach_has(ALLOW, "0"));
}

/* A set-user-ID program of the machine writes to whatever descriptors it was given. */
TEST_F(reach, the_switch_is_for_who_is_there)
{
	pid_t child = BEGIN(passes_the_switch_out);
	int fd = net_receive_fd(self->turn[0]);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, write(fd, "1", 1));
	EXPECT_EQ(EPERM, errno);
	close(fd);
	task_tell(self->turn[0]);
	JOIN(child);
}

CHILD(has_a_network_of_roots)
{
	struct pair p;

	ASSERT_TRUE(net_namespace());
	EXPECT_TRUE(reach_has(ALLOW, "1"));
	EXPECT_TRUE(reach_has(RANGE, "1\t0"));	/* each namespace has its own */
	EXPECT_TRUE(pair_start(&p, 0x0304, 0x1301, AF_INET));
	ASSERT_TRUE(task_become(TASK_NOBODY));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	EXPECT_NOT_KEYED(&p, "CAP_NET_ADMIN");
}

/* As ip netns makes them: the initial user namespace owns the network namespace. */
TEST_F(reach, a_network_namespace_of_roots_is_as_the_first_one)
{
	ASSERT_EQ(0, reach_set(RANGE, "0 4294967294"));
	JOIN(BEGIN(has_a_network_of_roots));
}

/* In the namespace at hand; group 0 there is the only one that there is. */
static void install_without_capability(struct __test_metadata *_metadata, int wanted)
{
	pid_t child = fork();
	struct pair p;

	if (!child) {
		ASSERT_TRUE(task_drop_capabilities());
		ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
		EXPECT_EQ(wanted, pair_install(&p)) TH_LOG("'%s'", p.tg->ack.msg);
		EXPECT_EQ(-EPERM, tg_session_dump(p.tg, 0, NULL, NULL));
		_exit(_metadata->exit_code);
	}
	JOIN(child);
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

	ASSERT_TRUE(reach_own_network());
	EXPECT_TRUE(reach_has(ALLOW, "0"));
	EXPECT_EQ(-EPERM, reach_set(ALLOW, "1"));
	/* The other setting is its own, and no way round. */
	EXPECT_EQ(0, reach_set(RANGE, "0 4294967294"));
	ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
	EXPECT_NOT_KEYED(&p, ALLOW);
	EXPECT_NOTHING_PARSED(p.tg, false);
	EXPECT_EQ(0, reach_set(RANGE, "1 0"));
	task_tell(self->turn[1]);
	task_await(self->turn[1]);

	EXPECT_TRUE(reach_has(ALLOW, "1"));
	ASSERT_EQ(0, pair_install(&p)) TH_LOG("%s", p.tg->ack.msg);
	EXPECT_EQ(0, tg_session_dump(p.tg, p.id, &self->info, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(net_current(), tg_num(&self->info, TLSGATE_A_NETNS));
	EXPECT_EQ(0, tg_num(&self->info, TLSGATE_A_UID));
	EXPECT_EQ(0, tg_session_dump_of(p.tg, net_current(), 0, NULL, NULL));
	EXPECT_EQ(-EPERM, tg_session_dump_of(p.tg, 0, 0, NULL, NULL));
	EXPECT_EQ(-EPERM, tg_session_dump_of(p.tg, net_current() + 1, 0, NULL, NULL));
	expect_unknown(_metadata, p.tg, self->p.id);
	install_without_capability(_metadata, -EPERM);
	EXPECT_EQ(0, reach_set(RANGE, "0 0"));
	install_without_capability(_metadata, 0);
	EXPECT_EQ(0, reach_set(RANGE, "1 65534"));	/* numbers of this user namespace */
	install_without_capability(_metadata, -EPERM);
	fd = tg_counters();
	EXPECT_EQ(2, tg_counter(fd, "sessions_opened"));
	ASSERT_EQ(sizeof(p.id), write(self->turn[1], &p.id, sizeof(p.id)));
	task_await(self->turn[1]);

	/* Switched off: what one has lives on, and is out of reach. */
	ASSERT_TRUE(pair_connect(&q, 0x0304, 0x1301, AF_INET));
	EXPECT_NOT_KEYED(&q, ALLOW);
	EXPECT_NOTHING_PARSED(p.tg, false);
	EXPECT_EQ(4, send(p.fd, "data", 4, 0));
	EXPECT_TRUE(peer_recv_data(&p.peer, self->info.buf, 4));
	task_tell(self->turn[1]);
	EXPECT_EQ(PEER_RESET, peer_drain(&p.peer));
}

static void switch_in(struct __test_metadata *_metadata, pid_t there, const char *value)
{
	pid_t child = fork();

	if (!child) {
		ASSERT_TRUE(net_enter(there));
		EXPECT_EQ(0, reach_set(ALLOW, value));
		_exit(_metadata->exit_code);
	}
	JOIN(child);
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
	EXPECT_NE(net_current(), there);
	EXPECT_EQ(TASK_NOBODY, tg_num(&self->info, TLSGATE_A_UID));
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
	child = BEGIN(is_let_in_and_out);
	task_await(self->turn[0]);
	switch_in(_metadata, child, "1");
	task_tell(self->turn[0]);
	ASSERT_EQ(0, net_read(self->turn[0], &id, sizeof(id)));
	switch_in(_metadata, child, "0");
	task_tell(self->turn[0]);
	task_await(self->turn[0]);
	rule(_metadata, self, id);
	JOIN(child);
	/* Nothing happened to root's own. */
	EXPECT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(TLSGATE_STATE_ESTABLISHED, tg_num(&self->info, TLSGATE_A_STATE));
}

CHILD(has_a_network_of_its_own)
{
	ASSERT_TRUE(reach_own_network());
	task_tell(self->turn[1]);
	task_await(self->turn[1]);
}

/* The machine's root in somebody's namespace: installs no more than the switch says. */
TEST_F(reach, root_visits_a_namespace_that_is_off)
{
	pid_t child = BEGIN(has_a_network_of_its_own), visitor;
	struct pair p;

	task_await(self->turn[0]);
	visitor = fork();
	if (!visitor) {
		ASSERT_TRUE(net_enter(child));
		ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
		EXPECT_NOT_KEYED(&p, ALLOW);
		EXPECT_EQ(0, tg_session_dump(p.tg, 0, NULL, NULL));
		EXPECT_EQ(0, reach_set(ALLOW, "1"));
		EXPECT_EQ(0, pair_install(&p));
		_exit(_metadata->exit_code);
	}
	JOIN(visitor);
	task_tell(self->turn[0]);
	JOIN(child);
}

TEST_HARNESS_MAIN
