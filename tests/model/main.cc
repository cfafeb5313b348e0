// SPDX-License-Identifier: MIT
// Runs scenarios under the scheduler. `model --help` says how.
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "model/scenario.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
extern "C" const char* __asan_default_options() { return "detect_leaks=0:handle_abort=0"; }
#endif

namespace model {

namespace {

constexpr const char* kHelp = R"(model [NAME...] [OPTION...]
Runs the scenarios, or those whose names contain a NAME, once for each schedule.
  --preemptions N   all schedules in which a thread that could go on is held up at most N times
  --seconds S       at most so long for each scenario; then the table says "cut"
  --random N        N schedules with random priorities instead
  --depth D         with so many orderings that matter (3)
  --seed S          the first of them is this one (1)
  --weak            atomics as C++ promises them: a load may see an older store, which costs as a preemption does
  --replay CHOICES  one schedule, as a failure printed it, and each of its steps
  --until-failure   stops at the first scenario that fails
  --jobs N          so many scenarios at a time (1)
  --list            their names
)";

struct Arguments {
  std::vector<std::string> names;
  int preemptions = -1;
  double seconds = 1e9;
  uint64_t random = 0;
  int depth = 3;
  uint64_t seed = 1;
  bool weak = false;
  std::string replay;
  int jobs = 1;
  bool until_failure = false;
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void on_trap(int) { fail("a check of the core's own failed"); }

void before_death() {
  fmt::print("  --seed {} --replay {}\n", schedule_seed(),
             choices_taken().empty() ? "0:0" : choices_taken());
  std::fflush(stdout);
}

void check_all_is_back(const Options& options) {
  if (!options.own_loops) return;
  for (int i = 0; i < threads_started(); ++i) {
    if (!is_finished(i)) fail(fmt::format("the thread {} has not ended", name_of(i)));
  }
  if (blocks_in_use() != 0)
    fail(fmt::format("{} pieces of memory are not given back", blocks_in_use()));
  if (descriptors_open() != 0)
    fail(fmt::format("{} descriptors are not closed", descriptors_open()));
}

std::unique_ptr<Strategy> strategy_for(const Scenario& scenario, const Arguments& arguments) {
  if (!arguments.replay.empty()) return std::make_unique<Replay>(arguments.replay);
  if (arguments.random > 0) {
    return std::make_unique<RandomPriorities>(arguments.seed, arguments.random, arguments.depth);
  }
  return std::make_unique<Exhaustive>(arguments.preemptions >= 0 ? arguments.preemptions
                                                                 : scenario.options.preemptions);
}

// All schedules of a scenario, in this process; a failure ends it.
void explore(const Scenario& scenario, const Arguments& arguments) {
  const auto begin = std::chrono::steady_clock::now();
  const std::unique_ptr<Strategy> strategy = strategy_for(scenario, arguments);
  Rules rules{scenario.options.timers, arguments.weak, scenario.options.lasts,
              !arguments.replay.empty(), arguments.seed};
  uint64_t schedules = 0, longest = 0;
  int threads = 0;
  bool cut = false;
  while (!cut && strategy->next()) {
    start_afresh();
    system_reset();
    longest = std::max(longest, run(rules, *strategy, scenario.run));
    threads = std::max(threads, threads_started());
    check_all_is_back(scenario.options);
    end_schedule();
    ++schedules;
    ++rules.seed;
    cut = schedules % 16 == 0 && seconds_since(begin) > arguments.seconds;
  }
  fmt::print("{:<40} {:>7} {:>6} {:>10} {:>8.1f}  {}\n", scenario.name, threads, longest, schedules,
             seconds_since(begin),
             cut                    ? "cut"
             : arguments.random > 0 ? "random"
                                    : "all");
}

pid_t explore_apart(const Scenario& scenario, const Arguments& arguments) {
  std::fflush(stdout);
  const pid_t process = fork();
  if (process != 0) return process;
  std::signal(SIGILL, on_trap);
  std::signal(SIGTRAP, on_trap);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback(before_death);
#else
  static_cast<void>(before_death);
#endif
  explore(scenario, arguments);
  std::fflush(stdout);
  _exit(0);
}

bool is_wanted(const Scenario& scenario, const std::vector<std::string>& names) {
  return names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& name) {
           return std::strstr(scenario.name, name.c_str()) != nullptr;
         });
}

int run_all(const Arguments& arguments) {
  fmt::print("{:<40} {:>7} {:>6} {:>10} {:>8}\n", "scenario", "threads", "steps", "schedules",
             "seconds");
  int failed = 0, passed = 0;
  std::map<pid_t, const Scenario*> under_way;
  const auto await_one = [&] {
    int status = 0;
    const pid_t process = wait(&status);
    const Scenario* const scenario = under_way[process];
    under_way.erase(process);
    status == 0 ? ++passed : ++failed;
    if (status != 0) fmt::print("{:<40} FAILED (status {})\n", scenario->name, status);
  };
  for (const Scenario& scenario : scenarios()) {
    if (!is_wanted(scenario, arguments.names)) continue;
    // Its threads share what they know without the core's atomics, so they see more than weak memory promises.
    const bool random = arguments.random > 0 || !arguments.replay.empty();
    if (scenario.options.program && (!random || arguments.weak)) continue;
    if (arguments.until_failure && failed > 0) break;
    if (static_cast<int>(under_way.size()) == arguments.jobs) await_one();
    under_way[explore_apart(scenario, arguments)] = &scenario;
    if (arguments.jobs == 1) await_one();
  }
  while (!under_way.empty()) await_one();
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed > 0 || passed == 0 ? 1 : 0;
}

}  // namespace

}  // namespace model

int main(int count, char** words) {
  model::Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto value = [&]() -> const char* { return i + 1 < count ? words[++i] : "0"; };
    if (word == "--preemptions") {
      arguments.preemptions = std::atoi(value());
    } else if (word == "--seconds") {
      arguments.seconds = std::atof(value());
    } else if (word == "--random") {
      arguments.random = std::strtoull(value(), nullptr, 10);
    } else if (word == "--depth") {
      arguments.depth = std::atoi(value());
    } else if (word == "--seed") {
      arguments.seed = std::strtoull(value(), nullptr, 10);
    } else if (word == "--weak") {
      arguments.weak = true;
    } else if (word == "--replay") {
      arguments.replay = value();
    } else if (word == "--until-failure") {
      arguments.until_failure = true;
    } else if (word == "--jobs") {
      arguments.jobs = std::max(1, std::atoi(value()));
    } else if (word == "--list") {
      for (const model::Scenario& scenario : model::scenarios()) fmt::print("{}\n", scenario.name);
      return 0;
    } else if (word.substr(0, 2) == "--") {
      fmt::print("{}", model::kHelp);
      return word == "--help" ? 0 : 2;
    } else {
      arguments.names.push_back(word);
    }
  }
  std::sort(model::scenarios().begin(), model::scenarios().end(),
            [](const auto& a, const auto& b) { return std::strcmp(a.name, b.name) < 0; });
  return model::run_all(arguments);
}
