//! The ways to learn from MAX who somebody is, each behind `signin::Driver`.

mod account_qr;

pub use account_qr::{AccountQr, OpenLogins};
