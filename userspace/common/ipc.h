/* SPDX-License-Identifier: MIT */
/*
 * What the monitor and its children tell each other, over SOCK_SEQPACKET
 * socket pairs: one word per packet, with at most two file descriptors, a note or a check.
 * Nothing malformed is repaired: the other end is one of our own processes,
 * so it can only be broken or taken over.
 */
#ifndef TLSGATE_COMMON_IPC_H
#define TLSGATE_COMMON_IPC_H

#include <stddef.h>
#include <stdint.h>

#define IPC_MAX_FDS	2

enum ipc_type {
	IPC_NONE,
	/* child to monitor */
	IPC_READY,		/* all set up, sandboxed */
	IPC_DRAINING,		/* nothing more is accepted: the answer to IPC_DRAIN */
	IPC_NEED_KEYS,		/* its answerer is gone: it accepts nothing until there is another */
	IPC_NOTE,		/* with a note: whether a server's socket takes connections */
	/* the metrics process and the monitor */
	IPC_ASK_OPENMETRICS,	/* wants all metrics, in that format */
	IPC_ASK_PROMETHEUS,
	IPC_METRICS,		/* the answer, with a file that has the text; without: no memory */
	IPC_LISTED,		/* its connections are written: the answer to IPC_LIST */
	/* monitor to keyd */
	IPC_NEW_WORKER,		/* with an answerer's ends of its worker's pipes: in, out */
	/* monitor to worker */
	IPC_KEYS,		/* with its ends of the pipes to another answerer: in, out */
	IPC_SERVE,		/* accept connections: the answer to IPC_READY, and after a drain */
	IPC_DRAIN,		/* accept no more; exit when the last connection is over */
	IPC_STOP,		/* end every connection in order and exit */
	IPC_LIST,		/* with a file in memory, to write all connections into */
	/* worker to monitor */
	IPC_CHECKED,		/* with a check: whether a backend answers */
	IPC_TYPES,
};

/* What a worker says of one of its generation's gates. */
struct ipc_note {
	uint16_t gate;		/* its number */
	uint8_t kind;		/* enum detour_kind */
	uint8_t refused;	/* 0: it is taken again */
	char text[256];		/* why; may lack its NUL */
};

/* What a worker found when it looked whether a backend answers. */
struct ipc_check {
	uint16_t gate, pool, member;	/* their numbers */
	uint16_t failed;	/* 0: it does */
	char text[256];		/* why not; may lack its NUL */
};

struct ipc_message {
	enum ipc_type type;
	union {
		struct ipc_note note;	/* with IPC_NOTE */
		struct ipc_check check;	/* with IPC_CHECKED */
	};
	size_t fd_count;
	int fds[IPC_MAX_FDS];	/* the receiver's to close; close-on-exec */
};

/* Two connected ends, close-on-exec, blocking.  0 or -errno. */
int ipc_pair(int ends[2]);

/*
 * Sends one message; count descriptors are passed along (the caller keeps its
 * own).  0, -EAGAIN (non-blocking end, nothing sent) or another -errno.
 */
int ipc_send(int end, enum ipc_type type, const int *fds, size_t count);
/* Sends IPC_NOTE.  As ipc_send(). */
int ipc_send_note(int end, const struct ipc_note *note);
/* Sends IPC_CHECKED.  As ipc_send(). */
int ipc_send_check(int end, const struct ipc_check *check);

/*
 * Receives one message.  1; 0: the other end is gone; -EAGAIN: non-blocking
 * and nothing there; -EPROTO: not a message of ours; or another -errno.
 * *message is only set with 1.
 */
int ipc_receive(int end, struct ipc_message *message);

/*
 * As ipc_receive(), of a child that has no descriptors to give: closes what it passed along all the
 * same, which may be somebody else's, without waiting (hurry.h).
 */
int ipc_receive_word(int end, struct ipc_message *message);

/* Closes what came with it. */
void ipc_close(const struct ipc_message *message);

#endif
