// SPDX-License-Identifier: MIT
#include "daemon/unix_listen.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/unix_path.h"

/* What stands behind the path. */
struct asked {
	mode_t mode;
	const char *user, *group;	/* NULL: as the process */
};

bool unix_listen_is(const struct addr *addr)
{
	return addr->sa.sa_family == AF_UNIX;
}

static int set_mode(struct asked *asked, const char *value)
{
	char *end;
	const unsigned long bits = strtoul(value, &end, 8);

	asked->mode = (mode_t)bits;
	return *value < '0' || *value > '7' || *end || bits > 0777 ? -1 : 0;
}

static int set_name(const char **to, const char *value)
{
	*to = value;
	return *value ? 0 : -1;
}

static int set_right(struct asked *asked, const char *word)
{
	if (!strncmp(word, "mode=", 5))
		return set_mode(asked, word + 5);
	if (!strncmp(word, "user=", 5))
		return set_name(&asked->user, word + 5);
	if (!strncmp(word, "group=", 6))
		return set_name(&asked->group, word + 6);
	return -1;
}

/* words: what stands behind the first comma; asked points into it.  0 or -1. */
static int parse(char *words, struct asked *asked)
{
	char *word, *save = NULL;

	*asked = (struct asked){ .mode = UNIX_LISTEN_MODE };
	for (word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save))
		if (set_right(asked, word))
			return -1;
	return 0;
}

int unix_listen_check(const char *text, const char **why)
{
	const char *comma = strchr(text, ',');
	struct asked unused;
	char *words;
	int ret;

	if (!comma)
		return 0;
	*why = "an abstract socket has no mode and no owner: leave them out";
	if (addr_is_abstract(text))
		return -1;
	words = xstrdup(comma + 1);
	ret = parse(words, &unused);
	free(words);
	*why = "behind the path may stand ,mode=0660 ,user=NAME and ,group=NAME";
	return ret;
}

/* An id; the highest means none to chown(2).  0 or -ESRCH. */
static int parse_id(const char *text, uint32_t *out)
{
	char *end;
	const unsigned long id = strtoul(text, &end, 10);

	*out = (uint32_t)id;
	return *text < '0' || *text > '9' || *end || id >= UINT32_MAX ? -ESRCH : 0;
}

/* A name or a number.  0 or -ESRCH. */
static int find_user(const char *name, uid_t *out)
{
	const struct passwd *user = getpwnam(name);

	if (!user)
		return parse_id(name, out);
	*out = user->pw_uid;
	return 0;
}

static int find_group(const char *name, gid_t *out)
{
	const struct group *group = getgrnam(name);

	if (!group)
		return parse_id(name, out);
	*out = group->gr_gid;
	return 0;
}

static int find_owner(const struct asked *asked, struct unix_rights *out)
{
	*out = (struct unix_rights){ asked->mode, (uid_t)-1, (gid_t)-1 };
	if (asked->user && find_user(asked->user, &out->user))
		return -ESRCH;
	return asked->group ? find_group(asked->group, &out->group) : 0;
}

int unix_listen_rights(const char *text, struct unix_rights *out)
{
	const char *comma = strchr(text, ',');
	char *copy = xstrdup(comma ? comma + 1 : "");
	struct asked asked;
	int ret;

	(void)parse(copy, &asked);	/* settings took it */
	ret = find_owner(&asked, out);
	free(copy);
	return ret;
}

/* Nobody can connect before it listens. */
static int give_rights(const char *path, const struct unix_rights *rights)
{
	struct stat unused;
	const int node = unix_path_open(path, &unused);
	int ret;

	if (node < 0)
		return node;
	ret = unix_path_set_rights(node, rights->user, rights->group, rights->mode);
	close(node);
	return ret;
}

int unix_listen_bind(int fd, const struct addr *addr, const struct unix_rights *rights)
{
	const bool has_file = addr->un.sun_path[0];
	int ret = has_file ? unix_path_clear(&addr->un) : 0;

	if (ret)
		return ret;
	if (bind(fd, &addr->sa, addr->len))
		return -errno;
	ret = has_file ? give_rights(addr->un.sun_path, rights) : 0;
	if (ret)
		(void)unlink(addr->un.sun_path);
	return ret;
}

bool unix_listen_same_rights(const struct unix_rights *a, const struct unix_rights *b)
{
	return a->mode == b->mode && a->user == b->user && a->group == b->group;
}

int unix_listen_change(const struct addr *addr, const struct unix_file *file, const struct unix_rights *before,
		       const struct unix_rights *rights)
{
	const bool user_goes = rights->user == (uid_t)-1 && before->user != (uid_t)-1;
	const bool group_goes = rights->group == (gid_t)-1 && before->group != (gid_t)-1;
	struct stat st;
	int ret = -ESTALE, node;

	if (!addr->un.sun_path[0])
		return 0;
	node = unix_path_open(addr->un.sun_path, &st);
	if (node < 0)
		return node;
	if (st.st_dev == file->dev && st.st_ino == file->ino)
		ret = unix_path_set_rights(node, user_goes ? geteuid() : rights->user,
					   group_goes ? getegid() : rights->group, rights->mode);
	close(node);
	return ret;
}

/* What is not ours to see is no fault: somebody else than root may ask for root. */
static int try_path(const char *path)
{
	char *folder = xstrdup(path);
	struct stat st;
	int ret = 0;

	*strrchr(folder, '/') = '\0';	/* paths are absolute */
	if (stat(*folder ? folder : "/", &st))
		ret = errno == ENOENT || errno == ENOTDIR ? -errno : 0;
	else if (!S_ISDIR(st.st_mode))
		ret = -ENOTDIR;
	else if (!lstat(path, &st) && !S_ISSOCK(st.st_mode))
		ret = -EEXIST;
	free(folder);
	return ret;
}

int unix_listen_try(const struct addr *addr, const char *text)
{
	struct unix_rights unused;
	int ret;

	if (!addr->un.sun_path[0])
		return 0;
	ret = unix_listen_rights(text, &unused);
	return ret ? ret : try_path(addr->un.sun_path);
}

struct unix_file unix_listen_file(const struct addr *addr)
{
	struct stat st;

	if (!unix_listen_is(addr) || !addr->un.sun_path[0] || lstat(addr->un.sun_path, &st))
		return (struct unix_file){0};
	return (struct unix_file){ st.st_dev, st.st_ino };
}

void unix_listen_remove(const struct addr *addr, const struct unix_file *file)
{
	const struct unix_file now = unix_listen_file(addr);

	if (file->ino && now.ino == file->ino && now.dev == file->dev)
		(void)unlink(addr->un.sun_path);
}
