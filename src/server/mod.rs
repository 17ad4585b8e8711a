//! HTTP: the URL table, the middleware order, the listeners, the graceful stop.

mod asked;
mod caching;
mod cookie;
mod files;
mod hop;
mod listener;
mod logins;
mod middleware;
mod ops;
mod origin;
mod plain;
mod probe;
mod router;
mod sign_in;
mod upgrade;

pub use crate::transport::ends::Ends;
pub use files::{Extra, demo};
pub use listener::{Bound, bind};
pub use ops::Ops;
pub use router::{Parts, router};
