/* SPDX-License-Identifier: MIT */
/*
 * What the programs that try who may reach the module (docs/design.md, "Who may do what")
 * have in common.  After kselftest_harness.h.
 */
#ifndef TLSGATE_SELFTESTS_REACH_H
#define TLSGATE_SELFTESTS_REACH_H

#include "pair.h"
#include "task.h"

/* The settings of a network namespace, below net.tlsgate. */
#define RANGE	"install_group_range"
#define ALLOW	"allow_install"

/* 0 or -errno. */
int reach_set(const char *name, const char *value);
/* True if it reads so. */
bool reach_has(const char *name, const char *value);

/* Becomes root of a user namespace that nobody owns, in a network namespace of that. */
bool reach_own_network(void);

/* The last call was refused in one line with this word, which says what to do. */
bool reach_tells(const struct tg *tg, const char *word);
/* NULL if SESSION_NEW is refused so, no key comes back, and the socket is as it was; or why not. */
const char *reach_keyed(struct pair *p, const char *word);
/* NULL if every command refuses garbage for want of privilege; or which does not. */
const char *reach_parsed(struct tg *tg, bool on);

#define EXPECT_NOT_KEYED(p, word)						\
	do {									\
		const char *why_ = reach_keyed(p, word);			\
		EXPECT_EQ(NULL, why_) TH_LOG("%s: '%s'", why_, (p)->tg->ack.msg); \
	} while (0)
/* @on: where installing is on */
#define EXPECT_NOTHING_PARSED(tg, on)						\
	do {									\
		const char *why_ = reach_parsed(tg, on);			\
		EXPECT_EQ(NULL, why_) TH_LOG("%s: '%s'", why_, (tg)->ack.msg);	\
	} while (0)

/* A connection of root's, not keyed, and what is as it was after each test. */
#define REACH_FIXTURE								\
FIXTURE(reach)									\
{										\
	struct pair p;								\
	struct tg_info info;							\
	int counters, turn[2];							\
};										\
										\
FIXTURE_SETUP(reach)								\
{										\
	memset(self, 0, sizeof(*self));						\
	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, AF_INET));		\
	self->counters = tg_counters();						\
	ASSERT_LE(0, self->counters);						\
	ASSERT_EQ(0, net_unix_pair(self->turn));				\
}										\
										\
FIXTURE_TEARDOWN(reach)								\
{										\
	reach_set(RANGE, "1 0");						\
	reach_set(ALLOW, "1");							\
	pair_free(&self->p);							\
	close(self->counters);							\
}

/* A child, whose expectations become the test's when it is joined. */
#define CHILD(name)								\
	static void name(struct __test_metadata *_metadata, FIXTURE_DATA(reach) *self)
#define BEGIN(run)								\
	({									\
		pid_t child_ = fork();						\
										\
		if (!child_) {							\
			run(_metadata, self);					\
			_exit(_metadata->exit_code);				\
		}								\
		child_;								\
	})
#define JOIN(child)	EXPECT_EQ(0, task_wait(child, 3 * NET_DEADLINE))

#endif
