// SPDX-License-Identifier: MIT
#include "core/life/value.h"

#include <cstring>

#include "core/system/thread.h"

namespace ctxcore {

namespace {

// The nearest carrier of a key, or nullptr.
template <typename Matches>
const Value* find(const Context* context, Kind kind, Matches matches) {
  const Value* v = context->values;
  while (v != nullptr && (v->kind != kind || !matches(v->key))) v = v->parent->values;
  return v;
}

const Value* find_named(const Context* context, const char* name) {
  return find(context, Kind::string, [name](const void* other) {
    return std::strcmp(static_cast<const char*>(other), name) == 0;
  });
}

}  // namespace

void* find_value(const Context* context, const Key* key) {
  const Value* const found =
      find(context, Kind::value, [key](const void* other) { return other == key; });
  return found == nullptr ? nullptr : found->value;
}

const char* find_string(const Context* context, const char* name) {
  const Value* const found = find_named(context, name);
  return found == nullptr ? nullptr : static_cast<const char*>(found->value);
}

int each_string(const Context* context, StringFunction fn, void* arg) {
  const Uncancelable uncancelable;
  for (const Value* v = context->values; v != nullptr; v = v->parent->values) {
    if (v->kind != Kind::string || v->value == nullptr) continue;
    auto* const name = static_cast<const char*>(v->key);
    if (find_named(context, name) != v) continue;  // a nearer one hides it
    const int result = fn(name, static_cast<const char*>(v->value), arg);
    if (result != 0) return result;
  }
  return 0;
}

}  // namespace ctxcore
