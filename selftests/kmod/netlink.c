// SPDX-License-Identifier: MIT
/* The netlink ABI: what is answered, what is refused and in which words. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

/* ---- sessions of every suite ------------------------------------------- */

FIXTURE(session)
{
	struct pair p;
	struct tg_info info;
	struct tg_info other;
};

FIXTURE_VARIANT(session)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(session)

FIXTURE_SETUP(session)
{
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(session)
{
	pair_free(&self->p);
}

static bool same_address(const struct tg_info *info, int attr, const void *addr, socklen_t len)
{
	const struct nlattr *a = info->attr[attr];
	const struct sockaddr_in6 *want6 = addr, *got6;

	if (!a || nla_len(a) != len)
		return false;
	got6 = nla_data(a);
	if (want6->sin6_family != AF_INET6)
		return !memcmp(nla_data(a), addr, len);
	return got6->sin6_family == AF_INET6 && got6->sin6_port == want6->sin6_port &&
	       !memcmp(&got6->sin6_addr, &want6->sin6_addr, 16);
}

TEST_F(session, get_reports)
{
	struct tg_info *i = &self->info;
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	uint64_t cookie;
	socklen_t cookie_len = sizeof(cookie);
	struct stat netns;

	ASSERT_NE(0, self->p.id);
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), i));
	EXPECT_EQ(self->p.id, tg_num(i, TLSGATE_A_ID));
	EXPECT_EQ(variant->version, tg_num(i, TLSGATE_A_VERSION));
	EXPECT_EQ(variant->suite, tg_num(i, TLSGATE_A_SUITE));
	EXPECT_TRUE(tg_has(i, TLSGATE_A_ROLE));
	EXPECT_EQ(TLSGATE_ROLE_SERVER, tg_num(i, TLSGATE_A_ROLE));
	EXPECT_EQ(TLSGATE_STATE_ESTABLISHED, tg_num(i, TLSGATE_A_STATE));
	EXPECT_TRUE(tg_has(i, TLSGATE_A_REASON));
	EXPECT_EQ(TLSGATE_REASON_NONE, tg_num(i, TLSGATE_A_REASON));
	EXPECT_FALSE(tg_has(i, TLSGATE_A_ALERT));
	EXPECT_EQ(0, getsockname(self->p.fd, (void *)&addr, &len));
	EXPECT_TRUE(same_address(i, TLSGATE_A_LOCAL, &addr, len));
	len = sizeof(addr);
	EXPECT_EQ(0, getpeername(self->p.fd, (void *)&addr, &len));
	EXPECT_TRUE(same_address(i, TLSGATE_A_PEER, &addr, len));
	EXPECT_FALSE(tg_has(i, TLSGATE_A_RELAY_PEER));
	EXPECT_TRUE(tg_has(i, TLSGATE_A_LABEL));
	EXPECT_TRUE(tg_has(i, TLSGATE_A_UID));
	EXPECT_EQ(getuid(), tg_num(i, TLSGATE_A_UID));
	EXPECT_LT(tg_num(i, TLSGATE_A_AGE), NET_DEADLINE);
	EXPECT_TRUE(tg_has(i, TLSGATE_A_AGE));
	EXPECT_EQ(0, getsockopt(self->p.fd, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_len));
	EXPECT_EQ(cookie, tg_num(i, TLSGATE_A_COOKIE));
	EXPECT_EQ(0, stat("/proc/self/ns/net", &netns));
	EXPECT_EQ(netns.st_ino, tg_num(i, TLSGATE_A_NETNS));
}

TEST_F(session, get_counts)
{
	static const int counters[] = {
		TLSGATE_A_TX_BYTES, TLSGATE_A_RX_BYTES, TLSGATE_A_TX_RECORDS, TLSGATE_A_RX_RECORDS,
		TLSGATE_A_TX_EPOCH, TLSGATE_A_RX_EPOCH,
	};
	struct tg_info *i = &self->info;
	char buf[1000] = "counted";

	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), i));
	for (int n = 0; n < 6; n++) {
		EXPECT_TRUE(tg_has(i, counters[n]));
		EXPECT_EQ(0, tg_num(i, counters[n]));
	}
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, buf, 300));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, buf, 700));
	ASSERT_EQ(0, net_read(self->p.fd, buf, 1000));
	ASSERT_EQ(500, send(self->p.fd, buf, 500, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, buf, 500));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), i));
	EXPECT_EQ(500, tg_num(i, TLSGATE_A_TX_BYTES));
	EXPECT_EQ(1000, tg_num(i, TLSGATE_A_RX_BYTES));
	EXPECT_EQ(1, tg_num(i, TLSGATE_A_TX_RECORDS));
	EXPECT_EQ(2, tg_num(i, TLSGATE_A_RX_RECORDS));
}

