/* SPDX-License-Identifier: MIT */
/*
 * Typed messages between the processes of tlsgated, over SOCK_SEQPACKET
 * socket pairs: one message per packet, with an id that a reply repeats and
 * at most one file descriptor.  Nothing malformed is repaired: the other end
 * is one of our own processes, so it can only be broken or taken over.
 */
#ifndef TLSGATE_COMMON_IPC_H
#define TLSGATE_COMMON_IPC_H

#include <stddef.h>
#include <stdint.h>

#define IPC_MAX_PAYLOAD	16640	/* a key request: 16384 and its header */

enum ipc_type {
	IPC_NONE,
	/* child to monitor */
	IPC_READY,		/* all set up, sandboxed, about to serve */
	IPC_DRAINING,		/* nothing more is accepted: the answer to IPC_DRAIN */
	/* monitor to keyd */
	IPC_NEW_WORKER,		/* with fd: a worker's key requests come here */
	/* monitor to worker */
	IPC_DRAIN,		/* accept no more; exit when the last connection is over */
	IPC_STOP,		/* end every connection in order and exit */
	/* worker to keyd: struct keyd_request, then the data */
	IPC_KEY_REQUEST,
	/* keyd to worker */
	IPC_KEY_REPLY,		/* what tls_private_key_perform() gave */
	IPC_KEY_REFUSED,	/* empty */
	IPC_TYPES,
};

struct ipc_message {
	enum ipc_type type;
	uint32_t id;
	size_t len;
	int fd;			/* the receiver's to close; -1: none */
	uint8_t data[IPC_MAX_PAYLOAD];
};

/* Two connected ends, close-on-exec, blocking.  0 or -errno. */
int ipc_pair(int ends[2]);

/*
 * Sends one message; fd is passed along when not -1 (the caller keeps its own).
 * 0, -EMSGSIZE, -EAGAIN (non-blocking end, nothing sent) or another -errno.
 */
int ipc_send(int end, enum ipc_type type, uint32_t id, const void *data, size_t len, int fd);

/*
 * Receives one message.  1; 0: the other end is gone; -EAGAIN: non-blocking
 * and nothing there; -EPROTO: not a message of ours; or another -errno.
 * *message is only set with 1.  The caller wipes data that is secret.
 */
int ipc_receive(int end, struct ipc_message *message);

#endif
