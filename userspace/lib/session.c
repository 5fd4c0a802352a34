// SPDX-License-Identifier: MIT
/* Sessions: install, ask, change, rekey, end, relay. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <netlink/genl/genl.h>

#include "handle.h"

#define FEW_ATTRS	256	/* bytes: more than every attribute that has no data of its own */

/* Answers need an acknowledgement; a question that has an answer of its own does not. */
#define CHANGE		(NLM_F_REQUEST | NLM_F_ACK)
#define ASK		NLM_F_REQUEST

static int refuse_lengths(struct tlsgate *tg)
{
	return tgl_fail(tg, -EINVAL, "the request does not fit its message: lengths are wrong");
}

/* Sends msg if it was built whole (err 0), else frees it with what it holds. */
static int send_built(struct tlsgate *tg, struct nl_msg *msg, int err, tgl_answer_fn *answer,
		      void *arg)
{
	if (!err)
		return tgl_call(tg, msg, answer, arg);
	tlsgate_wipe(nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len);
	nlmsg_free(msg);
	return refuse_lengths(tg);
}

/* ---- what the kernel reports -------------------------------------------------- */

struct field {
	uint16_t attr;
	uint16_t size;		/* of the attribute: 1, 2, 4 or 8 */
	size_t offset;		/* in struct tlsgate_session, the same size there */
};

#define FIELD(attr, member) \
	{ attr, sizeof(((struct tlsgate_session *)0)->member), \
	  offsetof(struct tlsgate_session, member) }

static const struct field fields[] = {
	FIELD(TLSGATE_A_ID, id),
	FIELD(TLSGATE_A_VERSION, version),
	FIELD(TLSGATE_A_SUITE, suite),
	FIELD(TLSGATE_A_ROLE, role),
	FIELD(TLSGATE_A_STATE, state),
	FIELD(TLSGATE_A_REASON, reason),
	FIELD(TLSGATE_A_TX_BYTES, tx_bytes),
	FIELD(TLSGATE_A_RX_BYTES, rx_bytes),
	FIELD(TLSGATE_A_TX_RECORDS, tx_records),
	FIELD(TLSGATE_A_RX_RECORDS, rx_records),
	FIELD(TLSGATE_A_TX_EPOCH, tx_epoch),
	FIELD(TLSGATE_A_RX_EPOCH, rx_epoch),
	FIELD(TLSGATE_A_AGE, age),
	FIELD(TLSGATE_A_IDLE, idle),
	FIELD(TLSGATE_A_IDLE_TIMEOUT, idle_timeout),
	FIELD(TLSGATE_A_RECORD_SIZE, record_size),
	FIELD(TLSGATE_A_PADDING, padding),
	FIELD(TLSGATE_A_UID, uid),
	FIELD(TLSGATE_A_COOKIE, cookie),
	FIELD(TLSGATE_A_NETNS, netns),
	FIELD(TLSGATE_A_TX_PAST_LIMIT, tx_past_limit),
	FIELD(TLSGATE_A_DELIVERY, delivery),
};

#define ADDRESS(attr, member) \
	{ attr, sizeof(struct sockaddr_un), offsetof(struct tlsgate_session, member) }

static const struct field addresses[] = {
	ADDRESS(TLSGATE_A_LOCAL, local),
	ADDRESS(TLSGATE_A_PEER, peer),
	ADDRESS(TLSGATE_A_RELAY_LOCAL, relay_local),
	ADDRESS(TLSGATE_A_RELAY_PEER, relay_peer),
	ADDRESS(TLSGATE_A_SERVER, server),
};

#define ROWS(table)	(sizeof(table) / sizeof(*(table)))

static int parse_numbers(struct nlattr **tb, struct tlsgate_session *session)
{
	size_t i;

	for (i = 0; i < ROWS(fields); i++) {
		struct nlattr *attr = tb[fields[i].attr];

		if (!attr)
			continue;
		if (nla_len(attr) != fields[i].size)
			return -EPROTO;
		memcpy((char *)session + fields[i].offset, nla_data(attr), fields[i].size);
	}
	session->alert = -1;
	if (tb[TLSGATE_A_ALERT]) {
		if (nla_len(tb[TLSGATE_A_ALERT]) != 1)
			return -EPROTO;
		session->alert = nla_get_u8(tb[TLSGATE_A_ALERT]);
	}
	return 0;
}

static int parse_label(const struct nlattr *attr, struct tlsgate_session *session)
{
	if (!attr)
		return 0;
	if (nla_len(attr) > TLSGATE_LABEL_MAX)
		return -EPROTO;
	session->label_len = (uint8_t)nla_len(attr);
	memcpy(session->label, nla_data(attr), session->label_len);
	return 0;
}

