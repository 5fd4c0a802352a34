// SPDX-License-Identifier: MIT
/* tlsgate rekey and close: one session, by its id, or many.  Silent when done. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static int rekey(struct tlsgate *tg, uint32_t id, bool reset)
{
	(void)reset;
	return tlsgate_session_rekey(tg, tlsgate_by_id(id));
}

static int end(struct tlsgate *tg, uint32_t id, bool reset)
{
	return tlsgate_session_del(tg, tlsgate_by_id(id),
				   reset ? TLSGATE_CLOSE_RESET : TLSGATE_CLOSE_ALERT);
}

static int act(const char *command, const char *operand,
	       int (*action)(struct tlsgate *tg, uint32_t id, bool reset), bool reset)
{
	struct tlsgate *tg;
	uint32_t id;
	int err, status = CTL_FAILED;

	if (!operand) {
		ctl_error("%s: which session? tlsgate show lists them", command);
		return CTL_USAGE;
	}
	id = ctl_id(operand);
	if (!id)
		return CTL_USAGE;
	tg = ctl_open();
	if (!tg)
		return status;
	err = action(tg, id, reset);
	if (err)
		ctl_failed(tg, err, "%s: session %u", command, id);
	else
		status = CTL_DONE;
	tlsgate_close(tg);
	return status;
}

int cmd_rekey(int argc, char **argv)
{
	const char *operand;

	if (ctl_arguments(argc, argv, NULL, &operand))
		return CTL_USAGE;
	return act(argv[0], operand, rekey, false);
}

struct ids {
	const char *gate;		/* NULL: of any */
	uint32_t *ids;
	size_t count;
};

static bool is_of(const char *gate, const struct tlsgate_session *session)
{
	return !gate || (strlen(gate) == session->label_len &&
			 !memcmp(gate, session->label, session->label_len));
}

static int note_id(void *arg, const struct tlsgate_session *session)
{
	struct ids *all = arg;

	if (!is_of(all->gate, session))
		return 0;
	all->ids = ctl_must(reallocarray(all->ids, all->count + 1, sizeof(*all->ids)));
	all->ids[all->count++] = session->id;
	return 0;
}

/* 0, or -1: one is left. */
static int end_each(struct tlsgate *tg, const struct ids *all, bool reset)
{
	int ret = 0;
	size_t i;
	int err;

	for (i = 0; i < all->count; i++) {
		err = end(tg, all->ids[i], reset);
		if (!err || err == -ENOENT)
			continue;
		ctl_failed(tg, err, "close: session %u", all->ids[i]);
		ret = -1;
	}
	return ret;
}

/* Those that are there when it begins; gate NULL: every one. */
static int end_all(const char *gate, bool reset)
{
	struct tlsgate *tg = ctl_open();
	struct ids all = { .gate = gate };
	int err, status = CTL_FAILED;

	if (!tg)
		return status;
	err = tlsgate_session_dump(tg, note_id, &all);
	if (err)
		ctl_failed(tg, err, "close");
	else if (!end_each(tg, &all, reset))
		status = CTL_DONE;
	free(all.ids);
	tlsgate_close(tg);
	return status;
}

int cmd_close(int argc, char **argv)
{
	bool reset = ctl_flag(&argc, argv, "--reset");
	bool every = ctl_flag(&argc, argv, "--all");
	const char *gate = ctl_option(&argc, argv, "--gate");
	bool many = every || gate;
	const char *operand;

	if (ctl_arguments(argc, argv, NULL, many ? NULL : &operand))
		return CTL_USAGE;
	if (every && gate) {
		ctl_error("close: --all are those of every gate: leave one of --all and --gate out");
		return CTL_USAGE;
	}
	if (gate && !*gate) {
		ctl_error("close: --gate '' refused: no gate has an empty name: tlsgate gates lists them");
		return CTL_USAGE;
	}
	return many ? end_all(gate, reset) : act(argv[0], operand, end, reset);
}