TEST_F(session, get_by_id_fd_and_dump_agree)
{
	int count;

	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(self->p.id, tg_num(&self->info, TLSGATE_A_ID));
	ASSERT_EQ(0, tg_session_dump(self->p.tg, self->p.id, &self->other, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(self->p.id, tg_num(&self->other, TLSGATE_A_ID));
	for (int a = TLSGATE_A_ID; a <= TLSGATE_A_COOKIE; a++) {
		if (a == TLSGATE_A_AGE || a == TLSGATE_A_IDLE)
			continue;
		EXPECT_EQ(tg_has(&self->info, a), tg_has(&self->other, a));
		EXPECT_EQ(tg_num(&self->info, a), tg_num(&self->other, a));
	}
}

static bool holds(const struct tg *tg, const struct ref_keys *k)
{
	return memmem(tg->raw, tg->raw_len, k->key, k->suite->key_len) ||
	       (k->suite->iv_len == 12 && memmem(tg->raw, tg->raw_len, k->iv, 12)) ||
	       (k->suite->secret_len &&
		memmem(tg->raw, tg->raw_len, k->secret, k->suite->secret_len));
}

static bool leaks(const struct pair *p)
{
	return holds(p->tg, &p->tx) || holds(p->tg, &p->rx);
}

TEST_F(session, keys_are_write_only)
{
	struct pair *p = &self->p;

	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_FALSE(leaks(p));
	EXPECT_FALSE(tg_has(&self->info, TLSGATE_A_TX));
	EXPECT_FALSE(tg_has(&self->info, TLSGATE_A_RX));
	ASSERT_EQ(0, tg_session_dump(p->tg, 0, NULL, NULL));
	EXPECT_FALSE(leaks(p));
	ASSERT_EQ(0, tg_session_get(p->tg, BY_ID(p->id), &self->info));
	EXPECT_FALSE(leaks(p));
	/* A refusal echoes the request: its keys were wiped before. */
	EXPECT_EQ(-EEXIST, pair_install(p));
	EXPECT_GT(p->tg->raw_len, 36);
	EXPECT_FALSE(leaks(p));
}

/* ---- refusals ---------------------------------------------------------- */

FIXTURE(refused)
{
	struct pair p;
	struct tg_info info;
};

FIXTURE_VARIANT(refused)
{
	uint16_t version, suite;
};

FIXTURE_VARIANT_ADD(refused, v12_aes128) { .version = 0x0303, .suite = 0xc02f };
FIXTURE_VARIANT_ADD(refused, v13_aes128) { .version = 0x0304, .suite = 0x1301 };

FIXTURE_SETUP(refused)
{
	ASSERT_TRUE(pair_connect(&self->p, variant->version, variant->suite, AF_INET));
}

FIXTURE_TEARDOWN(refused)
{
	pair_free(&self->p);
}

/* A refused install leaves a plain TCP socket that works. */
static bool still_plain(struct pair *p)
{
	char c = 0;

	return send(p->fd, "p", 1, 0) == 1 && !net_read(p->peer.fd, &c, 1) && c == 'p' &&
	       send(p->peer.fd, "q", 1, 0) == 1 && !net_read(p->fd, &c, 1) && c == 'q';
}

struct refusal {
	const char *what;
	struct tg_edit edit;
	int error;		/* expected */
	int other;		/* as good, 0: none */
	uint16_t only;		/* version this is about, 0: both */
};

static const uint8_t zeros[TLSGATE_RX_PENDING_MAX + 1];

#define OMIT(p, a)	{ TG_OMIT, p, a, NULL, 0 }
#define LENGTH(p, a, n)	{ TG_REPLACE, p, a, zeros, n }
#define ADD(p, a, n)	{ TG_APPEND, p, a, zeros, n }
#define U8(a, v)	{ TG_REPLACE, 0, a, &(const uint8_t){ v }, 1 }
#define U16(a, v)	{ TG_REPLACE, 0, a, &(const uint16_t){ v }, 2 }
#define ADD16(a, v)	{ TG_APPEND, 0, a, &(const uint16_t){ v }, 2 }
#define ADD32(a, v)	{ TG_APPEND, 0, a, &(const uint32_t){ v }, 4 }

static const struct refusal missing[] = {
	{ "fd", OMIT(0, TLSGATE_A_FD), EINVAL },
	{ "version", OMIT(0, TLSGATE_A_VERSION), EINVAL },
	{ "suite", OMIT(0, TLSGATE_A_SUITE), EINVAL },
	{ "role", OMIT(0, TLSGATE_A_ROLE), EINVAL },
	{ "tx", OMIT(0, TLSGATE_A_TX), EINVAL },
	{ "rx", OMIT(0, TLSGATE_A_RX), EINVAL },
	{ "tx key", OMIT(TLSGATE_A_TX, TLSGATE_KEYS_A_KEY), EINVAL },
	{ "tx iv", OMIT(TLSGATE_A_TX, TLSGATE_KEYS_A_IV), EINVAL },
	{ "tx seq", OMIT(TLSGATE_A_TX, TLSGATE_KEYS_A_SEQ), EINVAL },
	{ "tx secret", OMIT(TLSGATE_A_TX, TLSGATE_KEYS_A_SECRET), EINVAL, 0, 0x0304 },
	{ "rx key", OMIT(TLSGATE_A_RX, TLSGATE_KEYS_A_KEY), EINVAL },
	{ "rx iv", OMIT(TLSGATE_A_RX, TLSGATE_KEYS_A_IV), EINVAL },
	{ "rx seq", OMIT(TLSGATE_A_RX, TLSGATE_KEYS_A_SEQ), EINVAL },
	{ "rx secret", OMIT(TLSGATE_A_RX, TLSGATE_KEYS_A_SECRET), EINVAL, 0, 0x0304 },
};

static const struct refusal lengths[] = {
	{ "fd of 2", LENGTH(0, TLSGATE_A_FD, 2), EINVAL, ERANGE },
	{ "version of 4", LENGTH(0, TLSGATE_A_VERSION, 4), EINVAL, ERANGE },
	{ "suite of 1", LENGTH(0, TLSGATE_A_SUITE, 1), EINVAL, ERANGE },
	{ "role of 4", LENGTH(0, TLSGATE_A_ROLE, 4), EINVAL, ERANGE },
	{ "tx empty", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_KEY, 0), EINVAL, ERANGE },
	{ "tx key of 15", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_KEY, 15), EINVAL, ERANGE },
	{ "tx key of 17", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_KEY, 17), EINVAL, ERANGE },
	{ "tx key of 32", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_KEY, 32), EINVAL, ERANGE },
	{ "tx key of 33", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_KEY, 33), EINVAL, ERANGE },
	{ "rx key of 24", LENGTH(TLSGATE_A_RX, TLSGATE_KEYS_A_KEY, 24), EINVAL, ERANGE },
	{ "tx iv of 3", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_IV, 3), EINVAL, ERANGE },
	{ "tx iv of 8", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_IV, 8), EINVAL, ERANGE },
	{ "tx iv of 13", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_IV, 13), EINVAL, ERANGE },
	{ "rx iv of 0", LENGTH(TLSGATE_A_RX, TLSGATE_KEYS_A_IV, 0), EINVAL, ERANGE },
	{ "tx iv as in the other version", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_IV, 12),
	  EINVAL, ERANGE, 0x0303 },
	{ "tx iv as in the other version", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_IV, 4),
	  EINVAL, ERANGE, 0x0304 },
	{ "tx seq of 4", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_SEQ, 4), EINVAL, ERANGE },
	{ "rx seq of 12", LENGTH(TLSGATE_A_RX, TLSGATE_KEYS_A_SEQ, 12), EINVAL, ERANGE },
	{ "tx secret of 31", LENGTH(TLSGATE_A_TX, TLSGATE_KEYS_A_SECRET, 31),
	  EINVAL, ERANGE, 0x0304 },
	{ "rx secret of 48", LENGTH(TLSGATE_A_RX, TLSGATE_KEYS_A_SECRET, 48),
	  EINVAL, ERANGE, 0x0304 },
	{ "rx secret of 49", LENGTH(TLSGATE_A_RX, TLSGATE_KEYS_A_SECRET, 49),
	  EINVAL, ERANGE, 0x0304 },
	{ "rx pending too large", ADD(0, TLSGATE_A_RX_PENDING, TLSGATE_RX_PENDING_MAX + 1),
	  EINVAL, ERANGE },
	{ "label of 65", ADD(0, TLSGATE_A_LABEL, TLSGATE_LABEL_MAX + 1), EINVAL, ERANGE },
};

