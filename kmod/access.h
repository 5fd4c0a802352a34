/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who may reach the module.  docs/design.md, "Who may do what", has the table.
 *
 * Installing is asked of who opened the netlink socket, not of who sends on it,
 * so that a monitor can open one for each worker and workers need no capability.
 * Two settings of each network namespace decide, under net.tlsgate:
 *
 * install_group_range	groups whose members may install, as numbers of the user
 *			namespace that owns the network namespace, in the manner of
 *			net.ipv4.ping_group_range; "1 0", empty, by default.
 * allow_install	0: nobody installs in this namespace, and only who has
 *			CAP_NET_ADMIN in the initial user namespace may send other
 *			requests from it.  1 by default where the initial user
 *			namespace owns the network namespace, else 0; written from
 *			within it, with CAP_NET_ADMIN in the initial user
 *			namespace.
 */
#ifndef TG_ACCESS_H
#define TG_ACCESS_H

#include <linux/types.h>

struct net;
struct netlink_ext_ack;
struct sk_buff;
struct tg_net;

/* What a request wants; by id and listing, more is asked later, see netlink.c. */
enum tg_access {
	TG_CALL,
	TG_INSTALL,
	TG_GRANT,
};

/**
 * tg_access_check() - may this request be looked at
 * @skb: request, on its way from the sender's call
 * @net: namespace of the netlink socket
 * @to: what it wants
 * @extack: says what to do; may be NULL
 *
 * Called before any attribute is parsed.  Process context.
 *
 * Return: 0, or %-EPERM, counted.
 */
int tg_access_check(struct sk_buff *skb, struct net *net, enum tg_access to,
		    struct netlink_ext_ack *extack);

/**
 * tg_access_net_init() - the settings of a new namespace
 * @net: namespace
 * @tn: what the module holds in it
 *
 * Return: 0 or %-ENOMEM; then nothing is left to undo.
 */
int tg_access_net_init(struct net *net, struct tg_net *tn);
void tg_access_net_exit(struct tg_net *tn);

#endif /* TG_ACCESS_H */