static int parse_addresses(struct nlattr **tb, struct tlsgate_session *session)
{
	size_t i;

	for (i = 0; i < ROWS(addresses); i++) {
		struct nlattr *attr = tb[addresses[i].attr];
		struct tlsgate_address *address =
			(struct tlsgate_address *)((char *)session + addresses[i].offset);

		if (!attr)
			continue;
		if (nla_len(attr) < (int)sizeof(sa_family_t) || nla_len(attr) > addresses[i].size)
			return -EPROTO;
		address->len = nla_len(attr);
		memcpy(&address->un, nla_data(attr), address->len);
	}
	return 0;
}

int tgl_session_parse(struct nlmsghdr *hdr, struct tlsgate_session *session,
		      struct nlattr **message)
{
	struct nlattr *tb[TLSGATE_A_MAX + 1];
	int err = -EPROTO;

	memset(session, 0, sizeof(*session));
	if (genlmsg_parse(hdr, 0, tb, TLSGATE_A_MAX, NULL) || !tb[TLSGATE_A_ID])
		return err;
	err = parse_numbers(tb, session);
	if (!err)
		err = parse_label(tb[TLSGATE_A_LABEL], session);
	if (!err)
		err = parse_addresses(tb, session);
	if (!err && message)
		*message = tb[TLSGATE_A_MESSAGE];
	return err;
}

/* ---- what we ask ------------------------------------------------------------------ */

static int put_target(struct nl_msg *msg, struct tlsgate_target target)
{
	if (target.id)
		return nla_put_u32(msg, TLSGATE_A_ID, target.id);
	return nla_put_u32(msg, TLSGATE_A_FD, target.fd);
}

static int put_options(struct nl_msg *msg, const struct tlsgate_options *options)
{
	int err = 0;

	if (options->set & TLSGATE_SET_RECORD_SIZE)
		err = nla_put_u16(msg, TLSGATE_A_RECORD_SIZE, options->record_size);
	if (!err && (options->set & TLSGATE_SET_PADDING))
		err = nla_put_u16(msg, TLSGATE_A_PADDING, options->padding);
	if (!err && (options->set & TLSGATE_SET_IDLE_TIMEOUT))
		err = nla_put_u32(msg, TLSGATE_A_IDLE_TIMEOUT, options->idle_timeout);
	return err;
}

/* The largest SESSION_NEW, but for what was received and not opened, and the label. */
#define NEW_ATTRS	(FEW_ATTRS + 2 * sizeof(struct tlsgate_keys))

/*
 * Writes an attribute and returns where the next one goes.  SESSION_NEW is what
 * a gate does for each connection, and libnl's way of building it was a quarter
 * of its instructions here.
 */
static uint8_t *put(uint8_t *at, uint16_t type, const void *data, size_t len)
{
	const struct nlattr head = { (uint16_t)(NLA_HDRLEN + len), type };

	memset(at + NLA_ALIGN(NLA_HDRLEN + len) - NLA_ALIGNTO, 0, NLA_ALIGNTO);
	memcpy(at, &head, sizeof(head));
	memcpy(at + NLA_HDRLEN, data, len);
	return at + NLA_ALIGN(NLA_HDRLEN + len);
}

static uint8_t *put_keys(uint8_t *at, uint16_t type, const struct tlsgate_keys *keys)
{
	uint8_t *p = at + NLA_HDRLEN;
	struct nlattr nest = { .nla_type = type | NLA_F_NESTED };

	p = put(p, TLSGATE_KEYS_A_KEY, keys->key, keys->key_len);
	p = put(p, TLSGATE_KEYS_A_IV, keys->iv, keys->iv_len);
	p = put(p, TLSGATE_KEYS_A_SEQ, &keys->seq, sizeof(keys->seq));
	if (keys->secret_len)
		p = put(p, TLSGATE_KEYS_A_SECRET, keys->secret, keys->secret_len);
	nest.nla_len = (uint16_t)(p - at);
	memcpy(at, &nest, sizeof(nest));
	return p;
}

