/* SPDX-License-Identifier: MIT */
/* tlsgated complete WORD...: what a shell is to offer for the last of these words (common/complete.h). */
#ifndef TLSGATE_DAEMON_COMPLETE_H
#define TLSGATE_DAEMON_COMPLETE_H

/* words: those behind "complete". */
void complete_run(int count, char **words);

#endif
