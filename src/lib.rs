//! Sign in with MAX by QR code, on any site, behind any proxy. See ARCHITECTURE.md for the map.
//!
//! The library's one public item is [`run`]; the binary calls it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking"))]

mod base;
mod config;
mod emulator;
mod max;

/// Placeholder while the parts are being put together.
pub fn run() {}
