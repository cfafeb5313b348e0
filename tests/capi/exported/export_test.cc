// SPDX-License-Identifier: MIT
//
// Rules 64 and 65, with both ends in one process: what goes over, what an end does, and what a stop.
#include <string.h>

#include <string>
#include <vector>

#include "capi/exported/child.h"
#include "support/callback.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

TEST(Export, Rule64_StringsAndDeadlineGoOver) {
  const Ctx far = WithString(ctx_background(), "a", "hidden");
  const Ctx near = WithString(far, "a", "1");
  const Ctx both = WithString(near, "b", "");
  const Scope timed = WithTimeout(both, kHour);
  const Exported exported(timed);
  const Scope imported = Import(exported.text);
  EXPECT_EQ(ctx_err(imported), 0);
  EXPECT_EQ(Deadline(imported), Deadline(timed));
  EXPECT_STREQ(ctx_string(imported, "a"), "1");
  EXPECT_STREQ(ctx_string(imported, "b"), "");
  std::vector<std::string> names;
  ctx_strings(
      imported,
      [](const char* name, const char*, void* arg) {
        static_cast<std::vector<std::string>*>(arg)->push_back(name);
        return 0;
      },
      &names);
  EXPECT_EQ(names, (std::vector<std::string>{"b", "a"})) << "the nearest comes first";
}

TEST(Export, Rule64_ThoseOfTheParentApplyToo) {
  const Ctx there = WithString(ctx_background(), "a", "there");
  const Scope late = WithTimeout(there, kHour);
  const Exported exported(late);
  const Ctx here = WithString(ctx_background(), "a", "here");
  const Ctx kept = WithString(here, "b", "kept");
  const Scope soon = WithTimeout(kept, kHour / 2);
  const Scope imported = Import(exported.text, soon);
  EXPECT_EQ(Deadline(imported), Deadline(soon));
  EXPECT_STREQ(ctx_string(imported, "a"), "there");
  EXPECT_STREQ(ctx_string(imported, "b"), "kept");
  soon.Cancel();
  EXPECT_EQ(ctx_err(imported), CTX_CANCELED);
}

TEST(Export, Rule64_TheEndGoesOverWithItsCause) {
  const Cause cause = NewCause(7, "the client has gone");
  for (const int err : {CTX_CANCELED, CTX_DEADLINE_EXCEEDED}) {
    const Scope scope = WithCancel(ctx_background());
    const Exported exported(scope);
    const Scope first = Import(exported.text), second = Import(exported.text);
    EXPECT_EQ(ctx_cancel_with(scope.canceler, err, cause), 1);
    const Scope late = Import(exported.text);
    EXPECT_EQ(ctx_err(late), err) << "it is born done";
    for (const Scope* imported : {&first, &second, &late}) {
      ASSERT_TRUE(Done(*imported));
      EXPECT_EQ(ctx_err(*imported), err);
      const ctx_cause_t* const seen = ctx_cause(*imported);
      EXPECT_EQ(ctx_cause_code(seen), 7);
      EXPECT_STREQ(ctx_cause_message(seen), "the client has gone");
      EXPECT_EQ(ctx_cause_origin(seen), ctx_cause_origin(ctx_cause(scope)));
    }
  }
}

TEST(Export, Rule64_APlainEndStaysPlain) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  const Scope imported = Import(exported.text);
  scope.Cancel();
  ASSERT_TRUE(Done(imported));
  EXPECT_EQ(ctx_cause_given(ctx_cause(imported)), 0);
}

