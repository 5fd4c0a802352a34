// SPDX-License-Identifier: MIT
/* tlsgate reload, upgrade, pause, resume, drain, undrain, gates and stats: what tlsgated answers on its control socket. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/control_path.h"
#include "common/escape.h"

#include "ctl.h"

#define FOREIGN		"the answer is not tlsgated's: what listens on the socket?"
#define REQUEST_MAX	257	/* what tlsgated takes, and the NUL */
#define ANSWER_MIB	16	/* 256 gates with 64 certificates each give about 2 */
#define LONG_MIB	256	/* of "connections", which takes some 400 bytes for each */
#define ANSWER_ROOM	65536	/* at first */
#define ANSWER_SECONDS	10
#define RELOAD_SECONDS	90	/* it waits for every worker */
#define UPGRADE_SECONDS	130	/* the next daemon has 120 */

const char *ctl_control;

static const char *advice(int error)
{
	if (error == EACCES)
		return "it is for root and for the group that control-group names";
	if (error == EAGAIN)
		return "it has not taken other commands yet";
	return "is it running? -S PATH names another socket, as its setting control does";
}

/* A connection, or -1 after an error line. */
static int dial_path(const char *path)
{
	const struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		ctl_error("the path '%s' is too long for a socket", path);
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* EAGAIN: nobody accepts, and there is no room to wait. */
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) &&
	    !connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	ctl_error("no tlsgated answers on '%s': %s: %s", path, strerror(errno), advice(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int dial(void)
{
	char *path = ctl_control ? NULL : control_default_path();
	int fd = dial_path(path ? path : ctl_control);

	free(path);
	return fd;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* 1: fd can be read; 0: not in time. */
static int wait_until(int fd, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t left;
	int ret;

	do {
		left = deadline - now_ms();
		ret = poll(&pfd, 1, left > 0 ? (int)left : 0);
	} while (ret < 0 && errno == EINTR);
	return ret == 1;
}

/* As read(2), but waits until the deadline. */
static ssize_t read_by(int fd, char *buf, size_t room, int64_t deadline)
{
	ssize_t n;

	do {
		if (!wait_until(fd, deadline)) {
			errno = ETIMEDOUT;
			return -1;
		}
		n = read(fd, buf, room);
	} while (n < 0 && errno == EINTR);
	return n;
}

static unsigned int mib_of(const char *command)
{
	return strcmp(command, "connections") ? ANSWER_MIB : LONG_MIB;
}

/* Up to the end of the stream, NUL-terminated.  NULL: errno says why, EMSGSIZE that it is too long. */
static char *read_all(int fd, int seconds, size_t max)
{
	const int64_t deadline = now_ms() + seconds * 1000;
	size_t len = 0, size = ANSWER_ROOM;
	char *text = ctl_must(malloc(size));
	ssize_t n;

	while ((n = read_by(fd, text + len, size - len, deadline)) > 0) {
		len += (size_t)n;
		if (len == max)
			break;
		if (len == size) {
			size *= 2;
			text = ctl_must(realloc(text, size));
		}
	}
	if (!n && len) {
		text[len] = '\0';
		return text;
	}
	if (n >= 0)
		errno = n ? EMSGSIZE : ECONNRESET;
	free(text);
	return NULL;
}

static void complain(const char *command, int error)
{
	if (error == EMSGSIZE)
		ctl_error("%s: the answer has over %u MiB: what listens on the socket?", command,
			  mib_of(command));
	else
		ctl_error("%s: no answer from tlsgated: %s", command, strerror(error));
}

const char *ctl_member(struct json_object *object, const char *key)
{
	const char *text = json_object_get_string(json_object_object_get(object, key));

	return text ? text : "";
}

static void make_text_safe(struct json_object *value)
{
	const char *text = json_object_get_string(value);
	size_t len = (size_t)json_object_get_string_len(value), size = 4 * len + 16;
	char *safe = ctl_must(malloc(size));

	json_object_set_string(value, escape(ESCAPE_PLAIN, safe, size, text, len));
	free(safe);
}

/* Each text in an answer: -S may name anybody's socket.  As deep as json-c reads: 32. */
static void make_safe(struct json_object *value)
{
	size_t i;

	switch (json_object_get_type(value)) {
	case json_type_string:
		make_text_safe(value);
		break;
	case json_type_array:
		for (i = 0; i < json_object_array_length(value); i++)
			make_safe(json_object_array_get_idx(value, i));
		break;
	case json_type_object: {
		json_object_object_foreach(value, key, member) {
			(void)key;
			make_safe(member);
		}
		break;
	}
	default:
		break;
	}
}

/* Nobody asked for a daemon, and there is no socket that could be its. */
static bool is_absent(void)
{
	char *path = ctl_control ? NULL : control_default_path();
	bool absent = !ctl_control && (!path || access(path, R_OK | W_OK));

	free(path);
	return absent;
}

static int seconds_of(const char *command)
{
	if (!strcmp(command, "reload"))
		return RELOAD_SECONDS;
	return strcmp(command, "upgrade") ? ANSWER_SECONDS : UPGRADE_SECONDS;
}

/*
 * The answer to a command, with an operand unless that is NULL; or NULL after an error line.
 * Its texts can be printed, unless it is to be shown as JSON, which has its own escapes.
 */
static struct json_object *ask(const char *command, const char *operand, bool json)
{
	struct json_object *answer = NULL;
	char line[REQUEST_MAX], *text = NULL;
	int fd = dial();
	int len;

	if (fd < 0)
		return NULL;
	len = snprintf(line, sizeof(line), "%s%s%s\n", command, operand ? " " : "",
		       operand ? operand : "");
	if (len < (int)sizeof(line) && send(fd, line, (size_t)len, MSG_NOSIGNAL) == len)
		text = read_all(fd, seconds_of(command), (size_t)mib_of(command) << 20);
	if (text)
		answer = json_tokener_parse(text);
	else
		complain(command, errno);
	if (text && !json_object_is_type(answer, json_type_object))
		ctl_error("%s: " FOREIGN, command);
	free(text);
	close(fd);
	if (!json_object_is_type(answer, json_type_object)) {
		json_object_put(answer);
		return NULL;
	}
	if (!json || strcmp(ctl_member(answer, "status"), "ok"))
		make_safe(answer);
	return answer;
}

static struct json_object *ask_if_there(const char *command, bool json)
{
	struct json_object *answer = is_absent() ? NULL : ask(command, NULL, json);

	/* an older one may not know the command */
	if (!strcmp(ctl_member(answer, "status"), "ok"))
		return answer;
	json_object_put(answer);
	return NULL;
}

static size_t length_of(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

struct json_object *ctl_connections(bool json)
{
	return ask_if_there("connections", json);
}

struct json_object *ctl_gates(void)
{
	return ask_if_there("gates", false);
}

static void print_lines(struct json_object *answer)
{
	struct json_object *lines = json_object_object_get(answer, "lines");
	size_t i;

	if (!json_object_is_type(lines, json_type_array))
		return;
	for (i = 0; i < json_object_array_length(lines); i++)
		ctl_error("%s", json_object_get_string(json_object_array_get_idx(lines, i)));
}

/* What is there to say but ok. */
static int check_status(const char *command, struct json_object *answer)
{
	const char *status = ctl_member(answer, "status");

	if (!strcmp(status, "ok"))
		return CTL_DONE;
	if (!strcmp(status, "denied"))
		ctl_error("%s: denied: it takes root, the user of tlsgated, or its control-group",
			  command);
	else if (!strcmp(status, "unknown"))
		ctl_error("%s: this tlsgated does not know the command: is it older than tlsgate?",
			  command);
	else if (*ctl_member(answer, "reason"))
		ctl_error("%s: %s", command, ctl_member(answer, "reason"));
	else if (strcmp(status, "refused"))
		ctl_error("%s: " FOREIGN, command);
	return CTL_FAILED;
}

/* Gates that have nowhere to keep connections which the kernel does not get. */
static void print_refusing(struct json_object *names)
{
	size_t i;

	for (i = 0; i < length_of(names); i++)
		printf("%s: new connections are refused: its deliver is always\n",
		       json_object_get_string(json_object_array_get_idx(names, i)));
}

/* A command that changes something, for its operand or NULL, and what is said once it has. */
static int change(int argc, char **argv, const char *operand, const char *done)
{
	struct json_object *answer;
	int status;

	if (ctl_arguments(argc, argv, NULL, NULL))
		return CTL_USAGE;
	answer = ask(argv[0], operand, false);
	if (!answer)
		return CTL_FAILED;
	print_lines(answer);
	status = check_status(argv[0], answer);
	if (status == CTL_DONE) {
		puts(done);
		print_refusing(json_object_object_get(answer, "refuses"));
	}
	json_object_put(answer);
	return status;
}

int cmd_reload(int argc, char **argv)
{
	return change(argc, argv, NULL, "reloaded");
}

int cmd_upgrade(int argc, char **argv)
{
	return change(argc, argv, NULL, "upgraded");
}

int cmd_pause(int argc, char **argv)
{
	return change(argc, argv, NULL, "paused: new connections are not handed to the kernel");
}

int cmd_resume(int argc, char **argv)
{
	return change(argc, argv, NULL, "resumed: new connections go to the kernel");
}

static int refuse_name(const char *command, const char *what)
{
	ctl_error("%s: %s refused: no gate has such a name or backend: tlsgate gates lists them", command, what);
	return CTL_USAGE;
}

static bool is_sendable(const char *operand)
{
	return *operand && !strchr(operand, '\n') && strlen(operand) < REQUEST_MAX - sizeof("undrain \n");
}

/* --gate NAME, or all gates. */
static int change_gate(int argc, char **argv, const char *done)
{
	const char *gate = ctl_option(&argc, argv, "--gate");

	if (gate && !is_sendable(gate))
		return refuse_name(argv[0], "--gate");
	return change(argc, argv, gate, done);
}

/* GATE BACKEND. */
static int change_backend(char **argv, const char *done)
{
	char operand[REQUEST_MAX];
	char *command[] = { argv[0], NULL };

	if (snprintf(operand, sizeof(operand), "%s %s", argv[1], argv[2]) >= (int)sizeof(operand) ||
	    !is_sendable(operand))
		return refuse_name(argv[0], "GATE BACKEND");
	return change(1, command, operand, done);
}

static bool names_backend(int argc, char **argv)
{
	return argc == 3 && argv[1][0] != '-' && argv[2][0] != '-';
}

int cmd_drain(int argc, char **argv)
{
	if (names_backend(argc, argv))
		return change_backend(argv, "drained: it gets no new connection; tlsgate gates counts those that it has");
	return change_gate(argc, argv,
			   "drained: no more is accepted; tlsgate stats counts what is open");
}

int cmd_undrain(int argc, char **argv)
{
	if (names_backend(argc, argv))
		return change_backend(argv, "undrained: it gets connections again");
	return change_gate(argc, argv, "undrained: connections are accepted again");
}

/* "A, B" of an array of texts. */
static void join(struct json_object *array, char *out, size_t size)
{
	size_t i, len = 0;

	out[0] = '\0';
	if (!json_object_is_type(array, json_type_array))
		return;
	for (i = 0; i < json_object_array_length(array) && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i ? ", " : "",
					json_object_get_string(json_object_array_get_idx(array, i)));
}

/* "2027-01-31", or "-". */
static void date_text(int64_t when, char out[CTL_TEXT_MAX])
{
	struct tm tm;

	snprintf(out, CTL_TEXT_MAX, "-");
	if (when != INT64_MAX && gmtime_r(&(time_t){ (time_t)when }, &tm))
		strftime(out, CTL_TEXT_MAX, "%Y-%m-%d", &tm);
}

/* INT64_MAX: it does not say. */
static int64_t end_of(struct json_object *certificate)
{
	struct json_object *value = json_object_object_get(certificate, "ends");

	return value ? json_object_get_int64(value) : INT64_MAX;
}

/* When the first of its certificates ends. */
static void first_end(struct json_object *certs, char out[CTL_TEXT_MAX])
{
	int64_t ends, first = INT64_MAX;
	size_t i;

	for (i = 0; i < length_of(certs); i++) {
		ends = end_of(json_object_array_get_idx(certs, i));
		first = ends < first ? ends : first;
	}
	date_text(first, out);
}

/* It is a name that never was resolved. */
static bool is_lost(struct json_object *backend)
{
	struct json_object *addresses = json_object_object_get(backend, "addresses");

	return addresses && !length_of(addresses) &&
	       strncmp(ctl_member(backend, "backend"), "unix:", 5);
}

/* How much of its backends is known, or to be had. */
static const char *lost_text(struct json_object *gate)
{
	struct json_object *backends = json_object_object_get(gate, "backends");
	size_t i, count = length_of(backends), lost = 0;

	for (i = 0; i < count; i++)
		lost += is_lost(json_object_array_get_idx(backends, i));
	if (count && lost == count)
		return ", not resolved";
	if (count && !json_object_get_boolean(json_object_object_get(gate, "available")))
		return ", none to be had";
	return lost ? ", some not resolved" : "";
}

/* What it cannot deliver. */
static bool relays(struct json_object *gate)
{
	return !strcmp(ctl_member(gate, "deliver"), "auto");
}

static void add_target(struct ctl_table *table, struct json_object *object)
{
	char backend[512];

	snprintf(backend, sizeof(backend), "%s%s", ctl_member(object, "backend"), lost_text(object));
	ctl_table_add(table, backend);
}

/* All but its backend is as the gate has it. */
static void add_route(struct ctl_table *table, struct json_object *route)
{
	const char *alpn = ctl_member(route, "alpn");
	char name[CTL_TEXT_MAX];
	int rest;

	snprintf(name, sizeof(name), "  %s %s%s%s", ctl_member(route, "kind"), ctl_member(route, "name"),
		 *alpn ? " alpn " : "", alpn);
	ctl_table_add(table, name);
	for (rest = 3; rest; rest--)
		ctl_table_add(table, "-");
	add_target(table, route);
	for (rest = 3; rest; rest--)
		ctl_table_add(table, "-");
}

static void add_gate(struct ctl_table *table, struct json_object *gate)
{
	const bool paused = json_object_get_boolean(json_object_object_get(gate, "paused"));
	struct json_object *routes = json_object_object_get(gate, "routes");
	char listen[1024], ends[CTL_TEXT_MAX], path[CTL_TEXT_MAX];
	size_t i;

	join(json_object_object_get(gate, "listen"), listen, sizeof(listen));
	first_end(json_object_object_get(gate, "certificates"), ends);
	ctl_table_add(table, ctl_member(gate, "name"));
	ctl_table_add(table, ctl_member(gate, "mode"));
	ctl_table_add(table, ctl_member(gate, "state"));
	ctl_table_add(table, *listen ? listen : "-");
	add_target(table, gate);
	snprintf(path, sizeof(path), "%s%s", ctl_member(gate, "data-path"), paused ? ", paused" : "");
	ctl_table_add(table, path);
	snprintf(path, sizeof(path), "%s%s", ctl_member(gate, "deliver"),
		 !length_of(json_object_object_get(gate, "undelivered")) ? "" :
		 relays(gate) ? ", relays" : ", refuses");
	ctl_table_add(table, path);
	ctl_table_add(table, ends);
	for (i = 0; i < length_of(routes); i++)
		add_route(table, json_object_array_get_idx(routes, i));
}

/* spare: of ctl_table_spare(). */
static void print_table(const char * const headings[], size_t columns, const char * const spare[],
			struct json_object *rows, void (*add_row)(struct ctl_table *table, struct json_object *row))
{
	struct ctl_table *table = ctl_table_new(headings, columns);
	size_t i;

	for (i = 0; json_object_is_type(rows, json_type_array) &&
	     i < json_object_array_length(rows); i++)
		add_row(table, json_object_array_get_idx(rows, i));
	ctl_table_spare(table, spare);
	ctl_table_print(table);
	ctl_table_free(table);
}

/* "in 62 days", "ended". */
static void left_text(int64_t ends, char out[CTL_TEXT_MAX])
{
	const int64_t left = ends - (int64_t)time(NULL);

	if (ends == INT64_MAX)
		snprintf(out, CTL_TEXT_MAX, "-");
	else if (left <= 0)
		snprintf(out, CTL_TEXT_MAX, "ended");
	else
		snprintf(out, CTL_TEXT_MAX, "in %lld days", (long long)(left / (24 * 3600)));
}

static void add_certificates(struct ctl_table *table, struct json_object *gate)
{
	struct json_object *certs = json_object_object_get(gate, "certificates"), *item;
	char text[CTL_TEXT_MAX];
	size_t i;

	for (i = 0; i < length_of(certs); i++) {
		item = json_object_array_get_idx(certs, i);
		ctl_table_add(table, ctl_member(item, "file"));
		ctl_table_add(table, ctl_member(gate, "name"));
		date_text(end_of(item), text);
		ctl_table_add(table, text);
		left_text(end_of(item), text);
		ctl_table_add(table, text);
	}
}

static void print_certificates(struct json_object *gates)
{
	static const char * const headings[] = { "CERTIFICATE", "GATE", "ENDS", "LEFT" };
	struct ctl_table *table = ctl_table_new(headings, sizeof(headings) / sizeof(*headings));
	size_t i;

	for (i = 0; i < length_of(gates); i++)
		add_certificates(table, json_object_array_get_idx(gates, i));
	if (ctl_table_rows(table)) {
		putchar('\n');
		ctl_table_print(table);
	}
	ctl_table_free(table);
}

static int64_t number_in(struct json_object *object, const char *key)
{
	return json_object_get_int64(json_object_object_get(object, key));
}

/* "12 min", since then. */
static void age_text(int64_t since, char out[CTL_TEXT_MAX])
{
	const int64_t age = (int64_t)time(NULL) - since;

	if (!since)
		snprintf(out, CTL_TEXT_MAX, "-");
	else
		(void)ctl_time(age > 0 ? (uint64_t)age * 1000 : 0, out);
}

static void add_backend(struct ctl_table *table, const char *of, struct json_object *backend)
{
	char text[CTL_TEXT_MAX];

	ctl_table_add(table, ctl_member(backend, "backend"));
	ctl_table_add(table, of);
	snprintf(text, sizeof(text), "%s%s", ctl_member(backend, "state"),
		 json_object_get_boolean(json_object_object_get(backend, "drained")) ? ", drained" : "");
	ctl_table_add(table, text);
	age_text(number_in(backend, "since"), text);
	ctl_table_add(table, text);
	snprintf(text, sizeof(text), "%" PRId64, number_in(backend, "weight"));
	ctl_table_add(table, text);
	snprintf(text, sizeof(text), "%" PRId64, number_in(backend, "connections"));
	ctl_table_add(table, text);
	ctl_table_add(table, ctl_member(backend, "why"));
}

/* Of a gate or a route: where there is a choice, or something to tell of a backend. */
static void add_choice(struct ctl_table *table, const char *of, struct json_object *object)
{
	struct json_object *list = json_object_object_get(object, "backends"), *item;
	size_t i;

	for (i = 0; i < length_of(list); i++) {
		item = json_object_array_get_idx(list, i);
		if (length_of(list) > 1 || number_in(item, "since") ||
		    json_object_get_boolean(json_object_object_get(item, "drained")))
			add_backend(table, of, item);
	}
}

static void add_backends(struct ctl_table *table, struct json_object *gate)
{
	struct json_object *routes = json_object_object_get(gate, "routes"), *route;
	char of[CTL_TEXT_MAX];
	size_t i;

	add_choice(table, ctl_member(gate, "name"), gate);
	for (i = 0; i < length_of(routes); i++) {
		route = json_object_array_get_idx(routes, i);
		snprintf(of, sizeof(of), "%s %s %s", ctl_member(gate, "name"), ctl_member(route, "kind"),
			 ctl_member(route, "name"));
		add_choice(table, of, route);
	}
}

static void print_backends(struct json_object *gates)
{
	static const char * const headings[] = {
		"BACKEND", "GATE", "STATE", "SINCE", ">WEIGHT", ">CONNECTIONS", "WHY",
	};
	static const char * const spare[] = { "WHY", ">WEIGHT", "SINCE", NULL };
	struct ctl_table *table = ctl_table_new(headings, sizeof(headings) / sizeof(*headings));
	size_t i;

	for (i = 0; i < length_of(gates); i++)
		add_backends(table, json_object_array_get_idx(gates, i));
	ctl_table_spare(table, spare);
	if (ctl_table_rows(table)) {
		putchar('\n');
		ctl_table_print(table);
	}
	ctl_table_free(table);
}

/* A line for each gate and those of its clients who are not delivered, though it is to deliver. */
static void print_undelivered(struct json_object *gate)
{
	struct json_object *list = json_object_object_get(gate, "undelivered"), *item;
	size_t i;

	for (i = 0; i < length_of(list); i++) {
		item = json_object_array_get_idx(list, i);
		printf("%s: %s are %s, not delivered: %s\n", ctl_member(gate, "name"), ctl_member(item, "who"),
		       relays(gate) ? "relayed" : "refused", ctl_member(item, "why"));
	}
}

/* A line where the last reload was refused. */
static void print_refusal(struct json_object *answer)
{
	int64_t when = json_object_get_int64(json_object_object_get(answer, "reload-refused"));
	time_t seconds = (time_t)when;
	char text[32];
	struct tm tm;

	if (when <= 0 || !gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
		return;
	printf("the last reload was refused at %s: what ran before goes on; the log says why\n", text);
}

static void print_gates(struct json_object *answer)
{
	static const char * const headings[] = {
		"GATE", "MODE", "STATE", "LISTEN", "BACKEND", "DATA PATH", "DELIVER", "CERTIFICATE ENDS",
	};
	static const char * const spare[] = { "MODE", "DELIVER", "DATA PATH", "BACKEND", NULL };
	struct json_object *gates = json_object_object_get(answer, "gates");
	size_t i;

	print_table(headings, sizeof(headings) / sizeof(*headings), spare, gates, add_gate);
	for (i = 0; i < length_of(gates); i++)
		print_undelivered(json_object_array_get_idx(gates, i));
	print_backends(gates);
	print_certificates(gates);
	print_refusal(answer);
}

static void add_count(struct ctl_table *table, struct json_object *gate, const char *key)
{
	char text[CTL_TEXT_MAX];

	snprintf(text, sizeof(text), "%" PRIu64,
		 json_object_get_uint64(json_object_object_get(gate, key)));
	ctl_table_add(table, text);
}

static void add_bytes(struct ctl_table *table, struct json_object *gate, const char *key)
{
	char text[CTL_TEXT_MAX];

	ctl_table_add(table, ctl_size(json_object_get_uint64(json_object_object_get(gate, key)), text));
}

static void add_gate_stats(struct ctl_table *table, struct json_object *gate)
{
	static const char * const counts[] = {
		"accepted", "handshakes", "resumed", "failed", "broken", "open", "user", "passed", "kernel", "delivered", "refused",
	};
	size_t i;

	ctl_table_add(table, ctl_member(gate, "name"));
	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		add_count(table, gate, counts[i]);
	add_bytes(table, gate, "from-client");
	add_bytes(table, gate, "from-backend");
}

/* A line for each target that did not take all lines of the log. */
static void print_lost(struct json_object *lost)
{
	static const char * const targets[] = { "stderr", "syslog", "journal" };
	uint64_t lines;
	size_t i;

	for (i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		lines = json_object_get_uint64(json_object_object_get(lost, targets[i]));
		if (lines)
			printf("log: %" PRIu64 " lines were lost: %s did not take them\n", lines, targets[i]);
	}
}

static void print_stats(struct json_object *answer)
{
	static const char * const headings[] = {
		"GATE", ">ACCEPTED", ">HANDSHAKES", ">RESUMED", ">FAILED", ">BROKEN", ">OPEN", ">USER", ">PASSED",
		">KERNEL", ">DELIVERED", ">REFUSED", ">FROM CLIENT", ">FROM BACKEND",
	};
	static const char * const spare[] = {
		">RESUMED", ">REFUSED", ">BROKEN", ">DELIVERED", ">PASSED", ">USER", ">KERNEL", ">HANDSHAKES", ">FAILED", NULL,
	};

	print_table(headings, sizeof(headings) / sizeof(*headings), spare,
		    json_object_object_get(answer, "gates"), add_gate_stats);
	print_lost(json_object_object_get(json_object_object_get(answer, "log"), "lost"));
	print_refusal(answer);
}

/* A command that only shows: as JSON without the status, or as print() does.  judge: what is shown makes its exit status; or NULL. */
static int show(int argc, char **argv, struct json_object *(*pick)(struct json_object *answer),
		void (*print)(struct json_object *answer), int (*judge)(struct json_object *answer))
{
	struct json_object *answer;
	bool json;
	int status;

	if (ctl_arguments(argc, argv, &json, NULL))
		return CTL_USAGE;
	answer = ask(argv[0], NULL, json);
	if (!answer)
		return CTL_FAILED;
	status = check_status(argv[0], answer);
	if (status == CTL_DONE && json)
		status = ctl_json_print(json_object_get(pick(answer)), JSON_C_TO_STRING_PRETTY);
	else if (status == CTL_DONE)
		print(answer);
	if (status == CTL_DONE && judge)
		status = judge(answer);
	json_object_put(answer);
	return status;
}

static struct json_object *pick_gates(struct json_object *answer)
{
	return json_object_object_get(answer, "gates");
}

static struct json_object *pick_stats(struct json_object *answer)
{
	json_object_object_del(answer, "status");
	return answer;
}

static int judge_gates(struct json_object *answer)
{
	struct json_object *gates = pick_gates(answer);
	const char *state;
	size_t i;

	for (i = 0; i < length_of(gates); i++) {
		state = ctl_member(json_object_array_get_idx(gates, i), "state");
		if (*state && strcmp(state, "serving"))
			return CTL_NOT_SERVING;
	}
	return CTL_DONE;
}

int cmd_gates(int argc, char **argv)
{
	return show(argc, argv, pick_gates, print_gates, judge_gates);
}

/* Lines of printable ASCII: -S may name anybody's socket. */
static bool is_text(const char *text)
{
	for (; *text == '\n' || (*text >= ' ' && *text <= '~'); text++)
		;
	return !*text;
}

static int print_metrics(const char *command, const char *text)
{
	if (*text && is_text(text))
		return fputs(text, stdout) < 0 ? CTL_FAILED : CTL_DONE;
	ctl_error("%s: " FOREIGN, command);
	return CTL_FAILED;
}

/* The text that a scraper gets. */
static int show_metrics(int argc, char **argv)
{
	struct json_object *answer;
	int status;

	if (ctl_arguments(argc, argv, NULL, NULL))
		return CTL_USAGE;
	answer = ask("metrics", NULL, true);
	if (!answer)
		return CTL_FAILED;
	status = check_status(argv[0], answer);
	if (status == CTL_DONE)
		status = print_metrics(argv[0], ctl_member(answer, "text"));
	json_object_put(answer);
	return status;
}

int cmd_stats(int argc, char **argv)
{
	if (ctl_flag(&argc, argv, "--openmetrics"))
		return show_metrics(argc, argv);
	return show(argc, argv, pick_stats, print_stats, NULL);
}
