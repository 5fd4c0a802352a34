// SPDX-License-Identifier: MIT
/*
 * Which driver of the crypto layer serves.  Any user may instantiate templates by
 * bind(2) on AF_ALG, some with a higher priority than every other driver of their
 * algorithm and with requests of another size.  None of them may serve.
 */
#include <linux/if_alg.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "lib/pair.h"
#include "lib/task.h"

/* In the place of the best of their name, if nobody has asked for that yet. */
static const char *const slow[] = {
	"gcm_base(ctr(aes-generic),ghash-generic)",
	"rfc7539(chacha20-generic,poly1305-generic)",
};

/*
 * "pcrypt(%s)" is a driver of what it is made from, but above it, and asynchronous.  (So is
 * cryptd, but on 6.1 the kernel warns that cryptd fails its own test.)
 */
static bool bind_aead(const char *format, const char *driver)
{
	struct sockaddr_alg sa = { .salg_family = AF_ALG, .salg_type = "aead" };
	int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);
	bool bound;

	snprintf((char *)sa.salg_name, sizeof(sa.salg_name), format, driver);
	bound = !bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	close(fd);
	return bound;
}

/* The drivers of our AEADs in /proc/crypto that are no wrappers: at most max. */
static int list_drivers(char driver[][128], int max)
{
	FILE *f = fopen("/proc/crypto", "r");
	char line[256], name[128] = "";
	int n = 0;

	while (f && n < max && fgets(line, sizeof(line), f)) {
		sscanf(line, "name : %127s", name);
		if (sscanf(line, "driver : %127s", driver[n]) == 1 &&
		    (!strcmp(name, "gcm(aes)") || !strncmp(name, "rfc7539(", 8)) &&
		    strncmp(driver[n], "pcrypt(", 7) && strncmp(driver[n], "cryptd(", 7))
			n++;
	}
	if (f)
		fclose(f);
	return n;
}

/* As nobody: the wrappers that there are now. */
static int bind_templates(void)
{
	char driver[16][128];
	int status, bound = 0, n, i;
	pid_t pid = fork();

	if (pid)
		return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ?
		       WEXITSTATUS(status) : -1;
	if (!task_become(TASK_NOBODY))
		_exit(99);
	for (i = 0; i < ARRAY_SIZE(slow); i++)
		bind_aead("%s", slow[i]);
	n = list_drivers(driver, ARRAY_SIZE(driver));
	for (i = 0; i < n; i++)
		bound += bind_aead("pcrypt(%s)", driver[i]);
	_exit(bound);
}

struct served {
	uint16_t version, suite;
	char driver[64];
};

static void take_driver(const struct tg_info *i, void *arg)
{
	struct served *s = arg;

	if (tg_num(i, TLSGATE_A_VERSION) == s->version && tg_num(i, TLSGATE_A_SUITE) == s->suite &&
	    tg_has(i, TLSGATE_A_DRIVER))
		snprintf(s->driver, sizeof(s->driver), "%s",
			 nla_get_string(i->attr[TLSGATE_A_DRIVER]));
}

static bool driver_of(struct tg *tg, struct served *s)
{
	s->driver[0] = 0;
	return !tg_call(tg, tg_msg(tg, TLSGATE_CMD_CIPHER_GET, NLM_F_DUMP), take_driver, s) &&
	       s->driver[0];
}

/* The priority that /proc/crypto gives for a driver, -1: there is no such. */
static int priority_of(const char *driver)
{
	char line[256], want[256];
	FILE *f = fopen("/proc/crypto", "r");
	int priority = -1;
	bool here = false;

	snprintf(want, sizeof(want), "driver       : %s\n", driver);
	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "driver", 6))
			here = !strcmp(line, want);
		if (here)
			sscanf(line, "priority : %d", &priority);
	}
	if (f)
		fclose(f);
	return priority;
}

FIXTURE(drivers)
{
	struct pair before, after;
	struct served s;
	uint8_t data[40000], got[40000];
};

FIXTURE_VARIANT(drivers)
{
	uint16_t version, suite;
	int family;
};

PAIR_VARIANTS(drivers)

FIXTURE_SETUP(drivers)
{
	self->s = (struct served){ .version = variant->version, .suite = variant->suite };
	pat_fill(self->data, 0, sizeof(self->data), 1);
}

FIXTURE_TEARDOWN(drivers)
{
	pair_free(&self->after);
	pair_free(&self->before);
}

static bool echoes(struct pair *p, const uint8_t *data, uint8_t *got, size_t len)
{
	return !peer_send_data(&p->peer, data, len) && !net_read(p->fd, got, len) &&
	       !memcmp(got, data, len) && !net_write(p->fd, data, len) &&
	       peer_recv_data(&p->peer, got, len) && !memcmp(got, data, len);
}

/* What a user makes does not serve, neither where it came first nor where it is best. */
TEST_F(drivers, users_templates_do_not_serve)
{
	struct tg *tg = tg_open();
	int bound = bind_templates();

	ASSERT_NE(NULL, tg);
	ASSERT_LE(0, bound);
	if (!bound)
		SKIP(tg_close(tg); return, "this kernel gives users no AEAD template by AF_ALG");
	ASSERT_TRUE(driver_of(tg, &self->s));
	EXPECT_EQ(NULL, strstr(self->s.driver, "crypt"))
		TH_LOG("%s serves", self->s.driver);
	/* Where the CPU has better, it serves though a generic one was made before. */
	if (priority_of("chacha20-simd") > 0)
		EXPECT_EQ(NULL, strstr(self->s.driver, "generic)"))
			TH_LOG("%s serves", self->s.driver);
	tg_close(tg);
}

/* Sessions from before and after a user's template live and work side by side. */
TEST_F(drivers, sessions_before_and_after_work)
{
	struct served again = self->s;

	ASSERT_TRUE(pair_start(&self->before, variant->version, variant->suite, variant->family));
	ASSERT_TRUE(driver_of(self->before.tg, &self->s));
	ASSERT_TRUE(echoes(&self->before, self->data, self->got, sizeof(self->data)));
	ASSERT_LE(0, bind_templates());
	ASSERT_TRUE(driver_of(self->before.tg, &again));
	EXPECT_STREQ(self->s.driver, again.driver);
	ASSERT_TRUE(pair_start(&self->after, variant->version, variant->suite, variant->family));
	for (int i = 0; i < 4; i++) {
		ASSERT_TRUE(echoes(&self->before, self->data, self->got, sizeof(self->data)));
		ASSERT_TRUE(echoes(&self->after, self->data, self->got, sizeof(self->data)));
	}
}

TEST_HARNESS_MAIN
