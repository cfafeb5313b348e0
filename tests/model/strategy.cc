// SPDX-License-Identifier: MIT
#include "model/strategy.h"

#include <algorithm>
#include <sstream>

#include "model/scheduler.h"

namespace model {

bool Exhaustive::next() {
  if (std::exchange(begun_, true)) {
    while (!path_.empty() && path_.back().option + 1 == path_.back().count) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().option;
  }
  at_ = 0;
  spent_ = 0;
  return true;
}

size_t Exhaustive::choose(const Choice& choice) {
  size_t affordable[64];
  size_t count = 0;
  for (size_t i = 0; i < choice.count; ++i) {
    if (spent_ + choice.options[i].cost <= most_) affordable[count++] = i;
  }
  if (count == 0) return 0;
  if (count == 1) {
    spent_ += choice.options[affordable[0]].cost;
    return affordable[0];
  }
  if (at_ == path_.size()) {
    path_.push_back({0, static_cast<uint16_t>(count), choice.step});
  } else if (path_[at_].count != count || path_[at_].step != choice.step) {
    fail("the scenario took other steps with the same choices");
  }
  const size_t option = affordable[path_[at_++].option];
  spent_ += choice.options[option].cost;
  return option;
}

bool RandomPriorities::next() {
  if (left_ == 0) return false;
  --left_;
  if (!priorities_.empty()) longest_ = std::max(longest_, steps_taken());
  random_.seed(seed_++);
  priorities_.clear();
  lowest_ = 0;
  changes_.clear();
  for (int i = 1; i < depth_; ++i) changes_.push_back(random_() % longest_);
  return true;
}

size_t RandomPriorities::choose(const Choice& choice) {
  if (choice.of == Choice::Of::store) return random_() % 4 == 0 ? random_() % choice.count : 0;
  for (size_t i = 0; i < choice.count; ++i) {
    priorities_.try_emplace(choice.options[i].id, static_cast<int64_t>(random_() >> 2) + 1);
  }
  if (std::find(changes_.begin(), changes_.end(), choice.step) != changes_.end()) {
    priorities_[choice.options[0].id] = --lowest_;
  }
  size_t best = 0;
  for (size_t i = 1; i < choice.count; ++i) {
    if (priorities_[choice.options[i].id] > priorities_[choice.options[best].id]) best = i;
  }
  // Else the clock would run ahead of a thread that waits for a while and looks again.
  if (choice.options[best].id == kClock) priorities_[kClock] = --lowest_;
  return best;
}

void RandomPriorities::yielded(int thread) { priorities_[thread] = --lowest_; }

Replay::Replay(const std::string& choices) {
  std::istringstream in(choices);
  uint64_t step = 0;
  int id = 0;
  for (char colon = 0; in >> step >> colon >> id; in.ignore(1)) ids_.emplace(step, id);
}

bool Replay::goes_on_in_child(uint64_t step) {
  const auto [first, last] = ids_.equal_range(step);
  return std::any_of(first, last, [](const auto& id) { return id.second == kInChild; });
}

size_t Replay::choose(const Choice& choice) {
  const auto [first, last] = ids_.equal_range(choice.step);
  for (auto at = first; at != last; ++at) {
    for (size_t i = 0; i < choice.count; ++i) {
      if (choice.options[i].id + (choice.of == Choice::Of::store ? 1000 : 0) != at->second)
        continue;
      ids_.erase(at);
      return i;
    }
  }
  return 0;
}

}  // namespace model