static const struct refusal ranges[] = {
	{ "TLS 1.1", U16(TLSGATE_A_VERSION, 0x0302), EINVAL, ERANGE },
	{ "TLS 1.4", U16(TLSGATE_A_VERSION, 0x0305), EINVAL, ERANGE },
	{ "suite 0", U16(TLSGATE_A_SUITE, 0), EOPNOTSUPP, EINVAL },
	{ "a CBC suite", U16(TLSGATE_A_SUITE, 0xc013), EOPNOTSUPP, EINVAL },
	{ "a TLS 1.3 suite", U16(TLSGATE_A_SUITE, 0x1301), EOPNOTSUPP, EINVAL, 0x0303 },
	{ "a TLS 1.2 suite", U16(TLSGATE_A_SUITE, 0xc02f), EOPNOTSUPP, EINVAL, 0x0304 },
	{ "role 2", U8(TLSGATE_A_ROLE, 2), EINVAL, ERANGE },
	{ "record size 62", ADD16(TLSGATE_A_RECORD_SIZE, 62), EINVAL, ERANGE },
	{ "record size 16385", ADD16(TLSGATE_A_RECORD_SIZE, 16385), EINVAL, ERANGE },
	{ "padding 4097", ADD16(TLSGATE_A_PADDING, 4097), EINVAL, ERANGE },
	{ "idle timeout over a day", ADD32(TLSGATE_A_IDLE_TIMEOUT, TLSGATE_IDLE_TIMEOUT_MAX + 1),
	  EINVAL, ERANGE },
};

