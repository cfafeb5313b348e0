/* SPDX-License-Identifier: MIT */
/**
 * @defgroup poll Polling
 * @ingroup c
 * ctx/poll.h - poll(2) that a context ends. It has a header of its own, since it brings the system's poll.h
 * along. The general rules are in ctx/ctx.h.
 * @{
 */
#ifndef CTX_POLL_H
#define CTX_POLL_H

#include <ctx/types.h>
#include <poll.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * poll(2) that the context ends: waits for any of the descriptors, the context or the time limit.
 * @param fds as poll(2) takes them; revents are written. May be NULL if nfds is 0.
 * @return how many descriptors are ready; 0: timed out; CTX_CANCELED or CTX_DEADLINE_EXCEEDED: the
 *         context is done, which wins over ready descriptors (revents are then unspecified); -EINTR: a
 *         signal handler ran on this thread meanwhile; -EINVAL for a negative timeout_ns, or more descriptors
 *         than poll(2) takes (RLIMIT_NOFILE); -ENOMEM; and the errors of ctx_done_fd() except -ENOTSUP.
 */
CTX_API int ctx_poll(ctx_t *ctx, struct pollfd *fds, nfds_t nfds, int64_t timeout_ns);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
