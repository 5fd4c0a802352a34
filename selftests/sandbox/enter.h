/* SPDX-License-Identifier: MIT */
/* Goes under the system call filter of one of the daemon's processes, as that process does. */
#ifndef TLSGATE_SANDBOX_ENTER_H
#define TLSGATE_SANDBOX_ENTER_H

/*
 * $SANDBOX_ROLE says which: worker, keyd or answerer.  Ends the program where
 * it cannot.  From now on no file can be opened.
 */
void sandbox_enter(void);

#endif
