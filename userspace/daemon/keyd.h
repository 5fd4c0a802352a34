/* SPDX-License-Identifier: MIT */
/*
 * The process that alone holds private keys.  It reads the key files while
 * still privileged, checks each against its certificate, tries a handshake with
 * each (trial.h), drops all it can, and from then on forks one answerer per
 * worker, which knows one thing: take a request from its pipe, perform it, answer
 * (keypipe.h).  An answerer ends with its worker, keyd with the monitor's end of
 * the control socket, or with KEYD_UNFIT when the filter ends one answerer after another.
 */
#ifndef TLSGATE_DAEMON_KEYD_H
#define TLSGATE_DAEMON_KEYD_H

#include <sys/types.h>

#include "daemon/gate.h"
#include "daemon/sandbox.h"

#define KEYD_ANSWERERS_MAX	(2 * SETTINGS_MAX_WORKERS)	/* that live at once; more are refused */
#define KEYD_UNFIT	3		/* exit status: another keyd would fare alike */

/*
 * Forks keyd for the keys of all gates.  *control becomes the monitor's end:
 * IPC_READY comes from it, or end-of-file when a key was refused (a line was
 * logged); IPC_NEW_WORKER goes into it.  The process id, or -1 and a line was
 * logged.
 */
pid_t keyd_start(const struct gate *gates, size_t count, const struct identity *who, int *control);

#endif
