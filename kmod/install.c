// SPDX-License-Identifier: GPL-2.0-only
/* SESSION_NEW and RELAY_NEW: keys into a socket, two sockets into a relay. */
#include <linux/file.h>
#include <linux/net.h>

#include "netlink.h"
#include "own.h"
#include "relay.h"

/* ---- SESSION_NEW ------------------------------------------------------------------ */

static int keys_copy(struct genl_info *info, struct nlattr *nest, struct nlattr **tb, int type,
		     u8 *to, unsigned int len)
{
	struct nlattr *nla = tb[type];

	if (!nla && len) {
		NL_SET_ERR_ATTR_MISS(info->extack, nest, type);
		return tg_netlink_refuse(info, NULL, TLSGATE_REASON_REFUSED_KEYS, -EINVAL,
					 "this suite needs it: CIPHER_GET tells its length");
	}
	if (nla && nla_len(nla) != len)
		return tg_netlink_refuse(info, nla, TLSGATE_REASON_REFUSED_KEYS, -EINVAL,
					 "wrong length for this suite: CIPHER_GET tells the right one");
	if (nla)
		memcpy(to, nla_data(nla), len);
	return 0;
}

static int parse_keys(struct genl_info *info, int attr, const struct tg_cipher *c,
		      struct tg_keys *keys)
{
	struct nlattr *nest = info->attrs[attr];
	struct nlattr *tb[TLSGATE_KEYS_A_MAX + 1];
	int err;

	/* No policy: tg_session_new_policy has looked into the nest, too. */
	err = nla_parse_nested(tb, TLSGATE_KEYS_A_MAX, nest, NULL, info->extack) ?:
	      keys_copy(info, nest, tb, TLSGATE_KEYS_A_KEY, keys->key, c->key_len) ?:
	      keys_copy(info, nest, tb, TLSGATE_KEYS_A_IV, keys->iv, c->iv_len) ?:
	      keys_copy(info, nest, tb, TLSGATE_KEYS_A_SECRET, keys->secret, c->secret_len);
	if (err)
		return err;
	if (!tb[TLSGATE_KEYS_A_SEQ]) {
		NL_SET_ERR_ATTR_MISS(info->extack, nest, TLSGATE_KEYS_A_SEQ);
		return tg_netlink_refuse(info, NULL, TLSGATE_REASON_REFUSED_KEYS, -EINVAL,
					 "give the sequence number of the next record");
	}
	keys->seq = nla_get_u64(tb[TLSGATE_KEYS_A_SEQ]);
	return 0;
}

static int parse_cipher(struct genl_info *info, const struct tg_cipher **c)
{
	struct nlattr *version = info->attrs[TLSGATE_A_VERSION];
	struct nlattr *suite = info->attrs[TLSGATE_A_SUITE];

	*c = tg_cipher_find(nla_get_u16(version), nla_get_u16(suite));
	if (*c)
		return 0;
	return tg_netlink_refuse(info, suite, TLSGATE_REASON_REFUSED_SUITE, -EOPNOTSUPP,
				 "unknown with this TLS version: CIPHER_GET lists what there is");
}

static int parse_required(struct genl_info *info)
{
	static const u8 required[] = {
		TLSGATE_A_FD, TLSGATE_A_VERSION, TLSGATE_A_SUITE, TLSGATE_A_ROLE, TLSGATE_A_TX,
		TLSGATE_A_RX,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(required); i++) {
		if (GENL_REQ_ATTR_CHECK(info, required[i])) {
			GENL_SET_ERR_MSG(info, "SESSION_NEW needs it");
			return -EINVAL;
		}
	}
	return 0;
}

static int parse_install(struct genl_info *info, struct tg_install *in)
{
	int err = parse_required(info) ?:
		  parse_cipher(info, &in->cipher) ?:
		  parse_keys(info, TLSGATE_A_TX, in->cipher, &in->tx) ?:
		  parse_keys(info, TLSGATE_A_RX, in->cipher, &in->rx) ?:
		  tg_netlink_options(info, in->cipher, &in->record_size, &in->padding);

	if (err)
		return err;
	in->role = nla_get_u8(info->attrs[TLSGATE_A_ROLE]);
	in->rx_pending = info->attrs[TLSGATE_A_RX_PENDING];
	in->label = info->attrs[TLSGATE_A_LABEL];
	return 0;
}

/* 0 if there is none. */
static u32 parse_u32(struct genl_info *info, int attr)
{
	struct nlattr *nla = info->attrs[attr];

	return nla ? nla_get_u32(nla) : 0;
}

/* What both commands say of sockets.  In any case put_sockets(). */
static int parse_sockets(struct genl_info *info, struct tg_install *in)
{
	in->fds.tls = parse_u32(info, TLSGATE_A_FD);
	in->fds.plain = parse_u32(info, TLSGATE_A_RELAY_FD);
	in->idle_timeout = parse_u32(info, TLSGATE_A_IDLE_TIMEOUT);
	return tg_netlink_socket(info, TLSGATE_A_FD, &in->tls) ?:
	       (info->attrs[TLSGATE_A_RELAY_FD] ?
		tg_netlink_socket(info, TLSGATE_A_RELAY_FD, &in->plain) : 0);
}

static void put_sockets(const struct tg_install *in)
{
	if (in->plain)
		sockfd_put(in->plain);
	if (in->tls)
		sockfd_put(in->tls);
}

static int refuse(struct genl_info *info, const struct tg_refusal *no, int err)
{
	return tg_netlink_refuse(info, info->attrs[no->attr], no->reason, err, no->text);
}

static int install_and_reply(struct genl_info *info, const struct tg_install *in)
{
	struct tg_refusal no = { };
	struct tg_session *s;
	struct sk_buff *reply;
	void *hdr;
	int err;

	/* Before any key is in, so that no session is left without a reply. */
	reply = genlmsg_new(nla_total_size(sizeof(u32)), GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	hdr = genlmsg_put_reply(reply, info, &tg_genl_family, 0, TLSGATE_CMD_SESSION_NEW);
	err = hdr ? tg_ulp_install(in, &no, &s) : -EMSGSIZE;
	if (err) {
		nlmsg_free(reply);
		return refuse(info, &no, err);
	}
	err = nla_put_u32(reply, TLSGATE_A_ID, s->id);
	tg_session_put(s);
	genlmsg_end(reply, hdr);
	/* All is done: a sender with no room for the reply gets ENOBUFS, not a refusal. */
	genlmsg_reply(reply, info);
	return err;
}

int tg_netlink_session_new(struct genl_info *info)
{
	struct tg_install in = {};
	int err = parse_install(info, &in) ?: parse_sockets(info, &in) ?:
		  install_and_reply(info, &in);

	put_sockets(&in);
	/* On every path; genl.c wipes the message that brought the keys. */
	memzero_explicit(&in, sizeof(in));
	return err;
}

/* ---- RELAY_NEW ---------------------------------------------------------------------- */

int tg_netlink_relay_new(struct genl_info *info, struct tg_session *s)
{
	struct tg_install in = { };
	struct tg_refusal no = { };
	int err;

	if (GENL_REQ_ATTR_CHECK(info, TLSGATE_A_RELAY_FD)) {
		GENL_SET_ERR_MSG(info, "RELAY_NEW needs the plain socket");
		return -EINVAL;
	}
	err = parse_sockets(info, &in) ?: tg_relay_start(&in, &no);
	put_sockets(&in);
	return err && no.text ? refuse(info, &no, err) : err;
}
