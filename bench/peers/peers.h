// SPDX-License-Identifier: MIT
//
// The same small tree for each peer, with one shape, so that a benchmark is written once and run on all:
//
//   Parent()         a parent that nothing is above; Cancel() ends all below, and says whether it did anything
//   Child(Parent&)   a child; Cancel() likewise; Done(); its destructor gives everything back
//
// A child of std's is a source of its own and a callback on the parent's token that stops it; one of GLib's is an
// object of its own and a handler on the parent's. Both live in place, which is the best case they can have.
#ifndef CTX_BENCH_PEERS_PEERS_H_
#define CTX_BENCH_PEERS_PEERS_H_

#include <benchmark/benchmark.h>
#include <ctx/ctx.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stop_token>
#include <string>

#include "bare.h"

#if CTX_BENCH_NSYNC
#include <nsync.h>
#endif
#if CTX_BENCH_GLIB
#include <gio/gio.h>
#endif

namespace ctxbench {

inline constexpr int64_t kMillisecond = 1'000'000;
inline constexpr int64_t kSecond = 1'000'000'000;
inline constexpr int64_t kHour = 3'600 * kSecond;

// The figure of a call that failed is worse than none.
inline int Check(int result) {
  if (result < 0) {
    std::fprintf(stderr, "bench: %s\n", ctx_strerror(result));
    std::abort();
  }
  return result;
}

struct Ours {
  explicit Ours(ctx_t* parent) { Check(ctx_with_cancel(parent, &ctx, &canceler)); }
  Ours(ctx_t* parent, int64_t timeout_ns) {
    Check(ctx_with_timeout(parent, timeout_ns, &ctx, &canceler));
  }
  Ours(const Ours&) = delete;
  Ours& operator=(const Ours&) = delete;
  ~Ours() {
    ctx_canceler_unref(canceler);
    ctx_unref(ctx);
  }

  bool Cancel() { return ctx_cancel(canceler) == 1; }
  bool Done() const { return ctx_err(ctx) != 0; }
  void RegisterAndStop() const {
    ctx_watch_t* watch;
    Check(ctx_after_func(
        ctx, [](ctx_t*, void*) {}, nullptr, nullptr, 0, &watch));
    Check(ctx_watch_stop(watch));
    ctx_watch_unref(watch);
  }

  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
};

struct OursCancel : Ours {
  static constexpr char kName[] = "ours";
  struct Parent : Ours {
    Parent() : Ours(ctx_background()) {}
  };
  explicit OursCancel(Parent& parent) : Ours(parent.ctx) {}
  explicit OursCancel(OursCancel& above) : Ours(above.ctx) {}
};

struct OursTimeout : Ours {
  static constexpr char kName[] = "ours";
  using Parent = OursCancel::Parent;
  explicit OursTimeout(Parent& parent) : Ours(parent.ctx, kHour) {}
};

struct Bare {
  static constexpr char kName[] = "bare";
  struct Parent {
    Parent() : node(bare_root()) {}
    Parent(const Parent&) = delete;
    ~Parent() { bare_free_root(node); }
    bool Cancel() {
      bare_cancel_all(node);
      return true;
    }
    bare_node* node;
  };

  explicit Bare(Parent& parent) : node(bare_derive(parent.node)) {}
  explicit Bare(Bare& above) : node(bare_derive(above.node)) {}
  explicit Bare(bare_node* made) : node(made) {}
  ~Bare() {
    bare_release(node);
    bare_release(node);
  }

  bool Cancel() { return bare_cancel(node) == 1; }
  bool Done() const { return bare_error(node) != 0; }

  bare_node* node;
};

struct BareTimeout : Bare {
  explicit BareTimeout(Parent& parent) : Bare(bare_derive_timed(parent.node, kHour)) {}
};

struct Std {
  static constexpr char kName[] = "std";
  struct Parent {
    bool Cancel() { return source.request_stop(); }
    std::stop_source source;
  };
  struct Stop {
    std::stop_source* source;
    void operator()() const noexcept { source->request_stop(); }
  };

  explicit Std(Parent& parent) : callback(parent.source.get_token(), Stop{&source}) {}

  bool Cancel() { return source.request_stop(); }
  bool Done() const { return source.stop_requested(); }