static const struct refusal unknown[] = {
	{ "attribute behind the last", ADD(0, TLSGATE_A_MAX + 1, 4), EINVAL },
	{ "attribute 0", ADD(0, TLSGATE_A_UNSPEC, 4), EINVAL },
	{ "reported attribute", ADD(0, TLSGATE_A_STATE, 1), EINVAL },
	{ "id", ADD(0, TLSGATE_A_ID, 4), EINVAL },
	{ "tx attribute behind the last", ADD(TLSGATE_A_TX, TLSGATE_KEYS_A_MAX + 1, 4), EINVAL },
	{ "rx attribute behind the last", ADD(TLSGATE_A_RX, TLSGATE_KEYS_A_MAX + 1, 4), EINVAL },
	{ "tx secret", ADD(TLSGATE_A_TX, TLSGATE_KEYS_A_SECRET, 32), EINVAL, 0, 0x0303 },
};

static void run_refusals(struct __test_metadata *_metadata, struct pair *p,
			 const struct refusal *row, size_t n)
{
	struct tg_install in = tg_install_on(p->fd, &p->tx, &p->rx);
	const struct refusal *end = row + n;
	int count = -1;

	for (; row < end; row++) {
		int err;

		if (row->only && row->only != p->suite->version)
			continue;
		err = -tg_call(p->tg, tg_install_msg(p->tg, &in, &row->edit), NULL, NULL);
		EXPECT_TRUE(err == row->error || (row->other && err == row->other)) {
			TH_LOG("%s: got errno %d, want %d", row->what, err, row->error);
		}
		EXPECT_TRUE(tg_names(p->tg, row->edit.parent, row->edit.attr)) {
			TH_LOG("%s: the ack does not name it: '%s' at %d/%d missing %d", row->what,
			       p->tg->ack.msg, p->tg->ack.at_parent, p->tg->ack.at,
			       p->tg->ack.missing);
		}
		EXPECT_TRUE(still_plain(p)) {
			TH_LOG("%s: the refused install changed the socket", row->what);
		}
	}
	EXPECT_EQ(0, tg_session_dump(p->tg, 0, NULL, &count));
	EXPECT_EQ(0, count);
	/* It was the edit that was refused, not the rest. */
	EXPECT_EQ(0, pair_install(p)) TH_LOG("%s", p->tg->ack.msg);
}

#define RUN(table)	run_refusals(_metadata, &self->p, table, sizeof(table) / sizeof(*table))

TEST_F(refused, missing_attribute)
{
	RUN(missing);
}

TEST_F(refused, wrong_length)
{
	RUN(lengths);
}

TEST_F(refused, out_of_range)
{
	RUN(ranges);
}

TEST_F(refused, unknown_attribute)
{
	RUN(unknown);
}

/* Of an attribute that is there twice the last one counts, whatever the first one said. */
TEST_F(refused, twice)
{
	static const struct {
		const char *what;
		int attr, width;
		uint32_t bad;
	} rows[] = {
		{ "fd", TLSGATE_A_FD, 4, 999 },
		{ "version", TLSGATE_A_VERSION, 2, 0x0302 },
		{ "suite", TLSGATE_A_SUITE, 2, 1 },
		{ "role", TLSGATE_A_ROLE, 1, 2 },
	};
	struct pair *p = &self->p;
	struct tg_install in = tg_install_on(p->fd, &p->tx, &p->rx);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct tg_edit last = { TG_APPEND, 0, rows[i].attr,
					tg_of_width(&rows[i].bad, rows[i].width), rows[i].width };

		EXPECT_NE(0, tg_call(p->tg, tg_install_msg(p->tg, &in, &last), NULL, NULL))
			TH_LOG("%s", rows[i].what);
		EXPECT_TRUE(tg_names(p->tg, 0, rows[i].attr))
			TH_LOG("%s: '%s'", rows[i].what, p->tg->ack.msg);
		EXPECT_TRUE(still_plain(p)) TH_LOG("%s", rows[i].what);
	}
	struct tg_edit same = { TG_APPEND, 0, TLSGATE_A_FD, &p->fd, 4 };

	EXPECT_EQ(0, tg_call(p->tg, tg_install_msg(p->tg, &in, &same), NULL, NULL))
		TH_LOG("%s", p->tg->ack.msg);
}

