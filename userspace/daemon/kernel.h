/* SPDX-License-Identifier: MIT */
/*
 * A worker's way to the kernel module, which may come and go while the worker
 * runs: worker->tlsgate is NULL while there is none.
 */
#ifndef TLSGATE_DAEMON_KERNEL_H
#define TLSGATE_DAEMON_KERNEL_H

#include <stdbool.h>

struct tlsgate;
struct worker;

struct kernel_refusal {
	unsigned int family;		/* tlsgate_family_id() of the module that refused; 0: none did */
	unsigned int looks, left;	/* from one question to the next; until that */
};

/*
 * fd: of tlsgate_socket(), the worker's from now on; -1: never.  Looks for the
 * module now and every second until it takes keys; one that refuses is asked again
 * after 1, 2, 4 and so on up to 32 seconds, one that has replaced it at once.
 */
void kernel_init(struct worker *worker, int fd);
/* The module is gone, as a call said.  True: another that takes keys is there already. */
bool kernel_lost(struct worker *worker);
void kernel_close(struct worker *worker);

/* As tlsgate_error(), for an operator: what is wrong with a server is no fault of the handle that stands for it. */
const char *kernel_error(const struct tlsgate *tlsgate);

#endif
