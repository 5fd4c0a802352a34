// SPDX-License-Identifier: MIT
#include "daemon/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"

#define DEFAULT_USER	"nobody"
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static bool parse_id(const char *text, uid_t *id)
{
	unsigned long long n;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	n = strtoull(text, &end, 10);
	*id = (uid_t)n;
	return !*end && n < UINT32_MAX;	/* (uid_t)-1 is no user */
}

/* By name, or by a number, which need not be in the user database: its group is the same number. */
static int find_user(const char *name, struct identity *out)
{
	struct passwd *pw = getpwnam(name);
	uid_t id = 0;

	if (!pw && parse_id(name, &id))
		pw = getpwuid(id);
	else if (!pw)
		return -1;
	*out = (struct identity){
		.change = true, .uid = pw ? pw->pw_uid : id, .gid = pw ? pw->pw_gid : (gid_t)id,
	};
	return 0;
}

/* Who goes on to find more errors does so as nobody. */
static int refuse_user(const struct settings *settings, const char *setting, const char *name,
		       struct identity *out, const char *why)
{
	*out = (struct identity){0};
	(void)find_user(DEFAULT_USER, out);
	return settings_refuse(settings, setting, name, why);
}

int sandbox_identity(const struct settings *settings, const char *setting, const char *user,
		     struct identity *out)
{
	const char *name = user ? user : DEFAULT_USER;

	*out = (struct identity){0};
	if (geteuid() != 0) {
		if (user)
			settings_warn(settings, setting, user,
				      "it is not used: tlsgated was not started as root");
		return 0;
	}
	if (find_user(name, out))
		return refuse_user(settings, setting, name, out,
				   "there is no such user: create it, or give a user id");
	if (out->uid && out->gid)
		return 0;
	return refuse_user(settings, setting, name, out,
			   "it is root or of root's group, whose powers are to be given up: give another");
}

void sandbox_child(const char *name)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2 };
	sigset_t none;
	size_t i;

	/* the monitor tells children what to do; a terminal's ^C goes to all */
	for (i = 0; i < COUNT(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int sandbox_keep_fds(int *keep, size_t count)
{
	unsigned int next = STDERR_FILENO + 1;
	size_t i;

	qsort(keep, count, sizeof(*keep), compare_fds);
	for (i = 0; i < count; i++) {
		if (keep[i] < (int)next)
			continue;
		if ((unsigned int)keep[i] > next && close_range(next, (unsigned int)keep[i] - 1, 0))
			return -1;
		next = (unsigned int)keep[i] + 1;
	}
	return close_range(next, ~0u, 0);
}

int sandbox_hide_memory(void)
{
	const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) {
		log_error("core dumps cannot be turned off: %s", strerror(errno));
		return -1;
	}
	return 0;
}

static const struct need {
	unsigned int capability;
	const char *name;
} needs[] = {
	{ CAP_SETUID, "CAP_SETUID" },
	{ CAP_SETGID, "CAP_SETGID" },
};

/* Root of a container may lack them. */
static int check_capabilities(uid_t uid)
{
	size_t i;

	if (capng_get_caps_process()) {
		log_error("capabilities cannot be read: %s", strerror(errno));
		return -1;
	}
	for (i = 0; i < COUNT(needs); i++) {
		if (capng_have_capability(CAPNG_PERMITTED, needs[i].capability))
			continue;
		log_error("user id %u cannot be taken on: root lacks %s: add that capability, or start tlsgated as another user than root",
			  uid, needs[i].name);
		return -1;
	}
	return 0;
}

/* The bounding set stays: with no_new_privs, nothing executed gets a capability from it. */
static int drop_identity(const struct identity *who)
{
	if (check_capabilities(who->uid))
		return -1;
	capng_clear(CAPNG_SELECT_CAPS);
	if (capng_change_id((int)who->uid, (int)who->gid, CAPNG_DROP_SUPP_GRP)) {
		log_error("user id %u, group id %u cannot be taken on: %s%s", who->uid, who->gid,
			  strerror(errno), errno == EINVAL ? ": this user namespace does not map them: give others" : "");
		return -1;
	}
	if (getuid() != who->uid || geteuid() != who->uid || getgid() != who->gid ||
	    setuid(0) == 0) {
		log_error("user id %u was not taken on", who->uid);
		return -1;
	}
	return 0;
}

/* Not started as root, but perhaps with CAP_NET_ADMIN: that is the monitor's alone. */
static int drop_capabilities(void)
{
	capng_clear(CAPNG_SELECT_CAPS);
	if (!capng_apply(CAPNG_SELECT_CAPS))
		return 0;
	log_error("capabilities cannot be dropped: %s", strerror(errno));
	return -1;
}

int sandbox_drop(const struct identity *who)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		log_error("no_new_privs cannot be set: %s", strerror(errno));
		return -1;
	}
	if (who->change ? drop_identity(who) : drop_capabilities())
		return -1;
	return sandbox_hide_memory();	/* setuid() may have reset it */
}
