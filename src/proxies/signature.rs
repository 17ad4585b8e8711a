//! How a product shows that it holds event streams back: what becomes of the seven streams that the doctor asks for.
//! Data only; `doctor/buffering_signatures.rs` looks the row up.

use super::finding_code::FindingCode;
use super::position::ProxyPosition;

/// What a row wants of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    Live,
    Late,
    Burst,
    /// Late or in one heap.
    Held,
    Any,
}

pub(super) const L: Want = Want::Live;
pub(super) const T: Want = Want::Late;
pub(super) const B: Want = Want::Burst;
pub(super) const H: Want = Want::Held;
pub(super) const A: Want = Want::Any;

/// Which layer a conclusion is about. The owner is the product in whose file the row stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribution {
    /// The evidence itself names the owner.
    Owner,
    /// The one that names itself, if any does.
    Seen,
    /// Of what was measured only the owner does so: unless somebody else names himself.
    Guess,
    /// The same of an application in between.
    GuessApplication,
}

/// What follows from a row.
#[derive(Clone, Copy, Debug)]
pub struct Conclusion {
    pub code: FindingCode,
    pub about: Attribution,
    pub position: ProxyPosition,
}

/// One row: what comes of the streams, and what follows.
#[derive(Debug)]
pub struct Signature {
    /// Uncompressed, plain, X-Accel-Buffering, no-transform, all headers, compressed by us, the same with a tail.
    pub streams: [Want; 7],
    /// The head came at once (before the events).
    pub head: Option<bool>,
    /// The header `X-Accel-Buffering` that was sent also arrived. nginx takes it out, even one that ignores it; no other
    /// proxy does.
    pub accel: Option<bool>,
    /// The owner names itself.
    pub owner_seen: bool,
    pub conclusions: &'static [Conclusion],
    /// What the evidence means, and no more than that.
    pub means: &'static str,
}

pub(super) const fn conclusion(code: FindingCode, about: Attribution, position: ProxyPosition) -> Conclusion {
    Conclusion { code, about, position }
}

/// A row for whatever its head and its names are.
pub(super) const fn signature(
    streams: [Want; 7],
    conclusions: &'static [Conclusion],
    means: &'static str,
) -> Signature {
    Signature { streams, head: None, accel: None, owner_seen: false, conclusions, means }
}

/// Ways to spoil a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spoils {
    /// Holds each answer until it is complete.
    Whole,
    /// Holds what it compresses.
    Compressed,
    /// Holds the last bytes until more follow.
    LateByOne,
}