/* An attribute where it does not belong, in a shape that is not its own. */
struct shape {
	const char *what;
	int omit;		/* attribute of SESSION_NEW that this stands for */
	int type;		/* with its flags */
	int inner, claim;	/* an attribute within: type, and the length it claims */
	size_t len;		/* bytes in all */
};

static const struct shape shapes[] = {
	{ "tx without the flag of a nest", TLSGATE_A_TX, TLSGATE_A_TX,
	  TLSGATE_KEYS_A_KEY, 20, 20 },
	{ "tx empty", TLSGATE_A_TX, TLSGATE_A_TX | NLA_F_NESTED, 0, 0, 0 },
	{ "tx of less than a header", TLSGATE_A_TX, TLSGATE_A_TX | NLA_F_NESTED,
	  TLSGATE_KEYS_A_KEY, 4, 3 },
	{ "a key longer than its nest", TLSGATE_A_TX, TLSGATE_A_TX | NLA_F_NESTED,
	  TLSGATE_KEYS_A_KEY, 400, 20 },
	{ "a key shorter than its header", TLSGATE_A_RX, TLSGATE_A_RX | NLA_F_NESTED,
	  TLSGATE_KEYS_A_KEY, 3, 20 },
	{ "a nest within the nest", TLSGATE_A_RX, TLSGATE_A_RX | NLA_F_NESTED,
	  TLSGATE_A_RX | NLA_F_NESTED, 24, 24 },
	{ "a key that is a nest", TLSGATE_A_RX, TLSGATE_A_RX | NLA_F_NESTED,
	  TLSGATE_KEYS_A_KEY | NLA_F_NESTED, 20, 20 },
	{ "a version that is a nest", TLSGATE_A_VERSION, TLSGATE_A_VERSION | NLA_F_NESTED, 0, 0, 2 },
	{ "a version in network order", TLSGATE_A_VERSION,
	  TLSGATE_A_VERSION | NLA_F_NET_BYTEORDER, 0, 0, 2 },
};

TEST_F(refused, nested_wrongly)
{
	struct pair *p = &self->p;
	struct tg_install in = tg_install_on(p->fd, &p->tx, &p->rx);

	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		const struct shape *s = &shapes[i];
		struct tg_edit omit = { TG_OMIT, 0, s->omit };
		struct nl_msg *msg = tg_install_msg(p->tg, &in, &omit);
		struct nlattr inner = { .nla_len = s->claim, .nla_type = s->inner };
		uint8_t body[64] = { 0 };
		int err;

		memcpy(body, &inner, sizeof(inner));
		ASSERT_EQ(0, nla_put(msg, s->type, s->len, body));
		err = tg_call(p->tg, msg, NULL, NULL);
		EXPECT_TRUE(err == -EINVAL || err == -ERANGE) TH_LOG("%s: %d", s->what, err);
		EXPECT_TRUE(p->tg->ack.msg[0] || p->tg->ack.missing >= 0) TH_LOG("%s", s->what);
		EXPECT_TRUE(still_plain(p)) TH_LOG("%s", s->what);
	}
	EXPECT_EQ(0, pair_install(p)) TH_LOG("%s", p->tg->ack.msg);
}

TEST_F(refused, largest_values_are_taken)
{
	struct pair *p = &self->p;
	struct tg_install in = tg_install_on(p->fd, &p->tx, &p->rx);

	in.record_size = TLSGATE_RECORD_SIZE_MAX;
	in.padding = variant->version == 0x0304 ? TLSGATE_PADDING_MAX : -1;
	in.role = TLSGATE_ROLE_CLIENT;
	ASSERT_EQ(0, tg_session_new(p->tg, &in, &p->id)) TH_LOG("%s", p->tg->ack.msg);
	ASSERT_EQ(0, tg_session_get(p->tg, BY_ID(p->id), &self->info));
	EXPECT_EQ(TLSGATE_RECORD_SIZE_MAX, tg_num(&self->info, TLSGATE_A_RECORD_SIZE));
	EXPECT_TRUE(tg_has(&self->info, TLSGATE_A_ROLE));
	EXPECT_EQ(TLSGATE_ROLE_CLIENT, tg_num(&self->info, TLSGATE_A_ROLE));
	if (in.padding >= 0)
		EXPECT_EQ(TLSGATE_PADDING_MAX, tg_num(&self->info, TLSGATE_A_PADDING));
}

