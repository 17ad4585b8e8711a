//! The I/O around the MAX protocol: connections with a time budget per stage, endpoints with a circuit breaker, and
//! the account QR as the first [`driver::Driver`].

mod account_qr;
mod connect;
mod conversation;
pub mod driver;
mod endpoints;

pub use account_qr::AccountQr;
pub use connect::{Roots, connect};
