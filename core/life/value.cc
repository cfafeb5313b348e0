// SPDX-License-Identifier: MIT
#include "core/life/value.h"

#include <cstring>

namespace ctxcore {

namespace {

template <typename Matches>
void* find(const Context* context, Kind kind, Matches matches) {
  for (const Value* v = context->values; v != nullptr; v = v->parent->values) {
    if (v->kind == kind && matches(v->key)) return v->value;
  }
  return nullptr;
}

}  // namespace

void* find_value(const Context* context, const Key* key) {
  return find(context, Kind::value, [key](const void* other) { return other == key; });
}

const char* find_string(const Context* context, const char* name) {
  return static_cast<const char*>(find(context, Kind::string, [name](const void* other) {
    return std::strcmp(static_cast<const char*>(other), name) == 0;
  }));
}

}  // namespace ctxcore
