// SPDX-License-Identifier: MIT
/* A peer that sends what no sane peer sends: headers, types, alerts, floods. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

FIXTURE(hostile)
{
	struct pair p;
	struct tg_info info;
	uint8_t data[REF_RECORD_MAX], got[REF_RECORD_MAX];
};

FIXTURE_VARIANT(hostile)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(hostile)

FIXTURE_SETUP(hostile)
{
	pat_fill(self->data, 0, sizeof(self->data), 1);
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
}

FIXTURE_TEARDOWN(hostile)
{
	pair_free(&self->p);
}

/*
 * The session has ended: reading fails and goes on failing, never gives 0 or a
 * byte; the peer gets this alert, sealed, and then the end of the stream.
 */
static void expect_failed(struct __test_metadata *_metadata, struct pair *p, int alert,
			  const char *what)
{
	uint8_t data[REF_PLAINTEXT], type = 0;
	ssize_t n;
	char c;

	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(-1, recv(p->fd, &c, 1, 0)) TH_LOG("%s", what);
		EXPECT_NE(EAGAIN, errno) TH_LOG("%s", what);
	}
	EXPECT_EQ(-1, send(p->fd, "plaintext", 9, MSG_NOSIGNAL)) TH_LOG("%s", what);
	n = peer_recv(&p->peer, &type, data, sizeof(data));
	EXPECT_EQ(2, n) TH_LOG("%s", what);
	EXPECT_EQ(REF_ALERT, type) TH_LOG("%s", what);
	EXPECT_EQ(2, data[0]) TH_LOG("%s", what);
	EXPECT_EQ(alert, data[1]) TH_LOG("%s", what);
	n = peer_drain(&p->peer);
	EXPECT_TRUE(n == PEER_EOF || n == PEER_RESET) TH_LOG("%s: %zd", what, n);
}

/* ---- headers ----------------------------------------------------------- */

static size_t overhead(const struct ref_suite *s)
{
	return REF_TAG + (s->iv_len == 4 ? 8 : 0) + (s->secret_len ? 1 : 0);
}

/* One for each version: 0: the row is not for it. */
struct header {
	const char *what;
	uint8_t bytes[REF_HEADER];
	int alert12, alert13;
};

#define BOTH(alert)	(alert), (alert)

static const struct header headers[] = {
	/* RFC 5246 section 6.2.3, RFC 9846 section 5.2: at most 2^14 + 2048, 2^14 + 256 */
	{ "length 65535", { 23, 3, 3, 0xff, 0xff }, BOTH(TLS_RECORD_OVERFLOW) },
	{ "length 16384+257", { 23, 3, 3, 0x41, 0x01 }, 0, TLS_RECORD_OVERFLOW },
	{ "length 16384+2049", { 23, 3, 3, 0x48, 0x01 }, TLS_RECORD_OVERFLOW, 0 },
	/* RFC 5246 section 6.2.3.3, RFC 9846 section 5.2: without a whole tag it cannot open */
	{ "length 0", { 23, 3, 3, 0, 0 }, BOTH(TLS_BAD_RECORD_MAC) },
	{ "length 1", { 23, 3, 3, 0, 1 }, BOTH(TLS_BAD_RECORD_MAC) },
	{ "length of less than a tag", { 23, 3, 3, 0, 15 }, BOTH(TLS_BAD_RECORD_MAC) },
	/* RFC 5246 section 7.2.2; RFC 9846 section 5.1: ignored, so these are but forged */
	{ "version 3.1", { 23, 3, 1, 0, 100 }, TLS_PROTOCOL_VERSION, TLS_BAD_RECORD_MAC },
	{ "version 3.4", { 23, 3, 4, 0, 100 }, TLS_PROTOCOL_VERSION, TLS_BAD_RECORD_MAC },
	{ "version 2.0", { 23, 2, 0, 0, 100 }, TLS_PROTOCOL_VERSION, TLS_BAD_RECORD_MAC },
	/* RFC 5246 section 6, RFC 9846 section 5: a type that is unknown or has no place */
	{ "type 0", { 0, 3, 3, 0, 100 }, BOTH(TLS_UNEXPECTED_MESSAGE) },
	{ "type 19", { 19, 3, 3, 0, 100 }, BOTH(TLS_UNEXPECTED_MESSAGE) },
	{ "type 24", { 24, 3, 3, 0, 100 }, BOTH(TLS_UNEXPECTED_MESSAGE) },
	{ "type 255", { 255, 3, 3, 0, 100 }, BOTH(TLS_UNEXPECTED_MESSAGE) },
	{ "change_cipher_spec", { 20, 3, 3, 0, 1 }, BOTH(TLS_UNEXPECTED_MESSAGE) },
	{ "alert in the clear", { 21, 3, 3, 0, 100 }, 0, TLS_UNEXPECTED_MESSAGE },
	{ "handshake in the clear", { 22, 3, 3, 0, 100 }, 0, TLS_UNEXPECTED_MESSAGE },
	{ "HTTP", { 'G', 'E', 'T', ' ', '/' }, BOTH(TLS_UNEXPECTED_MESSAGE) },
	{ "SSL 2", { 0x80, 0x2e, 1, 0, 2 }, BOTH(TLS_UNEXPECTED_MESSAGE) },
	{ "zeros", { 0, 0, 0, 0, 0 }, BOTH(TLS_UNEXPECTED_MESSAGE) },
	{ "ones", { 0xff, 0xff, 0xff, 0xff, 0xff }, BOTH(TLS_UNEXPECTED_MESSAGE) },
};