static bool has_label(const struct tg_info *info, const void *label, int len)
{
	const struct nlattr *a = info->attr[TLSGATE_A_LABEL];

	return a && nla_len(a) == len && !memcmp(nla_data(a), label, len);
}

/* Any bytes: nothing in the kernel reads them. */
TEST_F(refused, label_of_any_bytes_is_reported)
{
	struct pair *p = &self->p;
	uint8_t label[TLSGATE_LABEL_MAX] = { 0, 0xff, '\n', 'a' };
	int count;

	label[sizeof(label) - 1] = 'z';
	ASSERT_EQ(0, pair_install_as(p, label, sizeof(label))) TH_LOG("%s", p->tg->ack.msg);
	ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
	EXPECT_TRUE(has_label(&self->info, label, sizeof(label)));
	ASSERT_EQ(0, tg_session_dump(p->tg, p->id, &self->info, &count));
	EXPECT_TRUE(has_label(&self->info, label, sizeof(label)));
	EXPECT_EQ(-EINVAL, tg_session_set(p->tg, BY_ID(p->id), TLSGATE_A_LABEL, 1, 4));
	EXPECT_TRUE(tg_names(p->tg, 0, TLSGATE_A_LABEL));
}

TEST_F(refused, label_is_empty_without_one)
{
	ASSERT_EQ(0, pair_install_as(&self->p, "", 0));
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_TRUE(has_label(&self->info, "", 0));
}

/* ---- one session, the other commands ----------------------------------- */

FIXTURE(command)
{
	struct pair p;
	struct tg_info info;
};

FIXTURE_SETUP(command)
{
	ASSERT_TRUE(pair_start(&self->p, 0x0304, 0x1301, AF_INET));
}

FIXTURE_TEARDOWN(command)
{
	pair_free(&self->p);
}

TEST_F(command, ids_are_distinct)
{
	struct pair other;
	int count;

	ASSERT_TRUE(pair_start(&other, 0x0303, 0xc02f, AF_INET));
	EXPECT_NE(self->p.id, other.id);
	EXPECT_EQ(0, tg_session_dump(self->p.tg, other.id, &self->info, &count));
	EXPECT_EQ(2, count);
	EXPECT_EQ(other.id, tg_num(&self->info, TLSGATE_A_ID));
	EXPECT_EQ(0xc02f, tg_num(&self->info, TLSGATE_A_SUITE));
	pair_free(&other);
}

static const uint8_t about_session[] = {
	TLSGATE_CMD_SESSION_GET, TLSGATE_CMD_SESSION_SET, TLSGATE_CMD_SESSION_REKEY,
	TLSGATE_CMD_SESSION_DEL,
};

/* The command with these attributes and nothing else. */
static int bare(struct tg *tg, int cmd, const uint32_t *id, const uint32_t *fd)
{
	struct nl_msg *msg = tg_msg(tg, cmd, 0);

	if (id)
		nla_put_u32(msg, TLSGATE_A_ID, *id);
	if (fd)
		nla_put_u32(msg, TLSGATE_A_FD, *fd);
	return tg_call(tg, msg, NULL, NULL);
}

TEST_F(command, who_is_checked)
{
	uint32_t id = self->p.id, fd = self->p.fd, plain = self->p.peer.fd;
	uint32_t no_id = id + 1000, closed = 1000, zero = 0;
	struct tg *tg = self->p.tg;

	for (size_t i = 0; i < sizeof(about_session); i++) {
		int cmd = about_session[i];

		EXPECT_EQ(-EINVAL, bare(tg, cmd, NULL, NULL)) TH_LOG("command %d, nobody", cmd);
		EXPECT_EQ(-EINVAL, bare(tg, cmd, &id, &fd)) TH_LOG("command %d, both", cmd);
		EXPECT_EQ(-ENOENT, bare(tg, cmd, &no_id, NULL)) TH_LOG("command %d, no id", cmd);
		EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_ID)) TH_LOG("'%s'", tg->ack.msg);
		EXPECT_NE(0, bare(tg, cmd, &zero, NULL)) TH_LOG("command %d, id 0", cmd);
		EXPECT_EQ(-EBADF, bare(tg, cmd, NULL, &closed)) TH_LOG("command %d, closed", cmd);
		EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_FD)) TH_LOG("'%s'", tg->ack.msg);
		EXPECT_EQ(-ENOENT, bare(tg, cmd, NULL, &plain)) TH_LOG("command %d, plain", cmd);
		EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_FD)) TH_LOG("'%s'", tg->ack.msg);
	}
	EXPECT_EQ(0, tg_session_get(tg, BY_ID(id), &self->info));
	EXPECT_EQ(TLSGATE_STATE_ESTABLISHED, tg_num(&self->info, TLSGATE_A_STATE));
}

