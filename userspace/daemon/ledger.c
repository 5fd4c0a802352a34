// SPDX-License-Identifier: MIT
#include "daemon/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "lib/libtlsgate.h"

#define WITHOUT_TEXT	offsetof(struct ledger_entry, record.text)

#define LATE_MS		1000	/* an event that did not come until then was lost */
#define LATE_MAX	1024u
#define PRUNE_LEAST	4096	/* pages of which nobody reports the end */
#define UNKNOWN		"closed; how and after how much is not known"
#define PIPE_SIZE	(1 << 20)	/* 256 entries, each of which takes a page */

_Static_assert(sizeof(struct ledger_entry) <= PIPE_BUF, "an entry is one packet");

struct ledger_page {
	struct ledger_page *next;
	unsigned int round;		/* in which the list of sessions had it last */
	uint64_t late;			/* the session is gone: since, by clock_ms(); 0: it is there */
	struct ledger_entry *entry;	/* only as much of it as there is text */
};

static struct ledger_page **bucket(struct ledger *ledger, uint32_t session)
{
	return &ledger->pages[session % LEDGER_BUCKETS];
}

static struct ledger_page **find(struct ledger *ledger, uint32_t session)
{
	struct ledger_page **link = bucket(ledger, session);

	while (*link && (*link)->entry->session != session)
		link = &(*link)->next;
	return link;
}

/* Somebody wants to know when it ends. */
static bool is_followed(const struct ledger_entry *entry)
{
	return entry->logged || entry->counted;
}

static void log_end(const struct ledger_entry *entry, uint64_t tx_bytes, uint64_t rx_bytes,
		    const char *reason)
{
	struct record record = { .json = entry->record.json, .len = entry->record.len };

	if (!entry->logged)
		return;
	memcpy(record.text, entry->record.text, record.len + 1);
	record_end(&record, entry->from_client + (entry->serves ? rx_bytes : tx_bytes),
		   entry->from_backend + (entry->serves ? tx_bytes : rx_bytes),
		   clock_ms() - entry->accepted, reason);
}

static void drop(struct ledger *ledger, struct ledger_page **link)
{
	struct ledger_page *page = *link;

	ledger->late_count -= page->late != 0;
	ledger->count--;
	*link = page->next;
	if (page->entry->counted)
		ledger->changed(ledger->arg, page->entry, false);
	free(page->entry);
	free(page);
}

static struct ledger_page *add(struct ledger *ledger, const struct ledger_entry *entry)
{
	struct ledger_page *page = xcalloc(1, sizeof(*page));
	size_t len = WITHOUT_TEXT + entry->record.len + 1;

	page->entry = xcalloc(1, len);
	memcpy(page->entry, entry, len);
	page->next = *bucket(ledger, entry->session);
	*bucket(ledger, entry->session) = page;
	ledger->count++;
	if (entry->counted)
		ledger->changed(ledger->arg, page->entry, true);
	return page;
}

static void set_late(struct ledger *ledger, struct ledger_page *page)
{
	page->late = clock_ms();
	if (!ledger->late_count++)
		ev_timer_again(ledger->loop, &ledger->late);
}

/* It ended just now, and its event is on the way; or that was lost, or the worker lies: it counts for nothing. */
static void add_late(struct ledger *ledger, const struct ledger_entry *entry)
{
	if (!entry->logged)
		return;
	if (ledger->late_count == LATE_MAX) {
		log_end(entry, 0, 0, UNKNOWN);
		return;
	}
	set_late(ledger, add(ledger, entry));
}

static void note_early(struct ledger *ledger, const struct tlsgate_session *session)
{
	ledger->early[ledger->next_early++ % LEDGER_EARLY] = (struct ledger_early){
		.session = session->id, .tx_bytes = session->tx_bytes,
		.rx_bytes = session->rx_bytes, .reason = session->reason,
	};
}

static int take_event(void *arg, const struct tlsgate_event *event)
{
	const struct tlsgate_session *session = &event->session;
	struct ledger *ledger = arg;
	struct ledger_page **link;

	if (event->kind != TLSGATE_CMD_NTF_SESSION_CLOSED)
		return 0;
	link = find(ledger, session->id);
	if (!*link) {
		note_early(ledger, session);
		return 0;
	}
	log_end((*link)->entry, session->tx_bytes, session->rx_bytes,
		tlsgate_reason_name(session->reason));
	drop(ledger, link);
	return 0;
}

static int see(void *arg, const struct tlsgate_session *session)
{
	struct ledger *ledger = arg;
	struct ledger_page *page = *find(ledger, session->id);

	if (page)
		page->round = ledger->round;
	return 0;
}

typedef bool is_over(const struct ledger *ledger, const struct ledger_page *page);

