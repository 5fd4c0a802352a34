// SPDX-License-Identifier: MIT
/* RFC 4511: messages in BER with definite lengths (section 5.1), StartTLS (section 4.14). */
#include "daemon/starttls/talk.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX	4096		/* before TLS, where nobody has a reason for more */
#define ID_MAX		4		/* bytes of a messageID, which is below 2^31 */
#define START_TLS	"1.3.6.1.4.1.1466.20037"
#define OID_LEN		(sizeof(START_TLS) - 1)

enum {
	TAG_INTEGER = 0x02,
	TAG_OCTET_STRING = 0x04,
	TAG_ENUMERATED = 0x0a,
	TAG_SEQUENCE = 0x30,
	TAG_REQUEST_NAME = 0x80,
	TAG_RESPONSE_NAME = 0x8a,
	TAG_CONTROLS = 0xa0,
	OP_UNBIND = 0x42,
	OP_ABANDON = 0x50,
	OP_EXTENDED_REQUEST = 0x77,
	OP_EXTENDED_RESPONSE = 0x78,
};

enum {
	RESULT_SUCCESS = 0,
	RESULT_PROTOCOL_ERROR = 2,
	RESULT_UNAVAILABLE_CRITICAL_EXTENSION = 12,
	RESULT_CONFIDENTIALITY_REQUIRED = 13,
};

struct span {
	const uint8_t *p;
	size_t len;
};

/* The header of an element.  Bytes it has, 0: not all are there; -1: it is none.  *body: that follow. */
static int read_header(const struct span *in, size_t *body)
{
	size_t count, i;

	if (in->len < 2)
		return 0;
	*body = in->p[1];
	if (*body < 0x80)
		return 2;
	/* more than the shortest form is allowed, and some clients have four bytes always */
	count = *body & 0x7f;
	if (!count || count > 4)
		return -1;
	if (in->len < 2 + count)
		return 0;
	for (*body = 0, i = 0; i < count; i++)
		*body = *body << 8 | in->p[2 + i];
	return (int)(2 + count);
}

/* Takes an element off the front.  False: there is none. */
static bool take_element(struct span *in, uint8_t *tag, struct span *value)
{
	size_t body;
	const int header = read_header(in, &body);

	if (header <= 0 || body > in->len - (size_t)header)
		return false;
	*tag = in->p[0];
	*value = (struct span){ in->p + header, body };
	in->p += (size_t)header + body;
	in->len -= (size_t)header + body;
	return true;
}

static enum talk_unit message_unit(struct starttls *talk)
{
	const struct span in = { talk->in, talk->in_len };
	size_t body = 0;
	const int header = read_header(&in, &body);

	if (talk->in[0] != TAG_SEQUENCE || header < 0 || body > MESSAGE_MAX - 6) {
		(void)talk_bad(talk, "it sent what is no LDAP message, or is too long", NULL);
		return UNIT_BAD;
	}
	return header && talk->in_len == (size_t)header + body ? UNIT_WHOLE : UNIT_MORE;
}

struct message {
	struct span id, value;
	uint8_t op;
	bool controls;
};

static bool is_id(const struct span *id)
{
	return id->len && id->len <= ID_MAX && !(id->p[0] & 0x80);
}

/* LDAPMessage ::= SEQUENCE { messageID, protocolOp, controls [0] OPTIONAL } */
static bool parse(const struct starttls *talk, struct message *message)
{
	struct span in = { talk->in, talk->in_len }, body, controls;
	uint8_t tag;

	if (!take_element(&in, &tag, &body) || !take_element(&body, &tag, &message->id) ||
	    tag != TAG_INTEGER || !is_id(&message->id) ||
	    !take_element(&body, &message->op, &message->value))
		return false;
	message->controls = body.len;
	return !message->controls ||
	       (take_element(&body, &tag, &controls) && tag == TAG_CONTROLS && !body.len);
}

/* What answers a request; 0: none is known. */
static uint8_t response_to(uint8_t op)
{
	static const uint8_t pairs[][2] = {
		{ 0x60, 0x61 },		/* bind */
		{ 0x63, 0x65 },		/* search: its result is done */
		{ 0x66, 0x67 },		/* modify */
		{ 0x68, 0x69 },		/* add */
		{ 0x4a, 0x6b },		/* delete */
		{ 0x6c, 0x6d },		/* modify the DN */
		{ 0x6e, 0x6f },		/* compare */
		{ OP_EXTENDED_REQUEST, OP_EXTENDED_RESPONSE },
	};
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (pairs[i][0] == op)
			return pairs[i][1];
	return 0;
}

