// SPDX-License-Identifier: GPL-2.0-only
/* What we tell of sessions, in answers and in events.  Never a key. */
#include <linux/in6.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tls.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>

#include "deliver.h"
#include "netlink.h"
#include "relay.h"
#include "stats.h"

/* ---- addresses -------------------------------------------------------------------- */

/* @dev: a link-local address is of this device. */
static int put_end(struct sk_buff *skb, int attr, int family, const struct tg_end *end, int dev)
{
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = end->port, .sin6_addr = end->addr,
		.sin6_scope_id = ipv6_iface_scope_id(&end->addr, dev),
	};
	struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_port = end->port,
		.sin_addr.s_addr = end->addr.s6_addr32[3],
	};

	return family == AF_INET ? nla_put(skb, attr, sizeof(v4), &v4)
				 : nla_put(skb, attr, sizeof(v6), &v6);
}

static int put_unix(struct sk_buff *skb, int attr, struct sock *sk)
{
	static const sa_family_t unnamed = AF_UNIX;
	const struct unix_address *addr;

	/* A name is there whole or not at all, and stays: pairs with unix_bind(). */
	addr = smp_load_acquire(&unix_sk(sk)->addr);
	return addr ? nla_put(skb, attr, addr->len, addr->name)
		    : nla_put(skb, attr, sizeof(unnamed), &unnamed);
}

static int put_unix_peer(struct sk_buff *skb, int attr, struct sock *sk)
{
	struct sock *peer = unix_peer_get(sk);
	int err = 0;

	if (peer) {
		err = put_unix(skb, attr, peer);
		sock_put(peer);
	}
	return err;
}

/* Both ends of a socket, which need not be locked: what is torn is only told. */
static int put_addresses(struct sk_buff *skb, int local, int peer, struct sock *sk)
{
	struct tg_end ends[2];

	if (sk->sk_family == AF_UNIX)
		return put_unix(skb, local, sk) ?: put_unix_peer(skb, peer, sk);
	ends[0] = tg_end_local(sk);
	ends[1] = tg_end_peer(sk);
	return put_end(skb, local, sk->sk_family, &ends[0], sk->sk_bound_dev_if) ?:
	       put_end(skb, peer, sk->sk_family, &ends[1], sk->sk_bound_dev_if);
}

/* TCP forgets the ends of a socket that nobody accepts. */
static int put_delivery(struct sk_buff *skb, const struct tg_delivery *d, int family)
{
	int server = ipv6_addr_v4mapped(&d->server.addr) ? AF_INET : AF_INET6;

	return put_end(skb, TLSGATE_A_LOCAL, family, &d->local, 0) ?:
	       put_end(skb, TLSGATE_A_PEER, family, &d->peer, 0) ?:
	       put_end(skb, TLSGATE_A_SERVER, server, &d->server, 0) ?:
	       nla_put_u8(skb, TLSGATE_A_DELIVERY, READ_ONCE(d->state));
}

/* ---- sessions ------------------------------------------------------------------------ */

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, TLSGATE_A_PAD);
}

static int put_identity(struct sk_buff *skb, const struct tg_session *s, struct sock *sk,
			struct user_namespace *reader)
{
	const struct tg_cipher *c = s->cipher;
	u32 cookie[2];

	sock_diag_save_cookie(sk, cookie);
	return nla_put_u32(skb, TLSGATE_A_ID, s->id) ?:
	       nla_put_u16(skb, TLSGATE_A_VERSION, c->version) ?:
	       nla_put_u16(skb, TLSGATE_A_SUITE, c->suite) ?:
	       nla_put_u8(skb, TLSGATE_A_ROLE, s->role) ?:
	       nla_put_u32(skb, TLSGATE_A_UID, from_kuid_munged(reader, s->uid)) ?:
	       put_u64(skb, TLSGATE_A_COOKIE, (u64)cookie[1] << 32 | cookie[0]) ?:
	       nla_put_u32(skb, TLSGATE_A_NETNS, s->netns) ?:
	       nla_put(skb, TLSGATE_A_LABEL, s->label_len, s->label) ?:
	       (s->deliver ? put_delivery(skb, s->deliver, sk->sk_family)
			   : put_addresses(skb, TLSGATE_A_LOCAL, TLSGATE_A_PEER, sk));
}

