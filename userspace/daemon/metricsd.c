// SPDX-License-Identifier: MIT
#include "daemon/metricsd.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hurry.h"
#include "common/ipc.h"
#include "common/log.h"
#include "daemon/filter.h"
#include "daemon/landlock.h"
#include "daemon/microhttpd.h"
#include "daemon/negotiate.h"
#include "daemon/process.h"

#define CONNECTIONS	32u
#define PER_ADDRESS	16u		/* and per user, where they come by a UNIX socket */
#define IDLE_SECONDS	10u
#define WHOLE_MS	30000u		/* for the request and its answer */
#define LOOK_MS		1000		/* how late the end of that time may be seen */
#define MONITOR_MS	10000		/* for the monitor to answer */
#define REQUEST_MEMORY	(16u << 10)
#define NOBODY		((uid_t)-1)

/* One that was accepted. */
struct client {
	int fd;				/* -1: the place is free */
	uint64_t since;			/* of clock_ms() */
	uid_t uid;			/* NOBODY: it came by TCP */
};

struct metricsd {
	struct microhttpd http;
	int control;
	unsigned int owed;		/* answers that the monitor still has to give */
	struct client clients[CONNECTIONS];
};

/* ---- the monitor ---- */

/* The text of an answer, to be freed; NULL: there is none. */
static char *read_text(const struct ipc_message *message, size_t *len)
{
	const off_t size = message->fd_count == 1 ? lseek(message->fds[0], 0, SEEK_END) : -1;
	char *text = size > 0 && !lseek(message->fds[0], 0, SEEK_SET) ? malloc((size_t)size) : NULL;

	*len = size > 0 ? (size_t)size : 0;
	if (text && read(message->fds[0], text, *len) == (ssize_t)*len)
		return text;
	free(text);
	return NULL;
}

/* The next answer, unless the monitor lets it wait too long.  Without a monitor this process ends. */
static bool await(const struct metricsd *metricsd, struct ipc_message *message)
{
	struct pollfd pfd = { .fd = metricsd->control, .events = POLLIN };

	if (poll(&pfd, 1, MONITOR_MS) != 1)
		return false;
	if (ipc_receive(metricsd->control, message) != 1)
		_exit(0);
	return true;
}

/* Answers come in the order of the questions: those to earlier ones, which came late, are dropped. */
static char *ask_monitor(struct metricsd *metricsd, enum metrics_format format, size_t *len)
{
	const enum ipc_type type = format == METRICS_OPENMETRICS ? IPC_ASK_OPENMETRICS : IPC_ASK_PROMETHEUS;
	struct ipc_message message;
	char *text = NULL;

	if (ipc_send(metricsd->control, type, NULL, 0))
		return NULL;
	metricsd->owed++;
	while (metricsd->owed && await(metricsd, &message)) {
		metricsd->owed--;
		if (!metricsd->owed)
			text = read_text(&message, len);
		ipc_close(&message);
	}
	return text;
}

/* ---- a request ---- */

/* Takes over text, which is freed with the response. */
static enum MHD_Result respond(const struct microhttpd *http, struct MHD_Connection *connection,
			       unsigned int status, const char *type, char *text, size_t len)
{
	struct MHD_Response *response = http->create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result ret;

	if (!response) {
		free(text);
		return MHD_NO;
	}
	(void)http->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	(void)http->add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)http->add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	ret = http->queue_response(connection, status, response);
	http->destroy_response(response);
	return ret;
}

static enum MHD_Result refuse(const struct microhttpd *http, struct MHD_Connection *connection,
			      unsigned int status, const char *why)
{
	char *text = strdup(why);

	return text ? respond(http, connection, status, "text/plain", text, strlen(text)) : MHD_NO;
}

static enum MHD_Result tell(struct metricsd *metricsd, struct MHD_Connection *connection)
{
	const struct microhttpd *http = &metricsd->http;
	const enum metrics_format format =
		negotiate(http->lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT));
	size_t len;
	char *text;

	hurry_end();		/* the monitor may take its time */
	text = ask_monitor(metricsd, format, &len);
	hurry_begin();
	if (!text)
		return refuse(http, connection, MHD_HTTP_SERVICE_UNAVAILABLE,
			      "tlsgated does not answer now: try again\n");
	return respond(http, connection, MHD_HTTP_OK, format == METRICS_OPENMETRICS ?
		       "application/openmetrics-text; version=1.0.0; charset=utf-8" :
		       "text/plain; version=0.0.4; charset=utf-8", text, len);
}

/* Called once the headers are there, and for a request that may be answered, once more. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **request)
{
	struct metricsd *metricsd = arg;

	(void)version;
	(void)upload;
	(void)upload_len;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return refuse(&metricsd->http, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET /metrics\n");
	if (strcmp(url, "/metrics"))
		return refuse(&metricsd->http, connection, MHD_HTTP_NOT_FOUND, "GET /metrics\n");
	if (!*request) {
		*request = metricsd;
		return MHD_YES;
	}
	return tell(metricsd, connection);
}

/* ---- connections ---- */

