// SPDX-License-Identifier: MIT
/* tlsgated: terminates and originates TLS with the data path in the kernel. */
#include "common/fds.h"
#include "common/log.h"
#include "daemon/check.h"
#include "daemon/monitor.h"
#include "daemon/options.h"
#include "engine/crypto/crypto.h"

int main(int argc, char **argv)
{
	struct options options;

	fds_open_standard();
	log_init("tlsgated", false);
	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_DONE:
		return 0;
	case OPTIONS_BAD:
		return 2;
	case OPTIONS_RUN:
		break;
	}
	/* before anything is dropped: libcrypto reads its configuration now */
	if (tls_crypto_init()) {
		log_error("cryptography cannot be set up: check libcrypto's configuration (openssl.cnf)");
		settings_free(options.settings);
		return 1;
	}
	return options.test ? check_run(&options) : monitor_run(&options);
}
