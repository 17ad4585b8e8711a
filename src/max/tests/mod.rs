//! Tests of the wire and of what the payloads mean. The order of things has its own, beside `session`.

mod golden;
mod liberal;
mod messages;
pub(crate) use messages::hello;
mod properties;
mod refusals;
