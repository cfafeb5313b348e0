// SPDX-License-Identifier: MIT
//
// Servers and clients on loopback for the tests of ctx/grpc.hpp. Their methods take and give bytes, so they need no
// generated code.
#ifndef CTX_BINDINGS_CPP_TESTS_GRPC_SERVICE_H_
#define CTX_BINDINGS_CPP_TESTS_GRPC_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/sync_stream.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

namespace ctxtest {

using Bytes = grpc::ByteBuffer;
using SyncStream = grpc::ServerReaderWriter<Bytes, Bytes>;
using UnaryReactor = grpc::ServerUnaryReactor;
using ReadReactor = grpc::ServerReadReactor<Bytes>;
using WriteReactor = grpc::ServerWriteReactor<Bytes>;
using BidiReactor = grpc::ServerBidiReactor<Bytes, Bytes>;

inline constexpr char kMethod[] = "/ctx.Test/Call";
inline constexpr char kTell[] = "/libctx.Causes/Tell";

// Nothing, as a message.
Bytes Nothing();

// A service of one method, in one of the ways that gRPC has.
class Serves : public grpc::Service {
 public:
  using Handler = std::function<grpc::Status(grpc::ServerContext&)>;
  using Streamer = std::function<grpc::Status(grpc::ServerContext&, SyncStream&)>;
  template <class Reactor>
  using Reacts = std::function<Reactor*(grpc::CallbackServerContext*)>;

  static std::unique_ptr<Serves> Sync(Handler handler, const char* method = kMethod);
  static std::unique_ptr<Serves> Stream(Streamer streamer);
  static std::unique_ptr<Serves> Unary(Reacts<UnaryReactor> reacts, const char* method = kMethod);
  static std::unique_ptr<Serves> Reads(Reacts<ReadReactor> reacts);
  static std::unique_ptr<Serves> Writes(Reacts<WriteReactor> reacts);
  static std::unique_ptr<Serves> Both(Reacts<BidiReactor> reacts);
};

// A server of these services, and a channel to it.
class Loopback {
 public:
  explicit Loopback(std::initializer_list<grpc::Service*> services);
  explicit Loopback(grpc::Service& service) : Loopback({&service}) {}
  ~Loopback() { Stop(); }
  // Cancels the calls that it has.
  void Stop();

  const std::shared_ptr<grpc::Channel>& GetChannel() const { return channel_; }
  // A connection of a peer that is no gRPC, on which it calls with one more header: the caller closes it.
  int CallByHand(const std::string& name, const std::string& text) const;
  // A call of one message each way.
  grpc::Status Call(grpc::ClientContext& client, const char* method = kMethod) const;
  // What a client of companions sends.
  grpc::Status Tell(const std::string& number, const std::string& cause) const;
  // A stream of which the client writes nothing, until it is over.
  grpc::Status Stream(grpc::ClientContext& client) const;

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace ctxtest

#endif  // CTX_BINDINGS_CPP_TESTS_GRPC_SERVICE_H_
