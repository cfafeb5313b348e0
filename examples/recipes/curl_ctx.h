/* SPDX-License-Identifier: MIT */
/**
 * curl_ctx.h - transfers of libcurl that a context ends. Copy it into your program.
 *
 * A transfer gets the context's deadline as its CURLOPT_TIMEOUT_MS, and then libcurl alone ends it at that time. Any other
 * end of the context ends the transfer from here: at once in a loop of many transfers; in curl_perform_ctx() when
 * libcurl next asks for progress, which is once a second while nothing arrives.
 *
 * Answers are 0, a CURLcode (positive), or CTX_CANCELED or CTX_DEADLINE_EXCEEDED. The recipe sets CURLOPT_TIMEOUT_MS and
 * CURLOPT_NOSIGNAL; curl_perform_ctx() also the progress function, a loop CURLOPT_PRIVATE. C11, libcurl 7.66.
 */
#ifndef CURL_CTX_H
#define CURL_CTX_H

#include <ctx/ctx.h>
#include <curl/curl.h>

/** A transfer, and what ends it. */
typedef struct curl_transfer {
  CURL *easy;         /**< Set it before curl_add_ctx(), and clean it up after the end. */
  int result;         /**< How it ended, as curl_perform_ctx() answers. */
  ctx_t *ctx;         /**< The rest is the recipe's own. */
  int64_t deadline;   /**< The one that libcurl was given; CTX_FOREVER if none. */
  int64_t slack;      /**< By so much may the other side be early with it. */
  ctx_watch_t *watch; /**< Its place in the queue. */
} curl_transfer_t;

/** Many transfers of one thread. */
typedef struct curl_loop {
  CURLM *multi;       /**< Of curl_multi_init(); the caller's own. */
  ctx_queue_t *queue; /**< Of ctx_queue_new(), for this loop alone; the caller's own. */
  size_t running;     /**< How many have not been handed out yet; 0 at first. */
} curl_loop_t;

/** Gives the deadline to libcurl. @return 0; the error of a context that is done: then nothing may start. */
static inline int curl_begin_ctx(ctx_t *ctx, curl_transfer_t *transfer) {
  const int64_t remaining = ctx_remaining(ctx);
  const int err = ctx_err(ctx);
  if (err != 0) return err;
  if (remaining <= 0) return CTX_DEADLINE_EXCEEDED;
  transfer->ctx = ctx;
  transfer->deadline = CTX_FOREVER;
  ctx_deadline(ctx, &transfer->deadline);
  transfer->slack = remaining / 100 > 5000000 ? remaining / 100 : 5000000;
  curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS,
                   transfer->deadline == CTX_FOREVER ? 0L : (long)((remaining - 1) / 1000000 + 1));
  curl_easy_setopt(transfer->easy, CURLOPT_NOSIGNAL, 1L);
  return 0;
}

/** The error of the context if that has to end the transfer; 0 while it lives, and if libcurl knows the deadline. */
static inline int curl_err_ctx(const curl_transfer_t *transfer) {
  const int err = ctx_err(transfer->ctx);
  return err == CTX_DEADLINE_EXCEEDED && ctx_now(transfer->ctx) >= transfer->deadline ? 0 : err;
}

/** What an answer of libcurl means. A connection that the other side drops at the deadline, it drops for that. */
static inline int curl_result_ctx(const curl_transfer_t *transfer, CURLcode answer) {
  const int err = ctx_err(transfer->ctx);
  switch (answer) {
    case CURLE_ABORTED_BY_CALLBACK:
      return err != 0 ? err : (int)answer;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      if (ctx_now(transfer->ctx) < transfer->deadline - transfer->slack) return (int)answer;
      return err != 0 ? err : CTX_DEADLINE_EXCEEDED;
    default:
      return (int)answer;
  }
}

