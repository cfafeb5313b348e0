// SPDX-License-Identifier: MIT
// Items that each wait for some bits, in groups: the items of one group wait for the same bits. The time to find all
// bits that are waited for, or an item that waits for a certain bit, grows with the number of groups, which are few,
// and not with the number of items.
//
// A group is made for its first member and freed with its last. The owner's lock guards everything here.
#ifndef CTX_CORE_BASE_GROUPS_H
#define CTX_CORE_BASE_GROUPS_H

#include <cstdint>

#include "core/base/alloc.h"
#include "core/base/list.h"

namespace ctxcore {

template <typename T>
struct Group {
  explicit Group(uint64_t wanted) : bits(wanted) {}

  const uint64_t bits;
  Ring<T> members;
  Group* next = nullptr;
};

// T is a Link once, and has a `Group<T>* group`: nullptr while it is in none.
template <typename T>
class Groups {
 public:
  bool empty() const { return first_ == nullptr; }

  uint64_t wanted() const {
    uint64_t bits = 0;
    for (const Group<T>* group = first_; group != nullptr; group = group->next) bits |= group->bits;
    return bits;
  }

  // False without memory.
  bool add(T* item, uint64_t bits) {
    Group<T>** place = &first_;
    while (*place != nullptr && (*place)->bits != bits) place = &(*place)->next;
    if (*place == nullptr) *place = make<Group<T>>(0, bits);
    if (*place == nullptr) return false;
    item->group = *place;
    item->group->members.push_back(item);
    return true;
  }

  void remove(T* item) {
    Group<T>* const group = item->group;
    item->group = nullptr;
    group->members.remove(item);
    if (!group->members.empty()) return;
    Group<T>** place = &first_;
    while (*place != group) place = &(*place)->next;
    *place = group->next;
    deallocate(group);
  }

  // Removes an item that waits for any of the bits; nullptr if there is none.
  T* take(uint64_t bits) {
    Group<T>* group = first_;
    while (group != nullptr && (group->bits & bits) == 0) group = group->next;
    if (group == nullptr) return nullptr;
    T* const item = group->members.front();
    remove(item);
    return item;
  }

 private:
  Group<T>* first_ = nullptr;
};

}  // namespace ctxcore

#endif
