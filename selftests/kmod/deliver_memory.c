// SPDX-License-Identifier: MIT
/*
 * Whose memory a delivered connection is: the gate's cgroup until its descriptor is closed,
 * nobody's while it is queued, the server's when it is accepted, and in the end nobody's again,
 * though part of it may be freed by another than who was charged: what the gate had sent and
 * the peer acknowledges later, what came in while it was queued.
 *
 * CGROUP=1 in the environment takes cgroups of the first version, which cannot be there beside
 * those of the second.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "lib/gate.h"
#include "lib/task.h"

#define ROOT		"/tmp/tlsgate-cgroup"
#define CONNECTIONS	8
#define TICKET		4000	/* bytes that the gate sends last */
#define REQUEST		3000	/* that the peer sends before the server is there */

/* ---- cgroups -------------------------------------------------------------------------- */

static bool group_write(const char *group, const char *file, const char *text)
{
	char path[200];

	snprintf(path, sizeof(path), ROOT "/%s/%s", group, file);
	return !task_write_file(path, text);
}

static long group_number(const char *group, const char *file, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), ROOT "/%s/%s", group, file);
	return task_read_number(path, name);
}

static bool v1;

static long of_sockets(const char *group)
{
	return v1 ? group_number(group, "memory.kmem.tcp.usage_in_bytes", "")
		  : group_number(group, "memory.stat", "sock ");
}

static bool group_make(const char *group)
{
	char path[200];

	snprintf(path, sizeof(path), ROOT "/%s", group);
	/* In the first version sockets are charged once there is a limit. */
	return !mkdir(path, 0755) &&
	       (!v1 || group_write(group, "memory.kmem.tcp.limit_in_bytes", "1000000000"));
}

/* Its charges are given back in batches, and read in others. */
struct wanted {
	const char *group;
	long least, most;
};

static bool is_charged(void *arg)
{
	const struct wanted *w = arg;
	long is = of_sockets(w->group);

	return is >= w->least && is <= w->most;
}

#define EXPECT_CHARGED(group, least, most)						\
	EXPECT_TRUE(net_until(is_charged, &(struct wanted){ group, least, most }))	\
		TH_LOG("%s: %ld", group, of_sockets(group))

FIXTURE(memory)
{
	struct gate g;
	struct gated c[CONNECTIONS];
	int app[CONNECTIONS];
	int counters;
};

FIXTURE_SETUP(memory)
{
	unsigned int i;

	mkdir(ROOT, 0755);
	v1 = net_amount("CGROUP", 2) == 1;
	if ((mount("none", ROOT, v1 ? "cgroup" : "cgroup2", 0, v1 ? "memory" : NULL) &&
	     errno != EBUSY) ||
	    (!v1 && !group_write("", "cgroup.subtree_control", "+memory")))
		SKIP(return, "this kernel has no memory cgroup of version %d", v1 ? 1 : 2);
	ASSERT_TRUE(group_make("gate"));
	ASSERT_TRUE(group_make("server"));
	ASSERT_TRUE(net_namespace());
	self->counters = tg_counters();
	ASSERT_GE(self->counters, 0);
	ASSERT_TRUE(gate_open(&self->g, AF_INET));
	for (i = 0; i < CONNECTIONS; i++) {
		self->c[i] = (struct gated){ .fd = -1, .peer.fd = -1 };
		self->app[i] = -1;
	}
}

FIXTURE_TEARDOWN(memory)
{
	unsigned int i;

	group_write("", "cgroup.procs", "0");
	for (i = 0; i < CONNECTIONS; i++) {
		if (self->app[i] >= 0)
			close(self->app[i]);
		gated_free(&self->c[i]);
	}
	gate_free(&self->g);
	EXPECT_TRUE(gate_sessions(self->counters, 0));
	/* Charges of sockets; others of a process that was here may take their time. */
	EXPECT_CHARGED("gate", 0, 0);
	EXPECT_CHARGED("server", 0, 0);
	EXPECT_EQ(rmdir(ROOT "/gate"), 0);
	EXPECT_EQ(rmdir(ROOT "/server"), 0);
	umount2(ROOT, MNT_DETACH);
	rmdir(ROOT);
	close(self->counters);
}

