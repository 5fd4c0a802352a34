// SPDX-License-Identifier: MIT
#include "tg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <poll.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "net.h"
#include "task.h"

/* The names by which an ack's sentence may call an attribute. */
static const char *const names[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_ID] = "id", [TLSGATE_A_FD] = "fd", [TLSGATE_A_VERSION] = "version",
	[TLSGATE_A_SUITE] = "suite", [TLSGATE_A_ROLE] = "role", [TLSGATE_A_TX] = "tx",
	[TLSGATE_A_RX] = "rx", [TLSGATE_A_RX_PENDING] = "pending",
	[TLSGATE_A_RELAY_FD] = "relay", [TLSGATE_A_IDLE_TIMEOUT] = "idle",
	[TLSGATE_A_RECORD_SIZE] = "record", [TLSGATE_A_PADDING] = "padding",
	[TLSGATE_A_HOW] = "how", [TLSGATE_A_NETNS] = "netns",
	[TLSGATE_A_LABEL] = "label", [TLSGATE_A_DELIVER_FD] = "deliver",
	[TLSGATE_A_LOCAL] = "local", [TLSGATE_A_SERVER] = "server",
};

static struct tg *open_socket(void)
{
	struct tg *tg = calloc(1, sizeof(*tg));
	int one = 1;

	if (!tg)
		return NULL;
	tg->sk = nl_socket_alloc();
	if (tg->sk && !genl_connect(tg->sk)) {
		setsockopt(nl_socket_get_fd(tg->sk), SOL_NETLINK, NETLINK_EXT_ACK, &one,
			   sizeof(one));
		net_timeouts(nl_socket_get_fd(tg->sk), NET_DEADLINE);
		return tg;
	}
	tg_close(tg);
	return NULL;
}

struct tg *tg_open(void)
{
	struct tg *tg = open_socket();

	if (!tg)
		return NULL;
	tg->family = genl_ctrl_resolve(tg->sk, TLSGATE_GENL_NAME);
	tg->group = genl_ctrl_resolve_grp(tg->sk, TLSGATE_GENL_NAME, TLSGATE_MCGRP_EVENTS);
	if (tg->family > 0 && tg->group > 0)
		return tg;
	tg_close(tg);
	return NULL;
}

struct tg *tg_open_like(const struct tg *like)
{
	struct tg *tg = open_socket();

	if (!tg)
		return NULL;
	tg->family = like->family;
	tg->group = like->group;
	return tg;
}

struct tg *tg_open_fd(const struct tg *like, int fd)
{
	struct tg *tg = calloc(1, sizeof(*tg));

	if (!tg)
		return NULL;
	tg->family = like->family;
	tg->group = like->group;
	tg->sk = nl_socket_alloc();
	if (tg->sk && !nl_socket_set_fd(tg->sk, NETLINK_GENERIC, fd))
		return tg;
	tg_close(tg);
	return NULL;
}

void tg_close(struct tg *tg)
{
	if (!tg)
		return;
	nl_socket_free(tg->sk);
	free(tg);
}

struct nl_msg *tg_msg(struct tg *tg, int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc_size(65536);

	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, tg->family, 0,
				 NLM_F_REQUEST | flags, cmd, TLSGATE_GENL_VERSION))
		abort();
	return msg;
}

static bool parse(const struct nlmsghdr *nlh, struct tg_info *out)
{
	struct nlattr *a;
	int left;

	memset(out, 0, sizeof(*out));
	if (nlh->nlmsg_len > sizeof(out->buf))
		return false;
	memcpy(out->buf, nlh, nlh->nlmsg_len);
	out->len = nlh->nlmsg_len;
	nlh = (void *)out->buf;
	out->cmd = ((struct genlmsghdr *)nlmsg_data(nlh))->cmd;
	nlmsg_for_each_attr(a, nlh, GENL_HDRLEN, left)
		if (nla_type(a) <= TLSGATE_A_MAX)
			out->attr[nla_type(a)] = a;
	return true;
}

