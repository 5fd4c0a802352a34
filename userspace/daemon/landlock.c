// SPDX-License-Identifier: MIT
#include "daemon/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

#define QUERY_VERSION	1u		/* flag of landlock_create_ruleset(2) */
#define RULE_PATH	1		/* of landlock_add_rule(2): a folder and all beneath */
#define RULE_NET_PORT	2
#define READ		(1u << 2 | 1u << 3)	/* files, folders */
#define CONNECT_TCP	(1u << 1)
#define TCP		(1u << 0 | CONNECT_TCP)	/* to bind a port is the other */
#define SCOPE_ABSTRACT	(1u << 0)	/* UNIX sockets */
#define SCOPES		(SCOPE_ABSTRACT | 1u << 1)	/* and signals */

/* As in <linux/landlock.h> of today, which the oldest release that we build on has not. */
struct ruleset {
	uint64_t files, ports, scopes;
};

struct port_rule {
	uint64_t access, port;
};

struct path_rule {
	uint64_t access;
	int32_t folder;
} __attribute__((packed));

/* What a process may go on to do. */
struct need {
	bool read;			/* all files; and connect to any port */
	bool abstract;			/* connect to abstract UNIX sockets */
	const uint16_t *ports;		/* connect to these */
	size_t count;
};

/* What is known from a version of Landlock on. */
static const struct level {
	long version;
	size_t size;			/* of struct ruleset */
	struct ruleset rules;
} levels[] = {
	{ 6, 24, { 0xffff, TCP, SCOPES } },
	{ 5, 16, { 0xffff, TCP, 0 } },	/* ioctl() on devices */
	{ 4, 16, { 0x7fff, TCP, 0 } },
	{ 3, 8, { 0x7fff, 0, 0 } },		/* truncate() */
	{ 2, 8, { 0x3fff, 0, 0 } },		/* link() and rename() between folders */
	{ 1, 8, { 0x1fff, 0, 0 } },
};

static int allow_ports(int ruleset, const uint16_t *ports, size_t count)
{
	struct port_rule rule = { .access = CONNECT_TCP };
	size_t i;

	for (i = 0; i < count; i++) {
		rule.port = ports[i];
		if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0))
			return -errno;
	}
	return 0;
}

static int allow_reading(int ruleset)
{
	struct path_rule rule = { READ, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	int ret = 0;

	if (rule.folder < 0 || syscall(SYS_landlock_add_rule, ruleset, RULE_PATH, &rule, 0))
		ret = -errno;
	if (rule.folder >= 0)
		close(rule.folder);
	return ret;
}

/* What is handled and not allowed by a rule is refused.  0 or -errno. */
static int restrict_self(const struct level *level, const struct need *need)
{
	struct ruleset rules = level->rules;
	int ruleset, ret = 0;

	if (need->read)
		rules.ports &= ~(uint64_t)CONNECT_TCP;
	if (need->abstract)
		rules.scopes &= ~(uint64_t)SCOPE_ABSTRACT;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, level->size, 0);
	if (ruleset < 0)
		return -errno;
	if (need->read)
		ret = allow_reading(ruleset);
	if (!ret && rules.ports)
		ret = allow_ports(ruleset, need->ports, need->count);
	if (!ret && syscall(SYS_landlock_restrict_self, ruleset, 0))
		ret = -errno;
	close(ruleset);
	return ret;
}

static int enter(const struct need *need)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, QUERY_VERSION);
	const struct level *level = levels;
	int ret;

	if (version < 1)
		return 0;
	while (level->version > version)
		level++;
	ret = restrict_self(level, need);
	if (ret)
		log_error("Landlock cannot be set: %s", strerror(-ret));
	return ret ? -1 : 0;
}

int landlock_enter(const uint16_t *ports, size_t count)
{
	return enter(&(struct need){ .ports = ports, .count = count });
}

int landlock_enter_abstract(const uint16_t *ports, size_t count)
{
	return enter(&(struct need){ .abstract = true, .ports = ports, .count = count });
}

int landlock_enter_reading(void)
{
	return enter(&(struct need){ .read = true });
}