// What an import says of a cause is what its text says (ctx_cause_encode()): the longest message is cut, too.
TEST(Export, Rule63_ACauseGoesOverAsItsText) {
  ctx_cause_t* read = nullptr;
  const std::string claim = "v=1&code=75&origin=6&by=payments&message=no%20answer";
  ASSERT_EQ(ctx_cause_decode(claim.data(), claim.size(), &read), 0);
  const Cause claimed(read);
  const Cause longest = NewCause(1, std::string(600, 'x').c_str());
  for (const Cause* cause : {&claimed, &longest}) {
    const Scope scope = WithCancel(ctx_background());
    const Exported exported(scope);
    const Scope imported = Import(exported.text);
    ctx_cancel_with(scope.canceler, CTX_CANCELED, *cause);
    ASSERT_TRUE(Done(imported));
    char there[CTX_CAUSE_TEXT], here[CTX_CAUSE_TEXT];
    ctx_cause_encode(*cause, nullptr, here, sizeof here);
    ctx_cause_encode(ctx_cause(imported), "importer", there, sizeof there);
    EXPECT_STREQ(there, here) << "a claim keeps its claimant, or none";
  }
}

TEST(Export, Rule63_AnExporterClaims) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  const Scope imported = Import(exported.text);
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(1, "why"));
  ASSERT_TRUE(Done(imported));
  EXPECT_EQ(ctx_cause_peer(ctx_cause(scope)), nullptr);
  EXPECT_STREQ(ctx_cause_peer(ctx_cause(imported)), "");
}

TEST(Export, Rule64_ADoneContextIsBornDoneThere) {
  const Scope scope = WithCancel(ctx_background());
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(3, "before"));
  const Exported exported(scope);
  EXPECT_EQ(ctx_watch_stop(exported.watch), 0);
  const Scope imported = Import(exported.text);
  EXPECT_EQ(ctx_err(imported), CTX_CANCELED);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(imported)), "before");
}

TEST(Export, Rule64_ADeadlineThatHasPassedIsBornDone) {
  const Scope timed = WithTimeout(ctx_background(), -1, NewCause(5, "too late"));
  const Exported exported(timed);
  const Scope imported = Import(exported.text);
  EXPECT_EQ(ctx_err(imported), CTX_DEADLINE_EXCEEDED);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(imported)), "too late");
  EXPECT_EQ(Deadline(imported), Deadline(timed));
}

// Nobody drives the exporter's loop: the importer ends in time all the same, and knows why.
TEST(Export, Rule64_ADeadlineEndsTheImportWithoutTheExporter) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, kMillisecond, NewCause(5, "too late"));
  const Exported exported(timed);
  const Scope imported = Import(exported.text);
  ASSERT_TRUE(Done(imported));
  EXPECT_EQ(ctx_err(timed), 0);
  EXPECT_EQ(ctx_err(imported), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause_code(ctx_cause(imported)), 5);
  EXPECT_EQ(ctx_cause_origin(ctx_cause(imported)), CTX_ORIGIN_DEADLINE);
}

TEST(Export, Rule64_ADeadlineIsConvertedToAnotherClock) {
  const Scope timed = WithTimeout(ctx_background(), kHour);
  const Exported exported(timed);
  const VirtualLoop there;
  const Scope imported = Import(exported.text, there.root);
  const int64_t left = ctx_remaining(imported);
  EXPECT_LE(left, kHour);
  EXPECT_GT(left, kHour - kLimit);
  there.Advance(kHour);
  EXPECT_EQ(ctx_err(imported), CTX_DEADLINE_EXCEEDED);

  const Scope unreal = WithTimeout(there.root, kHour);
  const Exported again(unreal);
  EXPECT_EQ(Deadline(Import(again.text)), CTX_FOREVER);
}

TEST(Export, Rule65_AStopEndsWhatWasImported) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  const Scope imported = Import(exported.text);
  EXPECT_EQ(ctx_watch_stop(exported.watch), 1);
  EXPECT_EQ(ctx_watch_stop(exported.watch), 0);
  ASSERT_TRUE(Done(imported));
  EXPECT_EQ(ctx_err(imported), CTX_CANCELED);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(imported)), "export stopped");
  EXPECT_EQ(ctx_cause_origin(ctx_cause(imported)), CTX_ORIGIN_PARENT_PROCESS);
  EXPECT_EQ(ctx_err(scope), 0);
  scope.Cancel();
  EXPECT_STREQ(ctx_cause_message(ctx_cause(Import(exported.text))), "export stopped");
}

