// SPDX-License-Identifier: MIT
//! The events of poll(2).

use crate::{Cause, Origin};
use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign};

/// A set of events of poll(2): what to wait for on a descriptor, and what came.
///
/// ```
/// use libctx::Events;
///
/// let events = Events::IN | Events::RDHUP;
/// assert!(events.contains(Events::IN) && !events.intersects(Events::OUT));
/// assert_eq!(format!("{events:?}"), "IN | RDHUP");
/// ```
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Events(i16);

const NAMES: [(Events, &str); 7] = [
    (Events::IN, "IN"),
    (Events::PRI, "PRI"),
    (Events::OUT, "OUT"),
    (Events::RDHUP, "RDHUP"),
    (Events::ERR, "ERR"),
    (Events::HUP, "HUP"),
    (Events::NVAL, "NVAL"),
];

impl Events {
    /// No event.
    pub const NONE: Events = Events(0);
    /// There is something to read, or the end.
    pub const IN: Events = Events(libc::POLLIN);
    /// There is something urgent, such as a socket's out-of-band data.
    pub const PRI: Events = Events(libc::POLLPRI);
    /// There is room to write.
    pub const OUT: Events = Events(libc::POLLOUT);
    /// The other end of a stream socket writes nothing more.
    pub const RDHUP: Events = Events(libc::POLLRDHUP);
    /// An error. It comes unasked.
    pub const ERR: Events = Events(libc::POLLERR);
    /// The other end has hung up. It comes unasked.
    pub const HUP: Events = Events(libc::POLLHUP);
    /// The descriptor is not open. It comes unasked.
    pub const NVAL: Events = Events(libc::POLLNVAL);

    /// The events of a number, as `struct pollfd` has them.
    pub const fn from_raw(events: i16) -> Events {
        Events(events)
    }

    /// The number, as `struct pollfd` has it.
    pub const fn as_raw(self) -> i16 {
        self.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of those are in it.
    pub const fn contains(self, events: Events) -> bool {
        self.0 & events.0 == events.0
    }

    /// Whether any of those is in it.
    pub const fn intersects(self, events: Events) -> bool {
        self.0 & events.0 != 0
    }
}

impl Cause {
    /// The events that ended the context of [`with_fd`](crate::Context::with_fd).
    pub fn events(&self) -> Option<Events> {
        (self.origin() == Origin::DESCRIPTOR).then(|| Events(self.code() as i16))
    }
}

impl BitOr for Events {
    type Output = Events;
    fn bitor(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Events) {
        self.0 |= other.0;
    }
}

impl BitAnd for Events {
    type Output = Events;
    fn bitand(self, other: Events) -> Events {
        Events(self.0 & other.0)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut separator = "";
        for (events, name) in NAMES.iter().filter(|(events, _)| self.contains(*events)) {
            write!(f, "{separator}{name}")?;
            (separator, rest) = (" | ", rest & !events.0);
        }
        match rest {
            0 if separator.is_empty() => f.write_str("NONE"),
            0 => Ok(()),
            rest => write!(f, "{separator}{rest:#x}"),
        }
    }
}
