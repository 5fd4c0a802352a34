// SPDX-License-Identifier: MIT
/*
 * A record of one byte and of padding holds no more memory than that byte: a peer whose
 * backend does not read fills the sockets' buffers, and not the machine's memory.
 *
 * SHORT in the environment chooses how many records each variant sends.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define SHORT		3000	/* records of a byte, 16 KiB of padding each: 48 MB */
#define PAD		16300
#define MAY		(4 << 20)	/* bytes that they may take from the machine */

static long available(void)
{
	char line[256];
	long n = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && n < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "MemAvailable: %ld", &n);
	if (f)
		fclose(f);
	return n << 10;
}

FIXTURE(padding)
{
	struct pair p;
	int plain[2];
};

FIXTURE_VARIANT(padding)
{
	int family;
	int between;		/* type of a padded record behind each; 0: none */
};

FIXTURE_VARIANT_ADD(padding, tcp) { .family = AF_INET };
FIXTURE_VARIANT_ADD(padding, local) { .family = AF_UNIX };
FIXTURE_VARIANT_ADD(padding, empty) { .family = AF_INET, .between = REF_DATA };

FIXTURE_SETUP(padding)
{
	struct tg_install in;
	int small = 65536;

	ASSERT_TRUE(net_namespace());
	ASSERT_TRUE(pair_connect(&self->p, 0x0304, 0x1301, AF_INET));
	ASSERT_EQ(0, variant->family == AF_UNIX ? net_unix_pair(self->plain)
						: net_tcp_pair(AF_INET, self->plain));
	/* What the TLS connection holds of records that are still sealed is little. */
	setsockopt(self->p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(self->p.peer.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	in = tg_install_on(self->p.fd, &self->p.tx, &self->p.rx);
	in.relay_fd = self->plain[0];
	ASSERT_EQ(0, tg_session_new(self->p.tg, &in, &self->p.id));
	close(self->plain[0]);
	close(self->p.fd);
	self->p.fd = -1;
}

FIXTURE_TEARDOWN(padding)
{
	close(self->plain[1]);
	pair_free(&self->p);
}

TEST_F_TIMEOUT(padding, holds_no_memory, 120)
{
	long before = available(), most = net_amount("SHORT", SHORT), sent, taken;

	net_timeouts(self->p.peer.fd, 1000);
	for (sent = 0; sent < most; sent++) {
		if (peer_send_padded(&self->p.peer, REF_DATA, "x", 1, PAD) ||
		    (variant->between &&
		     peer_send_padded(&self->p.peer, variant->between, "", 0, PAD)))
			break;
	}
	taken = before - available();
	TH_LOG("%ld records of a byte took %ld KiB", sent, taken >> 10);
	EXPECT_LT(0, sent);
	EXPECT_GT(MAY, taken);
}

TEST_HARNESS_MAIN
