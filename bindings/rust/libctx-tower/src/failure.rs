// SPDX-License-Identifier: MIT
//! How a client says that its own context has ended: as an error of HTTP, or as a status of gRPC.

use crate::BoxError;
use libctx::Ended;

/// The error of a client's calls.
pub trait Failure {
    /// The end of the caller's own context.
    fn ended(ended: Ended) -> Self;
    /// What the engine says.
    fn other(error: BoxError) -> Self;
}

impl Failure for BoxError {
    fn ended(ended: Ended) -> BoxError {
        Box::new(ended)
    }

    fn other(error: BoxError) -> BoxError {
        error
    }
}
