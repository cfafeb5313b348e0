// SPDX-License-Identifier: MIT
//
// Random families of contexts in which merges have several parents: a graph, where other families are
// trees. It knows what has to end with what.
#ifndef CTX_TESTS_SUPPORT_GRAPH_H_
#define CTX_TESTS_SUPPORT_GRAPH_H_

#include <ctx/ctx.h>

#include <random>
#include <vector>

#include "support/handles.h"

namespace ctxtest {

class Graph {
 public:
  // So many independent contexts at the top, and then others, each below some that were made before.
  Graph(ctx_t* root, size_t tops, size_t others, unsigned seed) : random_(seed) {
    for (size_t i = 0; i < tops; ++i) Add(WithCancel(root), {});
    while (size() < tops + others) Grow();
  }

  size_t size() const { return nodes_.size(); }
  const Scope& operator[](size_t i) const { return nodes_[i].scope; }
  const std::vector<size_t>& parents(size_t i) const { return nodes_[i].parents; }

  // Which contexts end with this one, itself included.
  std::vector<bool> EndWith(size_t top) const {
    std::vector<bool> ends(size());
    ends[top] = true;
    for (size_t i = top + 1; i < size(); ++i) {
      for (size_t parent : parents(i)) ends[i] = ends[i] || ends[parent];
    }
    return ends;
  }

 private:
  struct Node {
    Scope scope;
    std::vector<size_t> parents;
  };

  size_t Any() { return random_() % size(); }
  void Add(Scope scope, std::vector<size_t> parents) {
    nodes_.push_back({std::move(scope), std::move(parents)});
  }

  void Grow() {
    static const ctx_key_t key = {"key"};
    const size_t parent = Any();
    switch (random_() % 8) {
      case 0:
        return Add(WithCancel((*this)[parent]), {parent});
      case 1:
        return Add(WithTimeout((*this)[parent], kHour), {parent});
      case 2:
        return Add({WithValue((*this)[parent], &key, nullptr), {}}, {parent});
      default:
        break;
    }
    std::vector<size_t> parents = {parent};
    for (size_t n = 1 + random_() % 3; n > 0; --n) parents.push_back(Any());
    std::vector<ctx_t*> contexts;
    for (size_t i : parents) contexts.push_back((*this)[i]);
    Add(Merge(contexts), std::move(parents));
  }

  std::mt19937 random_;
  std::vector<Node> nodes_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_GRAPH_H_
