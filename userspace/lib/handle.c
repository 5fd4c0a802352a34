// SPDX-License-Identifier: MIT
/* Opens and closes a handle: finds the family, its version and its group. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "handle.h"

static uint32_t find_group(struct nlattr *groups)
{
	struct nlattr *tb[CTRL_ATTR_MCAST_GRP_MAX + 1];
	struct nlattr *group;
	int rem;

	nla_for_each_nested(group, groups, rem) {
		if (nla_parse_nested(tb, CTRL_ATTR_MCAST_GRP_MAX, group, NULL) == 0 &&
		    tb[CTRL_ATTR_MCAST_GRP_NAME] && tb[CTRL_ATTR_MCAST_GRP_ID] &&
		    nla_strcmp(tb[CTRL_ATTR_MCAST_GRP_NAME], TLSGATE_MCGRP_EVENTS) == 0)
			return nla_get_u32(tb[CTRL_ATTR_MCAST_GRP_ID]);
	}
	return 0;
}

static int take_family(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg)
{
	static struct nla_policy policy[CTRL_ATTR_MAX + 1] = {
		[CTRL_ATTR_FAMILY_ID] = { .type = NLA_U16 },
		[CTRL_ATTR_VERSION] = { .type = NLA_U32 },
		[CTRL_ATTR_MCAST_GROUPS] = { .type = NLA_NESTED },
	};
	struct nlattr *tb[CTRL_ATTR_MAX + 1];
	uint16_t *family = arg;

	if (genlmsg_parse(hdr, 0, tb, CTRL_ATTR_MAX, policy) || !tb[CTRL_ATTR_FAMILY_ID] ||
	    !tb[CTRL_ATTR_VERSION])
		return tgl_fail(tg, -EPROTO, "the kernel's answer cannot be understood");
	*family = nla_get_u16(tb[CTRL_ATTR_FAMILY_ID]);
	tg->version = nla_get_u32(tb[CTRL_ATTR_VERSION]);
	if (tb[CTRL_ATTR_MCAST_GROUPS])
		tg->group = find_group(tb[CTRL_ATTR_MCAST_GROUPS]);
	return 0;
}

static int resolve(struct tlsgate *tg)
{
	struct nl_msg *msg;
	uint16_t family = 0;
	int err = -ENOMEM;

	tg->family = GENL_ID_CTRL;
	msg = tgl_request(tg, CTRL_CMD_GETFAMILY, 0, nla_total_size(sizeof(TLSGATE_GENL_NAME)));
	if (msg && nla_put_string(msg, CTRL_ATTR_FAMILY_NAME, TLSGATE_GENL_NAME) == 0)
		err = tgl_call(tg, msg, take_family, &family);
	else
		nlmsg_free(msg);
	tg->family = family;
	return err;
}

const char *tgl_version_why(unsigned int version)
{
	if (version > TLSGATE_GENL_VERSION)
		return "the loaded tlsgate module is newer than this program: install the program of its release";
	if (version < TLSGATE_GENL_VERSION)
		return "the loaded tlsgate module is older than this program: load the module of its release";
	return NULL;
}

static const char *open_why(int err)
{
	static const char absent[] = "the tlsgate kernel module is not loaded: run modprobe tlsgate, or insmod with the path of tlsgate.ko where it is not installed";
	static const struct {
		int err;
		const char *why;
	} table[] = {
		{ -ENODEV, absent },
		{ -ENOENT, absent },
		{ -ENOMEM, "out of memory" },
		{ -EPROTO, "the kernel's answer about the family tlsgate cannot be understood" },
		{ -EPROTONOSUPPORT, "this kernel has no generic netlink" },
		{ -EMFILE, "too many open files" },
		{ -EBADF, "no socket to the kernel: give one of tlsgate_socket()" },
		{ -ENOTSOCK, "no socket to the kernel: give one of tlsgate_socket()" },
		{ -EPROTOTYPE, "no generic netlink socket: give one of tlsgate_socket()" },
	};
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].err == err)
			return table[i].why;
	return "cannot open a generic netlink socket";
}

static int set_up(struct tlsgate *tg, int fd, const char **why)
{
	int err;

	tg->sk = tgl_socket_on(fd);
	err = tg->sk ? resolve(tg) : -errno;
	*why = err ? open_why(err) : tgl_version_why(tg->version);
	return *why && !err ? -EPFNOSUPPORT : err;
}

int tlsgate_open_fd(struct tlsgate **out, int fd, const char **why)
{
	struct tlsgate *tg = calloc(1, sizeof(*tg));
	const char *reason = open_why(-ENOMEM);
	int err = -ENOMEM;

	*out = NULL;
	if (tg)
		err = set_up(tg, fd, &reason);
	if (err) {
		tlsgate_close(tg);
		if (why)
			*why = reason;
		return err == -ENODEV ? -ENOENT : err;
	}
	*out = tg;
	return 0;
}

int tlsgate_open(struct tlsgate **out, const char **why)
{
	int fd = tlsgate_socket();
	int err;

	*out = NULL;
	if (fd < 0) {
		if (why)
			*why = open_why(fd);
		return fd;
	}
	err = tlsgate_open_fd(out, fd, why);
	close(fd);
	return err;
}

void tlsgate_close(struct tlsgate *tg)
{
	if (!tg)
		return;
	nl_socket_free(tg->events);
	nl_socket_free(tg->sk);
	free(tg);
}

unsigned int tlsgate_family_version(const struct tlsgate *tg)
{
	return tg->version;
}

unsigned int tlsgate_family_id(const struct tlsgate *tg)
{
	return tg->family;
}

const char *tlsgate_error(const struct tlsgate *tg)
{
	return tg->error;
}
