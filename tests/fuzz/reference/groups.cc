// SPDX-License-Identifier: MIT
//
// The work of groups.
#include "fuzz/reference/reference.h"

namespace fuzz {

std::shared_ptr<int> Reference::EndWork(int group, const CauseRef& cause) {
  auto result = std::make_shared<int>(0);
  if (groups[group].work == 0) {
    *result = -EINVAL;
    return result;
  }
  Fail(group, cause);
  frames_.back().stages.push_back([=, this] { *result = TakeOut(group); });
  return result;
}

void Reference::UnrefGroup(int group) {
  --groups[group].handles;
  FreeIfOver(group);
}

int Reference::Over(int group) {
  const int over = Cancelable(loops[contexts[groups[group].ctx].loop].root);
  if (groups[group].work > 0) {
    groups[group].overs.push_back(over);
  } else {
    Cancel(over, CTX_CANCELED, nullptr);
  }
  return over;
}

void Reference::Fail(int group, const CauseRef& cause) {
  if (!cause || groups[group].cause) return;
  groups[group].cause = cause;
  Cancel(groups[group].ctx, CTX_CANCELED, cause);
}

int Reference::TakeOut(int group) {
  Group& g = groups[group];
  if (g.work == 0) return -EINVAL;
  if (--g.work > 0) return 0;
  std::vector<int> overs;
  overs.swap(g.overs);
  for (int over : overs) {
    ++contexts[over].cancelers;  // the group's reference, until it has ended
    frames_.back().stages.push_back([=, this] {
      Cancel(over, CTX_CANCELED, nullptr);
      frames_.back().stages.push_front([=, this] { --contexts[over].cancelers; });
    });
  }
  // Whether this was the last of it is decided now.
  if (g.handles == 0) {
    frames_.back().stages.push_back([=, this] { FreeIfOver(group); });
  }
  return 0;
}

void Reference::FreeIfOver(int group) {
  Group& g = groups[group];
  if (!g.alive || g.handles > 0 || g.work > 0) return;
  if (g.outer != kNone) {
    const int outer = g.outer;
    Fail(outer, g.cause);
    frames_.back().stages.push_back([=, this] {
      groups[group].alive = false;
      groups[group].cause = nullptr;
      TakeOut(outer);
    });
  } else {
    g.alive = false;
    g.cause = nullptr;
  }
}

}  // namespace fuzz
