// SPDX-License-Identifier: MIT
/* Events: a second socket in the multicast group. */
#include <errno.h>
#include <string.h>

#include <netlink/genl/genl.h>

#include "handle.h"

#define CTRL_GROUP	GENL_ID_CTRL	/* "notify" of nlctrl: families that come and go; fixed in the kernel */
#define EVENT_QUEUE	(1024 * 1024)	/* bytes; a thousand sessions may open or close at once */

struct event_call {
	struct tlsgate *tg;
	int (*each)(void *arg, const struct tlsgate_event *event);
	void *arg;
};

int tlsgate_subscribe(struct tlsgate *tg)
{
	struct nl_sock *sk;
	int err;

	*tg->error = 0;
	if (tg->events)
		return 0;
	if (!tg->group)
		return tgl_fail(tg, -EPROTO, "the module has no event group: versions do not match");
	sk = tgl_socket();
	if (!sk)
		return tgl_fail(tg, -errno, strerror(errno));
	errno = 0;
	if (nl_socket_set_buffer_size(sk, EVENT_QUEUE, 0) || nl_socket_set_nonblocking(sk) ||
	    nl_socket_add_memberships(sk, CTRL_GROUP, tg->group, 0)) {
		err = errno ? -errno : -EPROTO;
		nl_socket_free(sk);
		return tgl_fail(tg, err, err == -EPERM ?
				"following events needs CAP_NET_ADMIN in this network namespace" :
				strerror(-err));
	}
	tg->events = sk;
	return 0;
}

int tlsgate_event_fd(const struct tlsgate *tg)
{
	return tg->events ? nl_socket_get_fd(tg->events) : -1;
}

/* The module's family is unregistered: it will send no more. */
static bool family_goes(const struct tlsgate *tg, struct nlmsghdr *hdr)
{
	const struct genlmsghdr *genl = nlmsg_data(hdr);
	const struct nlattr *id;

	if (hdr->nlmsg_type != GENL_ID_CTRL || !genlmsg_valid_hdr(hdr, 0) ||
	    genl->cmd != CTRL_CMD_DELFAMILY)
		return false;
	id = nlmsg_find_attr(hdr, GENL_HDRLEN, CTRL_ATTR_FAMILY_ID);
	return id && nla_len(id) == sizeof(uint16_t) && nla_get_u16(id) == tg->family;
}

static int take_event(const struct event_call *call, struct nlmsghdr *hdr)
{
	const struct genlmsghdr *genl = nlmsg_data(hdr);
	struct tlsgate_event event = { 0 };
	struct nlattr *message = NULL;

	if (family_goes(call->tg, hdr))
		return tgl_gone(call->tg);
	if (hdr->nlmsg_type != call->tg->family || !genlmsg_valid_hdr(hdr, 0))
		return 0;
	event.kind = genl->cmd;
	if (tgl_session_parse(hdr, &event.session, &message))
		return tgl_fail(call->tg, -EPROTO, "an event cannot be understood");
	if (message) {
		event.message = nla_data(message);
		event.message_len = nla_len(message);
	}
	return call->each(call->arg, &event);
}

static int take_events(const struct event_call *call, unsigned char *buf, int len)
{
	struct nlmsghdr *hdr = (struct nlmsghdr *)buf;
	int err = 0;

	for (; !err && nlmsg_ok(hdr, len); hdr = nlmsg_next(hdr, &len))
		err = take_event(call, hdr);
	return err;
}

int tlsgate_event_receive(struct tlsgate *tg,
			  int (*each)(void *arg, const struct tlsgate_event *event), void *arg)
{
	const struct event_call call = { tg, each, arg };
	int err = 0;

	*tg->error = 0;
	if (!tg->events)
		return tgl_fail(tg, -EINVAL, "not subscribed: call tlsgate_subscribe() first");
	while (!err) {
		int len = tgl_receive(tg, tg->events);

		if (len == -EAGAIN)
			break;
		if (len < 0)
			return tgl_fail(tg, len, len == -ENOBUFS ?
					"events were lost: list the sessions anew" : strerror(-len));
		err = take_events(&call, tg->answer, len);
	}
	return err;
}
