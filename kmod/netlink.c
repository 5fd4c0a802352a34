// SPDX-License-Identifier: GPL-2.0-only
/* What each netlink command does; genl.c says who may call it with what. */
#include <linux/net.h>

#include "access.h"
#include "netlink.h"
#include "relay.h"
#include "stats.h"

int tg_netlink_refuse(struct genl_info *info, const struct nlattr *nla,
		      enum tlsgate_reason reason, int err, const char *text)
{
	NL_SET_BAD_ATTR(info->extack, nla);
	info->extack->_msg = text;
	if (reason)
		tg_stat_reason(genl_info_net(info), reason);
	return err;
}

/* ---- sockets and sessions that a message names ---------------------------------- */

int tg_netlink_socket(struct genl_info *info, int attr, struct socket **out)
{
	struct nlattr *nla = info->attrs[attr];
	struct socket *sock;
	int err = -EBADF;

	sock = sockfd_lookup(nla_get_u32(nla), &err);
	if (!sock)
		return tg_netlink_refuse(info, nla, TLSGATE_REASON_REFUSED_FD, err,
					 "no socket of the calling process: give an open socket");
	if (!net_eq(sock_net(sock->sk), genl_info_net(info))) {
		sockfd_put(sock);
		return tg_netlink_refuse(info, nla, TLSGATE_REASON_REFUSED_NETNS, -EXDEV,
					 "socket of another network namespace: call from within that one");
	}
	*out = sock;
	return 0;
}

/* A socket's session with a reference, or NULL. */
static struct tg_session *session_of(const struct sock *sk)
{
	struct tg_session *s;

	rcu_read_lock();
	s = tg_session_of(sk);
	if (s && !refcount_inc_not_zero(&s->ref))
		s = NULL;
	rcu_read_unlock();
	return s;
}

static int session_by_fd(struct genl_info *info, struct tg_session **out)
{
	struct socket *sock;
	int err = tg_netlink_socket(info, TLSGATE_A_FD, &sock);

	if (err)
		return err;
	*out = session_of(sock->sk);
	sockfd_put(sock);
	if (*out)
		return 0;
	return tg_netlink_refuse(info, info->attrs[TLSGATE_A_FD], TLSGATE_REASON_NONE, -ENOENT,
				 "the socket has no session: install keys with SESSION_NEW first");
}

static int session_by_id(struct sk_buff *skb, struct genl_info *info, struct tg_session **out)
{
	struct nlattr *nla = info->attrs[TLSGATE_A_ID];
	struct net *net = genl_info_net(info);
	struct tg_session *s;

	if (!netlink_ns_capable(skb, net->user_ns, CAP_NET_ADMIN))
		return tg_netlink_refuse(info, nla, TLSGATE_REASON_REFUSED_PERM, -EPERM,
					 "by id needs CAP_NET_ADMIN: name the session by its socket");
	s = tg_session_find(nla_get_u32(nla));
	if (s && (s->netns == net->ns.inum || netlink_capable(skb, CAP_NET_ADMIN))) {
		*out = s;
		return 0;
	}
	if (s)
		tg_session_put(s);
	return tg_netlink_refuse(info, nla, TLSGATE_REASON_NONE, -ENOENT,
				 "no session has this id: list them");
}

int tg_netlink_on_session(struct sk_buff *skb, struct genl_info *info,
			  int (*body)(struct genl_info *info, struct tg_session *s))
{
	bool by_id = info->attrs[TLSGATE_A_ID];
	bool by_fd = info->attrs[TLSGATE_A_FD];
	struct tg_session *s;
	int err;

	if (by_id == by_fd)
		return tg_netlink_refuse(info, NULL, TLSGATE_REASON_NONE, -EINVAL,
					 "name one session, either by id or by fd");
	err = by_id ? session_by_id(skb, info, &s) : session_by_fd(info, &s);
	if (err)
		return err;
	err = body(info, s);
	tg_session_put(s);
	return err;
}

/* Sets what the message names of the two and leaves the rest. */
int tg_netlink_options(struct genl_info *info, const struct tg_cipher *c, int *record_size,
		       int *padding)
{
	struct nlattr *size = info->attrs[TLSGATE_A_RECORD_SIZE];
	struct nlattr *pad = info->attrs[TLSGATE_A_PADDING];

	if (size && nla_get_u16(size) && nla_get_u16(size) < TLSGATE_RECORD_SIZE_MIN)
		return tg_netlink_refuse(info, size, TLSGATE_REASON_NONE, -ERANGE,
					 "smallest is 63, 0 means 16384");
	if (pad && nla_get_u16(pad) && c->version != TLSGATE_TLS_1_3)
		return tg_netlink_refuse(info, pad, TLSGATE_REASON_NONE, -EOPNOTSUPP,
					 "only TLS 1.3 has padding");
	if (size)
		*record_size = nla_get_u16(size);
	if (pad)
		*padding = nla_get_u16(pad);
	return 0;
}

/* ---- SESSION_GET ------------------------------------------------------------------ */

static int report(struct sk_buff *skb, struct tg_session *s, struct user_namespace *reader,
		  u32 portid, u32 seq, int flags)
{
	struct sock *sk = tg_session_hold_sk(s);
	void *hdr;
	int err;

	if (!sk)
		return -ENOENT;
	hdr = genlmsg_put(skb, portid, seq, &tg_genl_family, flags, TLSGATE_CMD_SESSION_GET);
	err = hdr ? tg_report_session(skb, s, sk, reader) : -EMSGSIZE;
	tg_session_drop_sk(sk);
	if (err)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return err;
}

