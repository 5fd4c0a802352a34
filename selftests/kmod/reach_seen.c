// SPDX-License-Identifier: MIT
/* Who reads the counters and follows events: those of one's own namespace (docs/design.md). */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/reach.h"

REACH_FIXTURE

/* ---- counters ----------------------------------------------------------------------- */

CHILD(reads_no_counters)
{
	char c;

	ASSERT_TRUE(task_become(TASK_NOBODY));
	EXPECT_GT(0, tg_counters());
	EXPECT_EQ(EPERM, errno);
	/* Who opened it is asked, as with the netlink socket. */
	EXPECT_EQ(1, pread(self->counters, &c, 1, 0));
}

CHILD(is_root_without_counters)
{
	ASSERT_TRUE(task_drop_capabilities());
	EXPECT_GT(0, tg_counters());
	EXPECT_EQ(EPERM, errno);
}

CHILD(reads_its_own_counters)
{
	int fd;

	ASSERT_TRUE(reach_own_network());
	fd = tg_counters();
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, tg_counter(fd, "sessions_opened"));
}

TEST_F(reach, counters_are_for_who_may_list)
{
	ASSERT_EQ(0, pair_install(&self->p));
	EXPECT_LT(0, tg_counter(self->counters, "sessions_opened"));
	JOIN(BEGIN(reads_no_counters));
	JOIN(BEGIN(is_root_without_counters));
	JOIN(BEGIN(reads_its_own_counters));
}

CHILD(gives_its_counters_away)
{
	ASSERT_TRUE(reach_own_network());
	ASSERT_EQ(0, net_send_fd(self->turn[1], tg_counters()));
}

static bool gives_nothing(void *arg)
{
	char c;

	return pread(*(int *)arg, &c, 1, 0) < 0;
}

/* Neither does an open file hold the namespace, nor its end leave the file with memory that is gone. */
TEST_F(reach, counters_end_with_their_namespace)
{
	pid_t child = BEGIN(gives_its_counters_away);
	int fd = net_receive_fd(self->turn[0]);

	ASSERT_LE(0, fd);
	JOIN(child);
	EXPECT_TRUE(net_until(gives_nothing, &fd));
	close(fd);
}

/* ---- events ------------------------------------------------------------------------- */

CHILD(follows_its_own_events)
{
	struct tg *tg;

	/* The test keys it: it must have the only descriptor. */
	close(self->p.fd);
	ASSERT_TRUE(reach_own_network());
	EXPECT_TRUE(reach_has(ALLOW, "0"));
	tg = tg_open();
	ASSERT_NE(NULL, tg);
	EXPECT_EQ(0, tg_listen(tg));
	task_tell(self->turn[1]);
	task_await(self->turn[1]);
	/* The first one that it hears of; another namespace's was opened before. */
	EXPECT_EQ(0, tg_event(tg, TLSGATE_CMD_NTF_SESSION_OPENED, 0, &self->info, NET_DEADLINE));
	EXPECT_EQ(net_current(), tg_num(&self->info, TLSGATE_A_NETNS));
}

CHILD(is_root_without_events)
{
	ASSERT_TRUE(task_drop_capabilities());
	EXPECT_EQ(-EPERM, tg_listen(self->p.tg));
}

/* Where nobody may install, too; and never another namespace's. */
TEST_F(reach, events_are_of_ones_own_namespace)
{
	pid_t child = BEGIN(follows_its_own_events), visitor;
	struct pair p;

	task_await(self->turn[0]);
	ASSERT_EQ(0, pair_install(&self->p));
	visitor = fork();
	if (!visitor) {
		ASSERT_TRUE(net_enter(child));
		ASSERT_TRUE(pair_connect(&p, 0x0304, 0x1301, AF_INET));
		ASSERT_EQ(0, reach_set(ALLOW, "1"));
		EXPECT_EQ(0, pair_install(&p));
		_exit(_metadata->exit_code);
	}
	JOIN(visitor);
	task_tell(self->turn[0]);
	JOIN(child);
	JOIN(BEGIN(is_root_without_events));
}

TEST_HARNESS_MAIN
