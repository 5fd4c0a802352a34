/* SPDX-License-Identifier: MIT */
#ifndef TLSGATE_DAEMON_SUBJECT_H
#define TLSGATE_DAEMON_SUBJECT_H

#include <stddef.h>
#include <stdint.h>

/*
 * The first common name of a certificate in DER, in UTF-8: its length, and *name is
 * the caller's to free() and has a NUL at its end; -1: it has none.
 */
int subject_common_name(const uint8_t *der, size_t len, char **name);

#endif
