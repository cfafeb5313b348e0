// SPDX-License-Identifier: MIT
//
// stock.cc - the third host: a service in C++ that asks a database and starts a process. Both end with the call.
//
//     stock <address> <conninfo> <program>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <string.h>

#include <ctx/ctx.hpp>
#include <ctx/grpc.hpp>
#include <ctx/process.hpp>
#include <future>

#include "pq_ctx.h"
#include "said.h"
#include "shop.grpc.pb.h"
#include "spawn_ctx.h"

namespace {

// The program, with the context in its environment. Its output is this process's.
int run(const ctx::context& ctx, const char* program) {
  const auto exported = ctx::export_context(ctx);
  const std::string variable = std::string("LIBCTX=") + exported.text();
  const char* const argv[] = {program, nullptr};
  const char* const envp[] = {variable.c_str(), nullptr};
  spawn_child_t child;
  siginfo_t how;
  int result = spawn_ctx(ctx.get(), program, nullptr, const_cast<char* const*>(argv),
                         const_cast<char* const*>(envp), &child);
  if (result == 0) result = spawn_wait_ctx(ctx.get(), &child, 1'000'000'000, &how);
  return result;
}

// A query that would take an hour.
int ask(const ctx::context& ctx, const char* conninfo) {
  PGconn* conn = nullptr;
  int result = pq_connect_ctx(ctx.get(), conninfo, &conn);
  if (result != 0) return result;
  say_begins("query", ctx.get());
  PGresult* answer = nullptr;
  result = pq_exec_ctx(ctx.get(), conn, "select pg_sleep(3600)", 0, nullptr, &answer);
  if (result < 0) say_ended("query", ctx.get());
  PQclear(answer);
  PQfinish(conn);
  return result;
}

class Stock final : public shop::Shop::Service {
 public:
  Stock(ctx::grpc::server& contexts, const char* conninfo, const char* program)
      : contexts_(contexts), conninfo_(conninfo), program_(program) {}

  grpc::Status Order(grpc::ServerContext* server, const shop::Item*, shop::Receipt*) override {
    const auto call = contexts_.of(*server);
    const ctx::context& ctx = call.get_context();
    say_begins("stock", ctx.get());
    const ctx::watch_guard told(ctx::after_func(ctx, [&] { say_ended("stock", ctx.get()); }));
    const auto query = std::async(std::launch::async, [&] { ask(ctx, conninfo_); });
    run(ctx, program_);
    query.wait();
    return call.finish(grpc::Status::CANCELLED);
  }

 private:
  ctx::grpc::server& contexts_;
  const char* const conninfo_;
  const char* const program_;
};

}  // namespace

int main(int, char** argv) {
  sigset_t terms;
  sigemptyset(&terms);
  sigaddset(&terms, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &terms, nullptr);  // first of all, before any thread starts
  const auto stopping = ctx::with_signal(ctx::background(), {SIGTERM}).first;
  ctx::grpc::server contexts({"stock", stopping});
  Stock stock(contexts, argv[2], argv[3]);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(argv[1], grpc::InsecureServerCredentials());
  builder.RegisterService(&contexts);  // hears why clients cancel
  builder.RegisterService(&stock);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  stopping.wait();
  server->Shutdown();
  return 0;
}
