// SPDX-License-Identifier: MIT
#include "daemon/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ipc.h"
#include "common/log.h"

static pid_t refuse(const char *what, int error)
{
	log_error("%s cannot be started: %s: raise the limits of processes and of open files", what,
		  strerror(error));
	return -1;
}

pid_t process_fork(const char *what, int *control)
{
	int ends[2];
	pid_t pid;
	int ret;

	ret = ipc_pair(ends);
	if (ret)
		return refuse(what, -ret);
	pid = fork();
	if (pid < 0) {
		ret = errno;
		close(ends[0]);
		close(ends[1]);
		return refuse(what, ret);
	}
	*control = ends[pid == 0];
	close(ends[pid != 0]);
	return pid;
}

const char *process_end(int status, char text[PROCESS_END_MAX])
{
	if (WIFSIGNALED(status))
		snprintf(text, PROCESS_END_MAX, "signal %d (%s)", WTERMSIG(status),
			 WTERMSIG(status) == SIGSYS ? "a system call the sandbox forbids" :
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, PROCESS_END_MAX, "exit status %d", WEXITSTATUS(status));
	return text;
}
