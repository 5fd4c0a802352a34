// SPDX-License-Identifier: GPL-2.0-only
/* What each reason is called, and what it means to the socket's holder and to the peer. */
#include "session.h"

#define REASON(_reason, _name, _error, _alert) \
	[TLSGATE_REASON_##_reason] = { .name = _name, .error = _error, .alert = TG_##_alert }

const struct tg_reason tg_reasons[__TLSGATE_REASON_MAX] = {
	REASON(NONE, "none", 0, NO_ALERT),
	REASON(FINISHED, "finished", 0, NO_ALERT),
	REASON(LOCAL_CLOSE, "local_close", 0, NO_ALERT),
	REASON(ADMIN_CLOSE, "admin_close", ECONNABORTED, ALERT_INTERNAL_ERROR),
	REASON(ADMIN_RESET, "admin_reset", ECONNABORTED, NO_ALERT),
	REASON(IDLE_TIMEOUT, "idle_timeout", ETIMEDOUT, NO_ALERT),
	REASON(AEAD_LIMIT, "aead_limit", EKEYEXPIRED, ALERT_INTERNAL_ERROR),
	REASON(TRUNCATED, "truncated", ECONNRESET, NO_ALERT),
	REASON(PEER_RESET, "peer_reset", ECONNRESET, NO_ALERT),
	REASON(PEER_ALERT, "peer_alert", ECONNRESET, NO_ALERT),
	REASON(BAD_RECORD_MAC, "bad_record_mac", EBADMSG, ALERT_BAD_RECORD_MAC),
	REASON(RECORD_OVERFLOW, "record_overflow", EMSGSIZE, ALERT_RECORD_OVERFLOW),
	REASON(BAD_RECORD, "bad_record", EPROTO, ALERT_DECODE_ERROR),
	REASON(BAD_VERSION, "bad_version", EPROTO, ALERT_PROTOCOL_VERSION),
	REASON(UNEXPECTED_MESSAGE, "unexpected_message", EPROTO, ALERT_UNEXPECTED_MESSAGE),
	REASON(BAD_KEY_UPDATE, "bad_key_update", EPROTO, ALERT_ILLEGAL_PARAMETER),
	REASON(KEY_UPDATE_FLOOD, "key_update_flood", EPROTO, ALERT_UNEXPECTED_MESSAGE),
	REASON(EMPTY_RECORD_FLOOD, "empty_record_flood", EPROTO, ALERT_UNEXPECTED_MESSAGE),
	REASON(ALERT_FLOOD, "alert_flood", EPROTO, ALERT_DECODE_ERROR),
	REASON(MESSAGE_FLOOD, "message_flood", EPROTO, ALERT_UNEXPECTED_MESSAGE),
	REASON(PLAIN_RESET, "plain_reset", ECONNRESET, NO_ALERT),
	REASON(PLAIN_ERROR, "plain_error", ECONNRESET, NO_ALERT),
	REASON(NO_MEMORY, "no_memory", ENOMEM, ALERT_INTERNAL_ERROR),
	REASON(CRYPTO_ERROR, "crypto_error", EIO, ALERT_INTERNAL_ERROR),
	REASON(SEQ_EXHAUSTED, "seq_exhausted", EKEYEXPIRED, ALERT_INTERNAL_ERROR),
	REASON(REFUSED_FD, "refused_fd", 0, NO_ALERT),
	REASON(REFUSED_STATE, "refused_state", 0, NO_ALERT),
	REASON(REFUSED_ULP, "refused_ulp", 0, NO_ALERT),
	REASON(REFUSED_NETNS, "refused_netns", 0, NO_ALERT),
	REASON(REFUSED_SUITE, "refused_suite", 0, NO_ALERT),
	REASON(REFUSED_KEYS, "refused_keys", 0, NO_ALERT),
	REASON(REFUSED_LIMIT, "refused_limit", 0, NO_ALERT),
	REASON(REFUSED_USER_LIMIT, "refused_user_limit", 0, NO_ALERT),
	REASON(REFUSED_PERM, "refused_perm", 0, NO_ALERT),
	REASON(REFUSED_BUSY, "refused_busy", 0, NO_ALERT),
	REASON(NETNS_END, "netns_end", ENETDOWN, NO_ALERT),
};
