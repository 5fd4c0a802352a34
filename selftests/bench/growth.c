// SPDX-License-Identifier: MIT
/*
 * What live sessions cost the others: session-new, the same with a relay (a
 * handover), and a small record from socket to socket, with ever more sessions.
 *
 *	growth LIVE...
 *
 * For each number, ascending, prints "growth-new live-N COUNT INSTRUCTIONS",
 * and the same for growth-handover and growth-record.
 */
#include <err.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "busy.h"
#include "pair.h"

#define PAIRS_MAX	5000
#define ROOM		4096
#define NEW		64
#define RECORDS		512
#define RECORD		256

static int pairs[PAIRS_MAX][2];
static unsigned int live;

static void grow(struct tlsgate *tg, unsigned int sessions)
{
	for (; 2 * live < sessions; live++) {
		pair_connect(pairs[live], ROOM);
		pair_install(tg, pairs[live][0], TLSGATE_ROLE_CLIENT, -1);
		pair_install(tg, pairs[live][1], TLSGATE_ROLE_SERVER, -1);
	}
}

static void measure_new(struct tlsgate *tg, unsigned int sessions, bool relay)
{
	int fds[NEW][2], plain[NEW][2];
	struct busy busy;
	int i;

	for (i = 0; i < NEW; i++) {
		pair_connect(fds[i], ROOM);
		pair_connect(plain[i], ROOM);
	}
	busy = busy_start();
	for (i = 0; i < NEW; i++)
		pair_install(tg, fds[i][0], TLSGATE_ROLE_SERVER, relay ? plain[i][0] : -1);
	printf("%s live-%u %d %" PRIu64 "\n", relay ? "growth-handover" : "growth-new", sessions, NEW,
	       busy_used(&busy));
	for (i = 0; i < NEW; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
		close(plain[i][0]);
		close(plain[i][1]);
	}
}

/* Every pair has its turn, near and far in memory. */
static void exchange(unsigned int i)
{
	const int *fds = pairs[(uint64_t)i * 2654435761u % live];
	char data[RECORD] = { 0 };

	if (send(fds[0], data, sizeof(data), 0) != sizeof(data) ||
	    recv(fds[1], data, sizeof(data), MSG_WAITALL) != sizeof(data))
		err(1, "record");
}

static void measure_record(unsigned int sessions)
{
	struct busy busy;
	unsigned int i;

	for (i = 0; i < RECORDS; i++)
		exchange(i);
	busy = busy_start();
	for (i = 0; i < RECORDS; i++)
		exchange(i);
	printf("growth-record live-%u %d %" PRIu64 "\n", sessions, RECORDS, busy_used(&busy));
}

int main(int argc, char **argv)
{
	const struct rlimit files = { 4 * PAIRS_MAX, 4 * PAIRS_MAX };
	struct tlsgate *tg = pair_open();
	unsigned int sessions;

	if (argc < 2)
		errx(2, "usage: growth LIVE... (2 to %d, ascending)", 2 * PAIRS_MAX);
	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "file descriptors");
	for (; *++argv;) {
		sessions = strtoul(*argv, NULL, 10);
		if (sessions < 2 || sessions > 2 * PAIRS_MAX)
			errx(2, "%s: not from 2 to %d", *argv, 2 * PAIRS_MAX);
		grow(tg, sessions);
		measure_new(tg, sessions, false);
		measure_new(tg, sessions, true);
		measure_record(sessions);
	}
	tlsgate_close(tg);
	return 0;
}