/* handle -1: it is not delivered. */
static uint8_t *put_session(uint8_t *p, const struct tlsgate_session_params *params, int handle)
{
	const struct tlsgate_options *options = &params->options;
	const uint8_t role = (uint8_t)params->role;

	p = put(p, TLSGATE_A_FD, &params->fd, sizeof(uint32_t));
	p = put(p, TLSGATE_A_VERSION, &params->version, sizeof(params->version));
	p = put(p, TLSGATE_A_SUITE, &params->suite, sizeof(params->suite));
	p = put(p, TLSGATE_A_ROLE, &role, sizeof(role));
	p = put_keys(p, TLSGATE_A_TX, &params->tx);
	p = put_keys(p, TLSGATE_A_RX, &params->rx);
	if (params->rx_pending_len)
		p = put(p, TLSGATE_A_RX_PENDING, params->rx_pending, params->rx_pending_len);
	if (params->relay_fd >= 0)
		p = put(p, TLSGATE_A_RELAY_FD, &params->relay_fd, sizeof(uint32_t));
	if (handle >= 0)
		p = put(p, TLSGATE_A_DELIVER_FD, &handle, sizeof(uint32_t));
	if (params->label_len)
		p = put(p, TLSGATE_A_LABEL, params->label, params->label_len);
	if (options->set & TLSGATE_SET_RECORD_SIZE)
		p = put(p, TLSGATE_A_RECORD_SIZE, &options->record_size, sizeof(options->record_size));
	if (options->set & TLSGATE_SET_PADDING)
		p = put(p, TLSGATE_A_PADDING, &options->padding, sizeof(options->padding));
	if (options->set & TLSGATE_SET_IDLE_TIMEOUT)
		p = put(p, TLSGATE_A_IDLE_TIMEOUT, &options->idle_timeout, sizeof(options->idle_timeout));
	return p;
}

static bool keys_fit(const struct tlsgate_keys *keys)
{
	return keys->key_len <= sizeof(keys->key) && keys->iv_len <= sizeof(keys->iv) &&
	       keys->secret_len <= sizeof(keys->secret);
}

static int take_id(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg)
{
	const struct nlattr *id = nlmsg_find_attr(hdr, GENL_HDRLEN, TLSGATE_A_ID);

	if (!id || nla_len(id) != sizeof(uint32_t) || !nla_get_u32(id))
		return tgl_fail(tg, -EPROTO, "the kernel's answer has no session id");
	*(uint32_t *)arg = nla_get_u32(id);
	return 0;
}

/* A request for nothing: who may not install is told so before the kernel looks at it. */
int tlsgate_may_install(struct tlsgate *tg)
{
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_SESSION_NEW, ASK, 0);
	int err;

	if (!msg)
		return -ENOMEM;
	err = tgl_call(tg, msg, NULL, NULL);
	if (err != -EINVAL)
		return err ? err : tgl_fail(tg, -EPROTO, "the kernel took a request without keys");
	*tg->error = 0;
	return 0;
}

static int install(struct tlsgate *tg, const struct tlsgate_session_params *params, int handle,
		   uint32_t *id)
{
	struct nl_msg *msg;
	uint8_t *attrs;

	*id = 0;
	if (params->rx_pending_len > TLSGATE_RX_PENDING_MAX)
		return tgl_fail(tg, -EMSGSIZE, "rx-pending: more bytes than a handover can carry");
	if (params->label_len > TLSGATE_LABEL_MAX)
		return tgl_fail(tg, -EMSGSIZE, "label: more than 64 bytes: give a shorter name");
	if (!keys_fit(&params->tx) || !keys_fit(&params->rx))
		return refuse_lengths(tg);
	msg = tgl_request(tg, TLSGATE_CMD_SESSION_NEW, ASK,
			  NEW_ATTRS + nla_total_size(params->rx_pending_len) +
			  nla_total_size(params->label_len));
	if (!msg)
		return -ENOMEM;
	attrs = nlmsg_tail(nlmsg_hdr(msg));
	nlmsg_hdr(msg)->nlmsg_len += (uint32_t)(put_session(attrs, params, handle) - attrs);
	return tgl_call(tg, msg, take_id, id);
}

int tlsgate_session_new(struct tlsgate *tg, const struct tlsgate_session_params *params,
			uint32_t *id)
{
	return install(tg, params, -1, id);
}

int tlsgate_session_deliver(struct tlsgate *tg, const struct tlsgate_session_params *params,
			    int handle, uint32_t *id)
{
	*id = 0;
	/* Without one it would be a session that is not delivered. */
	if (handle < 0)
		return tgl_fail(tg, -EBADF, "deliver-fd: no delivery handle: make one with tlsgate_deliver_new()");
	return install(tg, params, handle, id);
}

static int take_handle(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg)
{
	struct nlattr *attr = nlmsg_find_attr(hdr, GENL_HDRLEN, TLSGATE_A_DELIVER_FD);

	if (!attr || nla_len(attr) != sizeof(uint32_t))
		return tgl_fail(tg, -EPROTO, "the kernel's answer cannot be understood");
	*(int *)arg = (int)nla_get_u32(attr);
	return 0;
}

