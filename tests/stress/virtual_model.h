// SPDX-License-Identifier: MIT
//
// What a family of contexts on a virtual loop must look like, worked out apart from the library in the
// simplest way there is: every end walks over all of them, every step of time looks for the next timer.
// It does not say which of two timers of the same time is the first: give it none.
#ifndef CTX_TESTS_STRESS_VIRTUAL_MODEL_H_
#define CTX_TESTS_STRESS_VIRTUAL_MODEL_H_

#include <ctx/ctx.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace ctxtest {

class VirtualModel {
 public:
  static constexpr size_t kRoot = 0;

  struct Node {
    std::vector<size_t> parents;  // whose end is its own too; of a grace, whose end begins it
    size_t keeps = kRoot;         // in memory, without ending with it
    bool is_grace = false;
    bool can_end = true;
    bool held = true;
    int64_t deadline = CTX_FOREVER;  // what ctx_deadline tells
    int64_t timer = CTX_FOREVER;     // when it ends by itself
    int64_t grace = 0;
    const ctx_cause_t* reason = nullptr;  // of its own deadline
    int err = 0;
    const ctx_cause_t* cause = nullptr;
    int ended_by = 0;  // which end; all that ended together have the same, those born done none
  };

  VirtualModel() { Detached(kRoot); }

  size_t size() const { return nodes_.size(); }
  const Node& operator[](size_t i) const { return nodes_[i]; }
  int64_t now() const { return now_; }

  size_t Detached(size_t parent) {
    const size_t made = Add({});
    nodes_[made].can_end = false;
    nodes_[made].keeps = parent;
    return made;
  }
  size_t Child(std::vector<size_t> parents) {
    return Add(std::move(parents));
  }  // or a merge of them
  size_t Value(size_t parent) {
    nodes_[Add({parent})].can_end = nodes_[parent].can_end;
    return size() - 1;
  }

  size_t Timed(size_t parent, int64_t deadline, const ctx_cause_t* reason) {
    const size_t made = Add({parent});
    Node& node = nodes_[made];
    if (deadline >= node.deadline) return made;  // the parent's counts
    node.deadline = deadline;
    if (node.err != 0) return made;
    node.timer = deadline;
    node.reason = reason;
    if (deadline <= now_) End(made, CTX_DEADLINE_EXCEEDED, reason);
    return made;
  }

  size_t Grace(size_t parent, int64_t grace) {
    if (grace <= 0) return Child({parent});
    Node node;
    node.parents = {parent};
    node.is_grace = true;
    node.grace = grace;
    const Node& above = nodes_[parent];
    if (above.deadline != CTX_FOREVER) {
      node.deadline = Sum(above.err != 0 ? std::max(above.deadline, now_) : above.deadline, grace);
    }
    if (above.err != 0) node.timer = Sum(now_, grace);
    nodes_.push_back(std::move(node));
    return size() - 1;
  }

  // Of several parents that are done, a merge may take after any.
  void TakeAfter(size_t i, size_t parent) {
    nodes_[i].err = nodes_[parent].err;
    nodes_[i].cause = nodes_[parent].cause;
  }

  // By its canceler. True if it was live.
  bool Cancel(size_t i, const ctx_cause_t* cause) {
    if (nodes_[i].err != 0) return false;
    End(i, CTX_CANCELED, cause);
    return true;
  }

  // Whether nothing hangs on it but its handles.
  bool IsLeaf(size_t i) const {
    for (const Node& node : nodes_) {
      if (!node.held) continue;
      if (node.keeps == i || std::count(node.parents.begin(), node.parents.end(), i) > 0)
        return false;
    }
    return true;
  }
  void Release(size_t i) {
    nodes_[i].held = false;
    nodes_[i].timer = CTX_FOREVER;
  }

  int64_t Next() const {
    int64_t next = CTX_FOREVER;
    for (const Node& node : nodes_) {
      if (node.err == 0) next = std::min(next, node.timer);
    }
    return next;
  }

  // Moves the clock, timer by timer; how many rang.
  int AdvanceTo(int64_t target) {
    int fired = 0;
    for (int64_t next = Next(); next <= target && next != CTX_FOREVER; next = Next(), ++fired) {
      now_ = next;
      Fire();
    }
    now_ = target;
    return fired;
  }

 private:
  static int64_t Sum(int64_t a, int64_t b) { return a > CTX_FOREVER - b ? CTX_FOREVER : a + b; }

  size_t Add(std::vector<size_t> parents) {
    Node node;
    for (size_t parent : parents) {
      const Node& above = nodes_[parent];
      node.deadline = std::min(node.deadline, above.deadline);
      if (above.err == 0 || node.err != 0) continue;
      node.err = above.err;
      node.cause = above.cause;
    }
    node.parents = std::move(parents);
    nodes_.push_back(std::move(node));
    return size() - 1;
  }

  void Fire() {
    for (size_t i = 0; i < size(); ++i) {
      const Node& node = nodes_[i];
      if (node.err != 0 || node.timer != now_) continue;
      if (!node.is_grace) return End(i, CTX_DEADLINE_EXCEEDED, node.reason);
      const Node& above = nodes_[node.parents[0]];
      return End(i, above.err, above.cause);
    }
  }

  // Ends a node and all that ends with it, and begins the graces. A child has a higher number than each
  // of its parents.
  void End(size_t top, int err, const ctx_cause_t* cause) {
    ++ends_;
    for (size_t i = top; i < size(); ++i) {
      Node& node = nodes_[i];
      if (node.err != 0 || !(i == top || (!node.is_grace && HasEnded(node)))) continue;
      node.err = err;
      node.cause = cause;
      node.ended_by = ends_;
    }
    for (Node& node : nodes_) {
      if (!node.is_grace || node.err != 0 || !node.held || !HasEnded(node)) continue;
      node.timer = std::min(Sum(now_, node.grace), node.deadline);
    }
  }
  bool HasEnded(const Node& child) const {
    return std::any_of(child.parents.begin(), child.parents.end(),
                       [&](size_t parent) { return nodes_[parent].ended_by == ends_; });
  }

  std::vector<Node> nodes_;
  int64_t now_ = 0;
  int ends_ = 0;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_STRESS_VIRTUAL_MODEL_H_
