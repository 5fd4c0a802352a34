// SPDX-License-Identifier: MIT
/*
 * No message with keys is freed unwiped.  nlmsg_free() below stands before
 * libnl's own: what the library frees comes past here.
 */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <netlink/genl/genl.h>

#include "lib/handle.h"

#include "tap.h"

#define SECRET	0xa5

static unsigned int freed, dirty;

static bool holds_secret(const struct nl_msg *msg)
{
	const struct nlmsghdr *hdr = nlmsg_hdr((struct nl_msg *)msg);
	const unsigned char *bytes = (const unsigned char *)hdr;
	size_t run = 0;
	size_t i;

	/* Wiped, the header has no length any more: look at all there can be. */
	for (i = 0; i < nlmsg_get_max_size((struct nl_msg *)msg); i++) {
		run = bytes[i] == SECRET ? run + 1 : 0;
		if (run == 8)
			return true;
	}
	return false;
}

void nlmsg_free(struct nl_msg *msg)
{
	void (*real)(struct nl_msg *msg);

	*(void **)&real = dlsym(RTLD_NEXT, "nlmsg_free");
	if (!real)
		tap_bail("libnl has no nlmsg_free()");
	if (msg) {
		freed++;
		dirty += holds_secret(msg);
	}
	real(msg);
}

static struct tlsgate_session_params secret_params(void)
{
	struct tlsgate_session_params params = TLSGATE_SESSION_PARAMS_INIT;
	static uint8_t pending[64];

	memset(&params.tx, SECRET, sizeof(params.tx));
	params.tx.key_len = sizeof(params.tx.key);
	params.tx.iv_len = sizeof(params.tx.iv);
	params.tx.secret_len = sizeof(params.tx.secret);
	params.rx = params.tx;
	memset(pending, SECRET, sizeof(pending));
	params.rx_pending = pending;
	params.rx_pending_len = sizeof(pending);
	params.label = pending;
	params.label_len = TLSGATE_LABEL_MAX;
	return params;
}

static void expect_wiped(struct tlsgate *tg, const struct tlsgate_session_params *params, int want,
			 const char *what)
{
	uint32_t id;

	freed = 0;
	dirty = 0;
	tap_equal(tlsgate_session_new(tg, params, &id), want, "%s: refused", what);
	tap_equal(freed, 1, "%s: one message was freed", what);
	tap_equal(dirty, 0, "%s: and it held no key", what);
}

int main(void)
{
	struct tlsgate tg = { .family = GENL_ID_CTRL };
	struct tlsgate_session_params params = secret_params();
	struct nl_msg *msg = nlmsg_alloc_size(256);
	uint32_t id;

	if (!msg || nla_put(msg, 1, 64, params.rx_pending))
		tap_bail("cannot build a message");
	tap_ok(holds_secret(msg), "this test sees a key where there is one");
	nlmsg_free(msg);

	tg.sk = tgl_socket();
	if (!tg.sk)
		tap_bail("no generic netlink socket: %s", strerror(errno));
	/* The controller has no command of SESSION_NEW's number. */
	expect_wiped(&tg, &params, -EOPNOTSUPP, "sent");
	params.rx.secret_len = TLSGATE_SECRET_MAX + 1;
	freed = 0;
	tap_equal(tlsgate_session_new(&tg, &params, &id), -EINVAL, "wrong lengths: refused");
	tap_equal(freed, 0, "and no message was made");
	params = secret_params();
	params.label_len = TLSGATE_LABEL_MAX + 1;
	tap_equal(tlsgate_session_new(&tg, &params, &id), -EMSGSIZE, "a label too long: refused");
	tap_equal(freed, 0, "and no message was made");
	params = secret_params();
	/* nl_socket_free() then closes what is no descriptor any more, which is harmless. */
	close(nl_socket_get_fd(tg.sk));
	expect_wiped(&tg, &params, -EBADF, "not sent");
	nl_socket_free(tg.sk);
	return tap_done();
}
