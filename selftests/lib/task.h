/* SPDX-License-Identifier: MIT */
/* Who a test is, where another thread of it is, and memory that keeps a thread there. */
#ifndef TLSGATE_SELFTESTS_TASK_H
#define TLSGATE_SELFTESTS_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Users without privilege, none of whom owns anything here. */
#define TASK_NOBODY	65534
#define TASK_OTHER	65533

/* Becomes this user, with no group and no capability.  What was opened before stays open. */
bool task_become(uid_t uid);
/* The same with these groups. */
bool task_become_with(uid_t uid, gid_t gid, gid_t egid, size_t count, const gid_t *more);
/* Stays who it is. */
bool task_drop_capabilities(void);
/* Becomes root of a user namespace of its own, whose only user is uid outside. */
bool task_own_user_namespace(uid_t uid);
/* Into a file of /proc or /sys; 0 or -errno. */
int task_write_file(const char *path, const char *text);
/* Out of a file of /proc or /sys: the number behind the beginning of a line; -1: none. */
long task_read_number(const char *path, const char *beginning);
/* RLIMIT_NOFILE.  False: it may not. */
bool task_files(unsigned int soft, unsigned int hard);
/* Two processes in turns, over a pair of sockets; the end of the process if the other has gone. */
void task_tell(int fd);
void task_await(int fd);
/* True if thread tid of this process sleeps in some system call. */
bool task_sleeps(pid_t tid);
/* True once thread tid of this process sleeps in system call nr; false after NET_DEADLINE. */
bool task_sleeps_in(pid_t tid, long nr);
/* Exit status of a child, or -1 if a signal ended it or it has not ended within ms. */
int task_wait(pid_t child, int ms);
/* Before Linux 6.7 no socket can refuse setsockopt(SOL_SOCKET). */
bool task_takes_sol_socket(void);
/* KASAN pads every object and keeps freed ones: what is counted of them says nothing. */
bool task_has_kasan(void);
/* Kills a child, 0: none.  False: it does not end. */
bool task_kill(pid_t child);

/*
 * A page that is not there.  A system call that touches it sleeps, with
 * whatever it has locked, until trap_answer() fills it in.
 */
struct trap {
	int uffd;
	uint8_t *page;
};

#define TRAP_SIZE	4096

/* False: this kernel has no userfaultfd, or we may not use it. */
bool trap_new(struct trap *t);
/* True once somebody sleeps on the page; false after NET_DEADLINE. */
bool trap_holds(struct trap *t);
/* The same of so many, none of whom was reported before. */
bool trap_holds_many(struct trap *t, int n);
void trap_answer(struct trap *t);
/* The same with these bytes at its beginning. */
void trap_answer_with(struct trap *t, const void *data, size_t len);
/*
 * The page behind it is not there either, for an argument that lies in both: whether
 * somebody has answered for the first and sleeps on the second, and its answer.
 */
bool trap_holds_second(struct trap *t);
void trap_answer_second(struct trap *t);
/* After an answer: the page is not there once more. */
void trap_set(struct trap *t);
/* Answers, too. */
void trap_free(struct trap *t);

#endif
