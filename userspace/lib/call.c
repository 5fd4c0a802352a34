// SPDX-License-Identifier: MIT
/* Sends one request and reads the kernel's answer to that very request. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netlink/genl/genl.h>

#include "handle.h"

struct call {
	struct tlsgate *tg;
	const struct nlmsghdr *request;
	tgl_answer_fn *answer;
	void *arg;
	int result;		/* first non-zero result of answer() */
	bool answered;		/* answer() was called */
};

void tlsgate_wipe(void *p, size_t len)
{
	explicit_bzero(p, len);
}

int tgl_fail(struct tlsgate *tg, int err, const char *text)
{
	snprintf(tg->error, sizeof(tg->error), "%s", text);
	return err;
}

int tgl_gone(struct tlsgate *tg)
{
	return tgl_fail(tg, -ENODEV, "the tlsgate module was unloaded: load it and open anew");
}

int tlsgate_socket(void)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	int on = 1, err;

	/* CAP_ACK: the kernel must not send a refused request, keys and all, back. */
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof(any)) == 0 &&
	    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)) == 0)
		return fd;
	err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* Is it a netlink socket for generic netlink?  0 or a negative errno. */
static int check_socket(int fd)
{
	int domain = 0, protocol = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len))
		return -errno;
	return domain == AF_NETLINK && protocol == NETLINK_GENERIC ? 0 : -EPROTOTYPE;
}

/* Takes the descriptor, also when it fails. */
static struct nl_sock *wrap(int fd)
{
	struct nl_sock *sk = nl_socket_alloc();

	if (sk && nl_socket_set_fd(sk, NETLINK_GENERIC, fd) == 0) {
		/* so that an answer is one message */
		nl_socket_disable_auto_ack(sk);
		return sk;
	}
	close(fd);
	errno = sk ? EPROTO : ENOMEM;
	nl_socket_free(sk);
	return NULL;
}

struct nl_sock *tgl_socket_on(int fd)
{
	int err = check_socket(fd);
	int own;

	if (err) {
		errno = -err;
		return NULL;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return own < 0 ? NULL : wrap(own);
}

struct nl_sock *tgl_socket(void)
{
	int fd = tlsgate_socket();

