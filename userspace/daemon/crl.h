/* SPDX-License-Identifier: MIT */
/*
 * A gate's certificate revocation lists, from files.  They are read when the
 * gate is built, so at start and at each reload; tlsgated fetches none.
 */
#ifndef TLSGATE_DAEMON_CRL_H
#define TLSGATE_DAEMON_CRL_H

#include "daemon/gate.h"

/*
 * Gives the engine what settings->crls name.  0, or -1 and a line was logged for
 * each that it does not take.  One that has expired is a warning.
 */
int crl_load(struct gate *gate, int64_t now);
/* Logs, once, each that has expired meanwhile. */
void crl_refresh(struct gate *gate, int64_t now);

#endif
