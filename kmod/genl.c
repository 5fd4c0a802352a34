// SPDX-License-Identifier: GPL-2.0-only
/* The index of the ABI: attributes, operations and the family; see uapi/tlsgate.h. */
#include <linux/in6.h>
#include <linux/module.h>

#include "access.h"
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

#define TG_NUMBER		{ .type = NLA_U32 }
#define TG_ADDRESS		{ .type = NLA_BINARY, .len = sizeof(struct sockaddr_in6) }
#define TG_VERSION		NLA_POLICY_RANGE(NLA_U16, TLSGATE_TLS_1_2, TLSGATE_TLS_1_3)
#define TG_IDLE_TIMEOUT		NLA_POLICY_FULL_RANGE(NLA_U32, &tg_idle_timeout_range)
#define TG_RECORD_SIZE		NLA_POLICY_MAX(NLA_U16, TLSGATE_RECORD_SIZE_MAX)
#define TG_PADDING		NLA_POLICY_MAX(NLA_U16, TLSGATE_PADDING_MAX)

static const struct nla_policy tg_session_new_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_FD]			= TG_NUMBER,
	[TLSGATE_A_VERSION]		= TG_VERSION,
	[TLSGATE_A_SUITE]		= { .type = NLA_U16 },
	[TLSGATE_A_ROLE]		= NLA_POLICY_MAX(NLA_U8, TLSGATE_ROLE_SERVER),
	[TLSGATE_A_TX]			= NLA_POLICY_NESTED(tg_keys_policy),
	[TLSGATE_A_RX]			= NLA_POLICY_NESTED(tg_keys_policy),
	[TLSGATE_A_RX_PENDING]		= { .type = NLA_BINARY, .len = TLSGATE_RX_PENDING_MAX },
	[TLSGATE_A_RELAY_FD]		= TG_NUMBER,
	[TLSGATE_A_IDLE_TIMEOUT]	= TG_IDLE_TIMEOUT,
	[TLSGATE_A_RECORD_SIZE]		= TG_RECORD_SIZE,
	[TLSGATE_A_PADDING]		= TG_PADDING,
	[TLSGATE_A_LABEL]		= { .type = NLA_BINARY, .len = TLSGATE_LABEL_MAX },
	[TLSGATE_A_DELIVER_FD]		= TG_NUMBER,
};

/* SESSION_GET and SESSION_REKEY. */
static const struct nla_policy tg_target_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_ID]			= TG_NUMBER,
	[TLSGATE_A_FD]			= TG_NUMBER,
};

static const struct nla_policy tg_session_set_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_ID]			= TG_NUMBER,
	[TLSGATE_A_FD]			= TG_NUMBER,
	[TLSGATE_A_IDLE_TIMEOUT]	= TG_IDLE_TIMEOUT,
	[TLSGATE_A_RECORD_SIZE]		= TG_RECORD_SIZE,
	[TLSGATE_A_PADDING]		= TG_PADDING,
};

static const struct nla_policy tg_session_del_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_ID]			= TG_NUMBER,
	[TLSGATE_A_FD]			= TG_NUMBER,
	[TLSGATE_A_HOW]			= NLA_POLICY_MAX(NLA_U8, TLSGATE_CLOSE_RESET),
};

static const struct nla_policy tg_relay_new_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_FD]			= TG_NUMBER,
	[TLSGATE_A_RELAY_FD]		= TG_NUMBER,
	[TLSGATE_A_IDLE_TIMEOUT]	= TG_IDLE_TIMEOUT,
};

static const struct nla_policy tg_deliver_new_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_LOCAL]		= TG_ADDRESS,
	[TLSGATE_A_SERVER]		= TG_ADDRESS,
};

const struct nla_policy tg_session_dump_policy[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_NETNS]		= { .type = NLA_U32 },
};

/**
 * struct tg_command - a request that is no dump
 * @to: what it wants of the module, asked before @policy
 * @policy: its attributes
 * @body: what it does with the session that it names; NULL: it names none
 * @call: what it does then
 */
struct tg_command {
	enum tg_access to;
	const struct nla_policy *policy;
	int (*body)(struct genl_info *info, struct tg_session *s);
	int (*call)(struct genl_info *info);
};

