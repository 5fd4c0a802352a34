// SPDX-License-Identifier: MIT
/* The names of attributes, for the errors in which the kernel points at one. */
#include <stdio.h>
#include <string.h>

#include <netlink/genl/genl.h>

#include "handle.h"

static const char * const attr_names[TLSGATE_A_MAX + 1] = {
	[TLSGATE_A_PAD] = "pad",
	[TLSGATE_A_ID] = "id",
	[TLSGATE_A_FD] = "fd",
	[TLSGATE_A_VERSION] = "version",
	[TLSGATE_A_SUITE] = "suite",
	[TLSGATE_A_ROLE] = "role",
	[TLSGATE_A_TX] = "tx",
	[TLSGATE_A_RX] = "rx",
	[TLSGATE_A_RX_PENDING] = "rx-pending",
	[TLSGATE_A_RELAY_FD] = "relay-fd",
	[TLSGATE_A_IDLE_TIMEOUT] = "idle-timeout",
	[TLSGATE_A_RECORD_SIZE] = "record-size",
	[TLSGATE_A_PADDING] = "padding",
	[TLSGATE_A_HOW] = "how",
	[TLSGATE_A_NETNS] = "netns",
	[TLSGATE_A_LABEL] = "label",
	[TLSGATE_A_LOCAL] = "local",
	[TLSGATE_A_DELIVER_FD] = "deliver-fd",
	[TLSGATE_A_SERVER] = "server",
};

static const char * const key_names[TLSGATE_KEYS_A_MAX + 1] = {
	[TLSGATE_KEYS_A_PAD] = "pad",
	[TLSGATE_KEYS_A_KEY] = "key",
	[TLSGATE_KEYS_A_IV] = "iv",
	[TLSGATE_KEYS_A_SEQ] = "seq",
	[TLSGATE_KEYS_A_SECRET] = "secret",
};

static const char *name_of(const char * const names[], unsigned int max, unsigned int type)
{
	return type <= max && names[type] ? names[type] : "unknown attribute";
}

/* The top-level attribute whose bytes include offset, or NULL. */
static const struct nlattr *attr_around(const struct nlmsghdr *request, size_t offset)
{
	struct nlattr *pos;
	int rem;

	nlmsg_for_each_attr(pos, (struct nlmsghdr *)request, GENL_HDRLEN, rem) {
		size_t at = (const char *)pos - (const char *)request;

		if (offset >= at && offset < at + pos->nla_len)
			return pos;
	}
	return NULL;
}

void tgl_attr_path(const struct nlmsghdr *request, size_t offset, char *text, size_t size)
{
	const struct nlattr *outer = attr_around(request, offset);
	struct nlattr *pos;
	int rem;

	*text = 0;
	if (!outer)
		return;
	snprintf(text, size, "%s", name_of(attr_names, TLSGATE_A_MAX, nla_type(outer)));
	if (nla_type(outer) != TLSGATE_A_TX && nla_type(outer) != TLSGATE_A_RX)
		return;
	nla_for_each_nested(pos, (struct nlattr *)outer, rem) {
		if ((size_t)((const char *)pos - (const char *)request) == offset) {
			size_t used = strlen(text);

			snprintf(text + used, size - used, ".%s",
				 name_of(key_names, TLSGATE_KEYS_A_MAX, nla_type(pos)));
			return;
		}
	}
}

void tgl_attr_missing(const struct nlmsghdr *request, size_t nest_offset, unsigned int type,
		      char *text, size_t size)
{
	const struct nlattr *nest = nest_offset ? attr_around(request, nest_offset) : NULL;

	if (nest)
		snprintf(text, size, "%s.%s", name_of(attr_names, TLSGATE_A_MAX, nla_type(nest)),
			 name_of(key_names, TLSGATE_KEYS_A_MAX, type));
	else
		snprintf(text, size, "%s", name_of(attr_names, TLSGATE_A_MAX, type));
}
