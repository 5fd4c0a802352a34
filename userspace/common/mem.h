/* SPDX-License-Identifier: MIT */
/*
 * Memory at start time, and whole files.
 *
 * The x*() calls end the process when memory is out: they are for start and
 * configuration, never for what a peer can trigger.
 */
#ifndef TLSGATE_COMMON_MEM_H
#define TLSGATE_COMMON_MEM_H

#include <stddef.h>

/* Zeroed; freed by free(). */
void *xcalloc(size_t count, size_t size);
/* As reallocarray(); new elements are not zeroed. */
void *xrealloc(void *old, size_t count, size_t size);
char *xstrdup(const char *text);
/* Formatted into new memory; freed by free(). */
char *xprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Reads a regular file of at most max bytes into new memory, with a NUL behind
 * it.  NULL: errno says why (EFBIG: longer than max; EISDIR, ESPIPE: no
 * regular file).
 */
char *file_read(const char *path, size_t max, size_t *len);
/* strerror() for file_read(): says what its own errors mean, and what to do, where that is known. */
const char *file_strerror(int error);
/* Wipes and frees what file_read() gave; NULL is fine. */
void file_wipe(char *data, size_t len);

#endif
