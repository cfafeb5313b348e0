// SPDX-License-Identifier: MIT
// The text runs from the root to the context, but the tree is linked the other way. So this computes the length
// first, and then writes the parts from the last to the first, each at its place.
#include "core/life/describe.h"

#include <algorithm>
#include <climits>
#include <string_view>

#include "core/base/text.h"
#include "core/life/grace.h"
#include "core/life/merge.h"
#include "core/loop/loop.h"
#include "core/loop/signals.h"
#include "core/loop/sources.h"
#include "core/system/clock.h"
#include "core/tree/idle_node.h"

namespace ctxcore {

namespace {

void add_deadline(Text& text, int64_t deadline, int64_t now) {
  text.add(deadline < 0 ? ".WithDeadline(-" : ".WithDeadline(");
  const uint64_t size = magnitude(deadline);
  text.add(size / kSecond).add(".").add(size % kSecond, 9).add("s [");
  text.add_duration(saturating_sub(deadline, now)).add("])");
}

void add_named(Text& text, std::string_view call, const void* name) {
  text.add(call).add(name != nullptr ? static_cast<const char*>(name) : "unnamed").add(")");
}

void add_signals(Text& text, uint64_t signals) {
  std::string_view before = ".WithSignal(";
  for (int i = 0; i < 64; ++i) {
    if ((signals >> i & 1) == 0) continue;
    text.add(before);
    add_signal(text, i + 1);
    before = ", ";
  }
  text.add(")");
}

// The text that this context adds to its parent's.
size_t write_part(const Context* context, int64_t now, char* at, size_t room) {
  Text text(at, room);
  switch (context->kind) {
    case Kind::background:
      text.add("context.Background");
      break;
    case Kind::todo:
      text.add("context.TODO");
      break;
    case Kind::cancel:
      text.add(".WithCancel");
      break;
    case Kind::deadline:
      add_deadline(text, static_cast<const Node*>(context)->deadline, now);
      break;
    case Kind::value:
      add_named(text, ".WithValue(",
                static_cast<const Key*>(static_cast<const Value*>(context)->key)->name);
      break;
    case Kind::string:
      add_named(text, ".WithString(", static_cast<const Value*>(context)->key);
      break;
    case Kind::name:
      add_named(text, ".WithName(", name_text(static_cast<const Carrier*>(context)));
      break;
    case Kind::detached:
      text.add(".WithoutCancel");
      break;
    case Kind::grace:
      text.add(".WithGrace(").add_duration(static_cast<const GraceNode*>(context)->grace).add(")");
      break;
    case Kind::idle:
      text.add(".WithIdle(").add_duration(static_cast<const IdleNode*>(context)->limit).add(")");
      break;
    case Kind::fd:
      text.add(".WithFD(")
          .add(static_cast<uint64_t>(static_cast<const FdNode*>(context)->fd))
          .add(")");
      break;
    case Kind::imported:
      text.add(".WithImport");
      break;
    case Kind::signal:
      add_signals(text, static_cast<const SignalNode*>(context)->signals);
      break;
    case Kind::merged:
      text.add(".Merge(").add(uint64_t{static_cast<const MergedNode*>(context)->count}).add(")");
      break;
    case Kind::anchor:
    case Kind::mirror:
    case Kind::proxy:
      break;
  }
  return text.length();
}

}  // namespace

size_t describe(const Context* context, char* buffer, size_t size) {
  const int64_t now = loop_of(node_of(context))->now();  // once, so that both rounds agree
  size_t total = 0;
  for (const Context* c = context; c != nullptr; c = c->parent) {
    total += write_part(c, now, nullptr, 0);
    if (total <= INT_MAX) continue;
    if (size > 0) buffer[0] = '\0';
    return total;
  }
  if (size == 0) return total;
  const size_t last = size - 1;
  size_t start = total;
  for (const Context* c = context; c != nullptr; c = c->parent) {
    start -= write_part(c, now, nullptr, 0);
    if (start < last) write_part(c, now, buffer + start, last - start);
  }
  buffer[std::min(total, last)] = '\0';
  return total;
}

}  // namespace ctxcore