int tlsgate_deliver_new(struct tlsgate *tg, const struct sockaddr *local, socklen_t local_len,
			const struct sockaddr *server, socklen_t server_len)
{
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_DELIVER_NEW, ASK, FEW_ATTRS);
	int handle = -1, err;

	if (!msg)
		return -ENOMEM;
	err = nla_put(msg, TLSGATE_A_LOCAL, (int)local_len, local);
	if (!err)
		err = nla_put(msg, TLSGATE_A_SERVER, (int)server_len, server);
	err = send_built(tg, msg, err, take_handle, &handle);
	return err ? err : handle;
}

static int take_session(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg)
{
	if (tgl_session_parse(hdr, arg, NULL))
		return tgl_fail(tg, -EPROTO, "the kernel's answer cannot be understood");
	return 0;
}

int tlsgate_session_get(struct tlsgate *tg, struct tlsgate_target target,
			struct tlsgate_session *session)
{
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_SESSION_GET, ASK, FEW_ATTRS);

	memset(session, 0, sizeof(*session));
	if (!msg)
		return -ENOMEM;
	return send_built(tg, msg, put_target(msg, target), take_session, session);
}

struct session_dump {
	int (*each)(void *arg, const struct tlsgate_session *session);
	void *arg;
};

static int take_dumped(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg)
{
	const struct session_dump *dump = arg;
	struct tlsgate_session session;
	int err = take_session(tg, hdr, &session);

	return err ? err : dump->each(dump->arg, &session);
}

/* netns NULL: the caller's own. */
static int dump_sessions(struct tlsgate *tg, const uint32_t *netns, struct session_dump *dump)
{
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_SESSION_GET, ASK | NLM_F_DUMP, FEW_ATTRS);
	int err;

	if (!msg)
		return -ENOMEM;
	err = send_built(tg, msg, netns ? nla_put_u32(msg, TLSGATE_A_NETNS, *netns) : 0,
			 take_dumped, dump);
	/* Linux 6.1 passes on no sentence with which a dump is refused. */
	if (err == -EPERM && strcmp(tg->error, strerror(EPERM)) == 0)
		return tgl_fail(tg, err, netns ?
				"listing sessions needs CAP_NET_ADMIN in the initial user namespace" :
				"listing sessions needs CAP_NET_ADMIN");
	return err;
}

int tlsgate_session_dump(struct tlsgate *tg,
			 int (*each)(void *arg, const struct tlsgate_session *session), void *arg)
{
	return dump_sessions(tg, NULL, &(struct session_dump){ each, arg });
}

int tlsgate_session_dump_netns(struct tlsgate *tg, uint32_t netns,
			       int (*each)(void *arg, const struct tlsgate_session *session),
			       void *arg)
{
	return dump_sessions(tg, &netns, &(struct session_dump){ each, arg });
}

int tlsgate_session_set(struct tlsgate *tg, struct tlsgate_target target,
			const struct tlsgate_options *options)
{
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_SESSION_SET, CHANGE, FEW_ATTRS);
	int err;

	if (!msg)
		return -ENOMEM;
	err = put_target(msg, target);
	return send_built(tg, msg, err ? err : put_options(msg, options), NULL, NULL);
}

int tlsgate_session_rekey(struct tlsgate *tg, struct tlsgate_target target)
{
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_SESSION_REKEY, CHANGE, FEW_ATTRS);

	if (!msg)
		return -ENOMEM;
	return send_built(tg, msg, put_target(msg, target), NULL, NULL);
}

int tlsgate_session_del(struct tlsgate *tg, struct tlsgate_target target,
			enum tlsgate_close_how how)
{
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_SESSION_DEL, CHANGE, FEW_ATTRS);
	int err;

	if (!msg)
		return -ENOMEM;
	err = put_target(msg, target);
	return send_built(tg, msg, err ? err : nla_put_u8(msg, TLSGATE_A_HOW, how), NULL, NULL);
}

int tlsgate_relay_new(struct tlsgate *tg, int fd, int plain_fd,
		      const struct tlsgate_options *options)
{
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_RELAY_NEW, CHANGE, FEW_ATTRS);
	int err;

	if (!msg)
		return -ENOMEM;
	err = nla_put_u32(msg, TLSGATE_A_FD, fd);
	if (!err)
		err = nla_put_u32(msg, TLSGATE_A_RELAY_FD, plain_fd);
	if (!err && options && (options->set & TLSGATE_SET_IDLE_TIMEOUT))
		err = nla_put_u32(msg, TLSGATE_A_IDLE_TIMEOUT, options->idle_timeout);
	return send_built(tg, msg, err, NULL, NULL);
}