static bool always(const struct ledger *ledger, const struct ledger_page *page)
{
	(void)ledger;
	(void)page;
	return true;
}

static bool has_ended(const struct ledger *ledger, const struct ledger_page *page)
{
	(void)ledger;
	return page->late != 0;
}

static bool is_late(const struct ledger *ledger, const struct ledger_page *page)
{
	(void)ledger;
	return page->late && clock_ms() - page->late >= LATE_MS;
}

static void end_pages(struct ledger *ledger, is_over *is_over, const char *reason)
{
	struct ledger_page **link;
	unsigned int i;

	for (i = 0; i < LEDGER_BUCKETS; i++) {
		link = &ledger->pages[i];
		while (*link) {
			if (!is_over(ledger, *link)) {
				link = &(*link)->next;
				continue;
			}
			log_end((*link)->entry, 0, 0, reason);
			drop(ledger, link);
		}
	}
}

/* Those that the list of sessions does not have any more. */
static void set_late_unlisted(struct ledger *ledger)
{
	struct ledger_page *page;
	unsigned int i;

	for (i = 0; i < LEDGER_BUCKETS; i++) {
		for (page = ledger->pages[i]; page; page = page->next) {
			if (page->round != ledger->round && !page->late)
				set_late(ledger, page);
		}
	}
}

static bool is_unseen(const struct ledger *ledger, const struct ledger_page *page)
{
	return !is_followed(page->entry) && page->round != ledger->round;
}

/*
 * Of what is neither logged nor counted, the end is not followed: two wakeups of the monitor and a question to the
 * kernel for each connection would be for nobody.  What the list of sessions does not have goes away.
 */
static void prune(struct ledger *ledger)
{
	struct tlsgate *tlsgate;
	const char *why;

	ledger->round++;
	if (!tlsgate_open(&tlsgate, &why)) {
		/* one that cannot be read has none */
		(void)tlsgate_session_dump(tlsgate, see, ledger);
		tlsgate_close(tlsgate);
	}
	end_pages(ledger, is_unseen, "");
	ledger->prune_at = 2 * ledger->count > PRUNE_LEAST ? 2 * ledger->count : PRUNE_LEAST;
}

/* An id may be one of a module that is gone. */
static void keep(struct ledger *ledger, const struct ledger_entry *entry)
{
	struct ledger_page **link = find(ledger, entry->session);

	if (*link && is_followed((*link)->entry))
		return;
	if (*link)
		drop(ledger, link);
	(void)add(ledger, entry);
	if (ledger->count > ledger->prune_at)
		prune(ledger);
}

static void count_lost(struct ledger *ledger)
{
	uint32_t mem[SK_MEMINFO_VARS] = { 0 }, lost = ledger->lost;
	socklen_t len = sizeof(mem);

	if (!getsockopt(tlsgate_event_fd(ledger->tlsgate), SOL_SOCKET, SO_MEMINFO, mem, &len))
		ledger->lost = mem[SK_MEMINFO_DROPS];
	if (ledger->logs)
		log_warn("connection-log: %u of the kernel's events were lost: its sessions are listed anew",
			 ledger->lost - lost);
}

/* Of what ended, some events are lost and others still to be read. */
static void take_up_again(struct ledger *ledger)
{
	count_lost(ledger);
	ledger->round++;
	if (!tlsgate_session_dump(ledger->tlsgate, see, ledger))
		set_late_unlisted(ledger);
}

static void unfollow(struct ledger *ledger)
{
	if (!ledger->tlsgate)
		return;
	ev_io_stop(ledger->loop, &ledger->events);
	tlsgate_close(ledger->tlsgate);
	ledger->tlsgate = NULL;
	ledger->lost = 0;
}

/* Whatever it had is gone with it, and the next one counts sessions from 1 again. */
static void module_is_gone(struct ledger *ledger)
{
	/* what it said before */
	(void)tlsgate_event_receive(ledger->tlsgate, take_event, ledger);
	end_pages(ledger, always, UNKNOWN);
	memset(ledger->early, 0, sizeof(ledger->early));
	unfollow(ledger);
}

static void read_events(struct ledger *ledger)
{
	int err = tlsgate_event_receive(ledger->tlsgate, take_event, ledger);

	/* The kernel tells of a loss first; the events that found room come after it. */
	if (err == -ENOBUFS) {
		take_up_again(ledger);
		err = tlsgate_event_receive(ledger->tlsgate, take_event, ledger);
	}
	if (!err || err == -ENOBUFS)	/* lost more meanwhile: the socket stays readable */
		return;
	if (err == -ENODEV) {
		module_is_gone(ledger);
		return;
	}
	if (ledger->logs || ledger->counts)
		log_warn("the kernel's sessions are not followed any more: %s",
			 tlsgate_error(ledger->tlsgate));
	end_pages(ledger, always, UNKNOWN);
	unfollow(ledger);
}

