// SPDX-License-Identifier: MIT
#include "daemon/control.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/control_path.h"
#include "common/escape.h"
#include "common/hurry.h"
#include "common/mem.h"
#include "common/unix_path.h"

#define DEFAULT_MODE	0660
#define GROUPS_MAX	1024		/* of a client */
#define DISCARD_MAX	64		/* reads; as much as a socket holds by default */
#define SEND_BUFFER	8192		/* what the kernel keeps of an answer that nobody reads */
#define PAUSE_SECONDS	1.0		/* without descriptors or memory, until the next accept() */

struct control_client {
	TAILQ_ENTRY(control_client) list;
	struct control *control;
	struct ucred who;
	const struct control_command *waits;	/* for control_answer().  NULL: it does not */
	ev_io io;
	ev_timer timer;
	char request[CONTROL_REQUEST_MAX];
	size_t len;
	char *answer;			/* NULL: the request is not whole yet */
	size_t answer_len, sent;
};

/* ---- clients ---- */

static void client_free(struct control_client *client)
{
	struct control *control = client->control;

	TAILQ_REMOVE(&control->clients, client, list);
	control->client_count--;
	ev_io_stop(control->loop, &client->io);
	ev_timer_stop(control->loop, &client->timer);
	hurry_close(client->io.fd);
	free(client->answer);
	free(client);
}