TEST_F(command, events_are_no_requests)
{
	for (int cmd = TLSGATE_CMD_NTF_SESSION_OPENED; cmd <= TLSGATE_CMD_MAX + 1; cmd++)
		EXPECT_EQ(-EOPNOTSUPP, bare(self->p.tg, cmd, &self->p.id, NULL));
	EXPECT_EQ(-EOPNOTSUPP, bare(self->p.tg, TLSGATE_CMD_UNSPEC, &self->p.id, NULL));
}

TEST_F(command, set_ranges)
{
	struct tg_who me = BY_FD(self->p.fd);
	struct tg *tg = self->p.tg;
	static const struct { int attr, width; uint32_t value; bool good; } rows[] = {
		{ TLSGATE_A_RECORD_SIZE, 2, 62, false }, { TLSGATE_A_RECORD_SIZE, 2, 63, true },
		{ TLSGATE_A_RECORD_SIZE, 2, 16385, false }, { TLSGATE_A_RECORD_SIZE, 2, 16384, true },
		{ TLSGATE_A_RECORD_SIZE, 4, 64, false }, { TLSGATE_A_RECORD_SIZE, 2, 1, false },
		{ TLSGATE_A_PADDING, 2, 4097, false }, { TLSGATE_A_PADDING, 2, 4096, true },
		{ TLSGATE_A_PADDING, 2, 65535, false }, { TLSGATE_A_PADDING, 2, 1, true },
		{ TLSGATE_A_PADDING, 2, 0, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int err = tg_session_set(tg, me, rows[i].attr, rows[i].value, rows[i].width);

		if (rows[i].good) {
			EXPECT_EQ(0, err) TH_LOG("%d=%u", rows[i].attr, rows[i].value);
			ASSERT_EQ(0, tg_session_get(tg, me, &self->info));
			EXPECT_EQ(rows[i].value, tg_num(&self->info, rows[i].attr));
		} else {
			EXPECT_TRUE(err == -EINVAL || err == -ERANGE)
				TH_LOG("%d=%u: %d", rows[i].attr, rows[i].value, err);
			EXPECT_TRUE(tg_names(tg, 0, rows[i].attr)) TH_LOG("'%s'", tg->ack.msg);
		}
	}
	/* 0 is the protocol's maximum. */
	EXPECT_EQ(0, tg_session_set(tg, me, TLSGATE_A_RECORD_SIZE, 0, 2));
	EXPECT_EQ(0, tg_session_get(tg, me, &self->info));
	EXPECT_EQ(TLSGATE_RECORD_SIZE_MAX, tg_num(&self->info, TLSGATE_A_RECORD_SIZE));
	/* Without a relay there is nothing that could idle. */
	EXPECT_NE(0, tg_session_set(tg, me, TLSGATE_A_IDLE_TIMEOUT, 1000, 4));
	EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_IDLE_TIMEOUT)) TH_LOG("'%s'", tg->ack.msg);
}

TEST_F(command, set_takes_effect)
{
	struct tg_who me = BY_ID(self->p.id);
	struct peer *peer = &self->p.peer;
	uint8_t buf[1000] = { 0 }, type;

	ASSERT_EQ(0, tg_session_set(self->p.tg, me, TLSGATE_A_RECORD_SIZE, 63, 2));
	ASSERT_EQ(100, send(self->p.fd, buf, 100, 0));
	EXPECT_EQ(63, peer_recv(peer, &type, buf, sizeof(buf)));
	EXPECT_EQ(37, peer_recv(peer, &type, buf, sizeof(buf)));
	ASSERT_EQ(0, tg_session_set(self->p.tg, me, TLSGATE_A_RECORD_SIZE, 0, 2));
	ASSERT_EQ(0, tg_session_set(self->p.tg, me, TLSGATE_A_PADDING, 256, 2));
	ASSERT_EQ(10, send(self->p.fd, buf, 10, 0));
	EXPECT_EQ(10, peer_recv(peer, &type, buf, sizeof(buf)));
	/* The content, with its type or without it, is a multiple. */
	EXPECT_TRUE(peer->last_extra == 246 || peer->last_extra == 247)
		TH_LOG("extra %zu", peer->last_extra);
}

