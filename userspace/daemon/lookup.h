/* SPDX-License-Identifier: MIT */
/*
 * The process that asks for names' addresses, so that nobody else waits for an
 * answer or reads what a name server sent.  Each name has a process of its own
 * for as long as it takes.
 */
#ifndef TLSGATE_DAEMON_LOOKUP_H
#define TLSGATE_DAEMON_LOOKUP_H

#include <stdint.h>
#include <sys/types.h>

#include "common/addr.h"
#include "daemon/sandbox.h"

#define LOOKUP_WHY_MAX	124
#define LOOKUP_SECONDS	50	/* for one name; libc has no limit of its own for a server that is silent over TCP */

struct lookup_request {
	uint32_t id;			/* comes back with the answer */
	char backend[ADDR_HOST_MAX + 8];	/* HOST:PORT */
};

struct lookup_answer {
	uint32_t id;
	int32_t count;			/* of addrs; 0: none, and why */
	struct addr addrs[ADDR_LIST_MAX];
	uint32_t ttl;			/* seconds, or HOSTS_NO_TTL (hosts.h) */
	char why[LOOKUP_WHY_MAX];
};

/*
 * Forks it.  forget(arg) is called there first: it wipes the caller's secrets.
 * *control becomes the caller's end, non-blocking.  The process id, or -1 and
 * a line was logged.
 */
pid_t lookup_start(const struct identity *who, void (*forget)(void *arg), void *arg, int *control);

/* 0, and an answer comes within LOOKUP_SECONDS or none will; or -errno. */
int lookup_ask(int control, const struct lookup_request *request);
/* 1; 0: the process is gone; -EAGAIN: there is none; -EPROTO: it is no answer. */
int lookup_receive(int control, struct lookup_answer *answer);

#endif