static int header_alert(const struct header *h, uint16_t version)
{
	return version == 0x0304 ? h->alert13 : h->alert12;
}

TEST_F_TIMEOUT(hostile, headers, 60)
{
	uint8_t zeros[100] = { 1 };

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		if (!header_alert(&headers[i], variant->version))
			continue;
		ASSERT_TRUE(pair_again(&self->p));
		ASSERT_EQ(0, net_write(self->p.peer.fd, headers[i].bytes, REF_HEADER));
		net_write(self->p.peer.fd, zeros, sizeof(zeros));
		expect_failed(_metadata, &self->p, header_alert(&headers[i], variant->version),
			      headers[i].what);
	}
}

/* CVE-2025-39946: the parser saw its header in pieces, with little room to buffer. */
TEST_F_TIMEOUT(hostile, headers_in_pieces, 60)
{
	uint8_t zeros[3000] = { 1 };

	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		if (!header_alert(&headers[i], variant->version))
			continue;
		ASSERT_TRUE(pair_again(&self->p));
		ASSERT_EQ(0, net_buffers(self->p.fd, 0, 2048));
		send(self->p.peer.fd, headers[i].bytes, 1, MSG_NOSIGNAL);
		EXPECT_TRUE(net_poll(self->p.fd, POLLIN, 1) >= 0);
		/* urgent data leaves a hole in what the parser is given */
		send(self->p.peer.fd, headers[i].bytes + 1, 2, MSG_NOSIGNAL | MSG_OOB);
		net_write_segments(self->p.peer.fd, headers[i].bytes + 3, 2, 1);
		net_write(self->p.peer.fd, zeros, sizeof(zeros));
		for (int n = 0; n < 2; n++)
			EXPECT_EQ(-1, recv(self->p.fd, self->got, 100, 0))
				TH_LOG("%s", headers[i].what);
	}
}

/* The largest length there may be is waited for, and its record opened or refused. */
TEST_F(hostile, longest_record)
{
	size_t most = variant->version == 0x0304 ? 16384 + 256 : 16384 + 2048;
	uint8_t header[REF_HEADER] = { 23, 3, 3, most >> 8, most & 0xff };

	ASSERT_EQ(0, net_write(self->p.peer.fd, header, REF_HEADER));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, net_write(self->p.peer.fd, self->data, most));
	expect_failed(_metadata, &self->p, TLS_BAD_RECORD_MAC, "longest record");
}

/* Sealed as it should be, but more content than a record may have. */
TEST_F(hostile, too_much_content)
{
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, self->data, 16385));
	expect_failed(_metadata, &self->p, TLS_RECORD_OVERFLOW, "16385 bytes of content");
}

