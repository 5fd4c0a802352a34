// SPDX-License-Identifier: MIT
/* daemon/pause: what the monitor orders holds for workers. */
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/pause.h"
#include "tests/tap.h"

/* Two orders, each answered by a byte of what the worker then sees. */
static void ask_worker(int ask[2], int tell[2], const struct pause *pause)
{
	char c;

	while (read(ask[0], &c, 1) == 1) {
		c = pause_is_on(pause);
		if (write(tell[1], &c, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static bool worker_sees(int ask[2], int tell[2])
{
	char c = 2;

	return write(ask[1], "?", 1) == 1 && read(tell[0], &c, 1) == 1 && c == 1;
}

static void orders_reach_workers(struct pause *pause)
{
	int ask[2], tell[2], status = -1;
	pid_t pid;

	if (pipe(ask) || pipe(tell))
		tap_bail("pipe");
	pid = fork();
	if (!pid) {
		close(ask[1]);
		ask_worker(ask, tell, pause);
	}
	tap_ok(!worker_sees(ask, tell), "not paused at first");
	pause_set(pause, true);
	tap_ok(worker_sees(ask, tell), "paused by the monitor");
	pause_set(pause, false);
	tap_ok(!worker_sees(ask, tell), "resumed by the monitor");
	close(ask[1]);
	waitpid(pid, &status, 0);
	tap_ok(status == 0, "the worker ends when it is let");
}

int main(void)
{
	struct pause *pause = pause_new();

	if (!pause)
		tap_bail("pause_new");
	orders_reach_workers(pause);
	pause_free(pause);
	return tap_done();
}
