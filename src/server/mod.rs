//! HTTP: the URL table, the middleware order, the listeners, the graceful stop.

mod account;
mod answer;
mod asked;
mod caching;
mod connection;
mod cookie;
mod files;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod hop;
mod listener;
mod logins;
mod middleware;
mod no_script;
mod ops;
mod origin;
mod pages;
mod probe;
mod router;
mod sign_in;
mod timeouts;
mod upgrade;

pub use crate::transport::ends::Ends;
pub use files::{Extra, demo};
pub use listener::{Bound, Descriptors, bind};
pub use ops::Ops;
pub use router::{Parts, router};
