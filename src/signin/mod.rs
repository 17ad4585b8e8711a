//! The words that everybody who has to do with a sign-in shares: who somebody is ([`Identity`]), what their browser says
//! of itself ([`BrowserInfo`]), why it came to nothing ([`Failure`]), and the door to whoever asks MAX ([`Driver`]).

mod command;
mod driver;
mod failure;
mod identity;

pub use crate::base::driver_name::DriverName;
pub use command::{Command, CommandSlot};
pub use driver::{Asked, Awake, Driver, DriverEvent, Drivers, EventSink, OperatorHint, Outcome, Run, Waker, Woken};
pub use failure::Failure;
pub use identity::{BrowserInfo, Identity};
