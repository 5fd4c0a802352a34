// SPDX-License-Identifier: MIT
/* Which suites the module knows, and which crypto driver serves each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <netlink/genl/genl.h>

#include "handle.h"

struct cipher_dump {
	int (*each)(void *arg, const struct tlsgate_cipher *cipher);
	void *arg;
};

static int cipher_parse(struct nlmsghdr *hdr, struct tlsgate_cipher *cipher)
{
	static struct nla_policy policy[TLSGATE_A_MAX + 1] = {
		[TLSGATE_A_VERSION] = { .type = NLA_U16 },
		[TLSGATE_A_SUITE] = { .type = NLA_U16 },
		[TLSGATE_A_CIPHER_NAME] = { .type = NLA_STRING },
		[TLSGATE_A_DRIVER] = { .type = NLA_STRING },
		[TLSGATE_A_KEY_LEN] = { .type = NLA_U8 },
		[TLSGATE_A_IV_LEN] = { .type = NLA_U8 },
		[TLSGATE_A_TAG_LEN] = { .type = NLA_U8 },
		[TLSGATE_A_SECRET_LEN] = { .type = NLA_U8 },
	};
	struct nlattr *tb[TLSGATE_A_MAX + 1];

	if (genlmsg_parse(hdr, 0, tb, TLSGATE_A_MAX, policy) || !tb[TLSGATE_A_VERSION] ||
	    !tb[TLSGATE_A_SUITE] || !tb[TLSGATE_A_CIPHER_NAME] || !tb[TLSGATE_A_KEY_LEN] ||
	    !tb[TLSGATE_A_IV_LEN] || !tb[TLSGATE_A_TAG_LEN] || !tb[TLSGATE_A_SECRET_LEN])
		return -EPROTO;
	memset(cipher, 0, sizeof(*cipher));
	cipher->version = nla_get_u16(tb[TLSGATE_A_VERSION]);
	cipher->suite = nla_get_u16(tb[TLSGATE_A_SUITE]);
	cipher->key_len = nla_get_u8(tb[TLSGATE_A_KEY_LEN]);
	cipher->iv_len = nla_get_u8(tb[TLSGATE_A_IV_LEN]);
	cipher->tag_len = nla_get_u8(tb[TLSGATE_A_TAG_LEN]);
	cipher->secret_len = nla_get_u8(tb[TLSGATE_A_SECRET_LEN]);
	nla_strlcpy(cipher->name, tb[TLSGATE_A_CIPHER_NAME], sizeof(cipher->name));
	if (tb[TLSGATE_A_DRIVER])
		nla_strlcpy(cipher->driver, tb[TLSGATE_A_DRIVER], sizeof(cipher->driver));
	return 0;
}

static int take_cipher(struct tlsgate *tg, struct nlmsghdr *hdr, void *arg)
{
	const struct cipher_dump *dump = arg;
	struct tlsgate_cipher cipher;

	if (cipher_parse(hdr, &cipher))
		return tgl_fail(tg, -EPROTO, "the kernel's answer cannot be understood");
	return dump->each(dump->arg, &cipher);
}

int tlsgate_cipher_dump(struct tlsgate *tg,
			int (*each)(void *arg, const struct tlsgate_cipher *cipher), void *arg)
{
	struct cipher_dump dump = { each, arg };
	struct nl_msg *msg = tgl_request(tg, TLSGATE_CMD_CIPHER_GET, NLM_F_REQUEST | NLM_F_DUMP, 0);

	return msg ? tgl_call(tg, msg, take_cipher, &dump) : -ENOMEM;
}
