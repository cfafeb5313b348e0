// SPDX-License-Identifier: MIT
//
// What is left of a context without a library: the memory, a parent's list behind a lock, a count for two handles, an
// error. As many calls of a shared library as ours takes, and the atomic operations that the promise cannot do
// without: the list changes twice and the error once under the parent's lock, and the first of two handles to go has
// to say so to the other. No check of a handle, no cause, no carrier, no second list, no error path.
#ifndef CTX_BENCH_PEERS_BARE_H_
#define CTX_BENCH_PEERS_BARE_H_

#include <cstdint>

extern "C" {

struct bare_node;
struct bare_watch;
struct bare_event;
struct bare_queue;

bare_node* bare_root();
void bare_free_root(bare_node* root);
bare_node* bare_derive(bare_node* parent);  // two handles
bare_node* bare_derive_timed(bare_node* parent,
                             int64_t after);  // reads the clock, and is in one more list
void bare_expire(int64_t now);                // ends the timed ones whose time has come
int bare_cancel(bare_node* node);
void bare_cancel_all(bare_node* root);  // and all below
int bare_error(const bare_node* node);
void bare_release(bare_node* node);  // one handle
bare_watch* bare_register(bare_node* node, void (*call)(void*), void* arg);
void bare_stop(bare_watch* watch);  // and frees it

bare_queue* bare_queue_new();
void bare_queue_free(bare_queue* queue);
void bare_queue_add(bare_queue* queue, bare_node* node, uint64_t token);
uint64_t bare_queue_drain(bare_queue* queue, uint64_t* tokens, uint64_t room);
}

#endif  // CTX_BENCH_PEERS_BARE_H_
