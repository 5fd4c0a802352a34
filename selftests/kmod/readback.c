// SPDX-License-Identifier: MIT
/*
 * Installed keys cannot be read back: every call that tells of a socket is
 * tried, and what it says is searched for pieces of the keys.  Netlink's own
 * answers are searched in netlink.c, and by the fuzzer.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "kselftest_harness.h"
#include "lib/pair.h"

#define PIECE		8	/* bytes of a key that are no coincidence */
#define BUF_SIZE	(1 << 20)
#define TRACING		"/sys/kernel/tracing/"

FIXTURE(secrets)
{
	struct pair p;
	uint8_t buf[BUF_SIZE];
};

FIXTURE_VARIANT(secrets)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANT(secrets, v12_aes256, 0x0303, 0xc030, AF_INET)
PAIR_VARIANT(secrets, v13_aes128, 0x0304, 0x1301, AF_INET6)

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_TRUNC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(name);
	close(fd);
}

FIXTURE_SETUP(secrets)
{
	if (access(TRACING "events", F_OK))
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	write_file(TRACING "events/tlsgate/enable", "1");
	ASSERT_TRUE(pair_start(&self->p, variant->version, variant->suite, variant->family));
	/* Used both ways, so that nothing is left to be set up. */
	ASSERT_EQ(5, send(self->p.fd, "hello", 5, 0));
	ASSERT_TRUE(peer_recv_data(&self->p.peer, self->buf, 5));
	ASSERT_EQ(0, peer_send(&self->p.peer, REF_DATA, "there", 5));
	ASSERT_EQ(0, net_read(self->p.fd, self->buf, 5));
}

FIXTURE_TEARDOWN(secrets)
{
	write_file(TRACING "events/tlsgate/enable", "0");
	pair_free(&self->p);
}

/* ---- looking for keys ---------------------------------------------------------- */

static bool holds(const uint8_t *buf, size_t len, const uint8_t *key, size_t key_len)
{
	char hex[2 * PIECE + 1];

	for (size_t at = 0; at + PIECE <= key_len; at += PIECE) {
		for (int i = 0; i < PIECE; i++)
			sprintf(hex + 2 * i, "%02x", key[at + i]);
		if (memmem(buf, len, key + at, PIECE) || memmem(buf, len, hex, 2 * PIECE))
			return true;
	}
	return false;
}

static bool leaks(const struct pair *p, const void *buf, size_t len)
{
	const struct ref_keys *k[] = { &p->tx, &p->rx };
	bool leak = false;

	for (int i = 0; i < 2; i++)
		leak |= holds(buf, len, k[i]->key, p->suite->key_len) ||
			holds(buf, len, k[i]->iv, p->suite->iv_len) ||
			holds(buf, len, k[i]->secret, p->suite->secret_len);
	return leak;
}

/* The search itself: what is hidden in a buffer is found, in bytes and in hexadecimal. */
TEST_F(secrets, search_finds)
{
	char hex[17];

	memset(self->buf, 0, 1000);
	EXPECT_FALSE(leaks(&self->p, self->buf, 1000));
	memcpy(self->buf + 333, self->p.rx.key + 8, 8);
	EXPECT_TRUE(leaks(&self->p, self->buf, 1000));
	memset(self->buf, 0, 1000);
	for (int i = 0; i < 8; i++)
		sprintf(hex + 2 * i, "%02x", self->p.tx.key[i]);
	memcpy(self->buf + 10, hex, 16);
	EXPECT_TRUE(leaks(&self->p, self->buf, 1000));
}

TEST_F(secrets, getsockopt)
{
	static const int levels[] = {
		SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, 281, 282 /* SOL_TLS */, 283,
		284, 285, 286,
	};
	int answers = 0;

	for (size_t l = 0; l < sizeof(levels) / sizeof(*levels); l++) {
		for (int name = 0; name < 256; name++) {
			socklen_t len = 4096;

			memset(self->buf, 0, len);
			if (getsockopt(self->p.fd, levels[l], name, self->buf, &len))
				continue;
			answers++;
			EXPECT_FALSE(leaks(&self->p, self->buf, 4096))
				TH_LOG("level %d, option %d", levels[l], name);
		}
	}
	/* In-tree kTLS gives its keys to this very call. */
	EXPECT_EQ(-1, getsockopt(self->p.fd, 282, 1, self->buf, &(socklen_t){ 40 }));
	EXPECT_LT(30, answers);
}

/* What `ss -tiem` asks, with every extension there is. */
TEST_F(secrets, sock_diag)
{
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req_v2 req;
	} ask = {
		.nlh = { .nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = variant->family, .sdiag_protocol = IPPROTO_TCP,
			 .idiag_ext = 0xff, .idiag_states = -1 },
	};
	int sk = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct nlmsghdr *nlh = (void *)self->buf;
	bool ulp = false, done = false;
	int len;

	ASSERT_LE(0, sk);
	net_timeouts(sk, NET_DEADLINE);
	ASSERT_EQ(sizeof(ask), send(sk, &ask, sizeof(ask), 0));
	while (!done && (len = recv(sk, self->buf, BUF_SIZE, 0)) > 0) {
		EXPECT_FALSE(leaks(&self->p, self->buf, len));
		ulp |= memmem(self->buf, len, "tlsgate", 8) != NULL;
		done = nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR;
	}
	close(sk);
	if (nlh->nlmsg_type == NLMSG_ERROR)
		SKIP(return, "this kernel's sock_diag cannot be asked");
	EXPECT_TRUE(done);
	/* It did tell of our socket. */
	EXPECT_TRUE(ulp);
}

/* ---- files -------------------------------------------------------------------------- */

static void search_file(struct __test_metadata *_metadata, const struct pair *p, uint8_t *buf,
			const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return;
	while (len < BUF_SIZE && (n = read(fd, buf + len, BUF_SIZE - len)) > 0)
		len += n;
	close(fd);
	EXPECT_FALSE(leaks(p, buf, len)) TH_LOG("%s", path);
}

static void search_folder(struct __test_metadata *_metadata, const struct pair *p, uint8_t *buf,
			  const char *folder, int depth)
{
	DIR *dir = opendir(folder);
	struct dirent *d;
	char path[512];

	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, d->d_name);
		if (d->d_type == DT_DIR && depth)
			search_folder(_metadata, p, buf, path, depth - 1);
		else if (d->d_type == DT_REG)
			search_file(_metadata, p, buf, path);
	}
	if (dir)
		closedir(dir);
}

TEST_F(secrets, files)
{
	char path[100];

	search_folder(_metadata, &self->p, self->buf, "/proc/net", 2);
	search_folder(_metadata, &self->p, self->buf, "/sys/module/tlsgate", 2);
	search_file(_metadata, &self->p, self->buf, "/proc/crypto");
	search_file(_metadata, &self->p, self->buf, "/proc/slabinfo");
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->p.fd);
	search_file(_metadata, &self->p, self->buf, path);
}

TEST_F(secrets, tracepoints)
{
	int fd = open(TRACING "trace", O_RDONLY);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		SKIP(return, "this kernel has no tracefs");
	while (len < BUF_SIZE && (n = read(fd, self->buf + len, BUF_SIZE - len)) > 0)
		len += n;
	close(fd);
	EXPECT_FALSE(leaks(&self->p, self->buf, len));
	/* They were on. */
	EXPECT_NE(NULL, memmem(self->buf, len, "tlsgate_record_sealed", 21));
}

TEST_HARNESS_MAIN
