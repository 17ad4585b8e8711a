//! Where a person is signed in: so that they can see it, and end it all. One record for each place, because records are
//! written by any node at any time, and none may write over what another has just said.

use super::SessionId;
use crate::store::{Key, Space, Unavailable, Vault};
use futures_util::future::{join_all, try_join_all};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Places of one person that are known by name; one more takes that of the oldest.
pub const PLACES: usize = 16;

/// A session, as its person is shown it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    pub id: SessionId,
    /// Unix milliseconds.
    pub began: i64,
    /// Of the browser, for people.
    pub browser: String,
}

/// Everything of a person that began until then is over.
#[derive(Serialize, Deserialize)]
struct Over {
    /// Unix milliseconds.
    latest: i64,
}

pub struct People {
    vault: Vault,
    ttl: Duration,
}

impl People {
    pub fn new(vault: Vault, ttl: Duration) -> Self {
        Self { vault, ttl }
    }

    /// Keyed: who is signed in cannot be guessed from the names of records.
    fn person(&self, sub: &str) -> String {
        self.vault.pseudonym(format!("person\0{sub}").as_bytes())
    }

    fn over(&self, sub: &str) -> Key {
        Vault::key(Space::Person, &["over", &self.person(sub)])
    }

    fn place(person: &str, number: usize) -> Key {
        Vault::key(Space::Person, &[&format!("place {number}"), person])
    }

    pub async fn add(&self, sub: &str, place: &Place) -> Result<(), Unavailable> {
        let person = self.person(sub);
        for number in 0..PLACES {
            if self.vault.put_new(Self::place(&person, number), place, self.ttl).await? {
                return Ok(());
            }
        }
        let places = self.numbered(&person).await?;
        let oldest = places.iter().min_by_key(|(_, place)| place.began).map_or(0, |(number, _)| *number);
        self.vault.put(Self::place(&person, oldest), place, self.ttl).await
    }

    async fn numbered(&self, person: &str) -> Result<Vec<(usize, Place)>, Unavailable> {
        let asked = (0..PLACES).map(async |number| {
            let place: Option<Place> = self.vault.get(Self::place(person, number)).await?;
            Ok(place.map(|place| (number, place)))
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }

    /// The newest first.
    pub async fn places(&self, sub: &str) -> Result<Vec<Place>, Unavailable> {
        let mut places: Vec<Place> =
            self.numbered(&self.person(sub)).await?.into_iter().map(|(_, place)| place).collect();
        places.sort_by_key(|place| std::cmp::Reverse(place.began));
        Ok(places)
    }

    /// A session that is over makes room.
    pub async fn remove(&self, sub: &str, id: &SessionId) -> Result<(), Unavailable> {
        let person = self.person(sub);
        let places = self.numbered(&person).await?;
        let theirs = places.iter().filter(|(_, place)| place.id == *id);
        let removed = join_all(theirs.map(|(number, _)| self.vault.take::<Place>(Self::place(&person, *number)))).await;
        removed.into_iter().try_for_each(|removed| removed.map(drop))
    }

    /// Whatever began until now is over; what was known of it.
    pub async fn end_all(&self, sub: &str) -> Result<Vec<Place>, Unavailable> {
        let over = Over { latest: self.vault.unix_ms() };
        self.vault.put(self.over(sub), &over, self.ttl).await?;
        let places = self.places(sub).await?;
        for place in &places {
            self.remove(sub, &place.id).await?;
        }
        Ok(places)
    }

    /// Whether a session that began then was ended with all others.
    pub async fn is_over(&self, sub: &str, began: i64) -> Result<bool, Unavailable> {
        let over: Option<Over> = self.vault.get(self.over(sub)).await?;
        Ok(over.is_some_and(|over| began <= over.latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::rng::Rng;
    use crate::store::{MemoryStore, Seals};
    use std::sync::Arc;

    fn people(clock: &Clock) -> People {
        let (rng, store) = (Rng::seeded(1), Arc::new(MemoryStore::new(clock.clone(), 1000)));
        let seal = Seals::new(&[1; 32], &rng).unwrap().store;
        People::new(Vault::new(store, seal, clock.clone(), rng), Duration::from_secs(3600))
    }

    fn place(number: i64) -> Place {
        Place { id: SessionId::of(&number.to_string()), began: number, browser: format!("browser {number}") }
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_kept_the_newest_first_and_the_oldest_makes_room() {
        let people = people(&Clock::fixed(0));
        let last = PLACES as i64 + 3;
        for number in 1..=last {
            people.add("7", &place(number)).await.unwrap();
        }
        people.add("8", &place(99)).await.unwrap();
        let began = |places: Vec<Place>| places.into_iter().map(|place| place.began).collect::<Vec<_>>();
        let expected: Vec<i64> = (4..=last).rev().collect();
        assert_eq!(began(people.places("7").await.unwrap()), expected);
        people.remove("7", &place(5).id).await.unwrap();
        people.add("7", &place(100)).await.unwrap();
        let places = began(people.places("7").await.unwrap());
        assert!(places[0] == 100 && !places.contains(&5) && places.contains(&4), "{places:?}");
        tokio::time::advance(Duration::from_secs(3601)).await;
        assert!(people.places("7").await.unwrap().is_empty(), "no longer than a session lives");
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_began_until_now_is_over_and_what_begins_later_is_not() {
        let clock = Clock::fixed(1_000);
        let people = people(&clock);
        people.add("7", &place(1)).await.unwrap();
        assert!(!people.is_over("7", 1).await.unwrap());
        assert_eq!(people.end_all("7").await.unwrap(), [place(1)]);
        for (sub, began, over) in [("7", 1, true), ("7", 1_000, true), ("7", 1_001, false), ("8", 1, false)] {
            assert_eq!(people.is_over(sub, began).await.unwrap(), over, "{sub} {began}");
        }
        assert!(people.places("7").await.unwrap().is_empty());
    }
}
