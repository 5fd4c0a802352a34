// SPDX-License-Identifier: MIT
/* What only a handshake needs: made, and wiped. */
#include <stdlib.h>

#include "handshake.h"
#include "message/message.h"

struct tls_handshake *tls_handshake_new(void)
{
	struct tls_handshake *hs = calloc(1, sizeof(*hs));

	if (!hs)
		return NULL;
	tls_buf_init(&hs->flight, 2 * TLS_MAX_MESSAGE);
	tls_buf_init(&hs->cookie, 0xffff);
	tls_transcript_init(&hs->transcript);
	return hs;
}

void tls_drop_shares(struct tls_handshake *hs)
{
	tls_kex_free(hs->kex);
	tls_kex_free(hs->spare.kex);
	hs->kex = NULL;
	hs->spare = (struct tls_spare_share){ 0 };
}

void tls_handshake_free(struct tls_handshake *hs)
{
	if (!hs)
		return;
	tls_transcript_free(&hs->transcript);
	tls_buf_free(&hs->flight);
	tls_buf_free(&hs->cookie);
	tls_session_free(&hs->session);
	tls_peer_free(hs->session_peer);
	tls_drop_shares(hs);
	tls_wipe(hs, sizeof(*hs));
	free(hs);
}
