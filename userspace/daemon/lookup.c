// SPDX-License-Identifier: MIT
#include "daemon/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/hurry.h"
#include "common/log.h"
#include "daemon/filter.h"
#include "daemon/hosts.h"
#include "daemon/landlock.h"
#include "daemon/process.h"

static int tell(int control, struct lookup_answer *answer, const char *why)
{
	snprintf(answer->why, sizeof(answer->why), "%s", why);
	return send(control, answer, sizeof(*answer), MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static _Noreturn void resolve(int control, const struct lookup_request *request)
{
	const struct itimerval end = { .it_value = { LOOKUP_SECONDS, 0 } };
	struct lookup_answer answer = { .id = request->id };
	const char *why = "it has no address";
	int count;

	/* its signal ends the process, and does not only wake it as in the monitor (hurry.h) */
	(void)signal(SIGALRM, SIG_DFL);
	(void)setitimer(ITIMER_REAL, &end, NULL);
	count = hosts_find(request->backend, answer.addrs, &answer.ttl, &why);
	answer.count = count > 0 ? count : 0;
	_exit(tell(control, &answer, why) != 0);
}

static void start_resolving(int control, const struct lookup_request *request)
{
	struct lookup_answer none = { .id = request->id };
	pid_t pid = fork();

	if (!pid)
		resolve(control, request);
	if (pid < 0)
		(void)tell(control, &none, "no process to ask for it");
}

/* What libc loads and opens to resolve a name is the system's to say: all files can be read. */
static _Noreturn void run(int control, const struct identity *who)
{
	struct lookup_request request;
	int keep[] = { control };
	ssize_t n;

	sandbox_child("tlsgated-names");
	log_copy_close();		/* of a reload that may be under way */
	(void)signal(SIGCHLD, SIG_IGN);	/* nobody waits for those that answer */
	if (sandbox_keep_fds(keep, 1) || sandbox_drop(who) || landlock_enter_reading() ||
	    filter_load(FILTER_NAMES, false))
		_exit(1);
	while ((n = recv(control, &request, sizeof(request), 0)) == sizeof(request)) {
		request.backend[sizeof(request.backend) - 1] = '\0';
		start_resolving(control, &request);
	}
	_exit(n != 0);
}

pid_t lookup_start(const struct identity *who, void (*forget)(void *arg), void *arg, int *control)
{
	pid_t pid = process_fork("the process that resolves names", control);

	if (pid == 0) {
		forget(arg);
		run(*control, who);
	}
	if (pid > 0)
		(void)fcntl(*control, F_SETFL, O_NONBLOCK);
	return pid;
}

int lookup_ask(int control, const struct lookup_request *request)
{
	return send(control, request, sizeof(*request), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static bool is_sound(const struct lookup_answer *answer)
{
	int i;

	if (answer->count < 0 || answer->count > ADDR_LIST_MAX || answer->why[LOOKUP_WHY_MAX - 1])
		return false;
	for (i = 0; i < answer->count; i++)
		if (answer->addrs[i].len > sizeof(answer->addrs[i].storage) ||
		    (answer->addrs[i].sa.sa_family != AF_INET &&
		     answer->addrs[i].sa.sa_family != AF_INET6))
			return false;
	return true;
}

int lookup_receive(int control, struct lookup_answer *answer)
{
	ssize_t n;

	do {
		n = hurry_recv(control, answer, sizeof(*answer));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (!n)
		return 0;
	return n == sizeof(*answer) && is_sound(answer) ? 1 : -EPROTO;
}
