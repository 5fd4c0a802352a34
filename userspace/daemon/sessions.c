// SPDX-License-Identifier: MIT
#include "daemon/sessions.h"

#include <stdlib.h>
#include <string.h>

#define BARREN_MAX	4

static void drop(struct kept_session *session)
{
	tls_wipe(session->data, session->len);
	free(session->data);
	*session = (struct kept_session){0};
}

void sessions_offer(struct sessions *sessions, struct tls_conn *tls)
{
	struct kept_session *newest;
	int err = TLS_ERR_ARGUMENT;

	while (err == TLS_ERR_ARGUMENT && sessions->count) {
		newest = &sessions->kept[--sessions->count];
		err = tls_conn_set_session(tls, newest->data, newest->len);
		drop(newest);
	}
}

static void make_room(struct sessions *sessions)
{
	if (sessions->count < SESSIONS_MAX)
		return;
	drop(&sessions->kept[0]);
	memmove(&sessions->kept[0], &sessions->kept[1],
		(SESSIONS_MAX - 1) * sizeof(sessions->kept[0]));
	sessions->count--;
}

bool sessions_keep(struct sessions *sessions, const struct tls_conn *tls)
{
	const uint8_t *data;
	uint8_t *copy;
	size_t len;

	data = tls_conn_session(tls, &len);
	copy = data ? malloc(len) : NULL;
	if (!copy)
		return false;
	memcpy(copy, data, len);
	make_room(sessions);
	sessions->kept[sessions->count++] = (struct kept_session){ copy, len };
	return true;
}

bool sessions_worth_waiting(const struct sessions *sessions)
{
	return sessions->barren < BARREN_MAX;
}

void sessions_waited(struct sessions *sessions, bool came)
{
	sessions->barren = came ? 0 : sessions->barren + 1;
}

void sessions_wipe(struct sessions *sessions)
{
	while (sessions->count)
		drop(&sessions->kept[--sessions->count]);
}
