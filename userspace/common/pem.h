/* SPDX-License-Identifier: MIT */
/* What a file is that holds no PEM block of the kind wanted. */
#ifndef TLSGATE_COMMON_PEM_H
#define TLSGATE_COMMON_PEM_H

#include <stddef.h>

/*
 * Says what the text is instead, and how to convert it: a static sentence.
 * NULL: nothing that is known.
 */
const char *pem_advice(const char *text, size_t len);

#endif
