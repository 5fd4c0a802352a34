// SPDX-License-Identifier: MIT
/* The frontend/backend protocol 3 of PostgreSQL, chapter "SSL Session Encryption". */
#include "daemon/starttls/talk.h"

#include <string.h>

#define LENGTH_MAX	10000		/* of a startup packet, by the server's own limit */
#define HEADER		STARTTLS_REQUEST	/* length, then version or request */
#define TLS_HANDSHAKE	0x16		/* first byte of a ClientHello's record */

#define CANCEL_REQUEST	80877102
#define SSL_REQUEST	80877103
#define GSSENC_REQUEST	80877104
#define VERSION_3	3		/* in the upper half */

static const uint8_t ssl_request[HEADER] = { 0, 0, 0, HEADER, 0x04, 0xd2, 0x16, 0x2f };

/* As the server's own: severity twice, SQLSTATE, message.  The client shows the message. */
static const char refusal[] = "SFATAL\0VFATAL\0C28000\0M"
	"TLS is required here: connect with sslmode=require or, better, verify-full\0";

_Static_assert(4 + sizeof(refusal) < 256, "its length has one byte");

static uint32_t number(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What follows the header of a refused request is left unread. */
static enum talk_unit request_unit(struct starttls *talk)
{
	if (talk->in_len == 1 && talk->in[0] == TLS_HANDSHAKE && !talk->units)
		return UNIT_TLS;
	return talk->in_len < HEADER ? UNIT_MORE : UNIT_WHOLE;
}

bool starttls_is_request(const uint8_t data[STARTTLS_REQUEST])
{
	const uint32_t request = number(data + 4);

	return number(data) == HEADER && (request == SSL_REQUEST || request == GSSENC_REQUEST);
}

static enum starttls_result refuse(struct starttls *talk, const char *why)
{
	const uint8_t header[5] = { 'E', 0, 0, 0, 4 + sizeof(refusal) };

	(void)talk_bad(talk, why, NULL);
	talk_put(talk, header, sizeof(header));
	talk_put(talk, refusal, sizeof(refusal));
	return STARTTLS_END;
}

static enum starttls_result take_request(struct starttls *talk)
{
	const uint32_t length = number(talk->in), request = number(talk->in + 4);

	if (length < HEADER || length > LENGTH_MAX)
		return talk_bad(talk, "it sent what is neither TLS nor a request of PostgreSQL", NULL);
	if (request == CANCEL_REQUEST)
		return refuse(talk, "it sent CancelRequest in plain text");
	if (request >> 16 == VERSION_3)
		return refuse(talk, "it wants to go on in plain text: give it sslmode=require");
	if (length == HEADER && request == SSL_REQUEST) {
		talk_put(talk, "S", 1);
		return STARTTLS_DONE;
	}
	if (length != HEADER || request != GSSENC_REQUEST || talk->state++)
		return talk_bad(talk, "it sent an unknown request of PostgreSQL", NULL);
	talk_put(talk, STARTTLS_NO, 1);
	return STARTTLS_MORE;
}

static enum talk_unit answer_unit(struct starttls *talk)
{
	(void)talk;
	return UNIT_WHOLE;
}

static enum starttls_result take_answer(struct starttls *talk)
{
	return talk->in[0] == 'S' ? STARTTLS_DONE :
		talk_bad(talk, talk->in[0] == 'N' ? "it has no TLS: see ssl in postgresql.conf" :
			 "it does not know SSLRequest", NULL);
}

static const struct talk_role server = { .max = HEADER, .unit = request_unit, .take = take_request };
static const struct talk_role client = {
	.max = 1, .unit = answer_unit, .take = take_answer,
	.request = ssl_request, .request_len = sizeof(ssl_request),
};

const struct talk_protocol talk_postgresql = {
	.name = "postgresql",
	.roles = { [STARTTLS_SERVER] = &server, [STARTTLS_CLIENT] = &client },
};
