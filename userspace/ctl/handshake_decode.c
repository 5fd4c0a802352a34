// SPDX-License-Identifier: MIT
#include "ctl/handshake_decode.h"

#include <stdio.h>
#include <string.h>

#include "engine/wire.h"

#define HEADER_LEN	4

enum {
	EXT_SERVER_NAME = 0,
	EXT_SUPPORTED_GROUPS = 10,
	EXT_SIGNATURE_ALGORITHMS = 13,
	EXT_ALPN = 16,
	EXT_SUPPORTED_VERSIONS = 43,
	EXT_KEY_SHARE = 51,
};

/* RFC 9846 section 4.2.4: SHA-256 of "HelloRetryRequest". */
static const uint8_t retry_random[32] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
	0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
	0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

static void add(struct hello_list *list, uint16_t item)
{
	if (list->count < HELLO_MAX_LIST)
		list->items[list->count++] = item;
}

static void read_list(struct tls_reader *r, struct hello_list *list)
{
	uint16_t item;

	while (tls_read_more(r)) {
		item = tls_read_u16(r);
		if (!r->failed)
			add(list, item);
	}
}

static void read_vec16_list(struct tls_reader *r, struct hello_list *list)
{
	struct tls_reader inside;

	tls_read_vec16(r, &inside);
	read_list(&inside, list);
}

/* A NUL in a name is no end. */
static void append_name(char text[HELLO_MAX_NAME], const uint8_t *p, size_t len)
{
	size_t i, used = strlen(text);

	if (used && used + 1 < HELLO_MAX_NAME)
		text[used++] = ',';
	for (i = 0; i < len && used + 1 < HELLO_MAX_NAME; i++)
		text[used++] = p[i] ? (char)p[i] : '?';
	text[used] = '\0';
}

static void read_server_name(struct tls_reader *r, struct hello *hello)
{
	struct tls_reader list, name;
	struct tls_slice rest;

	tls_read_vec16(r, &list);
	(void)tls_read_u8(&list);
	tls_read_vec16(&list, &name);
	rest = tls_read_rest(&name);
	if (rest.len)
		append_name(hello->server_name, rest.p, rest.len);
}

static void read_alpn(struct tls_reader *r, struct hello *hello)
{
	struct tls_reader list, name;
	struct tls_slice rest;

	tls_read_vec16(r, &list);
	while (tls_read_more(&list)) {
		tls_read_vec8(&list, &name);
		rest = tls_read_rest(&name);
		if (rest.len)
			append_name(hello->alpn, rest.p, rest.len);
	}
}

static void read_share(struct tls_reader *r, struct hello *hello)
{
	const size_t room = sizeof(hello->shares) / sizeof(hello->shares[0]);
	struct hello_share share = { .group = tls_read_u16(r) };
	struct tls_reader key;

	tls_read_vec16(r, &key);
	share.len = key.left;
	if (!r->failed && hello->share_count < room)
		hello->shares[hello->share_count++] = share;
}

static void read_client_shares(struct tls_reader *r, struct hello *hello)
{
	struct tls_reader list;

	tls_read_vec16(r, &list);
	while (tls_read_more(&list))
		read_share(&list, hello);
}

static void read_client_versions(struct tls_reader *r, struct hello *hello)
{
	struct tls_reader list;

	tls_read_vec8(r, &list);
	read_list(&list, &hello->versions);
}

static void read_groups(struct tls_reader *r, struct hello *hello)
{
	read_vec16_list(r, &hello->groups);
}

static void read_schemes(struct tls_reader *r, struct hello *hello)
{
	read_vec16_list(r, &hello->schemes);
}

static void read_server_version(struct tls_reader *r, struct hello *hello)
{
	add(&hello->versions, tls_read_u16(r));
}

static void read_server_share(struct tls_reader *r, struct hello *hello)
{
	/* a HelloRetryRequest names the group alone */
	if (hello->is_retry)
		add(&hello->groups, tls_read_u16(r));
	else
		read_share(r, hello);
}

struct extension {
	uint16_t number;
	void (*in_client)(struct tls_reader *r, struct hello *hello);
	void (*in_server)(struct tls_reader *r, struct hello *hello);
};

/* Those that are shown with what they say. */
static const struct extension extensions[] = {
	{ EXT_SERVER_NAME, read_server_name, NULL },
	{ EXT_SUPPORTED_GROUPS, read_groups, NULL },
	{ EXT_SIGNATURE_ALGORITHMS, read_schemes, NULL },
	{ EXT_ALPN, read_alpn, read_alpn },
	{ EXT_SUPPORTED_VERSIONS, read_client_versions, read_server_version },
	{ EXT_KEY_SHARE, read_client_shares, read_server_share },
};

static const struct extension *find_extension(uint16_t number)
{
	size_t i;

	for (i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (extensions[i].number == number)
			return &extensions[i];
	return NULL;
}

static void read_extensions(struct tls_reader *r, struct hello *hello, bool client)
{
	const struct extension *extension;
	struct tls_reader list, body;
	uint16_t number;

	tls_read_vec16(r, &list);
	while (tls_read_more(&list)) {
		number = tls_read_u16(&list);
		tls_read_vec16(&list, &body);
		if (list.failed)
			return;
		add(&hello->extensions, number);
		extension = find_extension(number);
		if (extension && client && extension->in_client)
			extension->in_client(&body, hello);
		if (extension && !client && extension->in_server)
			extension->in_server(&body, hello);
	}
}

static void read_start(struct tls_reader *r, struct hello *hello, const uint8_t *data, size_t len)
{
	struct tls_reader session_id;

	memset(hello, 0, sizeof(*hello));
	tls_reader_init(r, data, len);
	(void)tls_read_bytes(r, HEADER_LEN);
	hello->legacy_version = tls_read_u16(r);
	tls_read_copy(r, hello->random, sizeof(hello->random));
	tls_read_vec8(r, &session_id);
	hello->present = !r->failed;
}

void hello_read_client(struct hello *hello, const uint8_t *data, size_t len)
{
	struct tls_reader r, compression;

	read_start(&r, hello, data, len);
	read_vec16_list(&r, &hello->suites);
	tls_read_vec8(&r, &compression);
	read_extensions(&r, hello, true);
}

void hello_read_server(struct hello *hello, const uint8_t *data, size_t len)
{
	struct tls_reader r;

	read_start(&r, hello, data, len);
	hello->is_retry = !memcmp(hello->random, retry_random, sizeof(retry_random));
	add(&hello->suites, tls_read_u16(&r));
	(void)tls_read_u8(&r);
	read_extensions(&r, hello, false);
}

bool kex12_read_server(struct hello_share *share, const uint8_t *data, size_t len)
{
	const uint8_t named_curve = 3;	/* RFC 8422 section 5.4 */
	struct tls_reader r, point;
	uint8_t type;

	tls_reader_init(&r, data, len);
	(void)tls_read_bytes(&r, HEADER_LEN);
	type = tls_read_u8(&r);
	share->group = tls_read_u16(&r);
	tls_read_vec8(&r, &point);
	share->len = point.left;
	return !r.failed && type == named_curve;
}
