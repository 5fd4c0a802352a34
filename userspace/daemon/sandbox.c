// SPDX-License-Identifier: MIT
#include "daemon/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"

#define DEFAULT_USER	"nobody"
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

int sandbox_identity(const char *user, struct identity *out)
{
	const char *name = user ? user : DEFAULT_USER;
	struct passwd *pw;

	*out = (struct identity){0};
	if (geteuid() != 0) {
		if (user)
			log_warn("user %s is not used: tlsgated was not started as root", user);
		return 0;
	}
	pw = getpwnam(name);
	if (!pw) {
		log_error("user '%s' does not exist: create it or give another --user", name);
		return -1;
	}
	*out = (struct identity){ .change = true, .uid = pw->pw_uid, .gid = pw->pw_gid };
	return 0;
}

void sandbox_child(const char *name)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1 };
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

static int drop_identity(const struct identity *who)
{
	int ret;

	/*
	 * Also clears the bounding set, so that nothing executed could get
	 * capabilities back; needs CAP_SETPCAP, hence while still root.
	 */
	capng_clear(CAPNG_SELECT_BOTH);
	ret = capng_change_id((int)who->uid, (int)who->gid,
			      CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	if (ret) {
		log_error("user id %u cannot be taken on (step %d): %s", who->uid, -ret,
			  strerror(errno));
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
	if (who->change ? drop_identity(who) : drop_capabilities())
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		log_error("no_new_privs cannot be set: %s", strerror(errno));
		return -1;
	}
	return sandbox_hide_memory();	/* setuid() may have reset it */
}
