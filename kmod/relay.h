/* SPDX-License-Identifier: GPL-2.0-only */
/* A TLS socket joined with a plain one inside the kernel. */
#ifndef TG_RELAY_H
#define TG_RELAY_H

#include <linux/net.h>

#include "session.h"

struct tg_refusal;

int tg_relay_init(void);
void tg_relay_exit(void);

/**
 * tg_relay_prepare() - check and charge a relay that is to be started
 * @tls: socket that has a session, or is about to get one
 * @plain: connected TCP or UNIX stream socket, same namespace
 * @idle_timeout: ms without a byte in either direction; 0 for none
 * @no: receives why not
 *
 * Process context.
 *
 * Return: the relay, for tg_ulp_install(), tg_relay_start() or tg_relay_discard(),
 * or ERR_PTR: %-EOPNOTSUPP: kind of socket; %-ENOTCONN: not connected; %-EXDEV:
 * namespace; %-EBUSY: in a relay or otherwise in use; %-ELOOP: the other end of
 * @tls; %-EDQUOT: the user's limit; %-ENOMEM.
 */
struct tg_relay *tg_relay_prepare(struct socket *tls, struct socket *plain, u32 idle_timeout,
				  struct tg_refusal *no);
void tg_relay_discard(struct tg_relay *r);

/*
 * The two halves of joining, both sockets locked by tg_own_lock().  The first
 * claims the plain socket or says why not; tg_own_disclaim() undoes it.  The
 * second cannot fail: takes both sockets, with references on their files.
 */
int tg_relay_claim(struct tg_relay *r, struct tg_refusal *no);
void tg_relay_join(struct tg_relay *r, struct tg_session *s);

/* The plain socket of a prepared relay; NULL if @r is. */
struct sock *tg_relay_plain(const struct tg_relay *r);

/**
 * tg_relay_start() - join a session's socket with a plain one
 * @r: prepared; consumed
 * @no: receives why not
 *
 * Process context.
 *
 * Return: 0; %-ENODEV: the module is being unloaded; %-ENOTCONN: the session has
 * ended; or what tg_own_lock() and, if the plain socket has changed since,
 * tg_relay_prepare() return.  Then both sockets are as before.
 */
int tg_relay_start(struct tg_relay *r, struct tg_refusal *no);

/*
 * The plain socket, with a reference to sock_put(), and the time-out in ms, 0 for none;
 * NULL if @s has no relay.  Its socket may be locked or not.
 */
struct sock *tg_relay_info(struct tg_session *s, u32 *idle_timeout);
/* Bytes opened that its plain socket did not take yet.  TLS socket locked. */
u32 tg_relay_held(const struct tg_relay *r);
/* 0, or -ENOENT if @s has no relay. Process context. */
int tg_relay_set_timeout(struct tg_session *s, u32 idle_timeout);

/* Called by ulp.c's callbacks, socket spinlock held: there is work for a direction. */
void tg_relay_kick_open(struct tg_relay *r);
void tg_relay_kick_seal(struct tg_relay *r);
/*
 * The same, of data_ready: moves what has come in on @from here and now, if it can
 * (direct.c).  @seal: that is the plain socket.
 */
void tg_relay_ready(struct tg_relay *r, struct sock *from, bool seal);

/**
 * tg_relay_end() - tear a relay down on an operator's order
 * @s: session; the caller holds a reference
 * @reason: why; ADMIN_RESET resets both sides
 *
 * Process context.  The relay's own queue does it, since a call on one of the
 * sockets that was entered before they were taken may hold a lock for long; this
 * waits for it for a bounded time, and the relay ends in any case.
 *
 * Return: 0, or %-ENOENT: @s has no relay.
 */
int tg_relay_end(struct tg_session *s, enum tlsgate_reason reason);

/* Ends every relay of a namespace that ends, and waits until their sockets are gone. */
void tg_relay_net_exit(struct net *net);

/* plain.c: the close of a relay's plain socket, which own.c's calls come to. */
int tg_plain_release(struct socket *sock);

#endif /* TG_RELAY_H */