  std::stop_source source;
  std::stop_callback<Stop> callback;
};

#if CTX_BENCH_TOKIO
extern "C" {
void* tokio_new();
void* tokio_child(void* parent);
void tokio_cancel(void* handle);
bool tokio_done(void* handle);
void tokio_drop(void* handle);
}

struct Tokio {
  static constexpr char kName[] = "tokio";
  struct Parent {
    Parent() : token(tokio_new()) {}
    explicit Parent(void* made) : token(made) {}
    Parent(const Parent&) = delete;
    ~Parent() { tokio_drop(token); }
    bool Cancel() {
      const bool first = !Done();
      tokio_cancel(token);
      return first;
    }
    bool Done() const { return tokio_done(token); }
    void* token;
  };

  explicit Tokio(Parent& parent) : own(tokio_child(parent.token)) {}
  explicit Tokio(Tokio& above) : own(tokio_child(above.own.token)) {}
  bool Cancel() { return own.Cancel(); }
  bool Done() const { return own.Done(); }

  Parent own;
};
#endif

#if CTX_BENCH_NSYNC
struct Nsync {
  static constexpr char kName[] = "nsync";
  struct Parent {
    Parent() : Parent(nullptr, nsync::nsync_time_no_deadline) {}
    Parent(nsync::nsync_note above, nsync::nsync_time deadline)
        : note(nsync::nsync_note_new(above, deadline)) {
      if (note == nullptr) std::abort();
    }
    Parent(const Parent&) = delete;
    ~Parent() { nsync::nsync_note_free(note); }
    bool Cancel() {
      const bool first = !Done();
      nsync::nsync_note_notify(note);
      return first;
    }
    bool Done() const { return nsync::nsync_note_is_notified(note) != 0; }
    nsync::nsync_note note;
  };

  explicit Nsync(Parent& parent, nsync::nsync_time deadline = nsync::nsync_time_no_deadline)
      : own(parent.note, deadline) {}
  bool Cancel() { return own.Cancel(); }
  bool Done() const { return own.Done(); }

  Parent own;
};

struct NsyncTimeout : Nsync {
  explicit NsyncTimeout(Parent& parent)
      : Nsync(parent,
              nsync::nsync_time_add(nsync::nsync_time_now(), nsync::nsync_time_s_ns(3600, 0))) {}
};
#endif

#if CTX_BENCH_GLIB
struct Glib {
  static constexpr char kName[] = "glib";
  struct Parent {
    Parent() : object(g_cancellable_new()) {}
    Parent(const Parent&) = delete;
    ~Parent() { g_object_unref(object); }
    bool Cancel() {
      const bool first = !Done();
      g_cancellable_cancel(object);
      return first;
    }
    bool Done() const { return g_cancellable_is_cancelled(object); }
    GCancellable* object;
  };

  explicit Glib(Parent& parent)
      : above(parent.object),
        handler(g_cancellable_connect(
            above, reinterpret_cast<GCallback>(+[](GCancellable*, gpointer child) {
              g_cancellable_cancel(static_cast<GCancellable*>(child));
            }),
            own.object, nullptr)) {}
  ~Glib() { g_cancellable_disconnect(above, handler); }
  bool Cancel() { return own.Cancel(); }
  bool Done() const { return own.Done(); }

  GCancellable* above;
  Parent own;
  gulong handler;
};
#endif

// All that were there when this was built, ours first.
template <class... Peers>
struct List {
  template <class Visit>
  static void Each(Visit visit) {
    (visit.template operator()<Peers>(), ...);
  }
};

using Trees = List<OursCancel, Std, Bare
#if CTX_BENCH_TOKIO
                   ,
                   Tokio
#endif
#if CTX_BENCH_NSYNC
                   ,
                   Nsync
#endif
#if CTX_BENCH_GLIB
                   ,
                   Glib
#endif
                   >;

// Those that are trees of any depth, without recursion.
using DeepTrees = List<OursCancel, Bare
#if CTX_BENCH_TOKIO
                       ,
                       Tokio
#endif
                       >;

// Those that have deadlines.
using TimedTrees = List<OursTimeout, BareTimeout
#if CTX_BENCH_NSYNC
                        ,
                        NsyncTimeout
#endif
                        >;

}  // namespace ctxbench

#endif  // CTX_BENCH_PEERS_PEERS_H_
