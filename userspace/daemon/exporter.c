// SPDX-License-Identifier: MIT
#include "daemon/exporter.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/clock.h"
#include "common/hurry.h"
#include "common/ipc.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/unix_path.h"

#define UNIX_PREFIX	"unix:"
#define BACKLOG		16
#define RESTART_PAUSE	1.0	/* seconds, after one that died young */
#define PACE		0.1	/* after an answer, until the next question is read */

/* ---- the address ---- */

static const char *unix_path(const char *address)
{
	return strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) ? NULL : address + strlen(UNIX_PREFIX);
}

static int set_on(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* Any user may connect; who may not, has no way into the folder. */
static int bind_path(int fd, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int ret;

	strcpy(addr.sun_path, path);
	ret = unix_path_clear(&addr);
	if (ret)
		return ret;
	mask = umask(0111);
	ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	(void)umask(mask);
	return ret;
}

static int bind_addr(int fd, const struct addr *addr)
{
	if (set_on(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
	    (addr->sa.sa_family == AF_INET6 && set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)))
		return -errno;
	return bind(fd, &addr->sa, addr->len) ? -errno : 0;
}

/* A listening socket, or -errno. */
static int open_at(const char *address)
{
	const char *path = unix_path(address), *why;
	struct addr addr = { .sa.sa_family = AF_UNIX };
	int fd, ret;

	if (!path && addr_parse_listen(address, &addr, &why))
		return -EINVAL;		/* setting_table.c took it */
	fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = path ? bind_path(fd, path) : bind_addr(fd, &addr);
	if (!ret && listen(fd, BACKLOG))
		ret = -errno;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* heir: has taken the place, perhaps at the same path; NULL: nobody has. */
static void socket_clear(struct exporter_socket *socket, const struct exporter_socket *heir)
{
	if (!socket->address)
		return;
	if (!socket->adopted && unix_path(socket->address) && !(heir && heir->address && !strcmp(heir->address, socket->address)))
		(void)unlink(unix_path(socket->address));
	/* the process may have it for a moment more, and the next daemon wants the address */
	if (!socket->adopted)
		(void)shutdown(socket->fd, SHUT_RDWR);
	hurry_close(socket->fd);
	free(socket->address);
	*socket = (struct exporter_socket){ .fd = -1 };
}

/* Its address; the path has its NUL.  -1: it has none. */
static int address_of(int fd, struct addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->len = sizeof(addr->storage) - 1;
	return getsockname(fd, &addr->sa, &addr->len);
}

static bool is_at(int fd, const char *address)
{
	struct addr addr, wanted;
	const char *why;

	if (fd == -1 || address_of(fd, &addr))
		return false;
	if (unix_path(address))
		return addr.sa.sa_family == AF_UNIX &&
		       !strcmp(((const struct sockaddr_un *)&addr.storage)->sun_path, unix_path(address));
	return !addr_parse_listen(address, &wanted, &why) && addr_equal(&addr, &wanted);
}

static const char *advice(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program listens there: give another address";
	case EADDRNOTAVAIL:
		return "it is no address of this machine";
	case EEXIST:
		return "there is a file that is no socket: give another path";
	default:
		return "give another address";
	}
}

static void refuse_address(const struct settings *settings, int error)
{
	char why[SETTINGS_WHY_MAX];

	snprintf(why, sizeof(why), "%s: %s", strerror(error), advice(error));
	(void)settings_refuse(settings, "metrics", settings->metrics, why);
}

static bool is_same(const struct exporter *exporter, const char *address)
{
	const char *now = exporter->now.address;

	return now && !strcmp(now, address) && (!unix_path(now) || !access(unix_path(now), F_OK));
}

int exporter_prepare(struct exporter *exporter, const struct settings *settings)
{
	struct exporter_socket *next = &exporter->next;

	*next = (struct exporter_socket){ .fd = -1 };
	if (!settings->metrics)
		return 0;
	if (sandbox_identity(settings, "user", geteuid() ? NULL : settings->user, &next->who))
		return -1;
	if (!is_same(exporter, settings->metrics)) {
		next->adopted = is_at(exporter->adopted, settings->metrics);
		next->fd = next->adopted ? fcntl(exporter->adopted, F_DUPFD_CLOEXEC, 0) :
					   open_at(settings->metrics);
		if (next->fd < 0) {
			refuse_address(settings, -next->fd);
			next->fd = -1;
			return -1;
		}
	}
	next->address = xstrdup(settings->metrics);
	return 0;
}

/* ---- the process ---- */

static void restart_in(struct exporter *exporter, double seconds)
{
	ev_timer_stop(EV_DEFAULT_UC, &exporter->restart);
	ev_timer_set(&exporter->restart, seconds, 0.);
	ev_timer_start(EV_DEFAULT_UC, &exporter->restart);
}

/* The loop reaps it.  One that was taken over would not end by itself, and kept the listener. */
static void drop_process(struct exporter *exporter)
{
	struct ev_loop *loop = EV_DEFAULT_UC;

	if (ev_is_active(&exporter->exit))
		(void)kill(exporter->exit.pid, SIGKILL);
	ev_timer_stop(loop, &exporter->restart);
	ev_timer_stop(loop, &exporter->pace);
	ev_io_stop(loop, &exporter->questions);
	ev_child_stop(loop, &exporter->exit);
	if (exporter->control != -1)
		hurry_close(exporter->control);
	exporter->control = -1;
}

static void start_process(struct exporter *exporter)
{
	const struct metricsd_plan plan = {
		.listener = exporter->now.fd, .who = exporter->now.who,
		.forget = exporter->owner.forget, .arg = exporter->owner.arg,
	};
	struct ev_loop *loop = EV_DEFAULT_UC;
	pid_t pid;

	/* again: one that was taken over may have shut it down */
	(void)listen(exporter->now.fd, BACKLOG);
	pid = metricsd_start(&plan, &exporter->control);
	if (pid < 0) {
		restart_in(exporter, RESTART_PAUSE);
		return;
	}
	(void)fcntl(exporter->control, F_SETFL, O_NONBLOCK);
	ev_now_update(loop);
	exporter->since = clock_ms();
	ev_child_set(&exporter->exit, pid, 0);
	ev_child_start(loop, &exporter->exit);
	ev_io_set(&exporter->questions, exporter->control, EV_READ);
	ev_io_start(loop, &exporter->questions);
}

static void on_restart(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	start_process(timer->data);
}

static void on_exit_of_it(struct ev_loop *loop, ev_child *watcher, int events)
{
	struct exporter *exporter = watcher->data;
	const bool young = clock_ms() - exporter->since < RESTART_PAUSE * 1000;
	const bool unfit = WIFEXITED(watcher->rstatus) && WEXITSTATUS(watcher->rstatus) == METRICSD_UNFIT;

	(void)events;
	ev_child_stop(loop, watcher);
	drop_process(exporter);
	log_error("the metrics process (process %d) died; %s", watcher->rpid,
		  unfit ? "see the line before: no metrics until a reload" : "another is started");
	if (!unfit)
		restart_in(exporter, young ? RESTART_PAUSE : 0.);
}

/* The text in memory of its own, which can be read at leisure; -1: no memory. */
static int write_answer(const struct exporter *exporter, enum metrics_format format)
{
	size_t len;
	char *text = exporter->owner.write(exporter->owner.arg, format, &len);
	int fd = text ? memfd_create("tlsgated-metrics", MFD_CLOEXEC) : -1;

	if (fd >= 0 && write(fd, text, len) != (ssize_t)len) {
		close(fd);
		fd = -1;
	}
	free(text);
	return fd;
}

static void answer(const struct exporter *exporter, enum metrics_format format)
{
	int fd = write_answer(exporter, format);

	/* one that does not read its answers has no use for them */
	(void)ipc_send(exporter->control, IPC_METRICS, &fd, fd < 0 ? 0 : 1);
	if (fd >= 0)
		close(fd);
}

static void on_question(struct ev_loop *loop, ev_io *io, int events)
{
	struct exporter *exporter = io->data;
	struct ipc_message message;
	int ret = ipc_receive_word(io->fd, &message);

	(void)events;
	if (ret == -EAGAIN)
		return;
	ev_io_stop(loop, io);
	if (ret != 1)
		return;			/* it is gone, as its exit will say */
	if (message.type == IPC_ASK_OPENMETRICS || message.type == IPC_ASK_PROMETHEUS)
		answer(exporter, message.type == IPC_ASK_OPENMETRICS ? METRICS_OPENMETRICS :
								       METRICS_PROMETHEUS);
	ev_now_update(loop);
	ev_timer_set(&exporter->pace, PACE, 0.);
	ev_timer_start(loop, &exporter->pace);
}

static void on_pace(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct exporter *exporter = timer->data;

	(void)events;
	ev_io_start(loop, &exporter->questions);
}

/* ---- taking it in use ---- */

static bool keeps_socket(const struct exporter *exporter)
{
	return exporter->next.address && exporter->next.fd == -1;
}

static bool keeps_process(const struct exporter *exporter)
{
	const struct identity *a = &exporter->now.who, *b = &exporter->next.who;

	return keeps_socket(exporter) && exporter->control != -1 && a->change == b->change &&
	       a->uid == b->uid && a->gid == b->gid;
}

static void drop_adopted(struct exporter *exporter)
{
	struct addr addr;

	if (!exporter->next.adopted && !address_of(exporter->adopted, &addr) && addr.sa.sa_family == AF_UNIX)
		(void)unlink(((const struct sockaddr_un *)&addr.storage)->sun_path);
	close(exporter->adopted);
	exporter->adopted = -1;
	exporter->next.adopted = false;
}

void exporter_commit(struct exporter *exporter)
{
	const bool same_process = keeps_process(exporter);

	if (exporter->adopted != -1)
		drop_adopted(exporter);
	if (keeps_socket(exporter)) {
		exporter->next.fd = exporter->now.fd;
		free(exporter->now.address);
	} else {
		socket_clear(&exporter->now, &exporter->next);
	}
	exporter->now = exporter->next;
	exporter->next = (struct exporter_socket){ .fd = -1 };
	if (same_process)
		return;
	drop_process(exporter);
	if (exporter->now.address)
		start_process(exporter);
}

void exporter_abandon(struct exporter *exporter)
{
	if (keeps_socket(exporter))
		free(exporter->next.address);
	else
		socket_clear(&exporter->next, NULL);
	exporter->next = (struct exporter_socket){ .fd = -1 };
}

void exporter_init(struct exporter *exporter, const struct exporter_owner *owner)
{
	*exporter = (struct exporter){
		.owner = *owner, .now.fd = -1, .next.fd = -1, .control = -1, .adopted = -1,
	};
	ev_init(&exporter->exit, on_exit_of_it);
	ev_init(&exporter->questions, on_question);
	ev_init(&exporter->restart, on_restart);
	ev_init(&exporter->pace, on_pace);
	exporter->exit.data = exporter->questions.data = exporter->restart.data = exporter->pace.data = exporter;
}

void exporter_close(struct exporter *exporter)
{
	drop_process(exporter);
	socket_clear(&exporter->now, NULL);
}

void exporter_adopt(struct exporter *exporter, int fd)
{
	exporter->adopted = fd;
}

void exporter_bequeath(struct exporter *exporter)
{
	exporter->now.adopted = true;
	exporter_close(exporter);
}