bool tg_has(const struct tg_info *in, int attr)
{
	return in->attr[attr];
}

uint64_t tg_num(const struct tg_info *in, int attr)
{
	const struct nlattr *a = in->attr[attr];

	if (!a)
		return 0;
	switch (nla_len(a)) {
	case 1:
		return nla_get_u8(a);
	case 2:
		return nla_get_u16(a);
	case 4:
		return nla_get_u32(a);
	case 8:
		return nla_get_u64(a);
	}
	return 0;
}

/* Which attribute of the request stands at this offset from its header. */
static void find_offset(struct tg_ack *ack, const struct nlmsghdr *request, uint32_t offset)
{
	struct nlattr *a, *in;
	int left, left_in;

	nlmsg_for_each_attr(a, (struct nlmsghdr *)request, GENL_HDRLEN, left) {
		if ((uint8_t *)a - (uint8_t *)request == offset) {
			ack->at = nla_type(a);
			return;
		}
		if (nla_type(a) != TLSGATE_A_TX && nla_type(a) != TLSGATE_A_RX)
			continue;
		nla_for_each_nested(in, a, left_in) {
			if ((uint8_t *)in - (uint8_t *)request != offset)
				continue;
			ack->at = nla_type(in);
			ack->at_parent = nla_type(a);
			return;
		}
	}
}

static void read_ack(struct tg_ack *ack, const struct nlmsghdr *nlh, const struct nlmsghdr *request)
{
	const struct nlmsgerr *err = nlmsg_data(nlh);
	size_t skip = sizeof(*err);
	struct nlattr *a;
	int left;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(err->msg.nlmsg_len) - sizeof(err->msg);
	a = (void *)((uint8_t *)err + skip);
	left = nlh->nlmsg_len - NLMSG_HDRLEN - skip;
	for (; nla_ok(a, left); a = nla_next(a, &left)) {
		if (nla_type(a) == NLMSGERR_ATTR_MSG)
			nla_strlcpy(ack->msg, a, sizeof(ack->msg));
		else if (nla_type(a) == NLMSGERR_ATTR_OFFS)
			find_offset(ack, request, nla_get_u32(a));
		else if (nla_type(a) == 5 /* NLMSGERR_ATTR_MISS_TYPE */)
			ack->missing = nla_get_u32(a);
	}
}

bool tg_names(const struct tg *tg, int parent, int attr)
{
	const struct tg_ack *ack = &tg->ack;

	if (ack->missing >= 0)		/* the kernel's own way, which has no sentence */
		return ack->missing == attr;
	if (!ack->msg[0])
		return false;
	if (ack->at >= 0)
		return (ack->at == attr && ack->at_parent == parent) ||
		       (parent && !ack->at_parent && ack->at == parent);
	return strcasestr(ack->msg, names[parent ? parent : attr] ? : "?");
}

static void keep_raw(struct tg *tg, const uint8_t *buf, size_t len)
{
	if (len > sizeof(tg->raw) - tg->raw_len)
		len = sizeof(tg->raw) - tg->raw_len;
	memcpy(tg->raw + tg->raw_len, buf, len);
	tg->raw_len += len;
}

/* One datagram.  1: more to come, 0 or negative errno: the answer is complete. */
static int take(struct tg *tg, struct nlmsghdr *nlh, int len, const struct nlmsghdr *request,
		void (*each)(const struct tg_info *, void *), void *arg)
{
	struct tg_info *info = malloc(sizeof(*info));
	int ret = 1;

	for (; ret > 0 && nlmsg_ok(nlh, len); nlh = nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_seq != request->nlmsg_seq)
			continue;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			read_ack(&tg->ack, nlh, request);
			ret = ((struct nlmsgerr *)nlmsg_data(nlh))->error;
		} else if (nlh->nlmsg_type == NLMSG_DONE) {
			ret = *(int *)nlmsg_data(nlh);
		} else if (info && parse(nlh, info) && each) {
			each(info, arg);
		}
	}
	free(info);
	return ret;
}