	if (fd >= 0)
		return wrap(fd);
	errno = -fd;
	return NULL;
}

int tgl_receive(struct tlsgate *tg, struct nl_sock *sk)
{
	struct sockaddr_nl from = { 0 };
	socklen_t from_len = sizeof(from);
	ssize_t len;

	do {
		len = recvfrom(nl_socket_get_fd(sk), tg->answer, sizeof(tg->answer), MSG_TRUNC,
			       (struct sockaddr *)&from, &from_len);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	if (len > (ssize_t)sizeof(tg->answer))
		return -EPROTO;
	return from.nl_pid ? 0 : (int)len;
}

/* ---- refusals --------------------------------------------------------------- */

/* The attributes that follow an error, past what it echoes of the request. */
static int error_attrs(struct nlmsghdr *hdr, struct nlattr *tb[NLMSGERR_ATTR_MAX + 1])
{
	static struct nla_policy policy[NLMSGERR_ATTR_MAX + 1] = {
		[NLMSGERR_ATTR_MSG] = { .type = NLA_STRING },
		[NLMSGERR_ATTR_OFFS] = { .type = NLA_U32 },
		[NLMSGERR_ATTR_MISS_TYPE] = { .type = NLA_U32 },
		[NLMSGERR_ATTR_MISS_NEST] = { .type = NLA_U32 },
	};
	const struct nlmsgerr *err = nlmsg_data(hdr);
	size_t skip = sizeof(*err);

	memset(tb, 0, (NLMSGERR_ATTR_MAX + 1) * sizeof(*tb));
	if (!(hdr->nlmsg_flags & NLM_F_ACK_TLVS))
		return 0;
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		skip += err->msg.nlmsg_len - sizeof(err->msg);
	if (skip > (size_t)nlmsg_datalen(hdr))
		return -EPROTO;
	return nlmsg_parse(hdr, skip, tb, NLMSGERR_ATTR_MAX, policy) ? -EPROTO : 0;
}

/* "attribute: sentence", from whatever of the two the kernel gave. */
static void refusal_text(const struct call *call, struct nlattr **tb, int err)
{
	const char *sentence = strerror(-err);
	const char *missing = "";
	char attr[64] = "";

	if (tb[NLMSGERR_ATTR_OFFS])
		tgl_attr_path(call->request, nla_get_u32(tb[NLMSGERR_ATTR_OFFS]), attr, sizeof(attr));
	if (tb[NLMSGERR_ATTR_MISS_TYPE]) {
		struct nlattr *nest = tb[NLMSGERR_ATTR_MISS_NEST];

		tgl_attr_missing(call->request, nest ? nla_get_u32(nest) : 0,
				 nla_get_u32(tb[NLMSGERR_ATTR_MISS_TYPE]), attr, sizeof(attr));
		missing = " is missing";
	}
	if (tb[NLMSGERR_ATTR_MSG])
		sentence = nla_get_string(tb[NLMSGERR_ATTR_MSG]);
	snprintf(call->tg->error, sizeof(call->tg->error), "%s%s%s%s", attr, missing,
		 *attr ? ": " : "", sentence);
}

/*
 * The kernel's generic netlink core has no sentence for an unknown family
 * number, and the module has one for each of its own refusals.
 */
static bool family_is_gone(const struct call *call, struct nlattr **tb, int err)
{
	return err == -ENOENT && !tb[NLMSGERR_ATTR_MSG] &&
	       call->request->nlmsg_type == call->tg->family;
}

static int take_error(struct call *call, struct nlmsghdr *hdr)
{
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	const struct nlmsgerr *err = nlmsg_data(hdr);

	if (nlmsg_datalen(hdr) < (int)sizeof(*err) || error_attrs(hdr, tb))
		return tgl_fail(call->tg, -EPROTO, "the kernel's refusal cannot be understood");
	if (!err->error)
		return 0;
	if (family_is_gone(call, tb, err->error))
		return tgl_gone(call->tg);
	refusal_text(call, tb, err->error);
	return err->error;
}

/* The end of a dump carries its result where there is one. */
static int take_done(struct call *call, struct nlmsghdr *hdr)
{
	int err = 0;

	if (nlmsg_datalen(hdr) >= (int)sizeof(err))
		memcpy(&err, nlmsg_data(hdr), sizeof(err));
	if (err < 0)
		return tgl_fail(call->tg, err, strerror(-err));
	return 0;
}

/* ---- answers ------------------------------------------------------------------ */

/* True when the call is over: its result is in *result. */
static bool take_message(struct call *call, struct nlmsghdr *hdr, int *result)
{
	if (hdr->nlmsg_seq != call->request->nlmsg_seq)
		return false;		/* the rest of an answer that nobody waited for */
	if (hdr->nlmsg_type == NLMSG_ERROR) {
		*result = take_error(call, hdr);
		if (!*result && call->answer && !call->answered)
			*result = tgl_fail(call->tg, -EPROTO, "the kernel's answer has no content");
		return true;
	}
	if (hdr->nlmsg_type == NLMSG_DONE) {
		*result = take_done(call, hdr);
		return true;
	}
	if (hdr->nlmsg_type != call->request->nlmsg_type || !call->answer)
		return false;
	call->answered = true;
	if (!call->result)
		call->result = call->answer(call->tg, hdr, call->arg);
	*result = 0;
	return !(hdr->nlmsg_flags & NLM_F_MULTI);
}

static bool take_datagram(struct call *call, unsigned char *buf, int len, int *result)
{
	struct nlmsghdr *hdr = (struct nlmsghdr *)buf;

	for (; nlmsg_ok(hdr, len); hdr = nlmsg_next(hdr, &len))
		if (take_message(call, hdr, result))
			return true;
	return false;
}

static int receive_answer(struct call *call)
{
	bool over = false;
	int result = -EPROTO;

	while (!over) {
		int len = tgl_receive(call->tg, call->tg->sk);

		if (len < 0)
			return tgl_fail(call->tg, len, strerror(-len));
		over = take_datagram(call, call->tg->answer, len, &result);
	}
	return result ? result : call->result;
}

struct nl_msg *tgl_request(struct tlsgate *tg, uint8_t cmd, int flags, size_t payload)
{
	size_t size = NLMSG_HDRLEN + GENL_HDRLEN + payload + NLMSG_ALIGNTO;
	struct nl_msg *msg = nlmsg_alloc_size(size);

	if (msg && genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, tg->family, 0, flags, cmd,
			       TLSGATE_GENL_VERSION))
		return msg;
	nlmsg_free(msg);
	tgl_fail(tg, -ENOMEM, "out of memory");
	return NULL;
}

int tgl_call(struct tlsgate *tg, struct nl_msg *msg, tgl_answer_fn *answer, void *arg)
{
	struct call call = { .tg = tg, .request = nlmsg_hdr(msg), .answer = answer, .arg = arg };
	int err;

	*tg->error = 0;
	nl_complete_msg(tg->sk, msg);
	errno = 0;
	if (nl_send(tg->sk, msg) < 0) {
		err = errno ? -errno : -EPROTO;
		tgl_fail(tg, err, strerror(-err));
	} else {
		err = receive_answer(&call);
	}
	tlsgate_wipe(nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len);
	nlmsg_free(msg);
	return err;
}
