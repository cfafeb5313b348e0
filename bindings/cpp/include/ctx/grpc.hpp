// SPDX-License-Identifier: MIT
//
// ctx/grpc.hpp - contexts over calls of gRPC: one that ends with a call that is served, calls that end with a
// context, and the reasons across both. No other header includes it: it needs gRPC 1.51 or later, and links with grpc++
// and grpc. docs/calls.md says what travels.
//
//   const auto call = ctx::grpc::of(*server_context);  // in a handler: work(call.get_context())
//   const auto tied = ctx::grpc::tie(ctx, client_context);  // in a client, before the call
#ifndef CTX_GRPC_HPP
#define CTX_GRPC_HPP

#include <ctx/grpc/client.hpp>
#include <ctx/grpc/server.hpp>

/// What gRPC has names of its own for: ctx/grpc.hpp.
namespace ctx::grpc {}

#endif  // CTX_GRPC_HPP
