/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic netlink family: who may call what with which attributes. */
#ifndef TG_GENL_H
#define TG_GENL_H

#include <net/genetlink.h>

#include "uapi/tlsgate.h"

enum tg_genl_group {
	TG_GENL_EVENTS,
};

extern struct genl_family tg_genl_family;

/*
 * Last step of module init, first of its exit: from the one on and until the
 * other userspace can call.  0 or a negative errno.
 */
int tg_genl_init(void);
void tg_genl_exit(void);

#endif /* TG_GENL_H */