int tg_call(struct tg *tg, struct nl_msg *msg, void (*each)(const struct tg_info *, void *),
	    void *arg)
{
	struct sockaddr_nl from;
	int ret = 1;

	tg->ack = (struct tg_ack){ .at = -1, .missing = -1 };
	tg->raw_len = 0;
	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
	if (nl_send_auto(tg->sk, msg) < 0)
		ret = -EIO;
	while (ret > 0) {
		unsigned char *buf = NULL;
		int len = nl_recv(tg->sk, &from, &buf, NULL);

		if (len <= 0) {
			ret = -ETIMEDOUT;
			break;
		}
		keep_raw(tg, buf, len);
		ret = take(tg, (void *)buf, len, nlmsg_hdr(msg), each, arg);
		free(buf);
	}
	nlmsg_free(msg);
	return ret;
}

/* ---- SESSION_NEW ------------------------------------------------------- */

struct tg_install tg_install_on(int fd, const struct ref_keys *tx, const struct ref_keys *rx)
{
	return (struct tg_install){
		.fd = fd, .version = tx->suite->version, .suite = tx->suite->suite,
		.role = TLSGATE_ROLE_SERVER, .tx = tx, .rx = rx,
		.relay_fd = -1, .deliver_fd = -1, .idle_timeout = -1, .record_size = -1, .padding = -1,
	};
}

static void put(struct nl_msg *msg, const struct tg_edit *edit, int parent, int attr,
		const void *data, size_t len)
{
	bool hit = edit && edit->parent == parent && edit->attr == attr;

	if (hit && edit->op == TG_OMIT)
		return;
	if (hit && edit->op == TG_REPLACE) {
		data = edit->data;
		len = edit->len;
	}
	if (nla_put(msg, attr, len, data))
		abort();
}

static void append(struct nl_msg *msg, const struct tg_edit *edit, int parent)
{
	if (edit && edit->op == TG_APPEND && edit->parent == parent &&
	    nla_put(msg, edit->attr, edit->len, edit->data))
		abort();
}

static void put_keys(struct nl_msg *msg, const struct tg_edit *edit, int attr,
		     const struct ref_keys *k)
{
	struct nlattr *nest;

	if (edit && !edit->parent && edit->attr == attr && edit->op == TG_OMIT)
		return;
	nest = nla_nest_start(msg, attr | NLA_F_NESTED);
	put(msg, edit, attr, TLSGATE_KEYS_A_KEY, k->key, k->suite->key_len);
	put(msg, edit, attr, TLSGATE_KEYS_A_IV, k->iv, k->suite->iv_len);
	put(msg, edit, attr, TLSGATE_KEYS_A_SEQ, &k->seq, sizeof(k->seq));
	if (k->suite->secret_len)
		put(msg, edit, attr, TLSGATE_KEYS_A_SECRET, k->secret, k->suite->secret_len);
	append(msg, edit, attr);
	nla_nest_end(msg, nest);
}

struct nl_msg *tg_install_msg(struct tg *tg, const struct tg_install *in,
			      const struct tg_edit *edit)
{
	struct nl_msg *msg = tg_msg(tg, TLSGATE_CMD_SESSION_NEW, 0);

	put(msg, edit, 0, TLSGATE_A_FD, &in->fd, 4);
	put(msg, edit, 0, TLSGATE_A_VERSION, &in->version, 2);
	put(msg, edit, 0, TLSGATE_A_SUITE, &in->suite, 2);
	put(msg, edit, 0, TLSGATE_A_ROLE, &in->role, 1);
	put_keys(msg, edit, TLSGATE_A_TX, in->tx);
	put_keys(msg, edit, TLSGATE_A_RX, in->rx);
	if (in->pending)
		put(msg, edit, 0, TLSGATE_A_RX_PENDING, in->pending, in->pending_len);
	if (in->relay_fd >= 0)
		put(msg, edit, 0, TLSGATE_A_RELAY_FD, &in->relay_fd, 4);
	if (in->deliver_fd >= 0)
		put(msg, edit, 0, TLSGATE_A_DELIVER_FD, &in->deliver_fd, 4);
	if (in->idle_timeout >= 0)
		put(msg, edit, 0, TLSGATE_A_IDLE_TIMEOUT, &in->idle_timeout, 4);
	if (in->record_size >= 0)
		put(msg, edit, 0, TLSGATE_A_RECORD_SIZE, &(uint16_t){ in->record_size }, 2);
	if (in->padding >= 0)
		put(msg, edit, 0, TLSGATE_A_PADDING, &(uint16_t){ in->padding }, 2);
	if (in->label)
		put(msg, edit, 0, TLSGATE_A_LABEL, in->label, in->label_len);
	append(msg, edit, 0);
	return msg;
}

