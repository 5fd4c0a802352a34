// SPDX-License-Identifier: GPL-2.0-only
/* KeyUpdate: both directions ratchet here, and userspace never hears of it. */
#include "datapath.h"
#include "netlink.h"
#include "stats.h"
#include "trace.h"

/* Memory was short: try again. */
#define TG_KEY_UPDATE_RETRY	(HZ / 20)

enum tg_key_update_request {
	TG_UPDATE_NOT_REQUESTED = 0,
	TG_UPDATE_REQUESTED = 1,
};

int tg_key_update_send(struct sock *sk, struct tg_session *s)
{
	static const u8 message[TG_KEY_UPDATE_LEN] = {
		TG_KEY_UPDATE, 0, 0, 1, TG_UPDATE_NOT_REQUESTED
	};
	int err;

	if (s->tx.key_update_queued || !tg_tx_room(sk, s))
		return -EAGAIN;
	err = tg_tx_control(sk, s, TG_HANDSHAKE, message, sizeof(message));
	if (err)
		return err;
	if (tg_dir_ratchet(&s->tx.dir, s->cipher)) {
		/* The old key said that it was the last of it: nothing may follow. */
		s->tx.closed = true;
		return tg_session_fail(sk, s, TLSGATE_REASON_CRYPTO_ERROR);
	}
	s->tx.key_update_queued = true;
	s->tx.key_update_owed = false;
	trace_tlsgate_key_update(s, &s->tx.dir, 0, 0, 0);
	tg_stat_inc(sock_net(sk), TG_STAT_TX_REKEYS);
	tg_event_rekeyed(s);
	return 0;
}

int tg_key_update_answer(struct sock *sk, struct tg_session *s, gfp_t gfp)
{
	int err;

	if (!s->tx.key_update_owed || s->tx.closed)
		return 0;
	/* May sleep. */
	if (!gfpflags_allow_blocking(gfp))
		return -EAGAIN;
	err = tg_key_update_send(sk, s);
	if (err == -EAGAIN)
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	else if (err == -ENOMEM)
		tg_session_later(s, &s->push_work, TG_KEY_UPDATE_RETRY);
	return err;
}

enum tlsgate_reason tg_key_update_receive(struct sock *sk, struct tg_session *s, u8 request)
{
	if (request > TG_UPDATE_REQUESTED)
		return TLSGATE_REASON_BAD_KEY_UPDATE;
	if (tg_rx_row_floods(s, TG_ROW_KEY_UPDATE))
		return TLSGATE_REASON_KEY_UPDATE_FLOOD;
	if (tg_dir_ratchet(&s->rx.dir, s->cipher))
		return TLSGATE_REASON_CRYPTO_ERROR;
	trace_tlsgate_key_update(s, &s->rx.dir, 0, 0, 0);
	tg_stat_inc(sock_net(sk), TG_STAT_RX_REKEYS);
	tg_event_rekeyed(s);

	/*
	 * One answer serves all requests that came before it left (RFC 9846 section
	 * 4.7.3): what a peer that does not read can have queued ends with TCP's room.
	 */
	if (request == TG_UPDATE_REQUESTED && !s->tx.closed && !s->tx.key_update_queued) {
		s->tx.key_update_owed = true;
		if (!tg_key_update_answer(sk, s, GFP_KERNEL))
			tg_tx_push(sk, s, 0);
	}
	return s->error ? s->reason : TLSGATE_REASON_NONE;
}