static const struct tg_command tg_commands[] = {
	[TLSGATE_CMD_SESSION_NEW] = {
		TG_INSTALL, tg_session_new_policy, NULL, tg_netlink_session_new,
	},
	[TLSGATE_CMD_SESSION_GET] = { TG_CALL, tg_target_policy, tg_netlink_session_get },
	[TLSGATE_CMD_SESSION_SET] = { TG_CALL, tg_session_set_policy, tg_netlink_session_set },
	[TLSGATE_CMD_SESSION_REKEY] = { TG_CALL, tg_target_policy, tg_netlink_session_rekey },
	[TLSGATE_CMD_SESSION_DEL] = { TG_CALL, tg_session_del_policy, tg_netlink_session_del },
	[TLSGATE_CMD_RELAY_NEW] = { TG_INSTALL, tg_relay_new_policy, tg_netlink_relay_new },
	[TLSGATE_CMD_DELIVER_NEW] = {
		TG_GRANT, tg_deliver_new_policy, NULL, tg_netlink_deliver_new,
	},
};

int tg_genl_parse(const struct nlmsghdr *nlh, const struct nla_policy *policy,
		  struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	const struct genlmsghdr *hdr = nlmsg_data(nlh);
	int flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO | NLM_F_DUMP;

	if (hdr->reserved || nlh->nlmsg_flags & ~flags) {
		NL_SET_ERR_MSG(extack, "a reserved field of the header is not 0");
		return -EINVAL;
	}
	return __nlmsg_parse(nlh, GENL_HDRLEN, attrs, TLSGATE_A_MAX, policy, NL_VALIDATE_STRICT,
			     extack);
}

/*
 * Every request but dumps.  The operations have no policy of their own, since genetlink would
 * parse by it before the sender is checked.  Keys are wiped out of a message that is refused or
 * does not parse, too.
 */
static int tg_genl_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct tg_command *c = &tg_commands[info->genlhdr->cmd];
	struct nlattr *attrs[TLSGATE_A_MAX + 1];
	int err;

	info->attrs = attrs;
	err = tg_access_check(skb, genl_info_net(info), c->to, info->extack) ?:
	      tg_genl_parse(info->nlhdr, c->policy, attrs, info->extack);
	if (!err)
		err = c->body ? tg_netlink_on_session(skb, info, c->body) : c->call(info);
	/* Every other refusal has said more. */
	if (err && !info->extack->_msg)
		info->extack->_msg = err == -ENOMEM ? "no memory: try again later" :
				     "the session has failed: SESSION_GET tells why";
	if (info->genlhdr->cmd == TLSGATE_CMD_SESSION_NEW)
		memzero_explicit(genlmsg_data(info->genlhdr), genlmsg_len(info->genlhdr));
	return err;
}

static const struct genl_ops tg_genl_ops[] = {
	{ .cmd = TLSGATE_CMD_SESSION_NEW, .doit = tg_genl_doit },
	{
		.cmd		= TLSGATE_CMD_SESSION_GET,
		.doit		= tg_genl_doit,
		.start		= tg_netlink_session_dump_start,
		.dumpit		= tg_netlink_session_dump,
	},
	{ .cmd = TLSGATE_CMD_SESSION_SET, .doit = tg_genl_doit },
	{ .cmd = TLSGATE_CMD_SESSION_REKEY, .doit = tg_genl_doit },
	{ .cmd = TLSGATE_CMD_SESSION_DEL, .doit = tg_genl_doit },
	{ .cmd = TLSGATE_CMD_RELAY_NEW, .doit = tg_genl_doit },
	{ .cmd = TLSGATE_CMD_DELIVER_NEW, .doit = tg_genl_doit },
	{
		.cmd		= TLSGATE_CMD_CIPHER_GET,
		.start		= tg_netlink_cipher_dump_start,
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
	/* Before it, tg_genl_parse() does what genetlink does from it on. */
	.resv_start_op	= TLSGATE_CMD_CIPHER_GET,
	.ops		= tg_genl_ops,
	.n_ops		= ARRAY_SIZE(tg_genl_ops),
	.mcgrps		= tg_genl_groups,
	.n_mcgrps	= ARRAY_SIZE(tg_genl_groups),
	.module		= THIS_MODULE,
};
