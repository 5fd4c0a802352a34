/* SPDX-License-Identifier: MIT */
/*
 * One question, one answer: what every call of the library goes through.
 * Internal to libtlsgate.
 */
#ifndef TLSGATE_LIB_HANDLE_H
#define TLSGATE_LIB_HANDLE_H

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "libtlsgate.h"

#define TGL_ERROR_MAX	512	/* bytes of one error line */
#define TGL_RECEIVE_MAX	32768	/* the kernel's largest dump datagram */

struct tlsgate {
	struct nl_sock *sk;		/* questions and answers */
	struct nl_sock *events;		/* NULL before tlsgate_subscribe() */
	uint16_t family;		/* the message type the kernel gave the family */
	uint32_t group;			/* multicast group "events" */
	unsigned int version;
	char error[TGL_ERROR_MAX];
	/* one datagram from the kernel; nothing of it is secret */
	unsigned char answer[TGL_RECEIVE_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
};

/*
 * Takes one answer.  0 goes on, else this becomes the result of the call; of a
 * dump, the rest is read but not looked at.
 */
typedef int tgl_answer_fn(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg);

/*
 * A new request of this family, with space for payload bytes of attributes and
 * never moved, so that wiping it once wipes every copy.  NULL: out of memory
 * (the error text says so).
 */
struct nl_msg *tgl_request(struct tlsgate *tg, uint8_t cmd, int flags, size_t payload);

/*
 * Sends msg and reads until the kernel has answered it: an answer with its
 * sequence number (answer() is called), an error or an acknowledgement.
 * answer NULL: an acknowledgement is what is asked for.  Wipes and frees msg.
 * Returns 0 or a negative errno, and leaves the text in tg->error.
 */
int tgl_call(struct tlsgate *tg, struct nl_msg *msg, tgl_answer_fn *answer, void *arg);

/* Sets the error text, returns err. */
int tgl_fail(struct tlsgate *tg, int err, const char *text);
/* -ENODEV, with its text. */
int tgl_gone(struct tlsgate *tg);

/* A connected generic netlink socket, or NULL (errno). */
struct nl_sock *tgl_socket(void);
/* The same over a duplicate of a socket of tlsgate_socket(). */
struct nl_sock *tgl_socket_on(int fd);

/*
 * Reads one datagram from the kernel into tg->answer.  Returns its length, 0
 * for one that another process sent, or a negative errno.
 */
int tgl_receive(struct tlsgate *tg, struct nl_sock *sk);

/* Copies a session's attributes out of a message; -EPROTO when malformed. */
int tgl_session_parse(struct nlmsghdr *hdr, struct tlsgate_session *session,
		      struct nlattr **message);

/* "tx.key" for the attribute at offset bytes into the request; "" if there is none. */
void tgl_attr_path(const struct nlmsghdr *request, size_t offset, char *text, size_t size);
/* "tx.secret" for a missing attribute; nest_offset 0: it belongs to the top level. */
void tgl_attr_missing(const struct nlmsghdr *request, size_t nest_offset, unsigned int type,
		      char *text, size_t size);

/* What to do about a module of that version of the interface; NULL: nothing, it is ours. */
const char *tgl_version_why(unsigned int version);

#endif /* TLSGATE_LIB_HANDLE_H */
