// SPDX-License-Identifier: MIT
// Who decides: all schedules with few preemptions, random priorities, or what was decided before.
#ifndef CTX_TESTS_MODEL_STRATEGY_H_
#define CTX_TESTS_MODEL_STRATEGY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace model {

// Moving the clock to the next time that somebody waits for, as if a thread did that.
constexpr int kClock = 99;
constexpr int kInChild = 98;  // no choice: what follows was chosen in a forked child

// What may come next, the usual one first.
struct Choice {
  enum class Of { thread, store };  // a store: which one a load sees, the newest first

  struct Option {
    int id;    // of the thread; or how many stores back
    int cost;  // a preemption, or a load that does not see the newest store, costs 1
  };

  Of of;
  uint64_t step;
  const Option* options;
  size_t count;
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual bool next() = 0;  // prepares for a schedule; false if there is none left
  virtual size_t choose(const Choice& choice) = 0;
  virtual void yielded(int thread) { static_cast<void>(thread); }
  // In a child, forked at this step: whether this strategy chooses there, too. Else the first choice is taken.
  virtual bool goes_on_in_child(uint64_t step) {
    static_cast<void>(step);
    return false;
  }
};

// All schedules whose choices cost at most so much, depth first. Every choice that costs nothing is tried as well.
class Exhaustive : public Strategy {
 public:
  explicit Exhaustive(int most) : most_(most) {}
  bool next() override;
  size_t choose(const Choice& choice) override;

 private:
  struct Taken {
    uint16_t option;
    uint16_t count;
    uint64_t step;
  };

  const int most_;
  int spent_ = 0;
  size_t at_ = 0;
  bool begun_ = false;
  std::vector<Taken> path_;
};

// Probabilistic concurrency testing (Burckhardt and others, 2010): each thread has a random priority, the highest goes
// on, and at `depth` - 1 random steps the one that runs gets the lowest. A fault that needs `depth` orderings of n
// threads and k steps shows with a probability of at least 1 / (n * k^(depth - 1)).
class RandomPriorities : public Strategy {
 public:
  RandomPriorities(uint64_t seed, uint64_t schedules, int depth)
      : seed_(seed), left_(schedules), depth_(depth) {}
  bool next() override;
  size_t choose(const Choice& choice) override;
  void yielded(int thread) override;
  bool goes_on_in_child(uint64_t) override { return true; }
  uint64_t seed() const { return seed_; }  // of the next schedule

 private:
  uint64_t seed_;
  uint64_t left_;
  const int depth_;
  uint64_t longest_ = 100;  // steps of a schedule so far
  std::mt19937_64 random_;
  std::map<int, int64_t> priorities_;
  int64_t lowest_ = 0;
  std::vector<uint64_t> changes_;
};

// What --replay says: step:option, for each choice that was not the first, with commas between. A child does so only
// if it was the child that failed.
class Replay : public Strategy {
 public:
  explicit Replay(const std::string& choices);
  bool next() override { return !std::exchange(done_, true); }
  size_t choose(const Choice& choice) override;
  bool goes_on_in_child(uint64_t step) override;

 private:
  bool done_ = false;
  std::multimap<uint64_t, int> ids_;  // by step
};

}  // namespace model

#endif
