//! Which part of the path has answered, for a person who waits.

use crate::proxies::{Lang, PathPart};

/// A part of the path, once it has answered. No more than a dozen are sent in a run.
pub type Steps = tokio::sync::mpsc::UnboundedSender<Step>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Reached,
    WebSocket,
    Streams,
    Pages,
    Limits,
    Hops,
    Max,
}

impl Step {
    pub fn name(self, lang: Lang) -> &'static str {
        let part = match self {
            Self::Reached => PathPart::Route,
            Self::WebSocket => PathPart::WebSocket,
            Self::Streams => PathPart::Streams,
            Self::Pages => PathPart::Pages,
            Self::Limits => PathPart::Limits,
            Self::Hops => PathPart::Hops,
            Self::Max => PathPart::Max,
        };
        lang.say(part.title())
    }
}