/* The owner was not asked: neither side may take it for the end of the data. */
TEST_F(command, del_sends_a_fatal_alert)
{
	char c;

	ASSERT_EQ(0, tg_session_del(self->p.tg, BY_ID(self->p.id), -1));
	EXPECT_TRUE(peer_expect_alert(&self->p.peer, TLS_INTERNAL_ERROR));
	EXPECT_EQ(PEER_EOF, peer_drain(&self->p.peer));
	EXPECT_EQ(-1, send(self->p.fd, "x", 1, MSG_NOSIGNAL));
	EXPECT_EQ(ECONNABORTED, errno);
	EXPECT_EQ(-1, recv(self->p.fd, &c, 1, 0));
	EXPECT_EQ(ECONNABORTED, errno);
	EXPECT_EQ(-ENOTCONN, tg_session_del(self->p.tg, BY_ID(self->p.id), -1));
}

TEST_F(command, del_by_fd_resets)
{
	char c;

	ASSERT_EQ(0, tg_session_del(self->p.tg, BY_FD(self->p.fd), TLSGATE_CLOSE_RESET));
	EXPECT_EQ(PEER_RESET, peer_drain(&self->p.peer));
	EXPECT_GE(0, recv(self->p.fd, &c, 1, 0));
	EXPECT_EQ(-1, send(self->p.fd, "x", 1, MSG_NOSIGNAL));
}

TEST_F(command, del_how_range)
{
	int err = tg_session_del(self->p.tg, BY_FD(self->p.fd), 2);

	EXPECT_TRUE(err == -EINVAL || err == -ERANGE);
	EXPECT_TRUE(tg_names(self->p.tg, 0, TLSGATE_A_HOW)) TH_LOG("'%s'", self->p.tg->ack.msg);
	EXPECT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(TLSGATE_STATE_ESTABLISHED, tg_num(&self->info, TLSGATE_A_STATE));
}

TEST_F(command, closed_socket_is_gone)
{
	int count;

	close(self->p.fd);
	self->p.fd = -1;
	EXPECT_EQ(-ENOENT, tg_session_get(self->p.tg, BY_ID(self->p.id), &self->info));
	EXPECT_EQ(0, tg_session_dump(self->p.tg, 0, NULL, &count));
	EXPECT_EQ(0, count);
}

/* ---- ciphers ----------------------------------------------------------- */

struct ciphers {
	int count;
	int served;		/* of those the variants use */
	int wrong;
};

static void take_cipher(const struct tg_info *i, void *arg)
{
	struct ciphers *c = arg;
	const struct ref_suite *s = ref_suite(tg_num(i, TLSGATE_A_VERSION),
					      tg_num(i, TLSGATE_A_SUITE));

	c->count++;
	if (!tg_has(i, TLSGATE_A_CIPHER_NAME) || tg_num(i, TLSGATE_A_TAG_LEN) != REF_TAG)
		c->wrong++;
	if (!s)
		return;
	if (strcmp(nla_get_string(i->attr[TLSGATE_A_CIPHER_NAME]), s->name) ||
	    tg_num(i, TLSGATE_A_KEY_LEN) != s->key_len ||
	    tg_num(i, TLSGATE_A_IV_LEN) != s->iv_len ||
	    tg_num(i, TLSGATE_A_SECRET_LEN) != s->secret_len)
		c->wrong++;
	if (tg_has(i, TLSGATE_A_DRIVER) && nla_len(i->attr[TLSGATE_A_DRIVER]) > 1)
		c->served++;
}

TEST(cipher_get_lists_suites_and_drivers)
{
	struct tg *tg = tg_open();
	struct ciphers c = { 0 };

	ASSERT_NE(NULL, tg);
	ASSERT_EQ(0, tg_call(tg, tg_msg(tg, TLSGATE_CMD_CIPHER_GET, NLM_F_DUMP), take_cipher, &c));
	EXPECT_EQ(0, c.wrong);
	EXPECT_GE(c.count, 6);
	EXPECT_GE(c.served, 6);
	tg_close(tg);
}

/* It takes no attribute, so that one may mean something later. */
TEST(cipher_get_refuses_attributes)
{
	struct tg *tg = tg_open();
	struct nl_msg *msg;

	ASSERT_NE(NULL, tg);
	msg = tg_msg(tg, TLSGATE_CMD_CIPHER_GET, NLM_F_DUMP);
	nla_put_u16(msg, TLSGATE_A_SUITE, 0x1301);
	EXPECT_EQ(-EINVAL, tg_call(tg, msg, NULL, NULL));
	EXPECT_TRUE(tg_names(tg, 0, TLSGATE_A_SUITE)) TH_LOG("'%s'", tg->ack.msg);
	tg_close(tg);
}

TEST_HARNESS_MAIN
