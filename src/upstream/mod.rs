//! The way to MAX: connections with a time budget per stage, endpoints with a circuit breaker.

mod connect;
mod endpoints;

pub use connect::{ByteStream, ConnectError, Roots, UpstreamSocket, connect, connected};
pub use endpoints::{Endpoints, Rest};
