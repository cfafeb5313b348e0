/* SPDX-License-Identifier: MIT */
/**
 * @defgroup propagate Propagation
 * @ingroup c
 * ctx/propagate.h - deadlines, traces, baggage and causes as text, from one process or machine to another.
 *
 * ctx_inject() writes what a context carries into a map of the caller's, such as the headers of a request, the metadata
 * of gRPC or the environment of a child process. ctx_extract() makes a context of such a map. The library does no I/O.
 *
 * The strings `traceparent`, `tracestate` and `baggage` of a context (ctx_string()) hold the text of the wire, as W3C
 * Trace Context and W3C Baggage define it. A program may read and set them as any other string. What is not well
 * formed, or would be more than the limits below, goes neither in nor out; so no line break ever gets into a header.
 * A deadline travels as the time that remains, never as a point in time: clocks differ.
 *
 * Text from another process is hostile until proven otherwise. Every function here takes a time that grows no faster
 * than the text. The general rules are in ctx/ctx.h.
 * @{
 */
#ifndef CTX_PROPAGATE_H
#define CTX_PROPAGATE_H

#include <ctx/types.h>

/** The deadline as `grpc-timeout`: 1 to 8 digits, and one of H, M, S, m, u and n. */
#define CTX_FORMAT_GRPC_TIMEOUT 1u
/** `traceparent` and `tracestate`. */
#define CTX_FORMAT_TRACE 2u
/** `baggage`. */
#define CTX_FORMAT_BAGGAGE 4u
/** The strings travel as TRACEPARENT, TRACESTATE and BAGGAGE: the names that environment variables have. */
#define CTX_FORMAT_ENVIRONMENT 8u

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What ctx_inject() writes and ctx_extract() reads. Set `size` to sizeof(ctx_formats_t) and leave to zero all that you
 * do not need. More members may follow in later versions; a library that does not know one accepts it only if it is
 * zero.
 */
typedef struct ctx_formats {
  size_t size;    /**< Of this struct, as the caller was compiled with it. */
  uint32_t flags; /**< CTX_FORMAT_..., any of them, or 0. */
  /** The name under which the deadline travels in milliseconds, of 1 to 10 digits, such as `connect-timeout-ms`; a
      token as HTTP has it. NULL: it does not. */
  const char *timeout_ms;
  /** Of ctx_extract(): no timeout is longer, and a context without one does not exist. 0: no such limit. */
  int64_t maximum_ns;
  /** Of ctx_extract(): the timeout if the map has none. 0: then there is none. */
  int64_t default_ns;
} ctx_formats_t;

/**
 * Calls set(name, text, arg) on this thread for each header: the deadline in the formats asked for, traceparent,
 * tracestate and baggage. What a context does not have is left out: no deadline, no such header.
 *
 * The time that remains is rounded up, by 0.1 % and 1 ms at most. A deadline that has passed, of a context that is not
 * done yet, goes out as the shortest timeout there is. In milliseconds, one that takes more than 10 digits is left out.
 * A traceparent of a higher version than 00 goes out as one of 00 (see ctx_extract()); tracestate only beside a
 * traceparent.
 * @param formats borrowed for the call. Not NULL.
 * @param set     answers 0 to go on, any other number to stop. Name and text are borrowed for that call.
 * @return 0; or what set answered to stop; CTX_CANCELED or CTX_DEADLINE_EXCEEDED if the context is done: then set was
 *         not called; -EINVAL: also for a size that was not set, an unknown flag, a negative time, and a timeout_ms that
 *         is no token; -E2BIG for a member that is not zero and that this library does not know; -ENOMEM, before
 *         set was called; -ECHILD in a child that set has forked, and returned in.
 */
CTX_API int ctx_inject(const ctx_t *ctx, const ctx_formats_t *formats, ctx_string_fn set,
                       void *arg);

