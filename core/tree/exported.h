// SPDX-License-Identifier: MIT
// What a process tells of a context to the processes below it: how they find its state, as a text that goes into an
// environment variable, and the state itself, which lies in memory that it shares (system/share.h).
//
// Invariants
//  1. Both begin with the number of their version. Another version may mean anything else by what follows.
//  2. All but `end` and `error` is written before anybody can find it. They are written once, when the context has
//     ended, and `error` last: so an exporter that dies on the way has told no end.
//  3. Whoever reads a state trusts nothing in it. The reader has a copy, which no longer changes, and checks each length.
#ifndef CTX_CORE_TREE_EXPORTED_H
#define CTX_CORE_TREE_EXPORTED_H

#include <cstddef>
#include <cstdint>

#include "core/system/share.h"
#include "core/tree/cause.h"
#include "core/wire/cause_text.h"

namespace ctxcore {

struct ExportedState {
  static constexpr uint64_t kMagic = 0x3174786374637862;  // any number
  static constexpr uint32_t kVersion = 1;
  static constexpr uint32_t kMostBytes = 1 << 20;  // of strings,
  static constexpr uint32_t kMostStrings =
      1 << 10;  // and how many: each is looked for among all others

  void write_deadline(int64_t when, const Cause* cause);
  void end_with(int with, const Cause* cause);  // once

  uint64_t magic;
  uint32_t version;
  uint32_t strings;  // how many bytes of them follow: name and value in turn, each with its NUL
  int64_t deadline;  // on CLOCK_MONOTONIC; kForever for none
  char at_deadline[kCauseText];  // causes, as text; empty for one that says no more than the error
  char end[kCauseText];
  int32_t error;  // 0: it has not ended
  uint32_t reserved;
};

// The text. It has room for kExportedText.
constexpr size_t kExportedText = 128;
void write_exported(char* at, const LentName& name);
// 0; -EPROTONOSUPPORT: of another version; -EBADMSG: none.
int read_exported(const char* text, LentName* name);

}  // namespace ctxcore

#endif
