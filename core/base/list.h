// SPDX-License-Identifier: MIT
// A ring of links that lie in the objects they join. A list is a pointer to its first link, nullptr
// when empty; the first link's `prev` is the last. Each list is guarded by the lock its owner names.
#ifndef CTX_CORE_BASE_LIST_H
#define CTX_CORE_BASE_LIST_H

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

// Moves all of `other` to the end of a list.
inline void append(Link*& first, Link*& other) {
  if (other == nullptr) return;
  if (first == nullptr) {
    first = other;
  } else {
    Link* const last = first->prev;
    Link* const other_last = other->prev;
    last->next = other;
    other->prev = last;
    other_last->next = first;
    first->prev = other_last;
  }
  other = nullptr;
}

// Merges two chains, joined by `next` and ended by nullptr. Of equal items, those of the first chain come
// first.
template <typename Before>
Link* merge(Link* a, Link* b, Before before) {
  Link* first = nullptr;
  Link** tail = &first;
  while (a != nullptr && b != nullptr) {
    Link*& next = before(b, a) ? b : a;
    *tail = next;
    tail = &next->next;
    next = next->next;
  }
  *tail = a != nullptr ? a : b;
  return first;
}

template <typename Before>
bool is_sorted(const Link* first, Before before) {
  if (first == nullptr) return true;
  const Link* link = first;
  while (link->next != first && !before(link->next, link)) link = link->next;
  return link->next == first;
}

// Sorts a list, keeping the order of equal items: a merge sort that neither allocates nor recurses. Most lists that
// come here are empty or sorted.
template <typename Before>
void sort(Link*& first, Before before) {
  if (is_sorted(first, before)) return;
  Link* sorted[32] = {};  // sorted[i] is a chain of 2^i links, or empty; the last takes the rest
  while (Link* link = pop_front(first)) {
    unsigned i = 0;
    for (; i < 31 && sorted[i] != nullptr; ++i) {
      link = merge(sorted[i], link, before);
      sorted[i] = nullptr;
    }
    sorted[i] = merge(sorted[i], link, before);
  }
  Link* all = nullptr;
  for (Link* chain : sorted) all = merge(chain, all, before);
  while (all != nullptr) {
    Link* const next = all->next;
    push_back(first, all);
    all = next;
  }
}

// The same as a class: a list of Ts, each of which is a Link once. Adding, removing and joining take constant
// time. It owns nothing.
template <typename T>
class Ring {
 public:
  constexpr Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  bool empty() const { return first_ == nullptr; }
  T* front() const { return static_cast<T*>(first_); }  // nullptr of an empty one
  // The first, or one that was the first a moment ago; without the list's lock, so to prefetch and for nothing else.
  // Volatile: clang's ThreadSanitizer sees atomic loads even where it is told to look away.
  [[gnu::no_sanitize_thread]] const void* hint() const {
    return *static_cast<Link* const volatile*>(&first_);
  }
  T* back() const { return empty() ? nullptr : static_cast<T*>(first_->prev); }
  T* after(T* item) const {  // nullptr after the last
    Link* const link = item;
    return link->next == first_ ? nullptr : static_cast<T*>(link->next);
  }

  void push_back(T* item) { ctxcore::push_back(first_, item); }
  void push_front(T* item) { ctxcore::push_front(first_, item); }
  void remove(T* item) { unlink(first_, item); }
  T* pop_front() { return static_cast<T*>(ctxcore::pop_front(first_)); }
  void take_all(Ring& other) { append(first_, other.first_); }  // to the end
  void turn() { first_ = first_->next; }                        // the first becomes the last

  // Visits each item that is there now, in order; the visitor may remove its item.
  template <typename Visit>
  void each(Visit visit) const {
    T* const last = back();
    T* item = front();
    while (item != nullptr) {
      T* const following = item == last ? nullptr : static_cast<T*>(static_cast<Link*>(item)->next);
      visit(*item);
      item = following;
    }
  }

  // Keeps the order of equal items.
  template <typename Before>
  void sort(Before before) {
    ctxcore::sort(first_, [before](const Link* a, const Link* b) {
      return before(*static_cast<const T*>(a), *static_cast<const T*>(b));
    });
  }

 private:
  Link* first_ = nullptr;
};

}  // namespace ctxcore

#endif