static int put_state(struct sk_buff *skb, const struct tg_session *s)
{
	u64 now = get_jiffies_64();
	int alert = READ_ONCE(s->alert);

	if ((alert != TG_NO_ALERT && nla_put_u8(skb, TLSGATE_A_ALERT, alert)) ||
	    (READ_ONCE(s->tx.past_limit) && nla_put_u8(skb, TLSGATE_A_TX_PAST_LIMIT, 1)))
		return -EMSGSIZE;
	return nla_put_u8(skb, TLSGATE_A_STATE, tg_session_state(s)) ?:
	       nla_put_u16(skb, TLSGATE_A_REASON, READ_ONCE(s->reason)) ?:
	       nla_put_u16(skb, TLSGATE_A_RECORD_SIZE, READ_ONCE(s->tx.record_size)) ?:
	       nla_put_u16(skb, TLSGATE_A_PADDING, READ_ONCE(s->tx.padding)) ?:
	       put_u64(skb, TLSGATE_A_AGE, jiffies64_to_msecs(now - s->created)) ?:
	       put_u64(skb, TLSGATE_A_IDLE, jiffies64_to_msecs(now - READ_ONCE(s->active)));
}

static int put_epochs(struct sk_buff *skb, const struct tg_session *s)
{
	return nla_put_u32(skb, TLSGATE_A_TX_EPOCH, READ_ONCE(s->tx.dir.epoch)) ?:
	       nla_put_u32(skb, TLSGATE_A_RX_EPOCH, READ_ONCE(s->rx.dir.epoch));
}

static int put_counters(struct sk_buff *skb, const struct tg_session *s)
{
	return put_u64(skb, TLSGATE_A_TX_BYTES, READ_ONCE(s->tx.dir.bytes)) ?:
	       put_u64(skb, TLSGATE_A_RX_BYTES, READ_ONCE(s->rx.dir.bytes)) ?:
	       put_u64(skb, TLSGATE_A_TX_RECORDS, READ_ONCE(s->tx.dir.records)) ?:
	       put_u64(skb, TLSGATE_A_RX_RECORDS, READ_ONCE(s->rx.dir.records)) ?:
	       put_epochs(skb, s);
}

static int put_relay(struct sk_buff *skb, struct tg_session *s)
{
	u32 idle_timeout;
	struct sock *plain = tg_relay_info(s, &idle_timeout);
	int err;

	if (!plain)
		return 0;
	err = nla_put_u32(skb, TLSGATE_A_IDLE_TIMEOUT, idle_timeout) ?:
	      put_addresses(skb, TLSGATE_A_RELAY_LOCAL, TLSGATE_A_RELAY_PEER, plain);
	sock_put(plain);
	return err;
}

int tg_report_session(struct sk_buff *skb, struct tg_session *s, struct sock *sk,
		      struct user_namespace *reader)
{
	return put_identity(skb, s, sk, reader) ?: put_state(skb, s) ?: put_counters(skb, s) ?:
	       put_relay(skb, s);
}

int tg_report_cipher(struct sk_buff *skb, const struct tg_cipher *c)
{
	const char *driver = tg_cipher_driver(c);

	if (driver && nla_put_string(skb, TLSGATE_A_DRIVER, driver))
		return -EMSGSIZE;
	return nla_put_u16(skb, TLSGATE_A_VERSION, c->version) ?:
	       nla_put_u16(skb, TLSGATE_A_SUITE, c->suite) ?:
	       nla_put_string(skb, TLSGATE_A_CIPHER_NAME, c->name) ?:
	       nla_put_u8(skb, TLSGATE_A_KEY_LEN, c->key_len) ?:
	       nla_put_u8(skb, TLSGATE_A_IV_LEN, c->iv_len) ?:
	       nla_put_u8(skb, TLSGATE_A_TAG_LEN, TG_TAG_LEN) ?:
	       nla_put_u8(skb, TLSGATE_A_SECRET_LEN, c->secret_len);
}

/* ---- sockets, for ss -------------------------------------------------------------------- */

