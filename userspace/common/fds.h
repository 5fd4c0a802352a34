/* SPDX-License-Identifier: MIT */
#ifndef TLSGATE_COMMON_FDS_H
#define TLSGATE_COMMON_FDS_H

/*
 * First thing in every program: opens /dev/null where standard input, output or
 * error is closed, or the next socket would take the number and get what is
 * printed or logged.  Ends the program, with status 1, where it cannot.
 */
void fds_open_standard(void);

#endif
