// SPDX-License-Identifier: MIT
/* tlsgate rekey and close: one session, by its id.  Silent when done. */
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
	int status = CTL_FAILED;

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
	if (action(tg, id, reset))
		ctl_error("%s: session %u: %s", command, id, tlsgate_error(tg));
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

int cmd_close(int argc, char **argv)
{
	bool reset = ctl_flag(&argc, argv, "--reset");
	const char *operand;

	if (ctl_arguments(argc, argv, NULL, &operand))
		return CTL_USAGE;
	return act(argv[0], operand, end, reset);
}
