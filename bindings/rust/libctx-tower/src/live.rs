// SPDX-License-Identifier: MIT
//! The calls that a server is at, by the numbers that their clients gave them: a second call may end one, and say why.

use crate::exchange::cancel;
use crate::wire;
use http::HeaderMap;
use libctx::{Canceler, Cause};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<HashMap<u128, Canceler>>);

impl Live {
    fn calls(&self) -> MutexGuard<'_, HashMap<u128, Canceler>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a call, and returns its number: `None` if it has none, or one that is taken.
    pub(crate) fn add(&self, headers: &HeaderMap, canceler: &Canceler) -> Option<u128> {
        let number = number(headers)?;
        match self.calls().entry(number) {
            Entry::Occupied(_) => None,
            Entry::Vacant(room) => {
                room.insert(canceler.clone());
                Some(number)
            }
        }
    }

    pub(crate) fn remove(&self, number: u128) {
        let removed = self.calls().remove(&number);
        drop(removed); // not under the lock
    }

    /// Ends the call that is meant, if there is one, as its client asks. `otherwise` is the cause if what the client says
    /// is none.
    pub(crate) fn tell(&self, headers: &HeaderMap, otherwise: &Option<Cause>) {
        let Some(number) = number(headers) else { return };
        let found = self.calls().get(&number).cloned();
        if let Some(canceler) = found {
            match wire::cause(headers) {
                Some(claim) => drop(canceler.cancel_with(&claim)),
                None => cancel(&canceler, otherwise),
            }
        }
    }
}

fn number(headers: &HeaderMap) -> Option<u128> {
    let text = headers.get(wire::CALL)?.to_str().ok()?;
    let is_number = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}
