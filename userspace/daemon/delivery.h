/* SPDX-License-Identifier: MIT */
/*
 * Delivery, the monitor's part: handles, which need CAP_NET_ADMIN, and what workers say of
 * whether a gate's connections can be delivered.  deliver.c is the workers' part.
 */
#ifndef TLSGATE_DAEMON_DELIVERY_H
#define TLSGATE_DAEMON_DELIVERY_H

#include "common/ipc.h"
#include "common/log.h"

struct gate;

#define DELIVERY_WHY_MAX	256

/*
 * Makes a handle for each address of a gate that is to deliver.  usable: the kernel takes keys;
 * else why is what is wrong.  0, also where a gate of deliver = auto will relay, which is
 * logged; or -1 and a line was logged.
 */
int delivery_open(struct gate *gate, bool usable, const char *why);
void delivery_close(struct gate *gate);

/* A worker says that connections of a kind are refused, or are not any more: logged within the limit. */
void delivery_take_note(struct gate *gate, const struct ipc_note *note, struct log_limit *changes);

/* Why a gate that is to deliver relays; NULL: it does not. */
const char *delivery_why_not(const struct gate *gate);

#endif
