//! Sign in with MAX by QR code, on any site, behind any proxy. See ARCHITECTURE.md for the map.
//!
//! The library's one public item is [`run`]; the binary calls it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking"))]

mod app;
mod base;
mod cli;
mod config;
mod doctor;
mod drivers;
mod emulator;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod login;
mod max;
mod observe;
mod oidc;
mod outbound;
mod probe;
mod proxies;
mod server;
mod session;
mod setup;
mod signin;
#[cfg(test)]
mod snapshot;
mod status;
mod store;
mod texts;
mod transport;
mod upstream;

pub use cli::run;
