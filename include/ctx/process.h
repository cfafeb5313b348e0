/* SPDX-License-Identifier: MIT */
/**
 * @defgroup process Processes
 * @ingroup c
 * ctx/process.h - one tree for a process and those that it starts.
 *
 * A program exports a context, puts the text that it gets into the environment variable LIBCTX of a child, and the
 * child imports it: a context with the same deadline and strings, which ends when the exported one ends, with the same
 * error and cause. It also ends, with CTX_CANCELED and a cause of the origin CTX_ORIGIN_PARENT_PROCESS that says "parent
 * process gone", when the exporter dies, in whatever way: then its descriptors are closed.
 *
 * One export serves any number of processes, at any depth below: a shell or an interpreter in between needs to know
 * nothing of it. The child opens what the exporter has open, by its number in /proc, and needs no inherited descriptor.
 * Where it may not (another user, another space of process numbers, as in a container), it takes what it has inherited.
 * The third and the fourth of the numbers in the text, between colons, are the two descriptors that a child then needs.
 * They are close-on-exec, as all of the library's: clear that between fork and exec, or list them where such a child is
 * started (posix_spawn_file_actions_adddup2() of a number to itself; pass_fds in Python).
 *
 * What goes over: of the causes, that of the end and that of the deadline, what ctx_cause_encode() writes of them; no
 * values but strings. A deadline goes over as a time on CLOCK_MONOTONIC, which is one for a machine: a loop
 * with another clock converts it once, and one of a virtual loop does not go over. In a time namespace of its own
 * a process has another CLOCK_MONOTONIC, and its deadlines are wrong by the difference.
 *
 * What a child imports is a claim of whoever has set its environment. The general rules are in ctx/ctx.h.
 * @{
 */
#ifndef CTX_PROCESS_H
#define CTX_PROCESS_H

#include <ctx/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CTX_EXPORT_SIZE 128 /**< Room for the value of LIBCTX, with its NUL. */

/**
 * Exports a context: any number of processes below this one may import it, until the watch is stopped or this process
 * ends. It costs three descriptors, a page of memory and the strings' size, whoever imports it.
 *
 * A process that is forked and runs no other program does not keep it alive: the library closes its copies there. (That
 * of _Fork() or clone() does.) fork() waits while another thread makes or ends an export; so a handler of
 * pthread_atfork() must do neither.
 *
 * @param buf  receives the text, with its NUL.
 * @param size of buf; at least CTX_EXPORT_SIZE, else -EINVAL.
 * @param ret  receives the watch, owned by the caller; may be NULL. ctx_watch_stop() ends the export, and with it the
 *             contexts that were imported: with CTX_CANCELED and the cause "export stopped". Stop it when the children
 *             have ended. Until then it keeps ctx in memory, though not its values. Once ctx is done, whoever imports
 *             still learns how it ended, until the watch is given back; one that was given back before, or never taken,
 *             is gone with the end.
 * @return 0, also if the context is done; -EINVAL; -E2BIG for more than 1024 strings, or a megabyte of them; -EFBIG if
 *         RLIMIT_FSIZE leaves no room for them; -ENOMEM; -EMFILE; -ENFILE; -ENOTSUP where the system cannot seal memory.
 */
CTX_API int ctx_export(ctx_t *ctx, char *buf, size_t size, ctx_watch_t **ret);

/**
 * Derives a context that also ends with the one that a process above has exported. The earlier of both deadlines
 * applies; a string that both have is the exported one. If the exported context has ended, or its exporter is gone, it
 * is born done.
 *
 * It keeps two descriptors as long as the context is in memory. No other thread may change the environment meanwhile.
 *
 * @param text what ctx_export() wrote; NULL for the value of LIBCTX. If there is no such variable, as in a program that
 *             nobody has exported to, this is ctx_with_cancel(). A program with more rights than its caller ignores it.
 * @return 0; -EBADMSG: neither the text nor what it leads to is of this library; -EPROTONOSUPPORT: it is of a version
 *         that this one does not know; -EACCES: the exporter belongs to another user or lives in another space of
 *         process numbers, and its descriptors were not inherited; -ENOMEM; -EMFILE, -ENFILE, -EAGAIN or -ENOSPC as
 *         ctx_with_fd().
 */
CTX_API int ctx_import(const char *text, ctx_t *parent, ctx_t **ret, ctx_canceler_t **ret_canceler);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
