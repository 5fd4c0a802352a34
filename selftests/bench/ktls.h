/* SPDX-License-Identifier: MIT */
/* In-tree kTLS, TLS 1.3 AES-128-GCM: the peer whose keys we install ourselves. */
#ifndef TLSGATE_BENCH_KTLS_H
#define TLSGATE_BENCH_KTLS_H

#include <netinet/in.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define KTLS_KEY_LEN	16
#define KTLS_IV_LEN	12

static inline int ktls_attach(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"));
}

/* direction: TLS_TX or TLS_RX; the record sequence begins at zero. */
static inline int ktls_install(int fd, int direction, const uint8_t key[KTLS_KEY_LEN],
			       const uint8_t iv[KTLS_IV_LEN])
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info = { .version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128 },
	};

	memcpy(info.key, key, KTLS_KEY_LEN);
	memcpy(info.salt, iv, TLS_CIPHER_AES_GCM_128_SALT_SIZE);
	memcpy(info.iv, iv + TLS_CIPHER_AES_GCM_128_SALT_SIZE, TLS_CIPHER_AES_GCM_128_IV_SIZE);
	return setsockopt(fd, SOL_TLS, direction, &info, sizeof(info));
}

#endif