/**
 * Derives a context as a map says, for the work that a request asks for. It has the strings of the map, a canceler and
 * a deadline: the earlier of the parent's and that of the map, of which maximum_ns is the longest. If the map has
 * timeouts of both kinds, the shorter one counts. A timeout of 0 has passed: the context is born done.
 *
 * Strings of the formats asked for come from the map only. If it has none, the context has none, even if the parent
 * does: a request begins a trace of its own, and is no part of what the server itself does.
 *
 * White space around a text is ignored. A timeout that is malformed fails the call; a caller answers as its
 * protocol says. Anything else that is malformed is left out: a traceparent, and tracestate with it; tracestate, if
 * one member of it is malformed, or if there are more than 32; a member of the baggage. Of the baggage that is kept
 * which fits into 64 members and the first 8192 bytes, whole members only. Members keep their order and properties,
 * also those that nobody here knows; white space in the baggage goes. Of a traceparent of a higher version the ids
 * and the flags `sampled` and `random` are kept, as version 00 has them.
 * @param formats borrowed for the call. Not NULL.
 * @param get     called on this thread, once for each name at most: get(name, &text, arg) answers the length of what
 *                the map has there, and where it is, borrowed until the next call; or a negative number if the
 *                map has nothing. Names are in lower case, but for those of the environment and timeout_ms. Headers
 *                that came several times are one text, joined by commas.
 * @return as ctx_with_deadline(); -EINVAL and -E2BIG as ctx_inject(); -EBADMSG for a malformed timeout; -ECHILD
 *         in a child that get has forked, and returned in.
 */
CTX_API int ctx_extract(ctx_t *parent, const ctx_formats_t *formats, ctx_get_fn get, void *arg,
                        ctx_t **ret, ctx_canceler_t **ret_canceler);

/**
 * Whether there is time enough for work that takes so long, so that nobody begins what must end in vain.
 * @param need_ns not negative, else -EINVAL.
 * @return 0 if so much remains, and without a deadline; CTX_DEADLINE_EXCEEDED if less remains; the error of a context
 *         that is done.
 */
CTX_API int ctx_require(const ctx_t *ctx, int64_t need_ns);

/**
 * Writes the value of one member of the baggage, decoded. As snprintf() does, it writes at most size - 1 characters
 * and a NUL, and returns the length of the whole value. The value is UTF-8 without a NUL: whatever else comes becomes
 * U+FFFD. Properties are left out; they are in ctx_string(ctx, "baggage"). Of several members of one name it is the
 * last one's, as in OpenTelemetry.
 * @param name compared by content, also by case. Not NULL.
 * @param buf  may be NULL if size is 0.
 * @return the length without the NUL; -ENOENT if there is no such member; -EINVAL for a NULL buf with a size.
 */
CTX_API int64_t ctx_baggage(const ctx_t *ctx, const char *name, char *buf, size_t size);

/**
 * Derives a context whose baggage has a member set, in place of all of that name. It is the last in the list; the
 * others stay as they are, but for those that ctx_inject() would leave out.
 * @param name  a token as HTTP has it, such as `user-id`, else -EINVAL.
 * @param value copied, and encoded; UTF-8 by custom. NULL: removes the member, if there is one.
 * @return as ctx_with_string(); -E2BIG if the baggage would have more than 64 members, or 8192 bytes.
 */
CTX_API int ctx_with_baggage(ctx_t *parent, const char *name, const char *value, ctx_t **ret);

/** No text of a cause is longer, with its NUL. */
#define CTX_CAUSE_TEXT 512

/**
 * Writes a cause as text, for a header, a trailer of gRPC, a JSON string or an environment variable, such as
 * `v=1&code=-110&origin=2&by=payments&message=no%20answer`. It needs no more encoding anywhere, since it has letters,
 * digits and `-._~%&=` only. As snprintf() does, it writes at most size - 1 characters and a NUL, and returns
 * the length of the whole text.
 *
 * What does not fit of the message is cut off, between two characters; a who of more than 128 characters, encoded, too.
 * What is not UTF-8 becomes U+FFFD. Place and data stay here: they may be secrets, and mean nothing elsewhere.
 * @param who who says so, such as the name of this service. A cause that came from elsewhere keeps what it came with.
 *            NULL, or empty: nobody.
 * @param buf may be NULL if size is 0.
 * @return the length without the NUL, at most CTX_CAUSE_TEXT - 1; -EINVAL for a NULL buf with a size.
 */
CTX_API int64_t ctx_cause_encode(const ctx_cause_t *cause, const char *who, char *buf, size_t size);

/**
 * Makes a cause of such a text. Its code, origin and message are what the other process claims; ctx_cause_peer() says
 * so. What later versions may add is skipped.
 * @param text need not end with a NUL. Not NULL.
 * @param ret  receives the cause; the caller owns it.
 * @return 0; -EBADMSG for a text that is malformed, too long or of no version; -ENOMEM.
 */
CTX_API int ctx_cause_decode(const char *text, size_t length, ctx_cause_t **ret);

/**
 * Who claims a cause. Nothing proves it: whoever writes the text can write any name.
 * @return the name, borrowed: it lives as long as the cause; "" for a claim that names nobody, as that of an exporter
 *         (ctx/process.h); NULL for a cause that this process made itself.
 */
CTX_API const char *ctx_cause_peer(const ctx_cause_t *cause);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
