// SPDX-License-Identifier: MIT
// A ring of links that lie in the objects they join. A list is a pointer to its first link, nullptr
// when empty; the first link's `prev` is the last. Each list is guarded by the lock its owner names.
#ifndef CTX_CORE_LIST_H
#define CTX_CORE_LIST_H

namespace ctxcore {

struct Link {
  Link* next = nullptr;  // nullptr: in no list
  Link* prev = nullptr;

  bool linked() const { return next != nullptr; }
};

inline void push_back(Link*& first, Link* link) {
  if (first == nullptr) {
    link->next = link->prev = link;
    first = link;
    return;
  }
  link->next = first;
  link->prev = first->prev;
  first->prev->next = link;
  first->prev = link;
}

inline void push_front(Link*& first, Link* link) {
  push_back(first, link);
  first = link;
}

inline void unlink(Link*& first, Link* link) {
  if (link->next == link) {
    first = nullptr;
  } else {
    link->prev->next = link->next;
    link->next->prev = link->prev;
    if (first == link) first = link->next;
  }
  link->next = link->prev = nullptr;
}

inline Link* pop_front(Link*& first) {
  Link* link = first;
  if (link != nullptr) unlink(first, link);
  return link;
}

}  // namespace ctxcore

#endif