TEST_F(hostile, too_much_padding)
{
	if (variant->version == 0x0303)
		return;		/* has none */
	ASSERT_EQ(0, peer_send_padded(&self->p.peer, REF_DATA, self->data, 16000, 385));
	expect_failed(_metadata, &self->p, TLS_RECORD_OVERFLOW, "content and padding of 16385");
}

/* Authentic, no content, or in TLS 1.3 nothing but padding. */
TEST_F(hostile, shortest_records)
{
	struct pair *p = &self->p;
	uint8_t wire[100];
	size_t n;

	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "", 0));
	ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "x", 1));
	EXPECT_EQ(1, recv(p->fd, self->got, 10, 0));
	if (variant->version == 0x0303)
		return;
	/* RFC 9846 section 5.4: all zeros has no type */
	n = ref_seal(&p->peer.tx, 0, "", 0, 20, wire);
	ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
	expect_failed(_metadata, p, TLS_UNEXPECTED_MESSAGE, "nothing but padding");
}

/* RFC 5246 section 6.2.3.3, RFC 9846 section 5.2: without a whole tag it cannot open. */
TEST_F(hostile, header_shorter_than_the_overhead)
{
	for (size_t len = 1; len < overhead(self->p.suite); len++) {
		uint8_t wire[REF_HEADER + 32] = { 23, 3, 3, 0, len };

		ASSERT_TRUE(pair_again(&self->p));
		ASSERT_EQ(0, net_write(self->p.peer.fd, wire, REF_HEADER + len));
		expect_failed(_metadata, &self->p, TLS_BAD_RECORD_MAC, "short record");
	}
}

/* ---- inner types ------------------------------------------------------- */

TEST_F(hostile, sealed_unknown_types)
{
	static const uint8_t types[] = { 0, 1, 19, 20, 24, 25, 128, 255 };

	for (size_t i = 0; i < sizeof(types); i++) {
		if (variant->version == 0x0304 && !types[i])
			continue;	/* that is padding */
		ASSERT_TRUE(pair_again(&self->p));
		ASSERT_EQ(0, peer_send(&self->p.peer, types[i], "\1", 1));
		expect_failed(_metadata, &self->p, TLS_UNEXPECTED_MESSAGE, "sealed unknown type");
	}
}

/*
 * CVE-2025-39682: a record of no length, then one of another type.  The reader
 * got the second one's bytes under the first one's type.
 */
TEST_F(hostile, zero_length_then_another_type)
{
	struct pair *p = &self->p;
	uint8_t wire[2000];
	size_t n = 0;

	for (int peek = 0; peek < 2; peek++) {
		ASSERT_TRUE(pair_again(p));
		n = ref_seal(&p->peer.tx, REF_DATA, "", 0, 0, wire);
		n += ref_seal(&p->peer.tx, REF_ALERT, "\1\0", 2, 0, wire + n);
		ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
		EXPECT_EQ(0, recv(p->fd, self->got, 100, peek ? MSG_PEEK : 0));
		EXPECT_EQ(0, recv(p->fd, self->got, 100, 0));

		ASSERT_TRUE(pair_again(p));
		n = ref_seal(&p->peer.tx, REF_DATA, "ab", 2, 0, wire);
		n += ref_seal(&p->peer.tx, REF_DATA, "", 0, 0, wire + n);
		n += ref_seal(&p->peer.tx, REF_ALERT, "\2\x28", 2, 0, wire + n);
		ASSERT_EQ(0, net_write(p->peer.fd, wire, n));
		EXPECT_EQ(2, recv(p->fd, self->got, 100, peek ? MSG_PEEK : 0));
		if (peek)
			EXPECT_EQ(2, recv(p->fd, self->got, 2, 0));
		EXPECT_EQ(-1, recv(p->fd, self->got, 100, 0));
		EXPECT_EQ(-1, recv(p->fd, self->got, 100, 0));
	}
}

