// SPDX-License-Identifier: GPL-2.0-only
/* What we tell of sessions, in answers and in events.  Never a key. */
#include <linux/in6.h>
#include <linux/sock_diag.h>
#include <net/af_unix.h>
#include <net/inet_sock.h>

#include "genl.h"
#include "netlink.h"
#include "relay.h"
#include "stats.h"

/* ---- addresses -------------------------------------------------------------------- */

static int put_inet(struct sk_buff *skb, int attr, const struct sock *sk, bool peer)
{
	const struct inet_sock *inet = inet_sk(sk);
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = peer ? inet->inet_dport : inet->inet_sport,
		.sin_addr.s_addr = peer ? inet->inet_daddr : inet->inet_saddr,
	};

	return nla_put(skb, attr, sizeof(addr), &addr);
}

static int put_inet6(struct sk_buff *skb, int attr, const struct sock *sk, bool peer)
{
	const struct inet_sock *inet = inet_sk(sk);
	struct sockaddr_in6 addr = {
		.sin6_family = AF_INET6,
		.sin6_port = peer ? inet->inet_dport : inet->inet_sport,
		.sin6_addr = peer ? sk->sk_v6_daddr : sk->sk_v6_rcv_saddr,
	};

	addr.sin6_scope_id = ipv6_iface_scope_id(&addr.sin6_addr, sk->sk_bound_dev_if);
	return nla_put(skb, attr, sizeof(addr), &addr);
}

static int put_unix(struct sk_buff *skb, int attr, struct sock *sk)
{
	static const sa_family_t unnamed = AF_UNIX;
	const struct unix_address *addr;

	/* A name is there whole or not at all, and stays: pairs with unix_bind(). */
	addr = smp_load_acquire(&unix_sk(sk)->addr);
	if (!addr)
		return nla_put(skb, attr, sizeof(unnamed), &unnamed);
	return nla_put(skb, attr, addr->len, addr->name);
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
	switch (sk->sk_family) {
	case AF_INET:
		return put_inet(skb, local, sk, false) ?: put_inet(skb, peer, sk, true);
	case AF_INET6:
		return put_inet6(skb, local, sk, false) ?: put_inet6(skb, peer, sk, true);
	case AF_UNIX:
		return put_unix(skb, local, sk) ?: put_unix_peer(skb, peer, sk);
	}
	return 0;
}

/* ---- sessions ------------------------------------------------------------------------ */

static int put_identity(struct sk_buff *skb, const struct tg_session *s, struct sock *sk,
			struct user_namespace *reader)
{
	const struct tg_cipher *c = s->cipher;
	u32 cookie[2];

	sock_diag_save_cookie(sk, cookie);
	if (nla_put_u32(skb, TLSGATE_A_ID, s->id) ||
	    nla_put_u16(skb, TLSGATE_A_VERSION, c->version) ||
	    nla_put_u16(skb, TLSGATE_A_SUITE, c->suite) ||
	    nla_put_u8(skb, TLSGATE_A_ROLE, s->role) ||
	    nla_put_u32(skb, TLSGATE_A_UID, from_kuid_munged(reader, s->uid)) ||
	    nla_put_u64_64bit(skb, TLSGATE_A_COOKIE, (u64)cookie[1] << 32 | cookie[0],
			      TLSGATE_A_PAD) ||
	    nla_put_u32(skb, TLSGATE_A_NETNS, s->netns))
		return -EMSGSIZE;
	return put_addresses(skb, TLSGATE_A_LOCAL, TLSGATE_A_PEER, sk);
}

static int put_state(struct sk_buff *skb, const struct tg_session *s)
{
	u64 now = get_jiffies_64();
	int alert = READ_ONCE(s->alert);

	if (alert != TG_NO_ALERT && nla_put_u8(skb, TLSGATE_A_ALERT, alert))
		return -EMSGSIZE;
	if (READ_ONCE(s->tx.past_limit) && nla_put_u8(skb, TLSGATE_A_TX_PAST_LIMIT, 1))
		return -EMSGSIZE;
	if (nla_put_u8(skb, TLSGATE_A_STATE, tg_session_state(s)) ||
	    nla_put_u16(skb, TLSGATE_A_REASON, READ_ONCE(s->reason)) ||
	    nla_put_u16(skb, TLSGATE_A_RECORD_SIZE, READ_ONCE(s->tx.record_size)) ||
	    nla_put_u16(skb, TLSGATE_A_PADDING, READ_ONCE(s->tx.padding)) ||
	    nla_put_u64_64bit(skb, TLSGATE_A_AGE, jiffies64_to_msecs(now - s->created),
			      TLSGATE_A_PAD) ||
	    nla_put_u64_64bit(skb, TLSGATE_A_IDLE, jiffies64_to_msecs(now - READ_ONCE(s->active)),
			      TLSGATE_A_PAD))
		return -EMSGSIZE;
	return 0;
}

static int put_epochs(struct sk_buff *skb, const struct tg_session *s)
{
	if (nla_put_u32(skb, TLSGATE_A_TX_EPOCH, READ_ONCE(s->tx.dir.epoch)) ||
	    nla_put_u32(skb, TLSGATE_A_RX_EPOCH, READ_ONCE(s->rx.dir.epoch)))
		return -EMSGSIZE;
	return 0;
}

