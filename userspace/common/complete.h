/* SPDX-License-Identifier: MIT */
/*
 * What a shell is to offer for the word that is being typed, on standard output: a line for
 * each, the word and behind a tab what it means; ":files" for the names of files.  The
 * scripts in packaging/completion/ read it.
 */
#ifndef TLSGATE_COMMON_COMPLETE_H
#define TLSGATE_COMMON_COMPLETE_H

#include <stdbool.h>

/* before: stands in front of the word, as in "--pq=".  Nothing where typed does not begin so. */
void complete_word(const char *typed, const char *before, const char *word, const char *what);
/*
 * The values of an argument that is written like this: "FILE", "PATH|none", "1.2|1.3".  A word with capitals
 * stands for a value; others have none.
 */
void complete_values(const char *typed, const char *before, const char *argument);
/*
 * Where typed is "--name=..." with that name: its length up to the value.  0: it is not.
 */
int complete_is_value(const char *typed, const char *name);

#endif
