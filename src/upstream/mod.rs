//! The I/O around the MAX protocol: connections with a time budget per stage, endpoints with a circuit breaker, and
//! the account QR as the first [`driver::Driver`].

mod account_qr;
mod connect;
mod conversation;
pub mod driver;
mod endpoints;
mod open_logins;

pub use account_qr::AccountQr;
pub use connect::{Roots, connect};
pub use open_logins::OpenLogins;