static int put_counters(struct sk_buff *skb, const struct tg_session *s)
{
	if (nla_put_u64_64bit(skb, TLSGATE_A_TX_BYTES, READ_ONCE(s->tx.dir.bytes),
			      TLSGATE_A_PAD) ||
	    nla_put_u64_64bit(skb, TLSGATE_A_RX_BYTES, READ_ONCE(s->rx.dir.bytes),
			      TLSGATE_A_PAD) ||
	    nla_put_u64_64bit(skb, TLSGATE_A_TX_RECORDS, READ_ONCE(s->tx.dir.records),
			      TLSGATE_A_PAD) ||
	    nla_put_u64_64bit(skb, TLSGATE_A_RX_RECORDS, READ_ONCE(s->rx.dir.records),
			      TLSGATE_A_PAD))
		return -EMSGSIZE;
	return put_epochs(skb, s);
}

static int put_relay(struct sk_buff *skb, struct tg_session *s)
{
	struct tg_relay_info relay;
	int err;

	if (!tg_relay_info(s, &relay))
		return 0;
	err = nla_put_u32(skb, TLSGATE_A_IDLE_TIMEOUT, relay.idle_timeout);
	if (!err)
		err = put_addresses(skb, TLSGATE_A_RELAY_LOCAL, TLSGATE_A_RELAY_PEER, relay.plain);
	sock_put(relay.plain);
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
	char driver[CRYPTO_MAX_ALG_NAME];

	if (nla_put_u16(skb, TLSGATE_A_VERSION, c->version) ||
	    nla_put_u16(skb, TLSGATE_A_SUITE, c->suite) ||
	    nla_put_string(skb, TLSGATE_A_CIPHER_NAME, c->name) ||
	    nla_put_u8(skb, TLSGATE_A_KEY_LEN, c->key_len) ||
	    nla_put_u8(skb, TLSGATE_A_IV_LEN, c->iv_len) ||
	    nla_put_u8(skb, TLSGATE_A_TAG_LEN, TG_TAG_LEN) ||
	    nla_put_u8(skb, TLSGATE_A_SECRET_LEN, c->secret_len))
		return -EMSGSIZE;
	if (tg_cipher_driver(c, driver, sizeof(driver)))
		return 0;
	return nla_put_string(skb, TLSGATE_A_DRIVER, driver);
}

/* ---- events ----------------------------------------------------------------------------- */

/* An event being built; skb NULL: nobody listens, or there is no memory. */
struct event {
	struct net *net;
	struct sk_buff *skb;
	void *hdr;
};

static bool event_begin(struct event *e, const struct sock *sk, u8 cmd, size_t payload)
{
	e->net = sock_net(sk);
	if (!genl_has_listeners(&tg_genl_family, e->net, TG_GENL_EVENTS))
		return false;
	e->skb = genlmsg_new(payload, GFP_KERNEL);
	if (!e->skb) {
		tg_stat_inc(e->net, TG_STAT_EVENTS_LOST);
		return false;
	}
	e->hdr = genlmsg_put(e->skb, 0, 0, &tg_genl_family, 0, cmd);
	return true;
}

/* Sends the event if it was built whole. */
static void event_end(struct event *e, int err)
{
	if (err || !e->hdr) {
		nlmsg_free(e->skb);
		tg_stat_inc(e->net, TG_STAT_EVENTS_LOST);
		return;
	}
	genlmsg_end(e->skb, e->hdr);
	err = genlmsg_multicast_netns(&tg_genl_family, e->net, e->skb, 0, TG_GENL_EVENTS,
				      GFP_KERNEL);
	if (err && err != -ESRCH)	/* ESRCH: the last listener has just left */
		tg_stat_inc(e->net, TG_STAT_EVENTS_LOST);
}

static void event_session(struct tg_session *s, u8 cmd)
{
	struct event e;

	if (event_begin(&e, s->sk, cmd, GENLMSG_DEFAULT_SIZE))
		event_end(&e, tg_report_session(e.skb, s, s->sk, e.net->user_ns));
}

void tg_event_opened(struct tg_session *s)
{
	event_session(s, TLSGATE_CMD_NTF_SESSION_OPENED);
}

void tg_event_closed(struct tg_session *s)
{
	event_session(s, TLSGATE_CMD_NTF_SESSION_CLOSED);
}

void tg_event_rekeyed(struct tg_session *s)
{
	struct event e;

	if (event_begin(&e, s->sk, TLSGATE_CMD_NTF_REKEYED, GENLMSG_DEFAULT_SIZE))
		event_end(&e, nla_put_u32(e.skb, TLSGATE_A_ID, s->id) ?: put_epochs(e.skb, s));
}

void tg_event_auth_failed(struct tg_session *s)
{
	struct event e;

	if (event_begin(&e, s->sk, TLSGATE_CMD_NTF_AUTH_FAILED, GENLMSG_DEFAULT_SIZE))
		event_end(&e, nla_put_u32(e.skb, TLSGATE_A_ID, s->id) ?:
			  nla_put_u64_64bit(e.skb, TLSGATE_A_RX_RECORDS, s->rx.dir.records,
					    TLSGATE_A_PAD));
}

void tg_event_message(struct tg_session *s, const void *data, size_t len)
{
	struct event e;

	len = min_t(size_t, len, TLSGATE_MESSAGE_MAX);
	if (event_begin(&e, s->sk, TLSGATE_CMD_NTF_MESSAGE,
			nla_total_size(sizeof(u32)) + nla_total_size(len)))
		event_end(&e, nla_put_u32(e.skb, TLSGATE_A_ID, s->id) ?:
			  nla_put(e.skb, TLSGATE_A_MESSAGE, len, data));
}
