//! Who picked wrongly too often waits: three wrong picks in an hour, counted at all nodes together.

use crate::store::{Key, Space, Unavailable, Vault};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Wrong picks of one person in [`HOUR`]: with four numbers each is right by chance once in four.
const WRONG_PICKS: usize = 3;

const HOUR: Duration = Duration::from_secs(3600);

/// Unix milliseconds.
#[derive(Serialize, Deserialize)]
struct Wrong {
    at: i64,
}

#[derive(Clone)]
pub struct Locks(Vault);

impl Locks {
    pub fn new(vault: Vault) -> Self {
        Self(vault)
    }

    /// A place for each, so that two nodes never count one for two.
    fn place(user: i64, number: usize) -> Key {
        Vault::key(Space::Question, &["wrong", &user.to_string(), &number.to_string()])
    }

    /// One more wrong pick.
    pub async fn wrong(&self, user: i64) -> Result<(), Unavailable> {
        let wrong = Wrong { at: self.0.unix_ms() };
        for number in 0..WRONG_PICKS {
            if self.0.put_new(Self::place(user, number), &wrong, HOUR).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// How long this person still waits, if they do: until the first of their wrong picks is an hour old.
    pub async fn left(&self, user: i64) -> Result<Option<Duration>, Unavailable> {
        let mut oldest = i64::MAX;
        for number in 0..WRONG_PICKS {
            match self.0.get::<Wrong>(Self::place(user, number)).await? {
                Some(wrong) => oldest = oldest.min(wrong.at),
                None => return Ok(None),
            }
        }
        let ago = u64::try_from(self.0.unix_ms().saturating_sub(oldest)).unwrap_or_default();
        Ok(Some(HOUR.saturating_sub(Duration::from_millis(ago)).max(Duration::from_secs(1))))
    }
}
