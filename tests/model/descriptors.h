// SPDX-License-Identifier: MIT
// What system.cc asks of the descriptors. For scenarios they are in system.h.
#ifndef CTX_TESTS_MODEL_DESCRIPTORS_H_
#define CTX_TESTS_MODEL_DESCRIPTORS_H_

namespace model {

void descriptors_reset();
void forget_signals();  // those that have been sent and not been read

}  // namespace model

#endif
