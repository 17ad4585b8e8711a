//! The ways to learn from MAX who somebody is, each behind `signin::Driver`.

mod account_qr;
mod official;

pub use account_qr::{AccountQr, OpenLogins};
pub use official::{
    AppError, AppOpened, AppOutcome, Bot, Call, Carrier, Examined, MiniApp, Official, OwnContact, Refused, Said, Saying,
};
