// SPDX-License-Identifier: MIT
// What a forked child does. It has one thread, and all must work for it, whatever the others were doing.
#ifndef CTX_TESTS_MODEL_SCENARIOS_CHILD_H_
#define CTX_TESTS_MODEL_SCENARIOS_CHILD_H_

namespace model {

void use_all_in_child();  // on loops of its own, the default one among them

}  // namespace model

#endif
