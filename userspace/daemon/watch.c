// SPDX-License-Identifier: MIT
#include "daemon/watch.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/certdir.h"

#define QUIET_SECONDS	0.5	/* without a further change */
#define LONGEST_SECONDS	5.0	/* after the first, whatever else changes */
#define LATER_SECONDS	30.0	/* until what was refused is tried again; then twice as long ... */
#define LATER_LONGEST	600.0	/* ... up to this */
#define EVENTS		(IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | \
			 IN_ATTRIB | IN_MASK_ADD)

struct folder {
	int id;				/* of inotify_add_watch() */
	unsigned int kinds;
};

struct watched {
	int fd;
	struct folder *folders;
	size_t count;
	struct settings *settings;	/* shared */
	struct certdir_stamp stamp;	/* before anything of cert-dir was read */
};

static void watched_free(struct watched *watched)
{
	if (!watched)
		return;
	close(watched->fd);
	free(watched->folders);
	settings_free(watched->settings);
	free(watched);
}

static void add_folder(struct watched *watched, const char *path, unsigned int kind)
{
	int id = inotify_add_watch(watched->fd, path, EVENTS);

	if (id < 0) {
		/* one that is not there is refused with the configuration */
		if (errno != ENOENT && errno != ENOTDIR)
			log_warn("changes in '%s' will not be noticed: %s: reload after them", path, strerror(errno));
		return;
	}
	watched->folders = xrealloc(watched->folders, watched->count + 1, sizeof(*watched->folders));
	watched->folders[watched->count++] = (struct folder){ id, kind };
}

static void add_certs(void *arg, const char *path)
{
	add_folder(arg, path, WATCH_CERTS);
}

static void add_tickets(struct watched *watched, const char *file)
{
	char *path = xstrdup(file);

	add_folder(watched, dirname(path), WATCH_TICKETS);
	free(path);
}

static void add_gate(struct watched *watched, const struct gate_settings *gate)
{
	size_t i;

	for (i = 0; i < gate->cert_dirs.count; i++)
		certdir_each_folder(gate->cert_dirs.items[i], add_certs, watched);
	for (i = 0; i < gate->ticket_keys.count; i++)
		add_tickets(watched, gate->ticket_keys.items[i]);
}

static bool has_changed(const struct watched *watched)
{
	struct certdir_stamp stamp;

	certdir_stamp(&stamp, watched->settings->gates, watched->settings->gate_count);
	return memcmp(&stamp, &watched->stamp, sizeof(stamp));
}

static unsigned int kinds_of(const struct watched *watched, int id)
{
	unsigned int kinds = 0;
	size_t i;

	for (i = 0; i < watched->count; i++)
		if (watched->folders[i].id == id)
			kinds |= watched->folders[i].kinds;
	return kinds;
}

/*
 * A name that begins with a dot is an editor's, but for the link that Kubernetes moves.  A change of
 * rights of the folder itself has no name.  Files of ticket keys have any.
 */
static unsigned int judge(const struct watched *watched, const struct inotify_event *event)
{
	const char *name = event->len ? event->name : "";
	unsigned int kinds = WATCH_CERTS | WATCH_TICKETS;

	if (event->mask & IN_Q_OVERFLOW)
		return kinds;
	if (*name == '.' && strcmp(name, "..data"))
		return 0;
	if (*name && !(event->mask & IN_ISDIR) && !certdir_has_name(name))
		kinds = WATCH_TICKETS;
	return kinds & kinds_of(watched, event->wd);
}

static unsigned int read_events(const struct watched *watched)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *event;
	unsigned int kinds = 0;
	const char *p;
	ssize_t n;

	while ((n = read(watched->fd, buffer, sizeof(buffer))) > 0) {
		for (p = buffer; p < buffer + n; p += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)(const void *)p;
			kinds |= judge(watched, event);
		}
	}
	return kinds;
}

static void wait_for_quiet(struct watch *watch)
{
	ev_tstamp left = watch->first + LONGEST_SECONDS - ev_now(watch->loop);

	if (left > QUIET_SECONDS)
		left = QUIET_SECONDS;
	ev_timer_stop(watch->loop, &watch->quiet);
	ev_timer_set(&watch->quiet, left > 0 ? left : 0, 0.);
	ev_timer_start(watch->loop, &watch->quiet);
}

