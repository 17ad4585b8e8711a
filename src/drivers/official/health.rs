//! Whether MAX would let us serve a visitor who came now.

use std::sync::atomic::{AtomicU8, Ordering};

/// What asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Needs MAX's API, and updates from it.
    Bot,
    /// Needs a token that MAX signs with.
    MiniApp,
}

/// What the last look found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    Fine = 0,
    /// MAX is out of reach, or brings us nothing.
    Trouble = 1,
    /// The token is not this bot's.
    Token = 2,
}

/// Fine until something else is known.
#[derive(Default)]
pub struct Health(AtomicU8);

impl Health {
    pub fn is_up(&self, part: Part) -> bool {
        match self.0.load(Ordering::Relaxed) {
            0 => true,
            1 => part == Part::MiniApp,
            _ => false,
        }
    }

    /// True where that is new.
    pub fn set(&self, state: State) -> bool {
        self.0.swap(state as u8, Ordering::Relaxed) != state as u8
    }
}
