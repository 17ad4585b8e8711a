//! The way to MAX: connections with a time budget per stage, endpoints with a circuit breaker, connections made ahead.

mod connect;
mod endpoints;
mod spares;

#[cfg(test)]
pub use connect::Dialling;
pub use connect::{ByteStream, ConnectError, Dial, Network, Roots, UpstreamSocket, connect, connected};
pub use endpoints::{Endpoints, Rest};
pub use spares::Spares;