TEST_F(hostile, types_alternate_under_a_peek)
{
	struct pair *p = &self->p;

	if (variant->version == 0x0303)
		return;		/* no other type may come in the middle */
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "", 0));
		ASSERT_EQ(0, peer_key_update(&p->peer, 0));
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, self->data, 10));
		ASSERT_EQ(10, recv(p->fd, self->got, 100, MSG_PEEK));
		ASSERT_EQ(10, recv(p->fd, self->got, 100, 0));
		EXPECT_EQ(0, memcmp(self->data, self->got, 10));
	}
}

/* ---- alerts ------------------------------------------------------------ */

TEST_F(hostile, fatal_alerts)
{
	static const uint8_t alerts[] = { 10, 20, 22, 40, 42, 50, 80, 86, 120, 255 };

	for (size_t i = 0; i < sizeof(alerts); i++) {
		struct pair *p = &self->p;

		ASSERT_TRUE(pair_again(p));
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "abc", 3));
		ASSERT_EQ(0, peer_alert(&p->peer, 2, alerts[i]));
		EXPECT_EQ(3, recv(p->fd, self->got, 100, 0));
		EXPECT_EQ(-1, recv(p->fd, self->got, 100, 0));
		EXPECT_EQ(-1, recv(p->fd, self->got, 100, 0));
		EXPECT_EQ(-1, send(p->fd, "x", 1, MSG_NOSIGNAL));
		ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
		EXPECT_EQ(TLSGATE_REASON_PEER_ALERT, tg_num(&self->info, TLSGATE_A_REASON));
		EXPECT_EQ(alerts[i], tg_num(&self->info, TLSGATE_A_ALERT));
		/* RFC 9846 section 6.2: no alert answers an alert. */
		EXPECT_GT(0, peer_recv(&p->peer, self->data, self->got, sizeof(self->got)));
	}
}

/* RFC 9846 section 6: error alerts are fatal whatever their level says. */
TEST_F(hostile, error_alert_of_level_warning)
{
	if (variant->version == 0x0303)
		return;
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_HANDSHAKE_FAILURE));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 100, 0));
	EXPECT_EQ(-1, recv(self->p.fd, self->got, 100, 0));
}

TEST_F(hostile, warnings_are_passed_over)
{
	ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_USER_CANCELED));
	if (variant->version == 0x0303)
		ASSERT_EQ(0, peer_alert(&self->p.peer, 1, TLS_NO_RENEGOTIATION));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "abc", 3));
	EXPECT_EQ(3, recv(self->p.fd, self->got, 100, 0));
}

static const struct {
	const char *what;
	uint8_t bytes[5];
	size_t len;
	int alert;		/* 0: the peer's alert has ended it, and none answers */
} bad_alerts[] = {
	/* RFC 9846 section 5.4; RFC 5246 section 6.2.1 forbids it and names no alert */
	{ "empty alert", { 0 }, 0, TLS_UNEXPECTED_MESSAGE },
	/* RFC 9846 sections 5.1 and 6, RFC 5246 section 7.2.2: the length is wrong */
	{ "half an alert", { 1 }, 1, TLS_DECODE_ERROR },
	{ "two alerts and a half", { 1, 90, 1, 90, 1 }, 5, TLS_DECODE_ERROR },
	/* RFC 9846 section 6: the level means nothing, and this is an error alert */
	{ "level 0", { 0, 40 }, 2, 0 },
	{ "level 3", { 3, 40 }, 2, 0 },
};

TEST_F(hostile, malformed_alerts)
{
	for (size_t i = 0; i < sizeof(bad_alerts) / sizeof(*bad_alerts); i++) {
		struct pair *p = &self->p;

		ASSERT_TRUE(pair_again(p));
		ASSERT_EQ(0, peer_send(&p->peer, REF_ALERT, bad_alerts[i].bytes,
				       bad_alerts[i].len));
		if (bad_alerts[i].alert) {
			expect_failed(_metadata, p, bad_alerts[i].alert, bad_alerts[i].what);
			continue;
		}
		EXPECT_EQ(-1, recv(p->fd, self->got, 100, 0)) TH_LOG("%s", bad_alerts[i].what);
		ASSERT_EQ(0, tg_session_get(p->tg, BY_FD(p->fd), &self->info));
		EXPECT_EQ(TLSGATE_REASON_PEER_ALERT, tg_num(&self->info, TLSGATE_A_REASON));
	}
}

