/* SPDX-License-Identifier: GPL-2.0-only */
/* What the netlink commands do, and the events that others send. */
#ifndef TG_NETLINK_H
#define TG_NETLINK_H

#include <net/genetlink.h>

#include "session.h"

/*
 * Command bodies, named in genl.c's table of operations.  All run in the
 * caller's context and may sleep; no genetlink lock is held (parallel_ops).
 */
int tg_netlink_session_new(struct sk_buff *skb, struct genl_info *info);
int tg_netlink_session_get(struct sk_buff *skb, struct genl_info *info);
int tg_netlink_session_dump(struct sk_buff *skb, struct netlink_callback *cb);
int tg_netlink_session_set(struct sk_buff *skb, struct genl_info *info);
int tg_netlink_session_rekey(struct sk_buff *skb, struct genl_info *info);
int tg_netlink_session_del(struct sk_buff *skb, struct genl_info *info);
int tg_netlink_relay_new(struct sk_buff *skb, struct genl_info *info);
int tg_netlink_cipher_dump(struct sk_buff *skb, struct netlink_callback *cb);

/*
 * Events.  Process context, may sleep; the session's socket is locked by the
 * caller.  They do nothing, and cheaply, when nobody listens in the socket's
 * namespace.  SESSION_OPENED has no sender here: netlink.c sends it when
 * session and relay both stand.
 */

/*
 * Once per session, when s->reason is final.  @sk is its socket, which s->sk
 * need not name any more.  The relay's addresses are told if it still stands.
 */
void tg_event_closed(struct tg_session *s, struct sock *sk);
/* A key was ratcheted, either direction's. */
void tg_event_rekeyed(struct tg_session *s);
/* A record did not authenticate; s->rx.dir.records is its number. */
void tg_event_auth_failed(struct tg_session *s);
/* A post-handshake message; bytes beyond TLSGATE_MESSAGE_MAX are left out. */
void tg_event_message(struct tg_session *s, const void *data, size_t len);

#endif /* TG_NETLINK_H */
