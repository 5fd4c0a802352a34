// SPDX-License-Identifier: MIT
/* What `tlsgate handshake` reads of hellos and key exchanges, to show it: the first byte is a
 * message's type, and of the message itself. */
#include <stdlib.h>
#include <string.h>

#include "ctl/handshake_decode.h"
#include "fuzz.h"

static void check_hello(const struct hello *hello)
{
	if (hello->suites.count > HELLO_MAX_LIST || hello->extensions.count > HELLO_MAX_LIST ||
	    !memchr(hello->server_name, '\0', sizeof(hello->server_name)) ||
	    !memchr(hello->alpn, '\0', sizeof(hello->alpn)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello_share share;
	struct hello hello;

	if (!size)
		return 0;
	if (data[0] == TLS_MSG_SERVER_KEY_EXCHANGE) {
		(void)kex12_read_server(&share, data, size);
		return 0;
	}
	if (data[0] == TLS_MSG_CLIENT_HELLO)
		hello_read_client(&hello, data, size);
	else
		hello_read_server(&hello, data, size);
	check_hello(&hello);
	return 0;
}
