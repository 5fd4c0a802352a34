/* SPDX-License-Identifier: GPL-2.0-only */
/* How a TCP socket becomes a TLS socket, and stops being one. */
#ifndef TG_ULP_H
#define TG_ULP_H

#include <linux/net.h>
#include <linux/netlink.h>

#include "session.h"

/* Says why a request is refused; @text lives as long as the module. Returns @err. */
static inline int tg_refuse(struct netlink_ext_ack *extack, enum tlsgate_reason *reason,
			    enum tlsgate_reason why, int err, const char *text)
{
	*reason = why;
	extack->_msg = text;
	return err;
}

int tg_ulp_init(void);
void tg_ulp_exit(void);

/**
 * tg_ulp_install() - put keys on a connected TCP socket
 * @sock: the socket, held by the caller
 * @in: checked request; the caller wipes it
 * @extack: says what was refused and what to do
 * @reason: set to the REFUSED_* reason on error
 * @out: receives the session with a reference
 *
 * Process context, takes lock_sock().  Attaching and keying is one step under
 * the lock: no byte can pass between.
 *
 * Return: 0, %-EOPNOTSUPP: not TCP; %-ENOTCONN: not ESTABLISHED or CLOSE_WAIT;
 * %-EEXIST: has a ULP; %-EBUSY: in use by sockmap or another; or what
 * tg_session_new() returns.  On error the socket is as before.
 */
int tg_ulp_install(struct socket *sock, const struct tg_install *in,
		   struct netlink_ext_ack *extack, enum tlsgate_reason *reason,
		   struct tg_session **out);

/**
 * tg_ulp_set() - change options of a session
 * @s: session; the caller holds a reference
 * @record_size: as in struct tg_install, or -1 to leave it
 * @padding: likewise
 *
 * Return: 0, or %-ENOTCONN if the socket is closed.
 */
int tg_ulp_set(struct tg_session *s, int record_size, int padding);

#endif /* TG_ULP_H */
