// SPDX-License-Identifier: MIT
#include "daemon/gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ipc.h"
#include "daemon/monitor.h"

#define LATE_SECONDS	2.0
#define LIST_MAX	(64 << 20)	/* bytes that are read of one worker's */
#define LISTS_MAX	(240 << 20)	/* of all in the answer: tlsgate takes 256 MiB */
#define LINE_LEAST	100		/* no worker's line is shorter, nor longer than RECORD_MAX */

/* The array of all connections.  As text: objects take ten times as much, those of "{}" 200 times. */
struct array {
	FILE *file;			/* NULL: no memory */
	char *text;
	size_t text_len;
	size_t len;			/* written so far */
};

/* Without memory an answer lacks something; nothing else can be done about it. */
static void add(struct json_object *object, const char *key, struct json_object *value)
{
	if (json_object_object_add(object, key, value))
		json_object_put(value);
}

static void array_begin(struct array *array)
{
	*array = (struct array){0};
	array->file = open_memstream(&array->text, &array->text_len);
	if (array->file)
		(void)fputc('[', array->file);
}

/* Takes over item. */
static void array_append(struct array *array, struct json_object *item)
{
	const char *text = json_object_to_json_string_ext(item, JSON_C_TO_STRING_PLAIN);

	if (array->file && text && array->len + strlen(text) < LISTS_MAX) {
		fprintf(array->file, "%s%s", array->len ? "," : "", text);
		array->len += strlen(text) + 1;
	}
	json_object_put(item);
}

/* NULL: no memory. */
static struct json_object *array_end(struct array *array)
{
	struct json_object *object;
	bool failed = !array->file || fputc(']', array->file) == EOF;

	failed |= array->file && fclose(array->file);
	object = failed ? NULL : json_object_new_object();
	if (object)
		json_object_set_serializer(object, json_object_userdata_to_json_string, array->text,
					   json_object_free_userdata);
	else
		free(array->text);
	return object;
}

static void each_worker(const struct monitor *monitor, void (*each)(struct child *child, void *arg),
			void *arg)
{
	const struct generation *generation;
	size_t i;

	for (generation = monitor->generations; generation; generation = generation->next)
		for (i = 0; i < generation->worker_count; i++)
			each(&generation->workers[i], arg);
}

/* One that is not ready serves nobody. */
static void ask(struct child *child, void *arg)
{
	(void)arg;
	if (child->control == -1 || !child->ready)
		return;
	child->list = memfd_create("tlsgated-connections", MFD_CLOEXEC);
	if (child->list == -1)
		return;
	if (!ipc_send(child->control, IPC_LIST, &child->list, 1))
		child->asked++;
}

static void add_line(struct array *array, const char *line)
{
	const size_t len = strlen(line);
	struct json_object *item = len < LINE_LEAST || len > RECORD_MAX ? NULL : json_tokener_parse(line);

	if (json_object_is_type(item, json_type_object)) {
		json_object_object_del(item, "event");
		array_append(array, item);
	} else {
		json_object_put(item);
	}
}

/* Lines of a worker, which may have been taken over: what it would not write is left out. */
static void add_lines(struct array *array, char *text)
{
	char *line, *save = NULL;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		add_line(array, line);
}

static void take_list(struct child *child, void *arg)
{
	struct stat st;
	size_t size;
	char *text;
	ssize_t n;

	if (child->list == -1)
		return;
	size = !fstat(child->list, &st) && st.st_size < LIST_MAX ? (size_t)st.st_size : LIST_MAX;
	text = malloc(size + 1);
	n = text ? pread(child->list, text, size, 0) : 0;
	close(child->list);
	child->list = -1;
	if (n > 0) {
		text[n] = '\0';
		add_lines(arg, text);
	}
	free(text);
}

static void add_entry(void *arg, const struct ledger_entry *entry)
{
	struct json_object *item = record_object(&entry->record);

	if (!item)
		return;
	add(item, "mode", json_object_new_string(entry->serves ? "serve" : "connect"));
	add(item, "from-client", json_object_new_uint64(entry->from_client));
	add(item, "from-backend", json_object_new_uint64(entry->from_backend));
	add(item, "ms", json_object_new_uint64(clock_ms() - entry->accepted));
	array_append(arg, item);
}

static void count_silent(struct child *child, void *arg)
{
	*(int *)arg += child->asked != 0;
}

static int silent(const struct monitor *monitor)
{
	int count = 0;

	each_worker(monitor, count_silent, &count);
	return count;
}

static void finish(struct monitor *monitor)
{
	struct json_object *answer = json_object_new_object();
	struct array array;

	ev_timer_stop(monitor->loop, &monitor->gather.late);
	monitor->gather.open = false;
	array_begin(&array);
	each_worker(monitor, take_list, &array);
	ledger_each(&monitor->ledger, add_entry, &array);
	add(answer, "connections", array_end(&array));
	add(answer, "silent", json_object_new_int(silent(monitor)));
	control_answer(&monitor->control, "connections", CONTROL_OK, answer);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	finish(timer->data);
}

void gather_init(struct monitor *monitor)
{
	ev_init(&monitor->gather.late, on_late);
	monitor->gather.late.data = monitor;
}

void gather_begin(struct monitor *monitor)
{
	struct gather *gather = &monitor->gather;

	if (gather->open)
		return;
	gather->open = true;
	each_worker(monitor, ask, NULL);
	ev_timer_set(&gather->late, silent(monitor) ? LATE_SECONDS : 0., 0.);
	ev_timer_start(monitor->loop, &gather->late);
}

void gather_check(struct monitor *monitor)
{
	if (monitor->gather.open && !silent(monitor))
		finish(monitor);
}

static void drop_list(struct child *child, void *arg)
{
	(void)arg;
	if (child->list != -1)
		close(child->list);
	child->list = -1;
}

void gather_close(struct monitor *monitor)
{
	ev_timer_stop(monitor->loop, &monitor->gather.late);
	each_worker(monitor, drop_list, NULL);
}
