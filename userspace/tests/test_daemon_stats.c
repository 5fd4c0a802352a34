// SPDX-License-Identifier: MIT
/* daemon/stats: what a worker counts is the monitor's to read, whatever becomes of the worker. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/stats.h"
#include "tests/tap.h"

#define WORKERS	2
#define GATES	3

/* A worker that counts and is killed.  Returns what killed it. */
static int count_in_child(struct stats *stats, size_t worker)
{
	struct stats_cell *row;
	int status = 0;
	pid_t pid;

	stats_lend(stats, worker, true);
	pid = fork();
	stats_lend(stats, worker, false);
	if (pid < 0)
		tap_bail("fork");
	if (!pid) {
		row = stats_take(stats, worker);
		stats_add(row, 1, STAT_ACCEPTED, 5);
		stats_lost_of(stats, worker)->lines[LOG_TO_SYSLOG] += 3;
		stats_add(row, 1, STAT_OPEN, 2);
		stats_add(row, 1, STAT_OPEN, (uint64_t)-1);
		stats_add(row, 2, STAT_ACCEPTED, 1);
		raise(SIGKILL);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* How much is counted more after a process that was lent no row wrote to this one's address. */
static uint64_t write_elsewhere(struct stats *stats, size_t row)
{
	const uint64_t before = stats_get(stats->rows[row], 0, STAT_ACCEPTED);
	pid_t pid;

	pid = fork();
	if (pid < 0)
		tap_bail("fork");
	if (!pid) {
		(void)signal(SIGSEGV, SIG_DFL);	/* the sanitizer would report it */
		stats_add(stats->rows[row], 0, STAT_ACCEPTED, 1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return stats_get(stats->rows[row], 0, STAT_ACCEPTED) - before;
}

static void test_inherit(struct stats *stats)
{
	struct stats next;

	if (stats_init(&next, 1, 1))
		tap_bail("no memory");
	stats_add(next.rows[0], 0, STAT_ACCEPTED, 100);
	stats_inherit(&next, 0, stats, 1);
	tap_equal((long)stats_of_gate(&next, 0, STAT_ACCEPTED), 110, "a gate goes on with what another counted");
	tap_equal((long)stats_of_worker(&next, 0, STAT_ACCEPTED), 100, "no worker of its did that");
	stats_inherit_lost(&next, stats);
	tap_equal((long)stats_lost(&next, LOG_TO_SYSLOG), 6, "so do the lines that were lost");
	stats_clear(&next);
}

int main(void)
{
	struct stats stats;

	if (stats_init(&stats, WORKERS, GATES))
		tap_bail("no memory");
	tap_equal((long)stats_of_gate(&stats, 1, STAT_ACCEPTED), 0, "nothing is counted at first");
	tap_equal(count_in_child(&stats, 0), SIGKILL, "a worker counts and dies");
	tap_equal(count_in_child(&stats, 0), SIGKILL, "so does the next, in the same row");
	tap_equal((long)stats_of_gate(&stats, 1, STAT_ACCEPTED), 10, "its gate has the sum");
	tap_equal((long)stats_of_worker(&stats, 0, STAT_ACCEPTED), 12, "its row that of all gates");
	tap_equal((long)stats_of_worker(&stats, 1, STAT_ACCEPTED), 0, "the other row nothing");
	tap_equal((long)stats_of_gate(&stats, 1, STAT_OPEN), 2, "what was open still counts");
	tap_equal((long)stats_lost(&stats, LOG_TO_SYSLOG), 6, "lines that it lost are counted");
	tap_equal((long)stats_lost(&stats, LOG_TO_STDERR), 0, "by target");
	stats_worker_gone(&stats, 0);
	tap_equal((long)stats_of_gate(&stats, 1, STAT_OPEN), 0, "not once the worker is known to be dead");
	tap_equal((long)stats_of_gate(&stats, 1, STAT_ACCEPTED), 10, "the rest stays");
	tap_equal((long)write_elsewhere(&stats, 0), 0, "no other process reaches the row of a worker");
	tap_equal((long)write_elsewhere(&stats, WORKERS), 0, "nor that of what is inherited");
	test_inherit(&stats);
	stats_clear(&stats);
	stats_clear(&stats);
	return tap_done();
}