/* 0, or -1: nobody will say when sessions end. */
static int follow(struct ledger *ledger)
{
	const char *why = "";

	if (ledger->tlsgate)
		return 0;
	if (ledger->barred || tlsgate_open(&ledger->tlsgate, &why))
		return -1;
	if (tlsgate_subscribe(ledger->tlsgate)) {
		if (ledger->logs)
			log_warn("connection-log: lines of what the kernel carries are written at the hand-over: %s",
				 tlsgate_error(ledger->tlsgate));
		if (ledger->counts)
			log_warn("limits: what the kernel carries is not counted: %s",
				 tlsgate_error(ledger->tlsgate));
		tlsgate_close(ledger->tlsgate);
		ledger->tlsgate = NULL;
		ledger->barred = true;
		return -1;
	}
	ev_io_set(&ledger->events, tlsgate_event_fd(ledger->tlsgate), EV_READ);
	ev_io_start(ledger->loop, &ledger->events);
	return 0;
}

/* The module may have been unloaded and loaded again since: its family is another one then. */
static int get_session(struct ledger *ledger, uint32_t id, struct tlsgate_session *session)
{
	int err;

	if (follow(ledger))
		return -ENODEV;
	err = tlsgate_session_get(ledger->tlsgate, tlsgate_by_id(id), session);
	if (err != -ENODEV)
		return err;
	module_is_gone(ledger);
	return follow(ledger) ? -ENODEV :
	       tlsgate_session_get(ledger->tlsgate, tlsgate_by_id(id), session);
}

/* False: it is not among those that ended early. */
static bool ended_early(struct ledger *ledger, const struct ledger_entry *entry)
{
	struct ledger_early *early;

	for (early = ledger->early; early < ledger->early + LEDGER_EARLY; early++) {
		if (early->session != entry->session)
			continue;
		log_end(entry, early->tx_bytes, early->rx_bytes,
			tlsgate_reason_name(early->reason));
		early->session = 0;
		return true;
	}
	return false;
}

/* A worker has entries counted for the gate alone that its session, which is there, is labelled with. */
static bool is_of_gate(const struct tlsgate_session *session, const char *gate)
{
	return strnlen(gate, TLSGATE_LABEL_MAX) == session->label_len &&
	       !memcmp(gate, session->label, session->label_len);
}

/* False: the worker has sent one before. */
static bool make_room(struct ledger *ledger, const struct ledger_entry *entry)
{
	struct ledger_page **link = find(ledger, entry->session);

	if (*link && (*link)->entry->record.len)
		return false;
	if (*link)
		drop(ledger, link);	/* it was adopted, and the worker knows more */
	return true;
}

static void take_entry(struct ledger *ledger, struct ledger_entry *entry)
{
	struct tlsgate_session session;
	int err;

	if (!is_followed(entry)) {
		keep(ledger, entry);
		return;
	}
	err = get_session(ledger, entry->session, &session);
	if (err || !is_of_gate(&session, entry->gate))
		entry->counted = false;
	if (err == -ENODEV)
		log_end(entry, 0, 0, "handed over");
	else if (ended_early(ledger, entry) || !make_room(ledger, entry))
		return;			/* one account of each, whatever a worker says */
	else if (err == -ENOENT)
		add_late(ledger, entry);
	else
		(void)add(ledger, entry);
}

static bool is_sound(const struct ledger_entry *entry, size_t len)
{
	return len > WITHOUT_TEXT && entry->session && entry->record.len == len - WITHOUT_TEXT - 1 &&
	       strlen(entry->record.text) == entry->record.len;
}

/* False: there is none. */
static bool read_entry(struct ledger *ledger)
{
	struct ledger_entry entry;
	ssize_t n = read(ledger->reader, &entry, sizeof(entry));

	if (n <= 0)
		return false;
	entry.record.text[RECORD_MAX - 1] = '\0';
	entry.gate[SETTINGS_MAX_NAME] = '\0';
	if (is_sound(&entry, (size_t)n))
		take_entry(ledger, &entry);
	return true;
}

static void on_entries(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	(void)read_entry(io->data);
}

/* Entries first: early[] has no room for the ends of many. */
static void on_events(struct ev_loop *loop, ev_io *io, int events)
{
	struct ledger *ledger = io->data;
	unsigned int i;

	(void)loop;
	(void)events;
	for (i = 0; i < LEDGER_EARLY && read_entry(ledger); i++)
		;
	if (ledger->tlsgate)
		read_events(ledger);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct ledger *ledger = timer->data;

	(void)events;
	if (ledger->tlsgate)
		read_events(ledger);
	end_pages(ledger, is_late, UNKNOWN);
	if (!ledger->late_count)
		ev_timer_stop(loop, timer);
}

