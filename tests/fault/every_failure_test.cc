// SPDX-License-Identifier: MIT
//
// Rule 46: every failure once. Each scenario runs with nothing refused; and then for each thing that the system may
// refuse, and each call that asks for it: with that call refused, and again with all that follow refused, too. After
// each the scenario goes on to its end, and nothing is left behind.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "fault/faults.h"
#include "fault/run.h"
#include "support/forked.h"
#include "support/process.h"

namespace ctxtest {
namespace {

struct Fault {
  const char* name;
  Resource resource;
  int error;
  int often = INT_MAX;  // how often in a row; signals cannot interrupt a call without end
};

constexpr Fault kFaults[] = {
    {"no memory", Resource::kMemory, ENOMEM},
    {"no descriptor left for the process", Resource::kDescriptor, EMFILE},
    {"no descriptor left in the system", Resource::kDescriptor, ENFILE},
    {"no memory for a descriptor", Resource::kDescriptor, ENOMEM},
    {"no thread", Resource::kThread, EAGAIN},
    {"no watch left", Resource::kWatch, ENOSPC},
    {"no memory for a watch", Resource::kWatch, ENOMEM},
    {"no eventfd in this system", Resource::kEventfd, ENOSYS},
    {"no eventfd allowed", Resource::kEventfd, EPERM},
    {"no name for a thread", Resource::kName, EMFILE},
    {"no number of a processor", Resource::kProcessor, ENOSYS},
    {"a futex interrupted", Resource::kFutex, EINTR},
    {"a futex woken for nothing", Resource::kFutex, kForNothing},
    {"a poll interrupted", Resource::kPoll, EINTR},
    {"a read interrupted", Resource::kRead, EINTR, 3},
    {"a write interrupted", Resource::kWrite, EINTR, 3},
    {"a write cut short", Resource::kWrite, kShort},
    {"a close interrupted", Resource::kClose, EINTR, 3},
};

constexpr Fault kNothing = {"nothing", Resource::kMemory, 0};

// A scenario on a loop. `cold`: in a process that has not used the library before, so that all that happens once in a
// process happens here.
struct Case {
  const Scenario* scenario;
  On on;
  bool cold;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (size_t i = 0; i < kScenarioCount; ++i) {
    const Scenario& scenario = kScenarios[i];
    for (const On on : {On::kDefault, On::kThread, On::kManual, On::kVirtual}) {
      if ((scenario.loops >> static_cast<int>(on) & 1) == 0) continue;
      if (!scenario.ends_process) cases.push_back({&scenario, on, false});
      if (on == On::kDefault) cases.push_back({&scenario, on, true});
    }
  }
  return cases;
}

void PrintTo(const Case& each, std::ostream* out) { *out << each.scenario->name; }

// What the library has of the system.
struct Holdings {
  static Holdings Now() { return {LibraryBlocks(), OpenDescriptors(), ThreadCount()}; }
  bool Within(const Holdings& other) const {
    return blocks <= other.blocks && descriptors <= other.descriptors && threads <= other.threads;
  }