TEST(Export, Rule65_OfARootToo) {
  const Ctx carrier = WithString(ctx_background(), "a", "1");
  Exported exported(carrier);
  const Scope imported = Import(exported.text);
  EXPECT_EQ(ctx_err(imported), 0);
  EXPECT_EQ(ctx_watch_stop_wait(exported.watch), 1);
  EXPECT_TRUE(Done(imported));
}

TEST(Export, Rule65_WhatIsExportedNoMoreIsGone) {
  Exported exported(ctx_background());
  ctx_watch_stop(exported.watch);
  exported.watch.reset();
  const Scope imported = Import(exported.text);
  EXPECT_EQ(ctx_err(imported), CTX_CANCELED);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(imported)), "parent process gone");
  EXPECT_EQ(ctx_cause_origin(ctx_cause(imported)), CTX_ORIGIN_PARENT_PROCESS);
}

TEST(Export, Rule11_AnExportHoldsItsContextUntilItsEnd) {
  Drop drops;
  Scope scope = WithCancel(ctx_background());
  Ctx carrier = WithValue(scope, &kKey, &drops, Drop::Run);
  Scope below = WithCancel(carrier);
  Exported exported(below);
  carrier.reset();
  below.reset();
  EXPECT_EQ(drops.count(), 0);
  ctx_watch_stop(exported.watch);
  EXPECT_EQ(drops.count(), 1);
}

TEST(Export, Rule11_WithoutAHandleItGoesWithTheEnd) {
  const Scope scope = WithCancel(ctx_background());
  char text[CTX_EXPORT_SIZE];
  ASSERT_EQ(ctx_export(scope, text, sizeof text, nullptr), 0);
  const Scope imported = Import(text);
  ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(1, "why"));
  ASSERT_TRUE(Done(imported));
  EXPECT_STREQ(ctx_cause_message(ctx_cause(imported)), "why");
  EXPECT_STREQ(ctx_cause_message(ctx_cause(Import(text))), "parent process gone");
}

TEST(Export, TakesAndGivesBackItsDescriptors) {
  const Scope warm = Import(Exported(ctx_background()).text);  // the loop has its own by now
  const size_t before = OpenDescriptors();
  const Scope scope = WithCancel(ctx_background());
  {
    const Exported live(ctx_background()), ended(scope);
    EXPECT_EQ(OpenDescriptors(), before + 6);
    {
      const Scope imported = Import(live.text);
      EXPECT_EQ(OpenDescriptors(), before + 8);
    }
    EXPECT_EQ(OpenDescriptors(), before + 6);
    scope.Cancel();
    EXPECT_EQ(OpenDescriptors(), before + 5) << "it has hung up";
    ctx_watch_stop(live.watch);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(Import, Rule64_WithoutTheVariableItIsAPlainChild) {
  unsetenv("LIBCTX");
  const Scope parent = WithCancel(ctx_background());
  const Scope imported = Import(nullptr, parent);
  EXPECT_EQ(ctx_err(imported), 0);
  parent.Cancel();
  EXPECT_EQ(ctx_err(imported), CTX_CANCELED);
}

TEST(Import, Rule64_TheVariableIsRead) {
  const Scope scope = WithCancel(ctx_background());
  const Exported exported(scope);
  setenv("LIBCTX", exported.text, 1);
  const Scope imported = Import(nullptr);
  unsetenv("LIBCTX");
  scope.Cancel();
  EXPECT_TRUE(Done(imported));
}

TEST(Import, DescribesItself) {
  const Exported exported(ctx_background());
  char text[100];
  ctx_describe(Import(exported.text), text, sizeof text);
  EXPECT_STREQ(text, "context.Background.WithImport");
}

}  // namespace
}  // namespace ctxtest
