// SPDX-License-Identifier: MIT
/* supported_groups, RFC 9846 section 4.3.7 and RFC 8422 section 5.1.1. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

/* Groups with a KEM in them are TLS 1.3's alone. */
static bool offers(const struct tls_config *config, const struct tls_group *group)
{
	return group->tls12 || tls_config_has_version(config, TLS_1_3);
}

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	const struct tls_config *config = conn->config;

	for (size_t i = 0; place == TLS_IN_CLIENT_HELLO && i < config->group_count; i++) {
		if (offers(config, config->groups[i]))
			return true;
	}
	return false;
}

static void write_groups(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	struct tls_vec list = tls_put_open(out, 2);

	(void)place;
	for (size_t i = 0; i < conn->config->group_count; i++) {
		if (offers(conn->config, conn->config->groups[i]))
			tls_put_u16(out, conn->config->groups[i]->id);
	}
	tls_put_close(out, list);
}

/* From a server (some TLS 1.2 ones answer it, too) it is a hint for later, of no use to us. */
static int read_groups(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_reader list;
	struct tls_slice groups;

	tls_read_vec16(body, &list);
	if (list.failed || !list.left || list.left % 2)
		return TLS_ALERT(DECODE_ERROR);
	groups = tls_read_rest(&list);
	if (place == TLS_IN_CLIENT_HELLO) {
		conn->hs->offer.groups = groups;
		conn->hs->offer.has_groups = true;
	}
	return 0;
}

const struct tls_ext tls_ext_supported_groups = {
	.type = TLS_EXT_SUPPORTED_GROUPS,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12 | TLS_IN_ENCRYPTED_EXTENSIONS,
	.due = due,
	.write = write_groups,
	.read = read_groups,
};
