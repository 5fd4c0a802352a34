/* SPDX-License-Identifier: MIT */
/*
 * Delivery, the monitor's part: handles, which need CAP_NET_ADMIN, and what workers say of
 * whether a gate's connections can be delivered.  deliver.c is the workers' part.
 */
#ifndef TLSGATE_DAEMON_DELIVERY_H
#define TLSGATE_DAEMON_DELIVERY_H

#include "common/ipc.h"
#include "common/log.h"
#include "daemon/detour.h"

struct gate;

#define DELIVERY_WHY_MAX	256

/*
 * Makes a handle for each address of a gate that is to deliver.  err: 0, the kernel takes keys;
 * else libtlsgate's error, and why is what is wrong.  0, also where a gate of deliver = auto will
 * relay, which is logged; or -1 and a line was logged.
 */
int delivery_open(struct gate *gate, int err, const char *why);
void delivery_close(struct gate *gate);

/* A worker says that a kind of connections is refused, or is not any more: logged within the limit. */
void delivery_take_note(struct gate *gate, const struct ipc_note *note, struct log_limit *changes);

/* Clients who are not delivered, though the gate is to deliver: relayed with auto, else refused. */
struct delivery_exception {
	const char *who;		/* "IPv4 clients" */
	const char *why;		/* the gate's */
};

/* Returns how many. */
size_t delivery_exceptions(const struct gate *gate, struct delivery_exception list[DETOURS]);

#endif
