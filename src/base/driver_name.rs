//! What the ways to ask MAX are called, in settings, sessions and tokens.

use serde::{Deserialize, Serialize};

/// A way to learn from MAX who somebody is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverName {
    /// The QR code of MAX's own web sign-in; unofficial.
    #[default]
    AccountQr,
    /// A dialogue with the site's bot.
    Bot,
    /// A page of the site's inside MAX.
    MiniApp,
}

impl DriverName {
    pub const ALL: [Self; 3] = [Self::MiniApp, Self::Bot, Self::AccountQr];

    /// As in `login.drivers`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountQr => "account_qr",
            Self::Bot => "bot",
            Self::MiniApp => "mini_app",
        }
    }

    /// Back from [`Self::name`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|driver| driver.name() == name)
    }

    /// By the token of a bot, with MAX's blessing.
    pub fn is_official(self) -> bool {
        self != Self::AccountQr
    }
}