static bool is_member(const struct control_client *client, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);
	size_t i;

	if (client->who.gid == group)
		return true;
	if (getsockopt(client->io.fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* System call filters that a process is under, which it cannot leave.  -1: it is gone, or there is no /proc. */
static long count_filters(pid_t pid)
{
	char name[32], line[128];
	long count = -1;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/status", pid);
	file = fopen(name, "re");
	while (file && count < 0 && fgets(line, sizeof(line), file))
		(void)sscanf(line, "Seccomp_filters: %ld", &count);
	if (file)
		(void)fclose(file);
	return count;
}

static bool is_confined(pid_t pid)
{
	long count = count_filters(pid);

	return count < 0 || count > count_filters(getpid());
}

static bool has_right(const struct control_client *client)
{
	const struct control_socket *socket = &client->control->now;

	return client->who.uid == geteuid() || (socket->has_group && is_member(client, socket->group));
}

/*
 * A child can connect.  It has the monitor's user where that was not started as root, and its
 * only group may be control-group.  But a child has a filter of its own, and by that is told
 * apart.
 */
static bool may_be_child(const struct control_client *client)
{
	return (client->who.uid == geteuid() || client->who.gid == client->control->now.group) &&
	       is_confined(client->who.pid);
}

static bool may_change(const struct control_client *client)
{
	return client->who.uid == 0 || (has_right(client) && !may_be_child(client));
}

static const char * const statuses[] = {
	[CONTROL_OK] = "ok",
	[CONTROL_REFUSED] = "refused",
};

/* The operand is what it changes: a gate, or a gate and its backend. */
static void log_order(const struct control_client *client, const struct control_command *command,
		      const char *operand)
{
	char text[CONTROL_REQUEST_MAX];

	log_info("control: %s%s%s, for user %u (process %d)", command->name, operand ? " " : "",
		 operand ? escape(ESCAPE_PLAIN, text, sizeof(text), operand, strlen(operand)) : "",
		 client->who.uid, client->who.pid);
}

/* "ok", "refused", "denied" or "unknown"; NULL: control_answer() is due. */
static const char *run_command(struct control_client *client, struct json_object *answer)
{
	const struct control_command *command = client->control->commands;
	char *operand = strchr(client->request, ' ');
	enum control_outcome outcome;

	if (operand)
		*operand++ = '\0';
	while (command->name && strcmp(command->name, client->request))
		command++;
	if (!command->name || (operand && !command->takes))
		return "unknown";
	if (command->changes && !may_change(client)) {
		if (log_allowed(&client->control->denials, log_now_ms()))
			log_warn("control: %s denied to user %u (process %d)", command->name,
				 client->who.uid, client->who.pid);
		return "denied";
	}
	if (command->changes)
		log_order(client, command, operand);
	outcome = command->run(client->control->arg, operand, answer);
	client->waits = outcome == CONTROL_LATER ? command : NULL;
	return client->waits ? NULL : statuses[outcome];
}

/* What a command does may take seconds, in which nobody was served. */
static void give_time(struct control *control)
{
	struct control_client *client;

	ev_now_update(control->loop);
	TAILQ_FOREACH(client, &control->clients, list)
		if (!client->waits)
			ev_timer_again(control->loop, &client->timer);
}

/* Takes over object. */
static void set_answer(struct control_client *client, const char *status, struct json_object *object)
{
	json_object_object_add(object, "status", json_object_new_string(status));
	client->answer = xprintf("%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	client->answer_len = strlen(client->answer);
	json_object_put(object);
}

/* It does not have to hurry: control_answer() comes. */
static void let_wait(struct control_client *client)
{
	ev_io_stop(client->control->loop, &client->io);
	ev_timer_stop(client->control->loop, &client->timer);
}

static void answer(struct control_client *client)
{
	struct json_object *object = json_object_new_object();
	const char *status = run_command(client, object);

	if (status) {
		set_answer(client, status, object);
	} else {
		json_object_put(object);
		let_wait(client);
	}
	give_time(client->control);
}

/* The close of a socket with unread bytes would be an error for the client, beside its answer. */
static void discard_rest(struct control_client *client)
{
	char rest[4096];
	int i;

	for (i = 0; i < DISCARD_MAX && hurry_recv(client->io.fd, rest, sizeof(rest)) > 0; i++)
		;
}

static void refuse_long(struct control_client *client)
{
	struct json_object *object = json_object_new_object();
	char *reason = xprintf("a request has at most %d bytes, with its newline", CONTROL_REQUEST_MAX);

	json_object_object_add(object, "reason", json_object_new_string(reason));
	free(reason);
	set_answer(client, "refused", object);
	discard_rest(client);
}

/* 1: the request is whole; 0: not yet; -1: none will come; -E2BIG: it is too long. */
static int read_request(struct control_client *client)
{
	ssize_t n = hurry_recv(client->io.fd, client->request + client->len,
			       sizeof(client->request) - client->len);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	client->len += (size_t)n;
	end = memchr(client->request, '\n', client->len);
	if (!end)
		return client->len < sizeof(client->request) ? 0 : -E2BIG;
	*end = '\0';
	return 1;
}

/* 1: all is sent; 0: not yet; -1: nobody takes it. */
static int send_answer(struct control_client *client)
{
	ssize_t n = send(client->io.fd, client->answer + client->sent,
			 client->answer_len - client->sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	client->sent += (size_t)n;
	return client->sent == client->answer_len;
}

/* As much as it takes now; the loop goes on. */
static void start_sending(struct control_client *client)
{
	struct ev_loop *loop = client->control->loop;

	ev_io_stop(loop, &client->io);
	ev_io_set(&client->io, client->io.fd, EV_WRITE);
	ev_io_start(loop, &client->io);
	if (send_answer(client))
		client_free(client);
}

void control_answer(struct control *control, const char *command, enum control_outcome outcome,
		    struct json_object *object)
{
	struct control_client *client, *next;

	for (client = TAILQ_FIRST(&control->clients); client; client = next) {
		next = TAILQ_NEXT(client, list);
		if (!client->waits || strcmp(client->waits->name, command))
			continue;
		client->waits = NULL;
		set_answer(client, statuses[outcome], json_object_get(object));
		ev_timer_again(control->loop, &client->timer);
		start_sending(client);
	}
	json_object_put(object);
}

static void on_client(struct ev_loop *loop, ev_io *io, int events)
{
	struct control_client *client = io->data;
	int ret;

	(void)loop;
	(void)events;
	if (client->answer) {
		if (send_answer(client))
			client_free(client);
		return;
	}
	ret = read_request(client);
	if (ret == -1)
		client_free(client);
	if (ret == -1 || ret == 0)
		return;
	if (ret == 1)
		answer(client);
	else
		refuse_long(client);
	if (client->answer)
		start_sending(client);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	client_free(timer->data);
}

static void client_new(struct control *control, int fd)
{
	struct control_client *client = xcalloc(1, sizeof(*client));
	socklen_t len = sizeof(client->who);
	const int room = SEND_BUFFER;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	client->control = control;
	/* nobody's, where the kernel does not say whose it is */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &client->who, &len))
		client->who = (struct ucred){ 0, (uid_t)-1, (gid_t)-1 };
	ev_io_init(&client->io, on_client, fd, EV_READ);
	ev_init(&client->timer, on_late);
	client->io.data = client->timer.data = client;
	client->timer.repeat = CONTROL_SECONDS;
	TAILQ_INSERT_TAIL(&control->clients, client, list);
	control->client_count++;
	ev_io_start(control->loop, &client->io);
	ev_timer_again(control->loop, &client->timer);
}

/*
 * How many clients its user has; 0: it must be kept when newest is one too many.  Who waits for the
 * outcome of a change is kept, too.
 */
static size_t crowd(const struct control_client *client, const struct control_client *newest)
{
	const struct control_client *other;
	size_t count = 0;

	if ((client->waits && client->waits->changes) || (!client->who.uid && newest->who.uid))
		return 0;
	TAILQ_FOREACH(other, &client->control->clients, list)
		count += other->who.uid == client->who.uid;
	return count;
}

/* Who says nothing, or does not read, must not keep others waiting: the oldest of the user with most. */
static void drop_one(struct control *control)
{
	struct control_client *newest = TAILQ_LAST(&control->clients, control_clients);
	struct control_client *client, *drop = newest;
	size_t most = 0;

	TAILQ_FOREACH(client, &control->clients, list) {
		if (crowd(client, newest) > most) {
			most = crowd(client, newest);
			drop = client;
		}
	}
	client_free(drop);
}

static void stop_accepting(struct control *control)
{
	ev_io_stop(control->loop, &control->accept);
	ev_timer_stop(control->loop, &control->pause);
}

/* Out of descriptors or memory: the socket stays readable, and the loop would spin. */
static void pause_accepting(struct control *control, int error)
{
	log_error("control: no client can be accepted: %s; trying again in %.0f s", strerror(error),
		  PAUSE_SECONDS);
	stop_accepting(control);
	ev_timer_set(&control->pause, PAUSE_SECONDS, 0.);
	ev_timer_start(control->loop, &control->pause);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct control *control = timer->data;

	(void)events;
	ev_io_start(loop, &control->accept);
}

static bool is_passing(int error)
{
	return error == EAGAIN || error == EINTR || error == ECONNABORTED;
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct control *control = io->data;
	int fd;

	(void)loop;
	(void)events;
	fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0 && !is_passing(errno))
		pause_accepting(control, errno);
	if (fd < 0)
		return;
	client_new(control, fd);
	if (control->client_count > CONTROL_CLIENTS_MAX)
		drop_one(control);
}

/* ---- the socket ---- */

/* heir: has taken the place, perhaps under the same name; NULL: nobody has. */
static void socket_clear(struct control_socket *socket, const struct control_socket *heir)
{
	if (!socket->path)
		return;
	if (!socket->adopted && (!heir || !heir->path || strcmp(heir->path, socket->path)))
		(void)unlink(socket->path);
	hurry_close(socket->fd);
	free(socket->path);
	*socket = (struct control_socket){ .fd = -1 };
}

/* NULL: no socket. */
static char *wanted_path(const struct settings *settings)
{
	if (!settings_has_control(settings))
		return NULL;
	return settings->control ? xstrdup(settings->control) : control_default_path();
}

/* The id of control-group.  0 or -1: nobody is called so. */
static int find_group(const char *name, gid_t *out)
{
	const struct group *group = getgrnam(name);
	unsigned long number;
	char *end;

	if (group) {
		*out = group->gr_gid;
		return 0;
	}
	number = strtoul(name, &end, 10);
	*out = (gid_t)number;
	return *name < '0' || *name > '9' || *end || number >= (gid_t)-1 ? -1 : 0;
}

/* As the settings say.  before: what they were.  0 or -errno. */
static int give_rights(const struct control_socket *socket, const struct settings *settings,
		       struct stat *before)
{
	const struct given *given = setting_given(setting_find("control-mode"), settings, NULL);
	int node = unix_path_open(socket->path, before), ret;

	if (node < 0)
		return node;
	ret = unix_path_set_rights(node, (uid_t)-1, socket->has_group ? socket->group : (gid_t)-1,
				   given->yes ? (mode_t)settings->control_mode : DEFAULT_MODE);
	if (ret)
		(void)unix_path_set_rights(node, (uid_t)-1, before->st_gid, before->st_mode & 07777);
	close(node);
	return ret;
}

/* Undoes that for the socket in use, as far as it can be. */
static void restore_rights(const struct control *control)
{
	const struct stat *before = &control->before;
	struct stat unused;
	int node = unix_path_open(control->next.path, &unused), ret = node;

	if (node >= 0) {
		ret = unix_path_set_rights(node, (uid_t)-1, before->st_gid, before->st_mode & 07777);
		close(node);
	}
	if (ret < 0)
		log_error("control socket '%s' keeps other rights: %s", control->next.path,
			  strerror(-ret));
}

/* The socket at path, listening; -errno. */
static int open_at(struct control_socket *out, const struct settings *settings)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;
	struct stat unused;

	if (strlen(out->path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, out->path);
	ret = unix_path_clear(&addr);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		ret = -errno;
	} else {
		/* nobody can connect before it listens */
		ret = give_rights(out, settings, &unused);
		if (!ret && listen(fd, SOMAXCONN))
			ret = -errno;
		if (ret)
			(void)unlink(out->path);
	}
	if (ret && fd >= 0)
		close(fd);
	out->fd = fd;
	return ret;
}

