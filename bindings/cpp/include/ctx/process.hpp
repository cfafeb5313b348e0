// SPDX-License-Identifier: MIT
//
// ctx/process.hpp - a context for the processes that this one starts, by the environment variable LIBCTX.
//
//   const auto exported = ctx::export_context(ctx);
//   setenv("LIBCTX", exported.text(), 1);             // or in the environment of the child alone
//   auto [ctx, cancel] = ctx::import_context();       // in the child
#ifndef CTX_PROCESS_HPP
#define CTX_PROCESS_HPP

#include <ctx/process.h>

#include <ctx/callback.hpp>
#include <ctx/context.hpp>
#include <ctx/derive.hpp>
#include <utility>

namespace ctx {

/// A context that processes below this one may import, as long as this object lives: its end stops the export, and so
/// ends what they imported.
class [[nodiscard]] exported_context {
 public:
  /// For export_context().
  explicit exported_context(const context& ctx) {
    ctx_watch_t* made = nullptr;
    detail::check(ctx_export(ctx.get(), text_, sizeof text_, &made), "ctx::export_context");
    watch_ = watch::adopt(made);
  }
  /// Moves the export; the other stops nothing.
  exported_context(exported_context&&) noexcept = default;
  exported_context& operator=(exported_context&&) = delete;
  ~exported_context() { ctx_watch_stop(watch_.get()); }

  /// The value of LIBCTX for a child; valid as long as this object.
  const char* text() const noexcept { return text_; }
  /// Stops it before: what children imported ends, with std::errc::operation_canceled. True for the one call that did so.
  bool stop() const { return watch_.stop(); }

 private:
  char text_[CTX_EXPORT_SIZE];
  watch watch_;
};

/// Exports a context to the processes that this one starts, until the result is destroyed. See ctx_export().
inline exported_context export_context(const context& ctx) { return exported_context(ctx); }

/// Derives a context that also ends with the one that a process above has exported, or with that process. The text is
/// that of exported_context::text(); null for the value of LIBCTX: without one, this is with_cancel(). Throws
/// std::errc::bad_message for other text. See ctx_import().
[[nodiscard]] inline derived import_context(const context& parent = background(),
                                            detail::text text = nullptr) {
  return detail::derive("ctx::import_context", [&](ctx_t** made, ctx_canceler_t** right) {
    return ctx_import(text.c_str(), parent.get(), made, right);
  });
}

}  // namespace ctx

#endif  // CTX_PROCESS_HPP
