// SPDX-License-Identifier: MIT
/* What the library makes of the kernel's messages, right ones and malformed ones. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <netlink/genl/genl.h>

#include "lib/handle.h"

#include "tap.h"

static struct nl_msg *new_message(void)
{
	struct nl_msg *msg = nlmsg_alloc_size(4096);

	if (!msg || !genlmsg_put(msg, 0, 1, 42, 0, 0, TLSGATE_CMD_SESSION_GET, 1))
		tap_bail("cannot build a message");
	return msg;
}

/* Parses and frees. */
static int parse(struct nl_msg *msg, struct tlsgate_session *session)
{
	int err = tgl_session_parse(nlmsg_hdr(msg), session, NULL);

	nlmsg_free(msg);
	return err;
}

static void test_whole(void)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = 0x1234 };
	struct tlsgate_session s;
	struct nl_msg *msg = new_message();

	nla_put_u32(msg, TLSGATE_A_ID, 7);
	nla_put_u16(msg, TLSGATE_A_VERSION, TLSGATE_TLS_1_3);
	nla_put_u16(msg, TLSGATE_A_SUITE, 0x1301);
	nla_put_u8(msg, TLSGATE_A_ROLE, TLSGATE_ROLE_SERVER);
	nla_put_u8(msg, TLSGATE_A_STATE, TLSGATE_STATE_CLOSED);
	nla_put_u16(msg, TLSGATE_A_REASON, TLSGATE_REASON_PEER_ALERT);
	nla_put_u8(msg, TLSGATE_A_ALERT, 0);
	nla_put_u64(msg, TLSGATE_A_TX_BYTES, 1ULL << 40);
	nla_put_u32(msg, TLSGATE_A_RX_EPOCH, 3);
	nla_put_u32(msg, TLSGATE_A_NETNS, 0xf0000001);
	nla_put(msg, TLSGATE_A_LABEL, 5, "a\0b\xff\n");
	nla_put(msg, TLSGATE_A_PEER, sizeof(peer), &peer);
	nla_put(msg, TLSGATE_A_SERVER, sizeof(peer), &peer);
	nla_put_u8(msg, TLSGATE_A_DELIVERY, TLSGATE_DELIVERY_QUEUED);
	tap_equal(parse(msg, &s), 0, "a session is understood");
	tap_ok(s.id == 7 && s.version == TLSGATE_TLS_1_3 && s.suite == 0x1301 &&
	       s.role == TLSGATE_ROLE_SERVER && s.state == TLSGATE_STATE_CLOSED &&
	       s.reason == TLSGATE_REASON_PEER_ALERT && s.netns == 0xf0000001, "its identity and state");
	tap_ok(s.alert == 0, "alert 0 is an alert, not none");
	tap_ok(s.tx_bytes == 1ULL << 40 && s.rx_epoch == 3 && s.rx_bytes == 0, "its counters");
	tap_ok(s.peer.len == sizeof(peer) && s.peer.in.sin_port == 0x1234 && s.local.len == 0,
	       "its addresses");
	tap_ok(s.server.len == sizeof(peer) && s.delivery == TLSGATE_DELIVERY_QUEUED,
	       "where it is delivered to, and how far it is");
	tap_ok(s.label_len == 5 && !memcmp(s.label, "a\0b\xff\n", 6), "its label, and a NUL behind it");
}

static void test_absent(void)
{
	struct tlsgate_session s;
	struct nl_msg *msg = new_message();

	nla_put_u32(msg, TLSGATE_A_ID, 7);
	tap_equal(parse(msg, &s), 0, "only the id is required");
	tap_ok(s.alert == -1, "no alert is -1");
	tap_ok(!s.label_len && !s.label[0], "no label is an empty one");
	tap_ok(!s.server.len, "no server: it is not delivered");
	tap_equal(parse(new_message(), &s), -EPROTO, "without an id it is refused");
}

static void test_malformed(void)
{
	static const struct {
		int attr, len;
		const char *what;
	} cases[] = {
		{ TLSGATE_A_TX_BYTES, 4, "u64 of 4 bytes" },
		{ TLSGATE_A_STATE, 2, "u8 of 2 bytes" },
		{ TLSGATE_A_REASON, 1, "u16 of 1 byte" },
		{ TLSGATE_A_ALERT, 4, "alert of 4 bytes" },
		{ TLSGATE_A_LABEL, TLSGATE_LABEL_MAX + 1, "label of 65 bytes" },
		{ TLSGATE_A_PEER, 1, "address of 1 byte" },
		{ TLSGATE_A_RELAY_PEER, sizeof(struct sockaddr_un) + 1, "address too long" },
	};
	uint8_t bytes[256] = { 0 };
	struct tlsgate_session s;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct nl_msg *msg = new_message();

		nla_put_u32(msg, TLSGATE_A_ID, 7);
		nla_put(msg, cases[i].attr, cases[i].len, bytes);
		tap_equal(parse(msg, &s), -EPROTO, "%s is refused", cases[i].what);
	}
}

static void test_newer_kernel(void)
{
	struct tlsgate_session s;
	struct nl_msg *msg = new_message();

	nla_put_u32(msg, TLSGATE_A_ID, 7);
	nla_put_u32(msg, TLSGATE_A_MAX + 1, 1);
	tap_equal(parse(msg, &s), 0, "an attribute of a newer module is skipped");
}

static void test_attr_names(void)
{
	struct nl_msg *msg = new_message();
	struct nlmsghdr *hdr = nlmsg_hdr(msg);
	struct nlattr *nest;
	size_t fd, tx, key;
	char text[64];

	fd = hdr->nlmsg_len;
	nla_put_u32(msg, TLSGATE_A_FD, 3);
	tx = hdr->nlmsg_len;
	nest = nla_nest_start(msg, TLSGATE_A_TX);
	nla_put_u64(msg, TLSGATE_KEYS_A_SEQ, 0);
	key = hdr->nlmsg_len;
	nla_put(msg, TLSGATE_KEYS_A_KEY, 16, "0123456789abcdef");
	nla_nest_end(msg, nest);
	hdr = nlmsg_hdr(msg);

	tgl_attr_path(hdr, fd, text, sizeof(text));
	tap_ok(strcmp(text, "fd") == 0, "the attribute at an offset is named: %s", text);
	tgl_attr_path(hdr, tx, text, sizeof(text));
	tap_ok(strcmp(text, "tx") == 0, "so is a nest: %s", text);
	tgl_attr_path(hdr, key, text, sizeof(text));
	tap_ok(strcmp(text, "tx.key") == 0, "so is what is in it: %s", text);
	tgl_attr_path(hdr, 100000, text, sizeof(text));
	tap_ok(!*text, "an offset outside names nothing");
	tgl_attr_missing(hdr, tx, TLSGATE_KEYS_A_SECRET, text, sizeof(text));
	tap_ok(strcmp(text, "tx.secret") == 0, "a missing key attribute is named: %s", text);
	tgl_attr_missing(hdr, 0, TLSGATE_A_RELAY_FD, text, sizeof(text));
	tap_ok(strcmp(text, "relay-fd") == 0, "and a missing one of the top level: %s", text);
	tgl_attr_missing(hdr, 0, 1000, text, sizeof(text));
	tap_ok(strcmp(text, "unknown attribute") == 0, "and one that nobody knows");
	nlmsg_free(msg);
}

int main(void)
{
	test_whole();
	test_absent();
	test_malformed();
	test_newer_kernel();
	test_attr_names();
	return tap_done();
}
