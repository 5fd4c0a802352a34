// SPDX-License-Identifier: GPL-2.0-only
/* SESSION_NEW, RELAY_NEW, DELIVER_NEW: keys into a socket, and where its bytes go. */
#include <linux/file.h>
#include <linux/in6.h>
#include <linux/net.h>
#include <net/ipv6.h>

#include "deliver.h"
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

/* What says how bytes are relayed does not go with a handle; @handle: to fput(). */
static int parse_deliver(struct genl_info *info, struct tg_install *in, struct file **handle)
{
	static const u8 excluded[] = { TLSGATE_A_RELAY_FD, TLSGATE_A_IDLE_TIMEOUT };
	struct nlattr *nla = info->attrs[TLSGATE_A_DELIVER_FD];
	unsigned int i;

	if (!nla)
		return 0;
	for (i = 0; i < ARRAY_SIZE(excluded); i++)
		if (info->attrs[excluded[i]])
			return tg_netlink_refuse(info, info->attrs[excluded[i]],
						 TLSGATE_REASON_NONE, -EINVAL,
						 "a delivered connection has no relay: leave it out");
	*handle = fget(nla_get_u32(nla));
	if (*handle)
		in->grant = tg_grant_of(*handle);
	if (in->grant)
		return 0;
	return tg_netlink_refuse(info, nla, TLSGATE_REASON_REFUSED_FD, -EBADF,
				 "no delivery handle of the calling process: make one with DELIVER_NEW");
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
	struct file *handle = NULL;
	struct tg_install in = {};
	int err = parse_install(info, &in) ?: parse_deliver(info, &in, &handle) ?:
		  parse_sockets(info, &in) ?: install_and_reply(info, &in);

	if (handle)
		fput(handle);
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

/* ---- DELIVER_NEW -------------------------------------------------------------------- */

static int parse_end(struct genl_info *info, int attr, struct tg_end *end)
{
	const struct nlattr *nla = info->attrs[attr];
	const struct sockaddr_in6 *v6;
	const struct sockaddr_in *v4;

	if (GENL_REQ_ATTR_CHECK(info, attr)) {
		GENL_SET_ERR_MSG(info, "DELIVER_NEW needs it");
		return -EINVAL;
	}
	v4 = nla_data(nla);
	v6 = nla_data(nla);
	if (nla_len(nla) == sizeof(*v4) && v4->sin_family == AF_INET && v4->sin_port) {
		ipv6_addr_set_v4mapped(v4->sin_addr.s_addr, &end->addr);
		end->port = v4->sin_port;
		return 0;
	}
	if (nla_len(nla) == sizeof(*v6) && v6->sin6_family == AF_INET6 && v6->sin6_port) {
		end->addr = v6->sin6_addr;
		end->port = v6->sin6_port;
		return 0;
	}
	return tg_netlink_refuse(info, nla, TLSGATE_REASON_NONE, -EINVAL,
				 "give a struct sockaddr_in or sockaddr_in6 with a port");
}

/* The descriptor is the caller's only when the reply that names it is on its way. */
static int reply_handle(struct genl_info *info, struct file *handle, int fd)
{
	struct sk_buff *reply = genlmsg_new(nla_total_size(sizeof(u32)), GFP_KERNEL);
	void *hdr;
	int err;

	if (!reply)
		return -ENOMEM;
	hdr = genlmsg_put_reply(reply, info, &tg_genl_family, 0, TLSGATE_CMD_DELIVER_NEW);
	err = hdr ? nla_put_u32(reply, TLSGATE_A_DELIVER_FD, fd) : -EMSGSIZE;
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	genlmsg_end(reply, hdr);
	err = genlmsg_reply(reply, info);
	if (!err)
		fd_install(fd, handle);
	return err;
}

int tg_netlink_deliver_new(struct genl_info *info)
{
	struct tg_grant grant = { .netns = genl_info_net(info)->net_cookie };
	struct file *handle;
	int err, fd;

	err = parse_end(info, TLSGATE_A_LOCAL, &grant.gate) ?:
	      parse_end(info, TLSGATE_A_SERVER, &grant.server);
	if (err)
		return err;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return tg_netlink_refuse(info, NULL, TLSGATE_REASON_NONE, fd,
					 "no descriptor is free: raise RLIMIT_NOFILE");
	handle = tg_grant_file(&grant);
	if (!IS_ERR(handle)) {
		err = reply_handle(info, handle, fd);
		if (!err)
			return 0;
		fput(handle);
	}
	put_unused_fd(fd);
	return err ?: PTR_ERR(handle);
}
