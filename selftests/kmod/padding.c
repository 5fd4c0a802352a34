// SPDX-License-Identifier: MIT
/*
 * A record of one byte and of padding, or with long messages beside it, holds no more memory
 * than that byte: a peer whose backend does not read fills the sockets' buffers, and not
 * the machine's memory.
 *
 * SHORT in the environment chooses how many records each variant sends.
 */
#include <netinet/in.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

#define SHORT		3000	/* records of a byte, 16 KiB of padding each: 48 MB */
#define PAD		16300
#define MAY		(4 << 20)	/* bytes that they may take from the machine */

static long available(void)
{
	return task_read_number("/proc/meminfo", "MemAvailable:") << 10;
}

FIXTURE(padding)
{
	struct pair p;
	int plain[2];
};

FIXTURE_VARIANT(padding)
{
	uint16_t version, suite;
	int family;
	int between;		/* type of a padded record behind each; 0: none */
};

FIXTURE_VARIANT_ADD(padding, tcp) { 0x0304, 0x1301, AF_INET };
FIXTURE_VARIANT_ADD(padding, local) { 0x0304, 0x1301, AF_UNIX };
FIXTURE_VARIANT_ADD(padding, empty) { 0x0304, 0x1301, AF_INET, REF_DATA };
/* Without padding: a ClientHello, which a server of TLS 1.2 refuses and goes on. */
FIXTURE_VARIANT_ADD(padding, hello) { 0x0303, 0xc02f, AF_INET };

FIXTURE_SETUP(padding)
{
	ASSERT_TRUE(net_namespace());
	ASSERT_TRUE(pair_connect(&self->p, variant->version, variant->suite, AF_INET));
	ASSERT_EQ(0, net_pair(variant->family, self->plain));
	/* What the TLS connection holds of records that are still sealed is little. */
	ASSERT_EQ(0, net_buffers(self->p.fd, 0, 65536));
	ASSERT_EQ(0, net_buffers(self->p.peer.fd, 65536, 0));
	ASSERT_EQ(0, pair_join(&self->p, self->plain[0]));
	close(self->plain[0]);
	close(self->p.fd);
	self->p.fd = -1;
}

FIXTURE_TEARDOWN(padding)
{
	close(self->plain[1]);
	pair_free(&self->p);
}

static int send_short(struct peer *peer, const FIXTURE_VARIANT(padding) *variant)
{
	static uint8_t hello[PAD] = { 1, 0, (PAD - 4) >> 8, (PAD - 4) & 0xff };

	if (variant->version == 0x0303)
		return peer_send(peer, REF_DATA, "x", 1) ?:
		       peer_send(peer, REF_HANDSHAKE, hello, sizeof(hello));
	return peer_send_padded(peer, REF_DATA, "x", 1, PAD) ?:
	       (variant->between ? peer_send_padded(peer, variant->between, "", 0, PAD) : 0);
}

TEST_F_TIMEOUT(padding, holds_no_memory, 120)
{
	long before = available(), most = net_amount("SHORT", SHORT), sent, taken;

	net_timeouts(self->p.peer.fd, 1000);
	for (sent = 0; sent < most; sent++) {
		if (send_short(&self->p.peer, variant))
			break;
	}
	taken = before - available();
	TH_LOG("%ld records of a byte took %ld KiB", sent, taken >> 10);
	EXPECT_LT(0, sent);
	EXPECT_GT(MAY, taken);
}

TEST_HARNESS_MAIN
