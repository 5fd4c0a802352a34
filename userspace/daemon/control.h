/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a UNIX stream socket on which the monitor answers
 * (docs/daemon.md has the protocol).  A client sends one line, a command, and
 * gets one line, a JSON object.  No client is waited for: what is not there in
 * time is dropped.
 */
#ifndef TLSGATE_DAEMON_CONTROL_H
#define TLSGATE_DAEMON_CONTROL_H

#include <ev.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "common/log.h"
#include "daemon/settings.h"

#define CONTROL_REQUEST_MAX	256	/* bytes, with the newline */
#define CONTROL_CLIENTS_MAX	16	/* one more takes a place of the user who has most */
#define CONTROL_SECONDS		5.0	/* for the request to come, and for the answer to be read */

enum control_outcome {
	CONTROL_OK,
	CONTROL_REFUSED,		/* the answer, or its lines, say why */
	CONTROL_LATER,			/* control_answer() says, to all who wait for this command */
};

/* One row of the table of commands; it ends with name NULL. */
struct control_command {
	const char *name;
	bool changes;			/* for root, the daemon's user and control-group alone */
	bool takes;			/* an operand may follow, after a space */
	/* operand: NULL without one.  Fills the answer, which has nothing yet. */
	enum control_outcome (*run)(void *arg, const char *operand, struct json_object *answer);
};

/* Where the socket is; path NULL: nowhere. */
struct control_socket {
	char *path;
	int fd;
	bool adopted;			/* and not ours yet */
	bool has_group;			/* control-group was given: */
	gid_t group;
};

struct control_client;

struct control {
	struct ev_loop *loop;
	const struct control_command *commands;
	void *arg;
	struct control_socket now, next;	/* next: prepared, not in use yet */
	struct stat before;			/* now's, should next be dropped */
	ev_io accept;
	ev_timer pause;				/* accept is stopped until then */
	TAILQ_HEAD(control_clients, control_client) clients;
	size_t client_count;
	struct log_limit denials;
};

void control_init(struct control *control, struct ev_loop *loop,
		  const struct control_command *commands, void *arg);

/* The id of control-group; without one *out is not written.  0, or -1 and a line was logged. */
int control_find_group(const struct settings *settings, gid_t *out);

/*
 * Makes the socket that the settings ask for, beside the one in use.  0: control_commit() or
 * control_abandon() follows; or -1 and a line was logged.
 */
int control_prepare(struct control *control, const struct settings *settings);
void control_commit(struct control *control);
void control_abandon(struct control *control);

/* Answers each client to whom CONTROL_LATER was said for this command.  Takes over object. */
void control_answer(struct control *control, const char *command, enum control_outcome outcome,
		    struct json_object *object);

/* Drops every client and removes the socket, unless that is still another daemon's. */
void control_close(struct control *control);

/*
 * The socket at fd, of the daemon that we are to replace: it is not removed, nor is anybody
 * accepted, before control_commit().
 */
void control_adopt(struct control *control, int fd);
/* Drops every client; the socket is the next daemon's. */
void control_bequeath(struct control *control);

#endif