static void put_byte(struct starttls *talk, size_t value)
{
	const uint8_t byte = (uint8_t)value;

	talk_put(talk, &byte, 1);
}

static void put_element(struct starttls *talk, uint8_t tag, const void *data, size_t len)
{
	put_byte(talk, tag);
	put_byte(talk, len);
	talk_put(talk, data, len);
}

/* All lengths are below 128: text has at most 64 bytes. */
static void respond(struct starttls *talk, const struct message *message, uint8_t code,
		    const char *text)
{
	const bool extended = message->op == OP_EXTENDED_REQUEST;
	const size_t body = 3 + 2 + 2 + strlen(text) + (extended ? 2 + OID_LEN : 0);

	put_byte(talk, TAG_SEQUENCE);
	put_byte(talk, 2 + message->id.len + 2 + body);
	put_element(talk, TAG_INTEGER, message->id.p, message->id.len);
	put_byte(talk, response_to(message->op));
	put_byte(talk, body);
	put_element(talk, TAG_ENUMERATED, &code, 1);
	put_element(talk, TAG_OCTET_STRING, "", 0);	/* matchedDN */
	put_element(talk, TAG_OCTET_STRING, text, strlen(text));
	if (extended)
		put_element(talk, TAG_RESPONSE_NAME, START_TLS, OID_LEN);
}

static bool asks_for_tls(const struct message *message, bool *has_value)
{
	struct span in = message->value, name;
	uint8_t tag;

	if (message->op != OP_EXTENDED_REQUEST || !take_element(&in, &tag, &name) ||
	    tag != TAG_REQUEST_NAME || name.len != OID_LEN || memcmp(name.p, START_TLS, OID_LEN))
		return false;
	*has_value = in.len;
	return true;
}

static enum starttls_result refuse(struct starttls *talk, const struct message *message, uint8_t code,
				   const char *text)
{
	respond(talk, message, code, text);
	return STARTTLS_MORE;
}

static enum starttls_result answer_request(struct starttls *talk, const struct message *message)
{
	bool has_value;

	if (!asks_for_tls(message, &has_value))
		return refuse(talk, message, RESULT_CONFIDENTIALITY_REQUIRED, "StartTLS is required first");
	if (has_value)			/* RFC 4511, section 4.14.1 */
		return refuse(talk, message, RESULT_PROTOCOL_ERROR, "StartTLS has no value");
	if (message->controls)		/* we know none, and no client has one here */
		return refuse(talk, message, RESULT_UNAVAILABLE_CRITICAL_EXTENSION, "no controls before TLS");
	respond(talk, message, RESULT_SUCCESS, "");
	return STARTTLS_DONE;
}

static enum starttls_result take_request(struct starttls *talk)
{
	struct message message;

	if (!parse(talk, &message))
		return talk_bad(talk, "it sent a malformed LDAP message", NULL);
	if (message.op == OP_UNBIND)
		return STARTTLS_END;
	if (message.op == OP_ABANDON)	/* has no answer, and nothing waits for one */
		return STARTTLS_MORE;
	if (!response_to(message.op))
		return talk_bad(talk, "it sent an unknown LDAP request", NULL);
	return answer_request(talk, &message);
}

/* ExtendedRequest [APPLICATION 23] with messageID 1 */
static const uint8_t request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" START_TLS;

/* A notice of disconnection has messageID 0 (RFC 4511, section 4.4.1). */
static enum starttls_result take_response(struct starttls *talk)
{
	struct message message;
	struct span code;
	char text[32];
	uint8_t tag;

	if (!parse(talk, &message) || message.op != OP_EXTENDED_RESPONSE ||
	    !take_element(&message.value, &tag, &code) || tag != TAG_ENUMERATED || code.len != 1)
		return talk_bad(talk, "it answers StartTLS with something else", NULL);
	if (code.p[0] == RESULT_SUCCESS && message.id.len == 1 && message.id.p[0] == 1)
		return STARTTLS_DONE;
	snprintf(text, sizeof(text), "result code %u", code.p[0]);
	return talk_bad(talk, "it refuses StartTLS", text);
}

static const struct talk_role server = {
	.max = MESSAGE_MAX, .unit = message_unit, .take = take_request,
};

static const struct talk_role client = {
	.max = MESSAGE_MAX, .unit = message_unit, .take = take_response,
	.request = request, .request_len = sizeof(request) - 1,
};

const struct talk_protocol talk_ldap = {
	.name = "ldap",
	.roles = { [STARTTLS_SERVER] = &server, [STARTTLS_CLIENT] = &client },
};
