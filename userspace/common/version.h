/* SPDX-License-Identifier: MIT */
/* The one version of the programs; the module says its own. */
#ifndef TLSGATE_COMMON_VERSION_H
#define TLSGATE_COMMON_VERSION_H

#define TLSGATE_VERSION	"0.1.0"

#endif
