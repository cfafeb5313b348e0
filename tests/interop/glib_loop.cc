// SPDX-License-Identifier: MIT
//
// GLib's main loop, by descriptor sources.
#include <glib-unix.h>
#include <glib.h>

#include "interop/host_loop.h"
#include "support/require.h"

namespace ctxtest {
namespace {

class GLibLoop : public HostLoop {
 public:
  GLibLoop() { REQUIRE(context_ != nullptr); }
  ~GLibLoop() override {
    while (!sources_.empty()) Remove(sources_.begin()->first);
    g_main_context_unref(context_);
  }

  void Turn() override { g_main_context_iteration(context_, TRUE); }

 private:
  void Add(int fd) override {
    GSource* source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(source, G_SOURCE_FUNC(OnReadable), this, nullptr);
    g_source_attach(source, context_);
    sources_[fd] = source;
  }
  void Remove(int fd) override {
    g_source_destroy(sources_[fd]);
    g_source_unref(sources_[fd]);
    sources_.erase(fd);
  }

  static gboolean OnReadable(gint fd, GIOCondition /*condition*/, gpointer self) {
    static_cast<GLibLoop*>(self)->Report(fd);
    return G_SOURCE_CONTINUE;
  }

  GMainContext* const context_ = g_main_context_new();
  std::map<int, GSource*> sources_;
};

const AddHostKind kGLib({"GLib", HostKind::Trigger::kLevel, []() -> std::unique_ptr<HostLoop> {
                           return std::make_unique<GLibLoop>();
                         }});

}  // namespace
}  // namespace ctxtest
