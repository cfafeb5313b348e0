// SPDX-License-Identifier: MIT
//
// All scenarios, and the loops that each is played on.
#include "fault/scenarios/scenarios.h"

namespace ctxtest {

const Scenario kScenarios[] = {
    {"Derivations", scenarios::Derivations, kAllLoops},
    {"Values", scenarios::Values, kAllLoops},
    {"Causes", scenarios::Causes, kAllLoops},
    {"Propagation", scenarios::Propagation, kAllLoops},
    {"Descriptors", scenarios::Descriptors, kAllLoops},
    {"Waits", scenarios::Waits, kAllLoops},
    {"Callbacks", scenarios::Callbacks, kAllLoops},
    {"FiredCallbacks", scenarios::FiredCallbacks, kAllLoops},
    {"Queues", scenarios::Queues, kDefaultLoop},
    {"Groups", scenarios::Groups, kDefaultLoop | kManualLoop},
    {"Exports", scenarios::Exports, kAllLoops},
    {"Merges", scenarios::Merges, kDefaultLoop | kManualLoop | kVirtualLoop},
    {"Mirrors", scenarios::Mirrors, kAllLoops},
    {"Sources", scenarios::Sources, kAllLoops},
    {"Deadlines", scenarios::Deadlines, kAllLoops},
    {"Loops", scenarios::Loops, kDefaultLoop},
    {"FirstUses", scenarios::FirstUses, kThreadLoop | kManualLoop},
    {"Executors", scenarios::Executors, kDefaultLoop},
    {"Roots", scenarios::Roots, kDefaultLoop},
    {"SetDefault", scenarios::SetDefault, kDefaultLoop, true},
    {"Shutdown", scenarios::Shutdown, kDefaultLoop, true},
};
const size_t kScenarioCount = std::size(kScenarios);

}  // namespace ctxtest