void ledger_init(struct ledger *ledger, struct ev_loop *loop, ledger_changed *changed, void *arg)
{
	*ledger = (struct ledger){
		.loop = loop, .changed = changed, .arg = arg, .reader = -1, .writer = -1, .prune_at = PRUNE_LEAST,
	};
	ev_init(&ledger->entries, on_entries);
	ev_init(&ledger->events, on_events);
	ev_init(&ledger->late, on_late);
	ledger->late.repeat = LATE_MS / 1000.;
	ledger->entries.data = ledger->events.data = ledger->late.data = ledger;
}

int ledger_writer(struct ledger *ledger, bool logs, bool counts)
{
	int ends[2];

	ledger->logs = logs;
	ledger->counts = counts;
	if (ledger->writer != -1)
		return ledger->writer;
	/* no socket: whoever has one could end it for all */
	if (pipe2(ends, O_DIRECT | O_NONBLOCK | O_CLOEXEC))
		return -1;
	(void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);	/* with less room, lines are written early */
	ledger->reader = ends[0];
	ledger->writer = ends[1];
	ev_io_set(&ledger->entries, ledger->reader, EV_READ);
	ev_io_start(ledger->loop, &ledger->entries);
	if (logs || counts)
		(void)follow(ledger);
	return ledger->writer;
}

static void copy_address(struct sockaddr_in6 *out, const struct tlsgate_address *address)
{
	if (address->len && address->len <= sizeof(*out))
		memcpy(out, &address->sa, address->len);
}

static void adopt_entry(struct ledger_entry *entry, const struct tlsgate_session *session)
{
	entry->session = session->id;
	entry->serves = session->role == TLSGATE_ROLE_SERVER;
	entry->counted = true;
	entry->accepted = clock_ms() - session->age;
	memcpy(entry->gate, session->label, session->label_len);
	copy_address(&entry->client, entry->serves ? &session->peer : &session->relay_peer);
	copy_address(&entry->backend, entry->serves ? &session->relay_peer : &session->peer);
}

static int adopt(void *arg, const struct tlsgate_session *session)
{
	struct ledger *ledger = arg;
	struct ledger_page *page = *find(ledger, session->id);
	struct ledger_entry entry = {0};

	if (session->uid != ledger->uid || session->state == TLSGATE_STATE_CLOSED ||
	    !session->label_len || (page && page->entry->counted))
		return 0;
	if (page) {
		page->entry->counted = true;
		ledger->changed(ledger->arg, page->entry, true);
		return 0;
	}
	adopt_entry(&entry, session);
	(void)add(ledger, &entry);
	return 0;
}

void ledger_adopt(struct ledger *ledger, uid_t uid)
{
	ledger->uid = uid;
	/* one that cannot be read has none */
	if (!follow(ledger))
		(void)tlsgate_session_dump(ledger->tlsgate, adopt, ledger);
}

void ledger_each(struct ledger *ledger, void (*each)(void *arg, const struct ledger_entry *entry),
		 void *arg)
{
	const struct ledger_page *page;
	unsigned int i;

	if (ledger->count)
		prune(ledger);
	for (i = 0; i < LEDGER_BUCKETS; i++)
		for (page = ledger->pages[i]; page; page = page->next)
			if (page->entry->record.len)	/* else it is adopted */
				each(arg, page->entry);
}

void ledger_each_counted(struct ledger *ledger, void (*each)(void *arg, struct ledger_entry *entry),
			 void *arg)
{
	struct ledger_page *page;
	unsigned int i;

	for (i = 0; i < LEDGER_BUCKETS; i++)
		for (page = ledger->pages[i]; page; page = page->next)
			if (page->entry->counted)
				each(arg, page->entry);
}

void ledger_close(struct ledger *ledger)
{
	if (ledger->writer == -1)
		return;
	ev_io_stop(ledger->loop, &ledger->entries);
	/* what workers sent before they ended */
	while (read_entry(ledger))
		;
	if (ledger->tlsgate)
		read_events(ledger);
	end_pages(ledger, has_ended, UNKNOWN);
	end_pages(ledger, always, "the daemon ends; the kernel goes on");
	unfollow(ledger);
	close(ledger->reader);
	close(ledger->writer);
}

int ledger_send(int writer, const struct ledger_entry *entry)
{
	size_t len = WITHOUT_TEXT + entry->record.len + 1;

	return writer != -1 && write(writer, entry, len) == (ssize_t)len ? 0 : -1;
}