static inline int curl_progress_ctx(void *transfer, curl_off_t down_total, curl_off_t down,
                                    curl_off_t up_total, curl_off_t up) {
  (void)down_total, (void)down, (void)up_total, (void)up;
  return curl_err_ctx((const curl_transfer_t *)transfer) != 0;
}

/** curl_easy_perform() that a context ends. */
static inline int curl_perform_ctx(ctx_t *ctx, CURL *easy) {
  curl_transfer_t transfer = {easy, 0, NULL, 0, 0, NULL};
  const int err = curl_begin_ctx(ctx, &transfer);
  if (err != 0) return err;
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, curl_progress_ctx);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  transfer.result = curl_result_ctx(&transfer, curl_easy_perform(easy));
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, NULL);
  return transfer.result;
}

/**
 * Starts a transfer in a loop.
 * @param transfer with its easy handle; it must stay where it is until curl_wait_ctx() hands it out.
 * @return 0; the error of a context that is done: nothing was started; -ENOMEM; -EINVAL: libcurl refused the handle.
 */
static inline int curl_add_ctx(curl_loop_t *loop, ctx_t *ctx, curl_transfer_t *transfer) {
  int r = curl_begin_ctx(ctx, transfer);
  if (r != 0) return r;
  curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, transfer);
  r = ctx_queue_add(loop->queue, ctx, (uint64_t)(uintptr_t)transfer, &transfer->watch);
  if (r != 0) return r;
  if (curl_multi_add_handle(loop->multi, transfer->easy) != CURLM_OK) {
    ctx_watch_stop(transfer->watch);
    transfer->watch = ctx_watch_unref(transfer->watch);
    return -EINVAL;
  }
  ctx_ref(ctx);
  ++loop->running;
  return 0;
}

/** Takes a transfer that has ended out of its loop. */
static inline void curl_take_ctx(curl_loop_t *loop, curl_transfer_t *transfer) {
  curl_multi_remove_handle(loop->multi, transfer->easy);
  ctx_watch_stop(transfer->watch); /* its event is not to come any more */
  transfer->watch = ctx_watch_unref(transfer->watch);
  transfer->ctx = ctx_unref(transfer->ctx);
  --loop->running;
}

/**
 * Runs the transfers of a loop until one of them has ended. To stop all, cancel their contexts and wait until none is
 * left.
 * @param ret receives the transfer that has ended, with its result; NULL if none is left.
 * @return 0; a CURLMcode; a negative errno if the queue gets no descriptor.
 */
static inline int curl_wait_ctx(curl_loop_t *loop, curl_transfer_t **ret) {
  struct curl_waitfd fd = {ctx_queue_fd(loop->queue), CURL_WAIT_POLLIN, 0};
  if (fd.fd < 0) return fd.fd;
  for (*ret = NULL; loop->running > 0;) {
    int n;
    ctx_event_t event;
    CURLMcode code = curl_multi_perform(loop->multi, &n);
    if (code != CURLM_OK) return (int)code;
    for (CURLMsg *said; (said = curl_multi_info_read(loop->multi, &n)) != NULL;) {
      char *transfer;
      if (said->msg != CURLMSG_DONE) continue;
      curl_easy_getinfo(said->easy_handle, CURLINFO_PRIVATE, &transfer);
      *ret = (curl_transfer_t *)(void *)transfer;
      (*ret)->result = curl_result_ctx(*ret, said->data.result);
      curl_take_ctx(loop, *ret);
      return 0;
    }
    while (ctx_queue_drain(loop->queue, &event, 1) == 1) {
      curl_transfer_t *transfer = (curl_transfer_t *)(uintptr_t)event.token;
      transfer->result = curl_err_ctx(transfer);
      if (transfer->result == 0) continue; /* libcurl ends it */
      curl_take_ctx(loop, transfer);
      *ret = transfer;
      return 0;
    }
    code = curl_multi_poll(loop->multi, &fd, 1, 3600000, NULL);
    if (code != CURLM_OK) return (int)code;
  }
  return 0;
}

#endif
