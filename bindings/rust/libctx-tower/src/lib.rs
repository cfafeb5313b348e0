// SPDX-License-Identifier: MIT
//! The README of the crate comes first; each type's page has the rest. Its examples need the feature `tonic`.
#![cfg_attr(feature = "tonic", doc = include_str!("../README.md"))]

mod body;
mod call;
#[cfg(feature = "tonic")]
mod channel;
mod client;
#[cfg(feature = "tonic")]
mod companion;
mod exchange;
mod failure;
mod late;
mod layer;
mod live;
#[cfg(feature = "tonic")]
mod number;
#[cfg(feature = "tonic")]
mod sending;
#[cfg(feature = "tonic")]
mod told;
mod wire;

pub use body::ContextBody;
pub use call::{CallBody, ContextCall};
#[cfg(feature = "tonic")]
pub use channel::ContextChannel;
pub use client::{ContextClient, ContextClientLayer};
pub use layer::{ContextFuture, ContextLayer, ContextService};
#[cfg(feature = "tonic")]
pub use told::Told;
pub use wire::{cause, trace_id};

/// Any error, as tower has them.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
