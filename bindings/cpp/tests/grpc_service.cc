// SPDX-License-Identifier: MIT
#include "grpc_service.h"

#include <arpa/inet.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/support/method_handler.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace ctxtest {
namespace {

using grpc::Status;
using grpc::internal::RpcMethod;
using grpc::internal::RpcServiceMethod;

constexpr int kMostMetadata = 4 << 20;

// A service whose method is made by a test.
class Made : public Serves {
 public:
  Made(const char* name, RpcMethod::RpcType kind, RpcServiceMethod::ApiType api,
       grpc::internal::MethodHandler* handler) {
    auto method = std::make_unique<RpcServiceMethod>(name, kind, nullptr);
    method->SetServerApiType(api);
    method->SetHandler(handler);
    AddMethod(method.release());
  }
};

constexpr auto kSync = RpcServiceMethod::ApiType::SYNC;
constexpr auto kCallback = RpcServiceMethod::ApiType::RAW_CALL_BACK;

}  // namespace

Bytes Nothing() {
  const grpc::Slice nothing;
  return {&nothing, 1};
}

std::unique_ptr<Serves> Serves::Sync(Handler handler, const char* method) {
  auto serve = [handler = std::move(handler)](Serves*, grpc::ServerContext* server, const Bytes*,
                                              Bytes* answer) {
    *answer = Nothing();
    return handler(*server);
  };
  return std::make_unique<Made>(
      method, RpcMethod::NORMAL_RPC, kSync,
      new grpc::internal::RpcMethodHandler<Serves, Bytes, Bytes>(std::move(serve), nullptr));
}

std::unique_ptr<Serves> Serves::Stream(Streamer streamer) {
  auto serve = [streamer = std::move(streamer)](Serves*, grpc::ServerContext* server,
                                                SyncStream* stream) {
    return streamer(*server, *stream);
  };
  return std::make_unique<Made>(
      kMethod, RpcMethod::BIDI_STREAMING, kSync,
      new grpc::internal::BidiStreamingHandler<Serves, Bytes, Bytes>(std::move(serve), nullptr));
}

std::unique_ptr<Serves> Serves::Unary(Reacts<UnaryReactor> reacts, const char* method) {
  auto serve = [reacts = std::move(reacts)](grpc::CallbackServerContext* server, const Bytes*,
                                            Bytes* answer) {
    *answer = Nothing();
    return reacts(server);
  };
  return std::make_unique<Made>(
      method, RpcMethod::NORMAL_RPC, kCallback,
      new grpc::internal::CallbackUnaryHandler<Bytes, Bytes>(std::move(serve)));
}

std::unique_ptr<Serves> Serves::Reads(Reacts<ReadReactor> reacts) {
  auto serve = [reacts = std::move(reacts)](grpc::CallbackServerContext* server, Bytes* answer) {
    *answer = Nothing();
    return reacts(server);
  };
  return std::make_unique<Made>(
      kMethod, RpcMethod::CLIENT_STREAMING, kCallback,
      new grpc::internal::CallbackClientStreamingHandler<Bytes, Bytes>(std::move(serve)));
}

std::unique_ptr<Serves> Serves::Writes(Reacts<WriteReactor> reacts) {
  auto serve = [reacts = std::move(reacts)](grpc::CallbackServerContext* server, const Bytes*) {
    return reacts(server);
  };
  return std::make_unique<Made>(
      kMethod, RpcMethod::SERVER_STREAMING, kCallback,
      new grpc::internal::CallbackServerStreamingHandler<Bytes, Bytes>(std::move(serve)));
}

std::unique_ptr<Serves> Serves::Both(Reacts<BidiReactor> reacts) {
  return std::make_unique<Made>(
      kMethod, RpcMethod::BIDI_STREAMING, kCallback,
      new grpc::internal::CallbackBidiHandler<Bytes, Bytes>(std::move(reacts)));
}

Loopback::Loopback(std::initializer_list<grpc::Service*> services) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMostMetadata);
  for (grpc::Service* const each : services) builder.RegisterService(each);
  server_ = builder.BuildAndStart();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMostMetadata);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port_),
                                       grpc::InsecureChannelCredentials(), arguments);
}

void Loopback::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

int Loopback::CallByHand(const std::string& name, const std::string& text) const {
  const auto literal = [](std::string_view part) {  // of less than 127 bytes, not compressed
    return std::string(1, static_cast<char>(part.size())).append(part);
  };
  const auto header = [&](std::string_view key, std::string_view value) {
    return std::string(1, '\0') + literal(key) + literal(value);
  };
  const auto frame = [](char type, char flags, char stream, const std::string& payload) {
    std::string all(9, '\0');
    all[2] = static_cast<char>(payload.size()), all[3] = type, all[4] = flags, all[8] = stream;
    return all + payload;
  };
  const std::string headers = header(":method", "POST") + header(":scheme", "http") +
                              header(":path", kMethod) + header(":authority", "here") +
                              header("te", "trailers") +
                              header("content-type", "application/grpc") + header(name, text);
  const std::string all = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "") +
                          frame(1, 4, 1, headers) + frame(0, 1, 1, std::string(5, '\0'));
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET, to.sin_port = htons(static_cast<std::uint16_t>(port_));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(connection, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) std::abort();
  if (send(connection, all.data(), all.size(), 0) != static_cast<ssize_t>(all.size())) std::abort();
  return connection;
}

Status Loopback::Call(grpc::ClientContext& client, const char* method) const {
  Bytes answer;
  return grpc::internal::BlockingUnaryCall(channel_.get(), RpcMethod(method, RpcMethod::NORMAL_RPC),
                                           &client, Nothing(), &answer);
}

Status Loopback::Tell(const std::string& number, const std::string& cause) const {
  grpc::ClientContext client;
  client.AddMetadata("ctx-call", number);
  client.AddMetadata("ctx-cause", cause);
  return Call(client, kTell);
}

Status Loopback::Stream(grpc::ClientContext& client) const {
  const std::unique_ptr<grpc::ClientReaderWriter<Bytes, Bytes>> stream(
      grpc::internal::ClientReaderWriterFactory<Bytes, Bytes>::Create(
          channel_.get(), RpcMethod(kMethod, RpcMethod::BIDI_STREAMING), &client));
  Bytes read;
  while (stream->Read(&read)) continue;
  return stream->Finish();
}

}  // namespace ctxtest