int tg_report_info(TG_INFO_ARGS)
{
	const struct tg_session *s;
	struct nlattr *info;
	int err = 0;

	rcu_read_lock();
	s = tg_session_of(sk);
	if (!s)			/* a relay's plain socket, or it is being closed */
		goto out;
	info = nla_nest_start_noflag(skb, INET_ULP_INFO_TLS);
	err = info ? nla_put_u16(skb, TLS_INFO_VERSION, s->cipher->version) ?:
		     nla_put_u16(skb, TLS_INFO_CIPHER, tg_cipher_ktls(s->cipher)) ?:
		     nla_put_u16(skb, TLS_INFO_TXCONF, TLS_CONF_SW) ?:
		     nla_put_u16(skb, TLS_INFO_RXCONF, TLS_CONF_SW) : -EMSGSIZE;
	if (!err)
		nla_nest_end(skb, info);
out:
	rcu_read_unlock();
	return err;
}

size_t tg_report_info_size(TG_INFO_SIZE_ARGS)
{
	return nla_total_size(0) + 4 * nla_total_size(sizeof(u16));
}

/* ---- events ----------------------------------------------------------------------------- */

/* An event to be added to; NULL: nobody listens, or there is no memory. */
static struct sk_buff *event_new(const struct tg_session *s, u8 cmd, size_t payload)
{
	struct net *net = sock_net(s->sk);
	struct sk_buff *skb;

	if (!genl_has_listeners(&tg_genl_family, net, TG_GENL_EVENTS))
		return NULL;
	skb = genlmsg_new(payload, GFP_KERNEL);
	/* There is room for the headers besides. */
	if (skb) {
		genlmsg_put(skb, 0, 0, &tg_genl_family, 0, cmd);
	} else {
		tg_stat_inc(net, TG_STAT_EVENTS_LOST);
		/* As where a listener's socket has no room: it lists sessions anew. */
		genl_set_err(&tg_genl_family, net, 0, TG_GENL_EVENTS, -ENOBUFS);
	}
	return skb;
}

/* Sends the event if it was built whole. */
static void event_send(const struct tg_session *s, struct sk_buff *skb, int err)
{
	struct net *net = sock_net(s->sk);

	if (err) {
		nlmsg_free(skb);
	} else {
		nlmsg_end(skb, nlmsg_hdr(skb));
		err = genlmsg_multicast_netns(&tg_genl_family, net, skb, 0, TG_GENL_EVENTS,
					      GFP_KERNEL);
	}
	if (err && err != -ESRCH)	/* ESRCH: the last listener has just left */
		tg_stat_inc(net, TG_STAT_EVENTS_LOST);
}

void tg_event_session(struct tg_session *s, u8 cmd)
{
	struct sk_buff *skb = event_new(s, cmd, GENLMSG_DEFAULT_SIZE);

	if (skb)
		event_send(s, skb, tg_report_session(skb, s, s->sk, sock_net(s->sk)->user_ns));
}

void tg_event_rekeyed(struct tg_session *s)
{
	struct sk_buff *skb = event_new(s, TLSGATE_CMD_NTF_REKEYED, GENLMSG_DEFAULT_SIZE);

	if (skb)
		event_send(s, skb, nla_put_u32(skb, TLSGATE_A_ID, s->id) ?: put_epochs(skb, s));
}

void tg_event_auth_failed(struct tg_session *s)
{
	struct sk_buff *skb = event_new(s, TLSGATE_CMD_NTF_AUTH_FAILED, GENLMSG_DEFAULT_SIZE);

	if (skb)
		event_send(s, skb, nla_put_u32(skb, TLSGATE_A_ID, s->id) ?:
			   put_u64(skb, TLSGATE_A_RX_RECORDS, s->rx.dir.records));
}

void tg_event_message(struct tg_session *s, const void *data, size_t len)
{
	struct sk_buff *skb = event_new(s, TLSGATE_CMD_NTF_MESSAGE,
					nla_total_size(sizeof(u32)) + nla_total_size(len));

	if (skb)
		event_send(s, skb, nla_put_u32(skb, TLSGATE_A_ID, s->id) ?:
			   nla_put(skb, TLSGATE_A_MESSAGE, len, data));
}