int tg_netlink_session_get(struct genl_info *info, struct tg_session *s)
{
	struct sk_buff *reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	int err;

	if (!reply)
		return -ENOMEM;
	err = report(reply, s, genl_info_net(info)->user_ns, info->snd_portid, info->snd_seq, 0);
	if (!err)
		return genlmsg_reply(reply, info);
	nlmsg_free(reply);
	if (err == -ENOENT)
		GENL_SET_ERR_MSG(info, "the session has just ended");
	return err;
}

static int may_list(struct netlink_callback *cb, struct user_namespace *ns, const char *refusal)
{
	if (netlink_ns_capable(cb->skb, ns, CAP_NET_ADMIN))
		return 0;
	tg_stat_reason(sock_net(cb->skb->sk), TLSGATE_REASON_REFUSED_PERM);
	if (cb->extack)
		cb->extack->_msg = refusal;
	return -EPERM;
}

/* Whose sessions: cb->args[1] becomes what NETNS says, or the caller's namespace. */
int tg_netlink_session_dump_start(struct netlink_callback *cb)
{
	struct net *net = sock_net(cb->skb->sk);
	struct nlattr *attrs[TLSGATE_A_MAX + 1];
	int err = tg_access_check(cb->skb, net, TG_CALL, cb->extack) ?:
		  may_list(cb, net->user_ns, "listing sessions needs CAP_NET_ADMIN") ?:
		  tg_genl_parse(cb->nlh, tg_session_dump_policy, attrs, cb->extack);

	if (err)
		return err;
	cb->args[1] = attrs[TLSGATE_A_NETNS] ? nla_get_u32(attrs[TLSGATE_A_NETNS]) : net->ns.inum;
	return cb->args[1] == net->ns.inum ? 0 :
	       may_list(cb, &init_user_ns, "needs CAP_NET_ADMIN in the initial user namespace");
}

/* cb->args[0] is the id to go on with; ids go up, so no session comes twice. */
int tg_netlink_session_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct net *net = sock_net(cb->skb->sk);
	struct tg_session *s;
	u32 id = cb->args[0];
	int err = 0;

	while ((s = tg_session_next(cb->args[1], &id))) {
		err = report(skb, s, net->user_ns, NETLINK_CB(cb->skb).portid,
			     cb->nlh->nlmsg_seq, NLM_F_MULTI);
		tg_session_put(s);
		if (err && err != -ENOENT)
			break;
		cb->args[0] = ++id;
		err = 0;
	}
	return skb->len ?: err;
}

/* ---- changing and ending sessions ---------------------------------------------------- */

/* Says why a session was left as it is, and passes that on. */
static int tell_unchanged(struct genl_info *info, int err)
{
	static const struct {
		int err;
		const char *text;
	} why[] = {
		{ -EOPNOTSUPP, "TLS 1.2 has no KeyUpdate: use TLS 1.3" },
		{ -EAGAIN, "no room for a KeyUpdate: wait for the peer to read" },
		{ -EBUSY, "somebody is in a call on the session's socket: try again" },
		{ -EINPROGRESS, "the server has not accepted the connection yet: try again" },
		{ -ENOTCONN, "the session has ended, or sends no more" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(why); i++)
		if (why[i].err == err)
			info->extack->_msg = why[i].text;
	return err;
}

int tg_netlink_session_set(struct genl_info *info, struct tg_session *s)
{
	struct nlattr *idle = info->attrs[TLSGATE_A_IDLE_TIMEOUT];
	int record_size = -1, padding = -1;
	int err = tg_netlink_options(info, s->cipher, &record_size, &padding);

	if (err)
		return err;
	if (idle && tg_relay_set_timeout(s, nla_get_u32(idle)))
		return tg_netlink_refuse(info, idle, TLSGATE_REASON_NONE, -ENOENT,
					 "the session has no relay");
	/* A short time-out may have ended the session already. */
	if (idle && record_size < 0 && padding < 0)
		return 0;
	return tell_unchanged(info, tg_session_set(s, record_size, padding));
}

int tg_netlink_session_rekey(struct genl_info *info, struct tg_session *s)
{
	return tell_unchanged(info, tg_session_rekey(s));
}

int tg_netlink_session_del(struct genl_info *info, struct tg_session *s)
{
	struct nlattr *how = info->attrs[TLSGATE_A_HOW];

	return tell_unchanged(info, tg_session_close(s, how ? nla_get_u8(how)
							    : TLSGATE_CLOSE_ALERT));
}

/* ---- CIPHER_GET ----------------------------------------------------------------------- */

int tg_netlink_cipher_dump_start(struct netlink_callback *cb)
{
	return tg_access_check(cb->skb, sock_net(cb->skb->sk), TG_CALL, cb->extack);
}

/* cb->args[0] is the row to go on with. */
int tg_netlink_cipher_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct tg_cipher *c;
	void *hdr;
	int err = 0;

	while ((c = tg_cipher_at(cb->args[0]))) {
		hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				  &tg_genl_family, NLM_F_MULTI, TLSGATE_CMD_CIPHER_GET);
		err = hdr ? tg_report_cipher(skb, c) : -EMSGSIZE;
		if (err) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		cb->args[0]++;
	}
	return skb->len ?: err;
}
