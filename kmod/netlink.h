/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic netlink family: what its commands do, and the events that others send. */
#ifndef TG_NETLINK_H
#define TG_NETLINK_H

#include <net/genetlink.h>

#include "session.h"

/*
 * Command bodies, named in genl.c's tables.  All run in the caller's context and
 * may sleep; no genetlink lock is held (parallel_ops).  Who may not reach the
 * module has been refused before, see access.h; a dump's start refuses itself.
 */

/* ---- genl.c: who may call what with which attributes ---- */

enum tg_genl_group {
	TG_GENL_EVENTS,
};

/* Registered by the last step of module init: from then on userspace can call. */
extern struct genl_family tg_genl_family;

/* Attributes of SESSION_GET as a dump, whose start parses them. */
extern const struct nla_policy tg_session_dump_policy[TLSGATE_A_MAX + 1];

/**
 * tg_genl_parse() - take a message apart as strictly as genetlink would
 * @nlh: the message
 * @policy: of its attributes, TLSGATE_A_MAX of them
 * @attrs: filled, TLSGATE_A_MAX + 1 of them
 * @extack: says what is wrong; may be NULL
 *
 * Return: 0, or a negative errno.
 */
int tg_genl_parse(const struct nlmsghdr *nlh, const struct nla_policy *policy,
		  struct nlattr **attrs, struct netlink_ext_ack *extack);

/* ---- install.c ---- */

int tg_netlink_session_new(struct genl_info *info);
int tg_netlink_relay_new(struct genl_info *info, struct tg_session *s);
int tg_netlink_deliver_new(struct genl_info *info);

/* ---- netlink.c ---- */

int tg_netlink_session_get(struct genl_info *info, struct tg_session *s);
int tg_netlink_session_set(struct genl_info *info, struct tg_session *s);
int tg_netlink_session_rekey(struct genl_info *info, struct tg_session *s);
int tg_netlink_session_del(struct genl_info *info, struct tg_session *s);
int tg_netlink_session_dump_start(struct netlink_callback *cb);
int tg_netlink_session_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tg_netlink_cipher_dump_start(struct netlink_callback *cb);
int tg_netlink_cipher_dump(struct sk_buff *skb, struct netlink_callback *cb);

/*
 * What the bodies share.  Each sets the extended ack and counts the reason
 * before it refuses.
 */

/**
 * tg_netlink_refuse() - say why a request is refused, and count it
 * @info: message
 * @nla: the attribute it is about, or NULL
 * @reason: what is counted; NONE: nothing
 * @err: negative errno
 * @text: the sentence; it lives as long as the module
 *
 * Return: @err.
 */
int tg_netlink_refuse(struct genl_info *info, const struct nlattr *nla,
		      enum tlsgate_reason reason, int err, const char *text);

/**
 * tg_netlink_socket() - the caller's socket behind a descriptor
 * @info: message
 * @attr: attribute with the descriptor, present
 * @out: receives a socket of the caller's namespace, to sockfd_put()
 *
 * Return: 0, %-EBADF, %-ENOTSOCK or %-EXDEV; then @out is as before.
 */
int tg_netlink_socket(struct genl_info *info, int attr, struct socket **out);

/**
 * tg_netlink_on_session() - look up the session a message is about, by id or by fd
 * @skb: message, for the sender's capabilities
 * @info: message
 * @body: what to do with it
 *
 * Return: %-EINVAL, %-ENOENT, %-EPERM, or what tg_netlink_socket() or @body return.
 */
int tg_netlink_on_session(struct sk_buff *skb, struct genl_info *info,
			  int (*body)(struct genl_info *info, struct tg_session *s));

/**
 * tg_netlink_options() - record size and padding of a message
 * @info: message
 * @c: cipher they are for
 * @record_size: set if the message has it
 * @padding: set if the message has it
 *
 * Return: 0, %-ERANGE or %-EOPNOTSUPP.
 */
int tg_netlink_options(struct genl_info *info, const struct tg_cipher *c, int *record_size,
		       int *padding);

/* ---- report.c ---- */

/**
 * tg_report_session() - everything that may be told of a session
 * @skb: message to add the attributes to
 * @s: session
 * @sk: its socket, locked or not
 * @reader: user namespace in whose numbers its user is told
 *
 * Return: 0 or %-EMSGSIZE.
 */
int tg_report_session(struct sk_buff *skb, struct tg_session *s, struct sock *sk,
		      struct user_namespace *reader);

/*
 * get_info() and get_info_size() of struct tcp_ulp_ops, by which ss tells version and cipher, in
 * in-tree kTLS' attributes.  The socket is not locked.  0 or %-EMSGSIZE.
 */
int tg_report_info(TG_INFO_ARGS);
size_t tg_report_info_size(TG_INFO_SIZE_ARGS);

/* What tg_report_session() is, of a cipher suite.  Process context, may load a crypto module. */
int tg_report_cipher(struct sk_buff *skb, const struct tg_cipher *c);

/*
 * Events.  Process context, may sleep; s->sk is the session's socket still.
 * They do nothing, and cheaply, when nobody listens in the socket's namespace.
 */

/*
 * @cmd: NTF_SESSION_OPENED, once per session, socket locked, when a relay asked for
 * with it stands as well; or NTF_SESSION_CLOSED, once, when s->reason is final.
 */
void tg_event_session(struct tg_session *s, u8 cmd);
/* A key was ratcheted, either direction's. */
void tg_event_rekeyed(struct tg_session *s);
/* A record did not authenticate; s->rx.dir.records is its number. */
void tg_event_auth_failed(struct tg_session *s);
/* A post-handshake message of at most TLSGATE_MESSAGE_MAX bytes. */
void tg_event_message(struct tg_session *s, const void *data, size_t len);

#endif /* TG_NETLINK_H */
