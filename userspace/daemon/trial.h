/* SPDX-License-Identifier: MIT */
/*
 * One handshake in memory for each certificate of a gate, against an engine of
 * our own that has the gate's versions, suites and groups: what cannot succeed
 * there succeeds with nobody.  Who verifies whom is not tried: that depends on
 * the peer.
 */
#ifndef TLSGATE_DAEMON_TRIAL_H
#define TLSGATE_DAEMON_TRIAL_H

#include "daemon/gate.h"

/*
 * keys: of all gates, by key id.  Gates that are not sound are passed over.  0, or -1 and a line was logged for each
 * certificate that can never be used, or for a gate without one.
 */
int trial_gates(const struct gate *gates, size_t count, struct tls_private_key *const *keys);

#endif