static const char *advice(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another tlsgated answers there: give control = PATH, or none";
	case EEXIST:
		return "there is a file that is no socket: give another path";
	case EPERM:
		return "its group or mode cannot be set: CAP_CHOWN, or be a member of control-group";
	default:
		return "give control = PATH, or none";
	}
}

/* Where nobody asked for it, it is not worth more than a line. */
static int complain(const struct settings *settings, const char *path, int error)
{
	char why[SETTINGS_WHY_MAX];

	snprintf(why, sizeof(why), "%s: %s", strerror(error), advice(error));
	if (settings->control)
		return settings_refuse(settings, "control", path, why);
	if (error != ENOENT)
		log_warn("no control socket '%s': %s", path, why);
	return 0;
}

int control_find_group(const struct settings *settings, gid_t *out)
{
	if (!settings->control_group || !find_group(settings->control_group, out))
		return 0;
	return settings_refuse(settings, "control-group", settings->control_group,
			       "there is no such group: create it, or give a group id");
}

int control_prepare(struct control *control, const struct settings *settings)
{
	struct control_socket *next = &control->next;
	bool same;
	int ret;

	*next = (struct control_socket){ .path = wanted_path(settings), .fd = -1 };
	if (!next->path)
		return 0;
	next->has_group = settings->control_group;
	ret = control_find_group(settings, &next->group);
	if (!ret) {
		same = control->now.path && !strcmp(control->now.path, next->path) &&
		       !access(next->path, F_OK);
		/* the one in use: only its rights may be others */
		ret = same ? give_rights(next, settings, &control->before) : open_at(next, settings);
		if (!ret)
			return 0;
		ret = complain(settings, next->path, -ret);
	}
	free(next->path);
	next->path = NULL;
	return ret;
}

