// SPDX-License-Identifier: MIT
//! Requests and calls on loopback: servers and clients with the layers, and without.
#![allow(missing_docs)]

mod channel;
mod client;
mod companion;
mod grpc;
mod leaks;
mod server;
mod shown;
mod support;