  long blocks;
  size_t descriptors, threads;
};

std::ostream& operator<<(std::ostream& out, const Holdings& holdings) {
  return out << holdings.blocks << " blocks of memory, " << holdings.descriptors << " descriptors, "
             << holdings.threads << " threads";
}

// How often something was refused.
int Play(const Case& each, const Fault& fault, int first, int times) {
  Faults faults(Faults::kOfLibrary, fault.resource, fault.error, first, times);
  faults.Pause(true);
  Run run(each.on, &faults);
  each.scenario->play(run);
  return faults.refused();
}

// The library may keep something for later, but not more and more; and threads may take a moment to end.
int PlayWarm(const Case& each, const Fault& fault, int first, int times) {
  int refused = 0;
  Holdings before{}, after{};
  constexpr int kGrowths = 6;
  for (int growths = 1; growths <= kGrowths; ++growths) {
    before = Holdings::Now();
    refused = Play(each, fault, first, times);
    for (int i = 0; !(after = Holdings::Now()).Within(before); ++i) {
      const bool ends = after.threads > before.threads || after.descriptors > before.descriptors;
      if (i == (growths == kGrowths ? 60'000 : ends ? 1000 : 10)) break;  // the last one decides
      poll(nullptr, 0, 1);
    }
    if (after.Within(before) || testing::Test::HasFailure()) return refused;
  }
  ADD_FAILURE() << "it leaks: " << before << "; " << after;
  return refused;
}

// Plays a scenario that changes the process for good, and tells which functions it has called.
void PlayInChild(const Case& each, const Fault& fault) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t pid = Fork([&] {
    Play(each, fault, 0, 0);
    for (const auto& [name, errors] : Run::used) dprintf(ends[1], "%s ", name.c_str());
  });
  close(ends[1]);
  std::string names;
  char some[512];
  for (ssize_t size; (size = read(ends[0], some, sizeof some)) > 0;) {
    names.append(some, static_cast<size_t>(size));
  }
  close(ends[0]);
  Join(pid);
  std::istringstream in(names);
  for (std::string name; in >> name;) Run::used[name];
}

int PlayCold(const Case& each, const Fault& fault, int first, int times) {
  constexpr int kNothingRefused = 2;
  static int refused;  // in the child
  const pid_t pid = Fork([&] { refused = Play(each, fault, first, times); },
                         [](int failed) {
                           _exit(failed != 0 ? failed : refused == 0 ? kNothingRefused : 0);
                         });
  return Join(pid, kNothingRefused) == kNothingRefused ? 0 : 1;
}

int PlayOne(const Case& each, const Fault& fault, int first, int times) {
  return each.cold ? PlayCold(each, fault, first, times) : PlayWarm(each, fault, first, times);
}

class EveryFailure : public ::testing::TestWithParam<Case> {};

TEST_P(EveryFailure, Rule46_OnceAndFromThenOn) {
  const Case& each = GetParam();
  if (!each.cold) FillReleased();
  PlayOne(each, kNothing, 0, 0);
  int tries = 0, refusals = 0;
  for (const Fault& fault : kFaults) {
    for (const int times : {1, fault.often}) {
      int refused = 1;
      for (int first = 0; refused > 0 && !HasFailure(); ++first) {
        SCOPED_TRACE(testing::Message() << fault.name << ", at call " << first
                                        << (times == 1 ? "" : " and from then on"));
        refused = PlayOne(each, fault, first, times);
        ++tries;
        refusals += refused > 0;
      }
    }
  }
  EXPECT_GT(refusals, 0) << "nothing has been refused";
  std::cout << tries << " runs, something was refused in " << refusals << '\n';
}

INSTANTIATE_TEST_SUITE_P(, EveryFailure, ::testing::ValuesIn(AllCases()), [](const auto& each) {
  return each.param.scenario->name + NameOf(each.param.on) + (each.param.cold ? "Cold" : "");
});

std::string Missing(const std::function<bool(const std::string&)>& is_there) {
  std::string missing;
  for (const std::string& name : PublicFunctions()) {
    if (!is_there(name)) missing += name + ' ';
  }
  return missing;
}

TEST(Scenarios, Rule46_CallEveryPublicFunction) {
  for (const Case& each : AllCases()) {
    if (each.scenario->ends_process) PlayInChild(each, kNothing);
  }
  for (const Case& each : AllCases()) {
    if (!each.cold) Play(each, kNothing, 0, 0);
  }
  EXPECT_GT(PublicFunctions().size(), 80u) << "read the headers wrongly";
  EXPECT_EQ(Missing([](const std::string& name) { return Run::used.count(name) > 0; }), "");
}

// An error that no scenario can bring about would be tested nowhere.
TEST(Scenarios, Rule46_FailEveryFunctionAsItsHeaderSays) {
  for (const Fault& fault : kFaults) {
    if (fault.error != ENOMEM && fault.error != EMFILE && fault.error != EAGAIN) continue;
    for (const Case& each : AllCases()) {
      if (each.cold) continue;
      for (int first = 0; Play(each, fault, first, 1) > 0 && !HasFailure(); ++first) continue;
    }
  }
  for (const int error : {ENOMEM, EMFILE, EAGAIN}) {
    EXPECT_EQ(Missing([error](const std::string& name) {
                return !MayAnswer(name, error) || Run::used[name].count(error) > 0;
              }),
              "")
        << "-" << strerrorname_np(error);
  }
}

}  // namespace
}  // namespace ctxtest
