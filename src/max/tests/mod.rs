//! Tests of the wire and of what the payloads mean. The order of things has its own, beside `session`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod golden;
mod liberal;
mod messages;
pub(in crate::max) use messages::hello;
mod properties;
mod refusals;
