// SPDX-License-Identifier: MIT
#include "core/watch/mirror.h"

#include <poll.h>

#include <cerrno>

#include "core/base/alloc.h"
#include "core/life/cancel.h"
#include "core/life/derive.h"
#include "core/life/make_node.h"
#include "core/life/merge.h"
#include "core/loop/loop.h"
#include "core/watch/descriptor.h"

namespace ctxcore {

namespace {

bool is_foreign(Context* parent, Loop* loop) {
  Node* const node = node_of(parent);
  return !is_root(node) && node->loop != loop;  // a root never ends anything
}

// Watches what is followed; if that is done by now, the mirror is done on return. 0 or a negative errno.
int watch(MirrorNode* mirror) {
  if (const int result = mirror->loop->watch(mirror); result < 0) return result;
  if (const int error = error_of(mirror->followed); error != 0) {
    await(mirror->followed, Phase::kMarked);
    cancel(mirror, error, cause_of(mirror->followed), Callbacks::here);
  }
  return 0;
}

// Makes a mirror of a node below the anchor, with one reference.
int make_mirror(Context* anchor, Node* followed, Node** ret) {
  const int descriptor = descriptor_of(followed);
  if (descriptor < 0) return descriptor;
  Context* above = anchor;
  Node* timed = nullptr;
  const Loop* const loop = loop_of(node_of(anchor));
  const TimerNode* const owner = deadline_to_pass_on(followed);
  if (owner != nullptr && loop->same_clock(*followed->loop)) {
    const int result =
        derive_deadline(anchor, followed->deadline, loop->now(), owner->reason, 1, &timed);
    if (result < 0) return result;
    above = timed;
  }
  MirrorNode* mirror = nullptr;
  int result = make_node(above, Kind::mirror, 1, &mirror, node_of(above)->deadline, descriptor,
                         uint32_t{POLLIN}, followed);
  if (result == 0) {
    result = watch(mirror);
    if (result < 0) release(mirror);
  }
  if (timed != nullptr) release(timed);  // its child keeps it
  if (result == 0) *ret = mirror;
  return result;
}

int mirror(Loop* loop, Node* followed, Node** ret) {
  if (const int result = loop->start_watching(); result < 0) return result;
  Carrier* const anchor = make_carrier(Kind::anchor, followed, loop->root());
  if (anchor == nullptr) return -ENOMEM;
  const int result = make_mirror(anchor, followed, ret);
  release(anchor);  // the nodes below hold it
  return result;
}

}  // namespace

int merge(Context* const* parents, size_t count, uint32_t refs, Node** ret) {
  Loop* const loop = family_loop(node_of(parents[0]));
  size_t i = 0;
  while (i < count && !is_foreign(parents[i], loop)) ++i;
  if (i == count) return derive_merged(parents, count, refs, ret);
  auto** const local = static_cast<Context**>(allocate(count * sizeof(Context*)));
  if (local == nullptr) return -ENOMEM;
  int result = 0;
  for (i = 0; i < count && result == 0; ++i) {
    local[i] = parents[i];
    if (!is_foreign(parents[i], loop)) continue;
    Node* made = nullptr;
    result = mirror(loop, node_of(parents[i]), &made);
    if (result < 0) break;
    local[i] = made;
  }
  const size_t ready = i;
  if (result == 0) result = derive_merged(local, count, refs, ret);
  for (i = 0; i < ready; ++i) {
    if (local[i] != parents[i]) release(local[i]);  // its proxy keeps it
  }
  deallocate(local);
  return result;
}

}  // namespace ctxcore
