// SPDX-License-Identifier: GPL-2.0-only
/* The index of the ABI: attributes, operations and the family; see uapi/tlsgate.h. */
#include <linux/module.h>

#include "genl.h"
#include "netlink.h"

/* 6.1 takes it by a pointer that is not const. */
static struct netlink_range_validation tg_idle_timeout_range = {
	.max = TLSGATE_IDLE_TIMEOUT_MAX,
};

static const struct nla_policy tg_keys_policy[TLSGATE_KEYS_A_MAX + 1] = {
	[TLSGATE_KEYS_A_KEY]	= { .type = NLA_BINARY, .len = TLSGATE_KEY_MAX },
	[TLSGATE_KEYS_A_IV]	= { .type = NLA_BINARY, .len = TLSGATE_IV_MAX },
	[TLSGATE_KEYS_A_SEQ]	= { .type = NLA_U64 },
	[TLSGATE_KEYS_A_SECRET]	= { .type = NLA_BINARY, .len = TLSGATE_SECRET_MAX },
};

#define TG_ANY_ID		{ .type = NLA_U32 }
#define TG_FD			{ .type = NLA_U32 }
#define TG_VERSION		NLA_POLICY_RANGE(NLA_U16, TLSGATE_TLS_1_2, TLSGATE_TLS_1_3)
#define TG_IDLE_TIMEOUT		NLA_POLICY_FULL_RANGE(NLA_U32, &tg_idle_timeout_range)
#define TG_RECORD_SIZE		NLA_POLICY_MAX(NLA_U16, TLSGATE_RECORD_SIZE_MAX)
#define TG_PADDING		NLA_POLICY_MAX(NLA_U16, TLSGATE_PADDING_MAX)

const struct nla_policy tg_session_new_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_FD]			= TG_FD,
	[TLSGATE_A_VERSION]		= TG_VERSION,
	[TLSGATE_A_SUITE]		= { .type = NLA_U16 },
	[TLSGATE_A_ROLE]		= NLA_POLICY_MAX(NLA_U8, TLSGATE_ROLE_SERVER),
	[TLSGATE_A_TX]			= NLA_POLICY_NESTED(tg_keys_policy),
	[TLSGATE_A_RX]			= NLA_POLICY_NESTED(tg_keys_policy),
	[TLSGATE_A_RX_PENDING]		= { .type = NLA_BINARY, .len = TLSGATE_RX_PENDING_MAX },
	[TLSGATE_A_RELAY_FD]		= TG_FD,
	[TLSGATE_A_IDLE_TIMEOUT]	= TG_IDLE_TIMEOUT,
	[TLSGATE_A_RECORD_SIZE]		= TG_RECORD_SIZE,
	[TLSGATE_A_PADDING]		= TG_PADDING,
};

/* SESSION_GET and SESSION_REKEY. */
static const struct nla_policy tg_target_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_ID]			= TG_ANY_ID,
	[TLSGATE_A_FD]			= TG_FD,
};

static const struct nla_policy tg_session_set_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_ID]			= TG_ANY_ID,
	[TLSGATE_A_FD]			= TG_FD,
	[TLSGATE_A_IDLE_TIMEOUT]	= TG_IDLE_TIMEOUT,
	[TLSGATE_A_RECORD_SIZE]		= TG_RECORD_SIZE,
	[TLSGATE_A_PADDING]		= TG_PADDING,
};

static const struct nla_policy tg_session_del_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_ID]			= TG_ANY_ID,
	[TLSGATE_A_FD]			= TG_FD,
	[TLSGATE_A_HOW]			= NLA_POLICY_MAX(NLA_U8, TLSGATE_CLOSE_RESET),
};

static const struct nla_policy tg_relay_new_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_ID]			= TG_ANY_ID,
	[TLSGATE_A_FD]			= TG_FD,
	[TLSGATE_A_RELAY_FD]		= TG_FD,
	[TLSGATE_A_IDLE_TIMEOUT]	= TG_IDLE_TIMEOUT,
};

/*
 * SESSION_NEW has no policy here: its body parses the message itself, as
 * strictly, so that the keys of a message that does not parse are wiped too.
 */
static const struct genl_ops tg_genl_ops[] = {
	{
		.cmd		= TLSGATE_CMD_SESSION_NEW,
		.doit		= tg_netlink_session_new,
	},
	{
		.cmd		= TLSGATE_CMD_SESSION_GET,
		.policy		= tg_target_policy,
		.maxattr	= TLSGATE_A_MAX,
		.doit		= tg_netlink_session_get,
		.start		= tg_netlink_session_dump_start,
		.dumpit		= tg_netlink_session_dump,
	},
	{
		.cmd		= TLSGATE_CMD_SESSION_SET,
		.policy		= tg_session_set_policy,
		.maxattr	= TLSGATE_A_MAX,
		.doit		= tg_netlink_session_set,
	},
	{
		.cmd		= TLSGATE_CMD_SESSION_REKEY,
		.policy		= tg_target_policy,
		.maxattr	= TLSGATE_A_MAX,
		.doit		= tg_netlink_session_rekey,
	},
	{
		.cmd		= TLSGATE_CMD_SESSION_DEL,
		.policy		= tg_session_del_policy,
		.maxattr	= TLSGATE_A_MAX,
		.doit		= tg_netlink_session_del,
	},
	{
		.cmd		= TLSGATE_CMD_RELAY_NEW,
		.policy		= tg_relay_new_policy,
		.maxattr	= TLSGATE_A_MAX,
		.doit		= tg_netlink_relay_new,
	},
	{
		.cmd		= TLSGATE_CMD_CIPHER_GET,
		.dumpit		= tg_netlink_cipher_dump,
	},
};

static const struct genl_multicast_group tg_genl_groups[] = {
	[TG_GENL_EVENTS] = {
		.name	= TLSGATE_MCGRP_EVENTS,
		.flags	= GENL_MCAST_CAP_NET_ADMIN,
	},
};

struct genl_family tg_genl_family __ro_after_init = {
	.name		= TLSGATE_GENL_NAME,
	.version	= TLSGATE_GENL_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.resv_start_op	= TLSGATE_CMD_SESSION_NEW + 1,
	.ops		= tg_genl_ops,
	.n_ops		= ARRAY_SIZE(tg_genl_ops),
	.mcgrps		= tg_genl_groups,
	.n_mcgrps	= ARRAY_SIZE(tg_genl_groups),
	.module		= THIS_MODULE,
};

int __init tg_genl_init(void)
{
	return genl_register_family(&tg_genl_family);
}

void tg_genl_exit(void)
{
	genl_unregister_family(&tg_genl_family);
}
