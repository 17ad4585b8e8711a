//! Which text of the table a stage or a failure has.

use crate::signin::Failure;
use crate::texts::Words;
use serde_json::{Value, json};

/// The stages of a login (contract).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Connecting,
    Code,
    Waiting,
    Approved,
    Finishing,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Connecting, Self::Code, Self::Waiting, Self::Approved, Self::Finishing];

    /// Back from [`Self::name`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Code => "code",
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Finishing => "finishing",
        }
    }

    pub fn message(self, words: &Words) -> &str {
        match self {
            Self::Connecting => &words.shared.connecting,
            Self::Code => &words.shared.code,
            Self::Waiting => &words.events.waiting,
            Self::Approved => &words.events.approved,
            Self::Finishing => &words.shared.finishing,
        }
    }
}

/// What the visitor is told when a login ended without success, with what they can do.
fn failure_message(failure: Failure, words: &Words) -> &str {
    match failure {
        // The browser says it, too, where the server cannot.
        Failure::Expired => &words.client.login_expired,
        _ => words.events.errors.get(failure.code()).map_or("", String::as_str),
    }
}

/// The data of an `error` event. `retry_after` in milliseconds.
pub fn error_data(failure: Failure, words: &Words, retry_after: Option<u64>) -> Value {
    let message = failure_message(failure, words);
    let mut data = json!({"code": failure.code(), "message": message, "retry": failure.retry()});
    if let Some(after) = retry_after {
        data["retryAfter"] = after.into();
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::{Locale, Texts};

    #[test]
    fn each_failure_has_words_in_both_languages_and_nothing_else_has() {
        let texts = Texts::ours();
        for locale in Locale::ALL {
            let words = texts.of(locale);
            for failure in Failure::ALL {
                assert!(failure_message(failure, words).len() > 10, "{failure:?} {locale:?}");
            }
            let known = |code: &String| Failure::ALL.iter().any(|failure| failure.code() == code);
            assert!(words.events.errors.keys().all(known), "{locale:?}");
            assert_eq!(words.events.errors.len() + 1, Failure::ALL.len());
        }
    }

    #[test]
    fn each_stage_has_words_of_its_own() {
        let (texts, mut seen) = (Texts::ours(), std::collections::BTreeSet::new());
        for stage in Stage::ALL {
            assert_eq!(Stage::parse(stage.name()), Some(stage));
            assert!(seen.insert(stage.message(texts.of(Locale::Ru)).to_owned()), "{stage:?}");
        }
    }
}