static void note(struct watch *watch, unsigned int kinds)
{
	if (!kinds)
		return;
	if (!watch->kinds)
		watch->first = ev_now(watch->loop);
	watch->kinds |= kinds;
	wait_for_quiet(watch);
}

static void on_event(struct ev_loop *loop, ev_io *io, int events)
{
	struct watch *watch = io->data;

	(void)loop;
	(void)events;
	note(watch, read_events(watch->now));
}

static void on_quiet(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct watch *watch = timer->data;
	unsigned int kinds = watch->kinds;

	(void)loop;
	(void)events;
	watch->kinds = 0;
	if (kinds & WATCH_CERTS && !has_changed(watch->now))
		kinds &= ~WATCH_CERTS;
	if (kinds)
		watch->changed(watch->arg, kinds);
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct watch *watch = timer->data;

	(void)loop;
	(void)events;
	watch->changed(watch->arg, WATCH_CERTS);
}

/* Nothing is to be tried again. */
static void forget_refusal(struct watch *watch)
{
	ev_timer_stop(watch->loop, &watch->later);
	watch->pause = 0;
}

void watch_init(struct watch *watch, struct ev_loop *loop,
		void (*changed)(void *arg, unsigned int kinds), void *arg)
{
	*watch = (struct watch){ .loop = loop, .changed = changed, .arg = arg };
	ev_init(&watch->io, on_event);
	ev_init(&watch->quiet, on_quiet);
	ev_init(&watch->later, on_later);
	watch->io.data = watch->quiet.data = watch->later.data = watch;
}

static bool wants_any(const struct settings *settings)
{
	size_t i;

	for (i = 0; i < settings->gate_count; i++)
		if (settings->gates[i].cert_dirs.count || settings->gates[i].ticket_keys.count)
			return true;
	return false;
}

void watch_prepare(struct watch *watch, struct settings *settings)
{
	struct watched *watched;
	size_t i;

	watch_abandon(watch);
	if (!wants_any(settings))
		return;
	watched = xcalloc(1, sizeof(*watched));
	watched->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watched->fd < 0) {
		log_warn("changes of cert-dir and ticket-keys will not be noticed: %s: raise fs.inotify.max_user_instances, or reload after them",
			 strerror(errno));
		free(watched);
		return;
	}
	watched->settings = settings_share(settings);
	for (i = 0; i < settings->gate_count; i++)
		add_gate(watched, &settings->gates[i]);
	certdir_stamp(&watched->stamp, settings->gates, settings->gate_count);
	watch->next = watched;
}

/* What changed before is read, and what did meanwhile is among the events of the next. */
static void take_next(struct watch *watch)
{
	watch->kinds = 0;
	ev_timer_stop(watch->loop, &watch->quiet);
	ev_io_stop(watch->loop, &watch->io);
	watched_free(watch->now);
	watch->now = watch->next;
	watch->next = NULL;
	if (!watch->now)
		return;
	ev_io_set(&watch->io, watch->now->fd, EV_READ);
	ev_io_start(watch->loop, &watch->io);
}

void watch_commit(struct watch *watch)
{
	forget_refusal(watch);
	take_next(watch);
}

void watch_try_later(struct watch *watch)
{
	ev_tstamp pause = watch->pause ? 2 * watch->pause : LATER_SECONDS;

	if (watch->next) {
		watch->next->stamp = watch->now ? watch->now->stamp : (struct certdir_stamp){0};	/* what runs */
		take_next(watch);
	}
	note(watch, WATCH_TICKETS);	/* which a reload would have read */
	watch->pause = pause < LATER_LONGEST ? pause : LATER_LONGEST;
	ev_timer_stop(watch->loop, &watch->later);
	ev_timer_set(&watch->later, watch->pause, 0.);
	ev_timer_start(watch->loop, &watch->later);
}

void watch_abandon(struct watch *watch)
{
	watched_free(watch->next);
	watch->next = NULL;
}

void watch_again(struct watch *watch, unsigned int kinds)
{
	note(watch, kinds);
}

void watch_close(struct watch *watch)
{
	ev_io_stop(watch->loop, &watch->io);
	ev_timer_stop(watch->loop, &watch->quiet);
	forget_refusal(watch);
	watched_free(watch->now);
	watch->now = NULL;
	watch_abandon(watch);
}
