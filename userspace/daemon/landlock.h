/* SPDX-License-Identifier: MIT */
/*
 * Landlock, a second lock beside the system call filter (filter.h), by object
 * and not by call: see landlock(7).
 */
#ifndef TLSGATE_DAEMON_LANDLOCK_H
#define TLSGATE_DAEMON_LANDLOCK_H

#include <stddef.h>
#include <stdint.h>

/*
 * From now on, for this process and its children, irrevocably: no path can be
 * opened, changed or executed, no TCP port bound, none connected to but those in
 * ports, no process signalled that is not a child; of each as much as the
 * kernel's Landlock knows.  Descriptors that are open stay usable.  Needs
 * no_new_privs.  0, also where the kernel has no Landlock or does not let us; or
 * -1 and a line was logged.
 */
int landlock_enter(const uint16_t *ports, size_t count);
/* The same, but abstract UNIX sockets of other processes can be connected to. */
int landlock_enter_abstract(const uint16_t *ports, size_t count);
/* The same, but every file and folder can be read, and every TCP port connected to. */
int landlock_enter_reading(void);

#endif
