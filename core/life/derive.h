// SPDX-License-Identifier: MIT
// Making contexts below others. Each function returns 0 and a context with the given number of references, or a
// negative errno with nothing changed.
#ifndef CTX_CORE_LIFE_DERIVE_H
#define CTX_CORE_LIFE_DERIVE_H

#include <cstddef>
#include <cstdint>

#include "core/tree/cause.h"
#include "core/tree/node.h"

namespace ctxcore {

int derive_cancel(Context* parent, uint32_t refs, Node** ret);

// `now` is a reading of the parent's clock; the cause is borrowed and may be nullptr.
int derive_deadline(Context* parent, int64_t deadline, int64_t now, const Cause* cause,
                    uint32_t refs, Node** ret);

// Ends when it was not touched for that long (loop/idle.h); the cause as above.
int derive_idle(Context* parent, int64_t limit, const Cause* cause, uint32_t refs, Node** ret);

// The timer that will end this node at its deadline, with the cause of its own; nullptr if there is none, or if the
// cause will be another.
const TimerNode* deadline_to_pass_on(Node* node);

// Ends a node whose deadline has passed, if its loop has not fired it yet: at the ancestor that the deadline
// belongs to, so that no child is done before its parent. Nodes due before it end first; but if more than a batch
// of them are due, and the time is over, this one does not wait for the rest. The loop runs the callbacks.
void end_passed(Node* node, int64_t until_ns);

int derive_detached(Context* parent, Context** ret);
int derive_name(Context* parent, const char* name, Context** ret);
int derive_value(Context* parent, const Key* key, void* value, void (*drop)(void*), Context** ret);
int derive_string(Context* parent, const char* name, const char* value, Context** ret);

// A string whose text, of at most `room` bytes with its NUL, is yet to be written to *ret_text, before anybody else
// sees it. nullptr if there is no memory.
Value* make_string(Context* parent, const char* name, size_t room, char** ret_text);

}  // namespace ctxcore

#endif
