/* SPDX-License-Identifier: MIT */
/* Speaks the plain-text part of a protocol (starttls/) over a socket that does not block. */
#ifndef TLSGATE_DAEMON_SPEAK_H
#define TLSGATE_DAEMON_SPEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/starttls/starttls.h"
#include "daemon/tally.h"

struct speak_fault {
	enum failure failure;
	const char *why;		/* a phrase about the peer; valid as long as the talk */
};

/*
 * Goes on as far as it can.  MORE: *events (of ev_io) must be waited for.  END, BAD: *fault says
 * why.  Takes from the socket what the talk used, and nothing beyond: that is TLS's.
 * buf: size bytes of scratch, as much as a peer may have sent at once.  is_unix: the peer may pass along
 * descriptors.
 */
enum starttls_result speak(struct starttls *talk, int fd, bool is_unix, uint8_t *buf, size_t size,
			   int *events, struct speak_fault *fault);

#endif
