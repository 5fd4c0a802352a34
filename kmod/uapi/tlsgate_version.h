/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/* The release of module, library and programs.  Makefile and packages read it here. */
#ifndef TLSGATE_VERSION_H
#define TLSGATE_VERSION_H

#define TLSGATE_VERSION	"0.2.0"

#endif /* TLSGATE_VERSION_H */