static bool keeps_socket(const struct control *control)
{
	return control->now.path && control->next.path && control->next.fd == -1;
}

void control_commit(struct control *control)
{
	control->now.adopted = false;
	if (keeps_socket(control)) {
		control->now.has_group = control->next.has_group;
		control->now.group = control->next.group;
		free(control->next.path);
		ev_io_start(control->loop, &control->accept);	/* where it was adopted */
	} else {
		stop_accepting(control);
		socket_clear(&control->now, &control->next);
		control->now = control->next;
		ev_io_set(&control->accept, control->now.fd, EV_READ);
		if (control->now.path)
			ev_io_start(control->loop, &control->accept);
	}
	control->next = (struct control_socket){ .fd = -1 };
}

void control_abandon(struct control *control)
{
	if (keeps_socket(control)) {
		restore_rights(control);
		free(control->next.path);
	} else {
		socket_clear(&control->next, NULL);
	}
	control->next = (struct control_socket){ .fd = -1 };
}

void control_init(struct control *control, struct ev_loop *loop,
		  const struct control_command *commands, void *arg)
{
	memset(control, 0, sizeof(*control));
	hurry_init();
	control->loop = loop;
	control->commands = commands;
	control->arg = arg;
	control->now.fd = control->next.fd = -1;
	TAILQ_INIT(&control->clients);
	ev_init(&control->accept, on_accept);
	ev_init(&control->pause, on_pause_over);
	control->accept.data = control->pause.data = control;
}

void control_close(struct control *control)
{
	struct control_client *client;

	stop_accepting(control);
	socket_clear(&control->now, NULL);
	while ((client = TAILQ_FIRST(&control->clients)))
		client_free(client);
}

void control_adopt(struct control *control, int fd)
{
	struct sockaddr_un addr = {0};
	socklen_t len = sizeof(addr) - 1;	/* so that the path has its NUL */

	if (getsockname(fd, (struct sockaddr *)&addr, &len) || addr.sun_family != AF_UNIX || !addr.sun_path[0]) {
		close(fd);
		return;
	}
	control->now = (struct control_socket){ .path = xstrdup(addr.sun_path), .fd = fd, .adopted = true };
	ev_io_set(&control->accept, fd, EV_READ);
}

void control_bequeath(struct control *control)
{
	control->now.adopted = true;
	control_close(control);
}
