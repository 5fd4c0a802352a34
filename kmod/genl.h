/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic netlink family: who may call what with which attributes. */
#ifndef TG_GENL_H
#define TG_GENL_H

#include <net/genetlink.h>

#include "uapi/tlsgate.h"

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

#endif /* TG_GENL_H */
