// SPDX-License-Identifier: MIT
// Contexts that go to other processes, and end.
#include "model/scenarios/child.h"
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

namespace {

struct Exported {
  explicit Exported(ctx_t* ctx) { EXPECT(ctx_export(ctx, text, sizeof text, &watch) == 0); }
  Exported(const Exported&) = delete;
  ~Exported() { ctx_watch_unref(watch); }

  char text[CTX_EXPORT_SIZE] = "";
  ctx_watch_t* watch = nullptr;
};

void import(const char* text, ctx_t* parent, Cancelable* made) {
  EXPECT(ctx_import(text, parent, &made->ctx, &made->canceler) == 0);
}

}  // namespace

// Whoever is first tells the end, and the importer sees that one.
SCENARIO(export_stopped_against_cancel) {
  Family here, there;
  Cancelable ctx(here.root), imported;
  Exported exported(ctx.ctx);
  import(exported.text, there.root, &imported);
  int stopped = -1;
  together({{"cancel", [&] { EXPECT(ctx.cancel() == 1); }}, {"stop", [&] {
                                                               stopped =
                                                                   ctx_watch_stop(exported.watch);
                                                               exported.watch =
                                                                   ctx_watch_unref(exported.watch);
                                                             }}});
  EXPECT(ctx_loop_advance(there.loop, 0) >= 0);
  EXPECT(imported.error() == CTX_CANCELED);
  EXPECT((ctx_cause_given(ctx_cause(imported.ctx)) != 0) == (stopped == 1));
}

// It is born done, or ends with the next look at the pipe; never with an end that nobody has told.
SCENARIO(import_against_cancel) {
  Family here, there;
  Cancelable ctx(here.root), imported;
  Exported exported(ctx.ctx);
  together({{"cancel", [&] { EXPECT(ctx.cancel() == 1); }},
            {"import", [&] { import(exported.text, there.root, &imported); }}});
  EXPECT(ctx_loop_advance(there.loop, 0) >= 0);
  EXPECT(imported.error() == CTX_CANCELED);
  EXPECT(ctx_cause_given(ctx_cause(imported.ctx)) == 0);
}

// The import ends below its own parent, while the exporter's end comes.
SCENARIO(import_canceled_against_its_exporter) {
  Family here, there;
  Cancelable ctx(here.root), parent(there.root), imported;
  Exported exported(ctx.ctx);
  import(exported.text, parent.ctx, &imported);
  together({{"exporter",
             [&] {
               ctx_watch_stop(exported.watch);
               EXPECT(ctx_loop_advance(there.loop, 0) >= 0);
             }},
            {"parent", [&] { EXPECT(parent.cancel() == 1); }}});
  EXPECT(imported.error() == CTX_CANCELED);
}

// The last references of what is imported and of what is exported go while the end is told.
SCENARIO(export_given_back_against_cancel) {
  Family here, there;
  Cancelable ctx(here.root), imported;
  Exported exported(ctx.ctx);
  import(exported.text, there.root, &imported);
  together({{"cancel",
             [&] {
               EXPECT(ctx.cancel() >= 0);
               ctx.release();
             }},
            {"give back", [&] { exported.watch = ctx_watch_unref(exported.watch); }},
            {"import", [&] {
               EXPECT(ctx_loop_advance(there.loop, 0) >= 0);
               imported.release();
             }}});
}

// An export is made while its context ends: it tells the end all the same.
SCENARIO(export_made_against_cancel) {
  Family here, there;
  Cancelable ctx(here.root), imported;
  together({{"cancel", [&] { EXPECT(ctx.cancel() == 1); }}, {"export", [&] {
                                                               Exported exported(ctx.ctx);
                                                               import(exported.text, there.root,
                                                                      &imported);
                                                             }}});
  EXPECT(ctx_loop_advance(there.loop, 0) >= 0);
  EXPECT(imported.error() == CTX_CANCELED);
}

// A child that is forked meanwhile keeps no write end, and all works in it.
SCENARIO(fork_against_export) {
  Family here;
  Cancelable ctx(here.root);
  together({{"export",
             [&] {
               Exported exported(ctx.ctx);
               ctx_watch_stop(exported.watch);
             }},
            {"fork", [] { fork_child(use_all_in_child); }}});
}
