//! The ways to learn from MAX who somebody is, each behind `signin::Driver`.

mod account_qr;
mod official;

pub use account_qr::{AccountQr, OpenLogins};
pub use official::{AppError, Bot, Examined, MiniApp, Official, OverHttp, OwnContact, Refused, Subject, examine};
