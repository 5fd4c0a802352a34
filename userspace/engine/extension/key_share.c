// SPDX-License-Identifier: MIT
/* key_share, RFC 9846 section 4.3.8. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	return place != TLS_IN_CLIENT_HELLO || tls_config_has_version(conn->config, TLS_1_3);
}

static void write_entry(struct tls_buf *out, const struct tls_group *group, const uint8_t *share,
			size_t len)
{
	struct tls_vec vec;

	tls_put_u16(out, group->id);
	vec = tls_put_open(out, 2);
	tls_put_bytes(out, share, len);
	tls_put_close(out, vec);
}

static void write_shares(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	const struct tls_handshake *hs = conn->hs;
	const struct tls_spare_share *spare = &hs->spare;
	struct tls_vec list;

	if (place == TLS_IN_HELLO_RETRY) {
		tls_put_u16(out, hs->group->id);
	} else if (place == TLS_IN_SERVER_HELLO) {
		write_entry(out, hs->group, hs->share, hs->share_len);
	} else {
		list = tls_put_open(out, 2);
		write_entry(out, hs->group, hs->share, hs->share_len);
		if (spare->group)
			write_entry(out, spare->group, spare->share, spare->group->initiator_len);
		tls_put_close(out, list);
	}
}

/* Every entry well-formed, and no group twice that we might take. */
static int read_offer(struct tls_conn *conn, struct tls_reader *body)
{
	const struct tls_config *config = conn->config;
	struct tls_reader list, share;
	uint32_t met = 0;

	tls_read_vec16(body, &list);
	conn->hs->offer.shares = (struct tls_slice){ list.p, list.left };
	conn->hs->offer.has_shares = true;
	while (tls_read_more(&list)) {
		uint16_t id = tls_read_u16(&list);

		tls_read_vec16(&list, &share);
		if (share.failed || !share.left)
			return TLS_ALERT(DECODE_ERROR);
		for (size_t i = 0; i < config->group_count; i++) {
			if (config->groups[i]->id != id)
				continue;
			if (met & 1u << i)
				return TLS_ALERT(ILLEGAL_PARAMETER);
			met |= 1u << i;
		}
	}
	return list.failed ? TLS_ALERT(DECODE_ERROR) : 0;
}

/* The server wants another group: one of ours, and none that it has a share of. */
static int read_retry(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	const struct tls_group *group = tls_config_group(conn->config, tls_read_u16(body));

	if (body->failed)
		return TLS_ALERT(DECODE_ERROR);
	if (!group || group == hs->group || group == hs->spare.group)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	tls_drop_shares(hs);
	hs->group = group;
	return 0;
}

/* The server took the second share: it becomes the one there is. */
static void take_spare(struct tls_handshake *hs)
{
	struct tls_kex *first = hs->kex;

	hs->group = hs->spare.group;
	hs->kex = hs->spare.kex;
	hs->spare.kex = first;
}

static int read_answer(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	uint16_t id = tls_read_u16(body);
	struct tls_reader share;
	int err;

	tls_read_vec16(body, &share);
	if (share.failed || !share.left)
		return TLS_ALERT(DECODE_ERROR);
	if (hs->spare.group && id == hs->spare.group->id)
		take_spare(hs);
	if (id != hs->group->id)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	err = tls_kex_finish(hs->kex, tls_read_rest(&share), hs->shared);
	if (err)
		return err;
	hs->shared_len = hs->group->secret_len;
	conn->group = id;
	return 0;
}

static int read_shares(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	if (place == TLS_IN_CLIENT_HELLO)
		return read_offer(conn, body);
	return place == TLS_IN_HELLO_RETRY ? read_retry(conn, body) : read_answer(conn, body);
}

const struct tls_ext tls_ext_key_share = {
	.type = TLS_EXT_KEY_SHARE,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO | TLS_IN_HELLO_RETRY,
	.due = due,
	.write = write_shares,
	.read = read_shares,
};
