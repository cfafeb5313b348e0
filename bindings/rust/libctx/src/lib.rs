// SPDX-License-Identifier: MIT
//! The README of the crate comes first; each type's page has the rest.
#![doc = include_str!("../README.md")]

mod canceler;
mod cause;
mod claim;
mod context;
mod derive;
mod done;
mod ended;
mod error;
mod event_loop;
mod events;
mod export;
mod fd;
mod formats;
mod group;
mod guard;
mod key;
mod process;
#[cfg(feature = "tokio")]
mod process_tokio;
mod propagate;
mod queue;
#[cfg(doctest)]
mod refused;
mod signal;
mod text;
mod time;
#[cfg(feature = "tokio-util")]
mod token;
mod version;
mod wait;
mod watch;

pub use canceler::{CancelGuard, Canceler};
pub use cause::{Cause, Origin, Place};
pub use context::Context;
pub use done::Done;
pub use ended::Ended;
pub use error::{Error, ErrorKind, Result};
pub use event_loop::{Loop, LoopBuilder, LoopClock, Work, shutdown};
pub use events::Events;
pub use export::Export;
pub use fd::Descriptor;
pub use formats::Formats;
pub use group::{Group, Piece, Task};
pub use guard::{CallbackPanic, set_panic_reporter};
pub use key::Key;
pub use libctx_sys as sys;
pub use process::{CommandExport, ContextChild, ContextCommand};
#[cfg(feature = "tokio")]
pub use process_tokio::AsyncContextChild;
pub use propagate::{GetHeader, SetHeader};
pub use queue::{Event, Queue};
pub use signal::Signal;
#[cfg(feature = "tokio-util")]
pub use token::LinkedToken;
pub use version::version;
pub use wait::PollFd;
pub use watch::Watch;