static uid_t user_of(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) ? NOBODY : who.uid;
}

/* Has the user as many as one may have?  The library sees to addresses, and a UNIX socket's clients have none. */
static bool has_enough(const struct metricsd *metricsd, uid_t uid)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < CONNECTIONS; i++)
		count += metricsd->clients[i].fd != -1 && metricsd->clients[i].uid == uid;
	return uid != NOBODY && count >= PER_ADDRESS;
}

/* A free place; NULL: there is none, and the library has no more connections. */
static struct client *find_place(struct metricsd *metricsd)
{
	size_t i;

	for (i = 0; i < CONNECTIONS; i++)
		if (metricsd->clients[i].fd == -1)
			return &metricsd->clients[i];
	return NULL;
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct metricsd *metricsd = arg;
	struct client *client = *context;
	uid_t uid;
	int fd;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (client)
			client->fd = -1;
		return;
	}
	fd = metricsd->http.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	uid = user_of(fd);
	client = find_place(metricsd);
	if (!client || has_enough(metricsd, uid)) {
		(void)shutdown(fd, SHUT_RDWR);	/* the library closes it */
		return;
	}
	*client = (struct client){ .fd = fd, .since = clock_ms(), .uid = uid };
	*context = client;
}

/* The library limits idle time only.  True: there are connections. */
static bool end_slow(struct metricsd *metricsd)
{
	const uint64_t now = clock_ms();
	bool any = false;
	size_t i;

	for (i = 0; i < CONNECTIONS; i++) {
		if (metricsd->clients[i].fd == -1)
			continue;
		any = true;
		if (now - metricsd->clients[i].since >= WHOLE_MS)
			(void)shutdown(metricsd->clients[i].fd, SHUT_RDWR);
	}
	return any;
}

static struct MHD_Daemon *start_http(struct metricsd *metricsd, int listener)
{
	size_t i;

	for (i = 0; i < CONNECTIONS; i++)
		metricsd->clients[i].fd = -1;
	return metricsd->http.start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, metricsd,
					   MHD_OPTION_LISTEN_SOCKET, listener,
					   MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
					   MHD_OPTION_PER_IP_CONNECTION_LIMIT, PER_ADDRESS,
					   MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
					   MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_MEMORY,
					   MHD_OPTION_NOTIFY_CONNECTION, on_connection, metricsd,
					   MHD_OPTION_END);
}

static int wait_ms(const struct microhttpd *http, struct MHD_Daemon *daemon, bool connections)
{
	unsigned long long ms;

	if (http->get_timeout(daemon, &ms) == MHD_YES && ms < LOOK_MS)
		return (int)ms;
	return connections ? LOOK_MS : -1;
}

/* Until the monitor is gone: it says nothing but answers. */
static void serve(struct metricsd *metricsd, struct MHD_Daemon *daemon)
{
	struct pollfd fds[] = {
		{ .fd = metricsd->http.get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN },
		{ .fd = metricsd->control },
	};

	while (!(fds[1].revents & (POLLHUP | POLLERR))) {
		hurry_begin();	/* for what a scraper passes along: the library receives and closes */
		(void)metricsd->http.run(daemon);
		hurry_end();
		(void)poll(fds, 2, wait_ms(&metricsd->http, daemon, end_slow(metricsd)));
	}
}

static int enter_sandbox(const struct metricsd_plan *plan, int control)
{
	int keep[] = { plan->listener, control, log_copy() };

	return sandbox_keep_fds(keep, 3) || sandbox_drop(&plan->who) ? -1 : 0;
}

static _Noreturn void run(const struct metricsd_plan *plan, int control)
{
	static struct metricsd metricsd;
	struct MHD_Daemon *daemon;
	const char *why;

	metricsd.control = control;
	sandbox_child("tlsgated-metric");
	log_init("tlsgated metrics", log_is_verbose());
	if (microhttpd_load(&metricsd.http, &why)) {
		log_error("no metrics: %s: install libmicrohttpd12", why);
		_exit(METRICSD_UNFIT);
	}
	/* the library looks at the time of day, for which libc would read its zone's file */
	tzset();
	if (enter_sandbox(plan, control))
		_exit(METRICSD_UNFIT);
	daemon = start_http(&metricsd, plan->listener);
	if (!daemon) {
		log_error("no metrics: libmicrohttpd does not start: raise the limit of open files");
		_exit(1);
	}
	if (landlock_enter(NULL, 0) || filter_load(FILTER_METRICS, false))
		_exit(METRICSD_UNFIT);
	log_copy_close();
	serve(&metricsd, daemon);
	_exit(0);
}

pid_t metricsd_start(const struct metricsd_plan *plan, int *control)
{
	pid_t pid = process_fork("the metrics process", control);

	if (pid == 0) {
		plan->forget(plan->arg);
		run(plan, *control);
	}
	return pid;
}
