//! MAX's limits in requests a second.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Of one bot, all in all.
const REQUESTS: usize = 30;
/// Messages that are sent, edited or deleted in one chat.
const IN_ONE_CHAT: usize = 2;
/// Questions for updates.
const POLLS: usize = 2;

/// Chats whose last second is remembered; past it those that are quiet go.
const CHATS: usize = 1000;

/// The times of the last second.
#[derive(Default)]
struct Window(VecDeque<Duration>);

impl Window {
    fn takes(&mut self, most: usize, now: Duration) -> bool {
        while self.0.front().is_some_and(|at| *at + SECOND <= now) {
            self.0.pop_front();
        }
        let fits = self.0.len() < most;
        if fits {
            self.0.push_back(now);
        }
        fits
    }
}

pub(super) struct Rates {
    /// Off for load tests.
    pub(super) on: bool,
    requests: Window,
    polls: Window,
    chats: BTreeMap<i64, Window>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { on: true, requests: Window::default(), polls: Window::default(), chats: BTreeMap::new() }
    }
}

impl Rates {
    pub(super) fn request(&mut self, now: Duration) -> bool {
        !self.on || self.requests.takes(REQUESTS, now)
    }

    pub(super) fn poll(&mut self, now: Duration) -> bool {
        !self.on || self.polls.takes(POLLS, now)
    }

    pub(super) fn message(&mut self, chat: i64, now: Duration) -> bool {
        if self.chats.len() >= CHATS {
            self.chats.retain(|_, window| window.0.back().is_some_and(|at| *at + SECOND > now));
        }
        !self.on || self.chats.len() >= CHATS || self.chats.entry(chat).or_default().takes(IN_ONE_CHAT, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_so_many() {
        let (mut rates, now) = (Rates::default(), Duration::from_secs(5));
        let ms = Duration::from_millis;
        assert!((0..30).all(|_| rates.request(now)) && !rates.request(now + ms(999)) && rates.request(now + SECOND));
        assert!(rates.poll(now) && rates.poll(now) && !rates.poll(now + ms(1)) && rates.poll(now + SECOND));
        assert!(rates.message(1, now) && rates.message(1, now + ms(500)) && !rates.message(1, now + ms(999)));
        assert!(rates.message(2, now), "another chat");
        assert!(rates.message(1, now + SECOND) && !rates.message(1, now + SECOND), "one of them is over");
        rates.on = false;
        assert!(rates.message(1, now + SECOND) && rates.poll(now) && (0..99).all(|_| rates.request(now)));
        for chat in 0..3000 {
            rates.message(chat, now);
        }
        assert!(rates.chats.len() <= CHATS);
    }
}