/* Fills what the peer does not read, so that it stays in the gate's write queue: its bytes. */
static long stuff(struct gated *c)
{
	static const char data[16384];
	long sent = 0;
	ssize_t n;

	while ((n = send(c->fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		sent += n;
	return sent;
}

/* What it keeps for itself is the gate's wish, and not for the server's group to bear. */
TEST_F(memory, reserved_by_the_gate_is_nobodys)
{
	int want = 1 << 20, is = 0;
	socklen_t len = sizeof(is);

	ASSERT_TRUE(group_write("gate", "cgroup.procs", "0"));
	ASSERT_TRUE(gate_accept(&self->g, &self->c[0]));
	if (setsockopt(self->c[0].fd, SOL_SOCKET, SO_RESERVE_MEM, &want, sizeof(want)))
		SKIP(return, "SO_RESERVE_MEM: %s", strerror(errno));
	EXPECT_CHARGED("gate", want, LONG_MAX);
	ASSERT_EQ(gate_install(&self->g, &self->c[0]), 0);
	gate_close(&self->c[0]);
	ASSERT_TRUE(group_write("server", "cgroup.procs", "0"));
	self->app[0] = gate_server_accept(self->g.server);
	ASSERT_GE(self->app[0], 0);
	EXPECT_CHARGED("gate", 0, want / 2);
	EXPECT_CHARGED("server", 0, want / 2);
	ASSERT_EQ(getsockopt(self->app[0], SOL_SOCKET, SO_RESERVE_MEM, &is, &len), 0);
	EXPECT_EQ(is, 0);
}

/* All that was stuffed, so that it is acknowledged. */
static bool drain(struct gated *c, long len)
{
	char data[16384];

	for (; len > 0; len -= len < (long)sizeof(data) ? len : (long)sizeof(data))
		if (net_read(c->peer.fd, data, len < (long)sizeof(data) ? len : sizeof(data)))
			return false;
	return true;
}

TEST_F(memory, goes_from_the_gate_to_the_server)
{
	long sent[CONNECTIONS], all = 0;
	static uint8_t data[REQUEST];
	unsigned int i;

	ASSERT_TRUE(group_write("gate", "cgroup.procs", "0"));
	for (i = 0; i < CONNECTIONS; i++) {
		ASSERT_TRUE(gate_accept(&self->g, &self->c[i]));
		sent[i] = stuff(&self->c[i]);
		ASSERT_GT(sent[i], TICKET);
		ASSERT_EQ(gate_install(&self->g, &self->c[i]), 0);
		all += sent[i] / 2;	/* the rest is with the peer */
	}
	EXPECT_CHARGED("gate", all / 4, LONG_MAX);
	for (i = 0; i < CONNECTIONS; i++)
		gate_close(&self->c[i]);
	/* The peers' own sockets are charged here, too. */
	ASSERT_TRUE(group_write("server", "cgroup.procs", "0"));
	EXPECT_CHARGED("server", 0, 0);
	for (i = 0; i < CONNECTIONS; i++) {
		ASSERT_EQ(peer_send(&self->c[i].peer, REF_DATA, data, sizeof(data)), 0);
		self->app[i] = gate_server_accept(self->g.server);
		ASSERT_GE(self->app[i], 0);
	}
	EXPECT_CHARGED("server", all / 4, LONG_MAX);
	for (i = 0; i < CONNECTIONS; i++) {
		ASSERT_TRUE(drain(&self->c[i], sent[i]));
		EXPECT_EQ(net_read(self->app[i], data, sizeof(data)), 0);
		EXPECT_TRUE(gate_talks(&self->c[i], self->app[i]));
	}
	for (i = 0; i < CONNECTIONS; i++) {
		close(self->app[i]);
		self->app[i] = -1;
	}
	EXPECT_CHARGED("server", 0, 0);
}

/* Acknowledged while it is queued: less is charged when it is accepted. */
TEST_F(memory, shrinks_in_the_queue)
{
	long sent[CONNECTIONS];
	unsigned int i;

	ASSERT_TRUE(group_write("gate", "cgroup.procs", "0"));
	for (i = 0; i < CONNECTIONS; i++) {
		ASSERT_TRUE(gate_accept(&self->g, &self->c[i]));
		sent[i] = stuff(&self->c[i]);
		ASSERT_EQ(gate_install(&self->g, &self->c[i]), 0);
		gate_close(&self->c[i]);
		ASSERT_TRUE(drain(&self->c[i], sent[i]));
	}
	ASSERT_TRUE(group_write("server", "cgroup.procs", "0"));
	for (i = 0; i < CONNECTIONS; i++) {
		self->app[i] = gate_server_accept(self->g.server);
		ASSERT_GE(self->app[i], 0);
		EXPECT_TRUE(gate_talks(&self->c[i], self->app[i]));
	}
}

/* Nobody accepts, or there is nobody. */
TEST_F(memory, is_nobodys_when_it_is_not_accepted)
{
	unsigned int i;

	ASSERT_TRUE(group_write("gate", "cgroup.procs", "0"));
	for (i = 0; i < CONNECTIONS; i++) {
		ASSERT_TRUE(gate_accept(&self->g, &self->c[i]));
		stuff(&self->c[i]);
		ASSERT_EQ(gate_install(&self->g, &self->c[i]), 0);
		if (i < CONNECTIONS / 2)
			gate_close(&self->c[i]);
	}
	close(self->g.server);
	self->g.server = -1;
	for (i = CONNECTIONS / 2; i < CONNECTIONS; i++)
		gate_close(&self->c[i]);
	EXPECT_TRUE(gate_sessions(self->counters, 0));
	EXPECT_EQ(tg_counter(self->counters, "reason_listener_closed"), CONNECTIONS / 2);
	EXPECT_EQ(tg_counter(self->counters, "reason_not_delivered"), CONNECTIONS / 2);
}

/* A gate that is gone leaves nothing behind, though its connections live. */
TEST_F(memory, the_gates_group_can_go)
{
	unsigned int i;
	pid_t pid;

	pid = fork();
	if (!pid) {
		bool ok = group_write("gate", "cgroup.procs", "0");

		for (i = 0; ok && i < CONNECTIONS; i++) {
			ok = gate_accept(&self->g, &self->c[i]);
			stuff(&self->c[i]);
			ok = ok && !gate_install(&self->g, &self->c[i]);
			gate_close(&self->c[i]);
		}
		_exit(!ok);
	}
	ASSERT_EQ(task_wait(pid, NET_DEADLINE), 0);
	for (i = 0; i < CONNECTIONS; i++) {
		self->app[i] = gate_server_accept(self->g.server);
		ASSERT_GE(self->app[i], 0);
	}
	EXPECT_CHARGED("gate", 0, 0);
}

TEST_HARNESS_MAIN