static void take_id(const struct tg_info *info, void *arg)
{
	*(uint32_t *)arg = tg_num(info, TLSGATE_A_ID);
}

int tg_session_new(struct tg *tg, const struct tg_install *in, uint32_t *id)
{
	uint32_t got = 0;
	int ret = tg_call(tg, tg_install_msg(tg, in, NULL), take_id, &got);

	if (id)
		*id = got;
	return ret;
}

/* ---- the other commands ------------------------------------------------ */

static struct nl_msg *msg_about(struct tg *tg, int cmd, struct tg_who who)
{
	struct nl_msg *msg = tg_msg(tg, cmd, 0);

	if (who.id)
		NLA_PUT_U32(msg, TLSGATE_A_ID, who.id);
	else
		NLA_PUT_U32(msg, TLSGATE_A_FD, who.fd);
	return msg;
nla_put_failure:
	abort();
}

static void take_info(const struct tg_info *info, void *arg)
{
	parse((const void *)info->buf, arg);
}

int tg_session_get(struct tg *tg, struct tg_who who, struct tg_info *out)
{
	memset(out, 0, sizeof(*out));
	return tg_call(tg, msg_about(tg, TLSGATE_CMD_SESSION_GET, who), take_info, out);
}

struct dump {
	uint32_t id;
	struct tg_info *out;
	int count;
};

static void take_dump(const struct tg_info *info, void *arg)
{
	struct dump *d = arg;

	d->count++;
	if (d->out && tg_num(info, TLSGATE_A_ID) == d->id)
		take_info(info, d->out);
}

static int dump(struct tg *tg, struct nl_msg *msg, uint32_t id, struct tg_info *out, int *count)
{
	struct dump d = { .id = id, .out = out };
	int ret = tg_call(tg, msg, take_dump, &d);

	if (count)
		*count = d.count;
	return ret;
}

int tg_session_dump(struct tg *tg, uint32_t id, struct tg_info *out, int *count)
{
	return dump(tg, tg_msg(tg, TLSGATE_CMD_SESSION_GET, NLM_F_DUMP), id, out, count);
}

int tg_session_dump_of(struct tg *tg, uint32_t netns, uint32_t id, struct tg_info *out, int *count)
{
	struct nl_msg *msg = tg_msg(tg, TLSGATE_CMD_SESSION_GET, NLM_F_DUMP);

	if (nla_put_u32(msg, TLSGATE_A_NETNS, netns))
		abort();
	return dump(tg, msg, id, out, count);
}

const void *tg_of_width(const uint32_t *value, int width)
{
	int before = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? (int)sizeof(*value) - width : 0;

	return (const uint8_t *)value + before;
}

int tg_session_set(struct tg *tg, struct tg_who who, int attr, uint32_t value, int width)
{
	struct nl_msg *msg = msg_about(tg, TLSGATE_CMD_SESSION_SET, who);

	if (width && nla_put(msg, attr, width, tg_of_width(&value, width)))
		abort();
	return tg_call(tg, msg, NULL, NULL);
}

int tg_session_rekey(struct tg *tg, struct tg_who who)
{
	return tg_call(tg, msg_about(tg, TLSGATE_CMD_SESSION_REKEY, who), NULL, NULL);
}

