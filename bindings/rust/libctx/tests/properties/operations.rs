// SPDX-License-Identifier: MIT
//! What one step may be, and how often each comes.

use proptest::collection::vec;
use proptest::prelude::*;

/// Whom an operation is about, counted from the newest.
pub(crate) type Pick = u8;

#[derive(Clone, Debug)]
pub(crate) enum Op {
    WithCancel(Pick),
    WithTimeout(Pick, u8, u8),
    WithDeadline(Pick, u8, u8),
    WithIdle(Pick, u8, u8),
    WithGrace(Pick, u8),
    Merge(Vec<Pick>),
    WithValue(Pick, u8),
    WithoutValue(Pick, u8),
    WithString(Pick, u8, u8),
    WithName(Pick, u8),
    WithoutCancel(Pick),
    WithFd(Pick),
    Write(Pick),
    Cancel(Pick, u8),
    CancelAs(Pick, u8, bool),
    CancelDeferred(Pick, u8),
    CancelByDescriptor(Pick),
    Guard(Pick, u8),
    ComeDue(Pick, u8),
    After(Pick, u8, u8, Pick),
    Stop(Pick, bool),
    NewQueue,
    Add(Pick, Pick),
    Drain(Pick, u8),
    DropQueue(Pick),
    NewGroup(Pick),
    Nested(Pick),
    Begin(Pick, u8),
    End(Pick, u8),
    Over(Pick),
    DropGroup(Pick),
    DropContext(Pick),
    DropCanceler(Pick),
    DropWatch(Pick),
    HandOver(Pick, bool),
    Turn(u8),
    Touch(Pick),
    Wait(Vec<Pick>),
    DoneFd(Pick),
    Close(u8),
}

pub(crate) fn operations() -> impl Strategy<Value = Op> {
    use Op::*;
    let byte = any::<u8>;
    let picks = || vec(any::<u8>(), 1..5);
    let pair = move || (byte(), byte());
    let three = move || (byte(), byte(), byte());
    let making = prop_oneof![
        byte().prop_map(WithCancel),
        three().prop_map(|(a, b, c)| WithTimeout(a, b, c)),
        three().prop_map(|(a, b, c)| WithDeadline(a, b, c)),
        three().prop_map(|(a, b, c)| WithIdle(a, b, c)),
        pair().prop_map(|(a, b)| WithGrace(a, b)),
        picks().prop_map(Merge),
        pair().prop_map(|(a, b)| WithValue(a, b)),
        pair().prop_map(|(a, b)| WithoutValue(a, b)),
        three().prop_map(|(a, b, c)| WithString(a, b, c)),
        pair().prop_map(|(a, b)| WithName(a, b)),
        byte().prop_map(WithoutCancel),
        byte().prop_map(WithFd),
    ];
    let ending = prop_oneof![
        byte().prop_map(Write),
        pair().prop_map(|(a, b)| Cancel(a, b)),
        (byte(), byte(), any::<bool>()).prop_map(|(a, b, c)| CancelAs(a, b, c)),
        pair().prop_map(|(a, b)| CancelDeferred(a, b)),
        byte().prop_map(CancelByDescriptor),
        pair().prop_map(|(a, b)| Guard(a, b)),
        pair().prop_map(|(a, b)| ComeDue(a, b)),
        byte().prop_map(Close),
    ];
    let watching = prop_oneof![
        6 => (byte(), byte(), byte(), byte()).prop_map(|(a, b, c, d)| After(a, b, c, d)),
        2 => (byte(), any::<bool>()).prop_map(|(a, b)| Stop(a, b)),
        1 => Just(NewQueue),
        3 => pair().prop_map(|(a, b)| Add(a, b)),
        2 => pair().prop_map(|(a, b)| Drain(a, b)),
        1 => byte().prop_map(DropQueue),
        1 => picks().prop_map(Wait),
        1 => byte().prop_map(DoneFd),
    ];
    let grouping = prop_oneof![
        2 => byte().prop_map(NewGroup),
        2 => byte().prop_map(Nested),
        4 => pair().prop_map(|(a, b)| Begin(a, b)),
        4 => pair().prop_map(|(a, b)| End(a, b)),
        2 => byte().prop_map(Over),
        1 => byte().prop_map(DropGroup),
    ];
    let handling = prop_oneof![
        byte().prop_map(DropContext),
        byte().prop_map(DropCanceler),
        byte().prop_map(DropWatch),
        (byte(), any::<bool>()).prop_map(|(a, b)| HandOver(a, b)),
        byte().prop_map(Touch),
    ];
    prop_oneof![
        8 => making,
        4 => ending,
        5 => watching,
        4 => grouping,
        2 => handling,
        3 => byte().prop_map(Turn),
    ]
}
