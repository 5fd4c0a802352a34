/* SPDX-License-Identifier: GPL-2.0-only */
/* How a TCP socket becomes a TLS socket, and stops being one. */
#ifndef TG_ULP_H
#define TG_ULP_H

#include <linux/net.h>

#include "session.h"

/* Registered by module init, so that its name is taken. */
extern struct tcp_ulp_ops tg_ulp_ops;

/* Module init: the calls of a keyed socket, by those of its family. */
void tg_ulp_fill(struct tg_family *f);

/**
 * tg_ulp_install() - put keys on a connected TCP socket, and join it with another
 * @sock: the socket, held by the caller
 * @in: checked request; the caller wipes it
 * @r: prepared relay, which is the session's on success; NULL: none
 * @no: receives why not
 * @out: receives the session with a reference
 *
 * Process context.  All is one step under the locks of both sockets, with
 * nobody inside a call on either.  Who has entered a call but not come to the
 * lock yet is not seen: a sender must know that nobody sends while it installs.
 *
 * Return: 0, %-EOPNOTSUPP: not TCP; %-ENOTCONN: not ESTABLISHED or CLOSE_WAIT;
 * %-EEXIST: has a ULP; %-EBUSY: somebody is in a call, or in use by sockmap or
 * another; %-ENODEV: the module is being unloaded; what tg_relay_prepare()
 * returns, if the plain socket has changed since; or what tg_session_new() does.
 * On error both sockets are as before.
 */
int tg_ulp_install(struct socket *sock, const struct tg_install *in, struct tg_relay *r,
		   struct tg_refusal *no, struct tg_session **out);

/* The session of a TCP socket that may have any ULP: locked, or in a read-side section. */
struct tg_session *tg_session_of(const struct sock *sk);

/* struct proto.close of a keyed socket, in a relay or not. */
void tg_close(struct sock *sk, long timeout);

#endif /* TG_ULP_H */