int tg_session_del(struct tg *tg, struct tg_who who, int how)
{
	struct nl_msg *msg = msg_about(tg, TLSGATE_CMD_SESSION_DEL, who);

	if (how >= 0 && nla_put_u8(msg, TLSGATE_A_HOW, how))
		abort();
	return tg_call(tg, msg, NULL, NULL);
}

int tg_relay_new(struct tg *tg, int fd, int relay_fd, int idle_timeout)
{
	struct nl_msg *msg = msg_about(tg, TLSGATE_CMD_RELAY_NEW, BY_FD(fd));

	if (nla_put_u32(msg, TLSGATE_A_RELAY_FD, relay_fd) ||
	    (idle_timeout >= 0 && nla_put_u32(msg, TLSGATE_A_IDLE_TIMEOUT, idle_timeout)))
		abort();
	return tg_call(tg, msg, NULL, NULL);
}

static void take_handle(const struct tg_info *info, void *arg)
{
	*(int *)arg = tg_num(info, TLSGATE_A_DELIVER_FD);
}

int tg_deliver_new(struct tg *tg, const void *local, size_t local_len, const void *server,
		   size_t server_len)
{
	struct nl_msg *msg = tg_msg(tg, TLSGATE_CMD_DELIVER_NEW, 0);
	int handle = -EPROTO, err;

	if ((local && nla_put(msg, TLSGATE_A_LOCAL, local_len, local)) ||
	    (server && nla_put(msg, TLSGATE_A_SERVER, server_len, server)))
		abort();
	err = tg_call(tg, msg, take_handle, &handle);
	return err ? err : handle;
}

/* ---- counters ---------------------------------------------------------- */

long tg_module_refs(void)
{
	return task_read_number("/sys/module/tlsgate/refcnt", "");
}

int tg_counters(void)
{
	return open("/proc/self/net/tlsgate_stat", O_RDONLY | O_CLOEXEC);
}

uint64_t tg_counter(int counters, const char *name)
{
	char text[8192], key[100], *at;
	ssize_t n = pread(counters, text + 1, sizeof(text) - 2, 0);

	snprintf(key, sizeof(key), "\n%s ", name);
	text[0] = '\n';
	text[n > 0 ? n + 1 : 1] = '\0';
	at = strstr(text, key);
	if (!at)
		abort();
	return strtoull(at + strlen(key), NULL, 10);
}

/* ---- events ------------------------------------------------------------ */

int tg_listen(struct tg *tg)
{
	int err = 0;

	if (setsockopt(nl_socket_get_fd(tg->sk), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &tg->group,
		       sizeof(tg->group)))
		err = -errno;
	return err;
}

struct tg *tg_open_ear(void)
{
	struct tg *tg = tg_open();

	if (!tg || !tg_listen(tg))
		return tg;
	tg_close(tg);
	return NULL;
}

static bool take_event(struct tg *tg, int cmd, uint32_t id, struct tg_info *out)
{
	struct sockaddr_nl from;
	unsigned char *buf = NULL;
	int len = nl_recv(tg->sk, &from, &buf, NULL);
	struct nlmsghdr *nlh = (void *)buf;
	bool hit = false;

	if (len > 0)
		keep_raw(tg, buf, len);
	for (; !hit && len > 0 && nlmsg_ok(nlh, len); nlh = nlmsg_next(nlh, &len))
		hit = nlh->nlmsg_type == tg->family && parse(nlh, out) && out->cmd == cmd &&
		      (!id || tg_num(out, TLSGATE_A_ID) == id);
	free(buf);
	return hit;
}

int tg_event(struct tg *tg, int cmd, uint32_t id, struct tg_info *out, int ms)
{
	uint64_t end = net_now() + ms;
	uint64_t now;

	while ((now = net_now()) < end)
		if (net_poll(nl_socket_get_fd(tg->sk), POLLIN, end - now) &&
		    take_event(tg, cmd, id, out))
			return 0;
	return -ETIMEDOUT;
}