/* ---- floods ------------------------------------------------------------ */

/* Sends the same record until the session ends: how many went, -1 if it never did. */
static int flood(struct pair *p, uint8_t type, const void *data, size_t len, int most)
{
	char c;

	fcntl(p->fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < most; i++) {
		if (peer_send(&p->peer, type, data, len))
			return i;
		if (recv(p->fd, &c, 1, 0) != -1)
			return -1;
		if (errno != EAGAIN)
			return i;
	}
	return -1;
}

#define FLOOD_MAX	5000

TEST_F(hostile, warning_flood)
{
	int n = flood(&self->p, REF_ALERT, (uint8_t[]){ 1, TLS_USER_CANCELED }, 2, FLOOD_MAX);

	EXPECT_GE(n, 1) TH_LOG("ended after %d", n);
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(TLSGATE_REASON_ALERT_FLOOD, tg_num(&self->info, TLSGATE_A_REASON));
}

TEST_F(hostile, empty_record_flood)
{
	int n = flood(&self->p, REF_DATA, "", 0, FLOOD_MAX);

	EXPECT_GE(n, 8) TH_LOG("ended after %d", n);
	ASSERT_EQ(0, tg_session_get(self->p.tg, BY_FD(self->p.fd), &self->info));
	EXPECT_EQ(TLSGATE_REASON_EMPTY_RECORD_FLOOD, tg_num(&self->info, TLSGATE_A_REASON));
}

/* Some empty records among data are nothing odd: old stacks sent one before each. */
TEST_F_TIMEOUT(hostile, empty_records_among_data, 120)
{
	for (int i = 0; i < 1000; i++) {
		ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "", 0));
		ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "d", 1));
		ASSERT_EQ(1, recv(self->p.fd, self->got, 10, 0));
	}
}

/* Nor are warnings, for life: data moves between them, in either direction. */
TEST_F_TIMEOUT(hostile, warnings_among_data, 60)
{
	struct pair *p = &self->p;

	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, peer_alert(&p->peer, 1, TLS_USER_CANCELED));
		ASSERT_EQ(0, peer_send(&p->peer, REF_DATA, "d", 1));
		ASSERT_EQ(1, recv(p->fd, self->got, 10, 0)) TH_LOG("round %d", i);
	}
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, peer_alert(&p->peer, 1, TLS_USER_CANCELED));
		ASSERT_EQ(-1, recv(p->fd, self->got, 10, MSG_DONTWAIT));
		ASSERT_EQ(EAGAIN, errno) TH_LOG("round %d", i);
		ASSERT_EQ(1, send(p->fd, "d", 1, 0));
		ASSERT_TRUE(peer_recv_data(&p->peer, self->got, 1));
	}
}

/* ---- noise ------------------------------------------------------------- */

/* Random bytes, and good records with one random byte changed: nothing is ever read. */
TEST_F_TIMEOUT(hostile, noise, 60)
{
	uint64_t seed = net_now();

	for (int round = 0; round < 40; round++) {
		struct pair *p = &self->p;
		size_t n = 200, at;
		ssize_t r;

		ASSERT_TRUE(pair_again(p));
		if (round % 2) {
			pat_fill(self->got, 0, n, seed + round);
		} else {
			n = ref_seal(&p->peer.tx, REF_DATA, self->data, 150, 0, self->got);
			at = (seed + round * 31) % n;
			/* not a length that waits for more */
			if (at > 2 && at < REF_HEADER)
				at = n - 1;
			self->got[at] ^= 1 << round % 8;
		}
		ASSERT_EQ(0, net_write(p->peer.fd, self->got, n));
		shutdown(p->peer.fd, SHUT_WR);
		r = recv(p->fd, self->got, sizeof(self->got), 0);
		EXPECT_EQ(-1, r) TH_LOG("seed %lu, round %d", seed, round);
	}
}

TEST_HARNESS_MAIN
