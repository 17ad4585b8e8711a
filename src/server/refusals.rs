//! Refusals that several endpoints give.

use crate::base::problem::{Problem, ProblemCode};
use crate::login::TooManyReaders;
use crate::store::Unavailable;
use http::HeaderValue;
use http::header::ALLOW;
use std::time::Duration;

/// When asking again makes sense, after the store could not answer.
const STORE_PAUSE: Duration = Duration::from_secs(3);

pub fn login_not_found() -> Problem {
    Problem::new(
        ProblemCode::LoginNotFound,
        "There is no such login, it is long over, or another browser began it (the flow cookie is missing).",
    )
}

pub fn position_gone() -> Problem {
    Problem::new(
        ProblemCode::PositionGone,
        "The position belongs to another life of this login, or its events have been dropped. Begin a new login.",
    )
}

pub fn too_many_readers(_: TooManyReaders) -> Problem {
    Problem::later(
        ProblemCode::TooManyReaders,
        "More connections read this login than a browser has.",
        Duration::from_secs(1),
    )
}

/// The store cannot be asked, or has no room; `busy` is what a visitor's page knows to wait for.
pub fn store_unavailable(error: &Unavailable) -> Problem {
    match error {
        Unavailable::OutOfReach(_) => {
            Problem::later(ProblemCode::Busy, "What is kept of sign-ins is out of reach for a moment.", STORE_PAUSE)
        }
        Unavailable::Full(_) => {
            Problem::later(ProblemCode::StoreFull, "There is no room for new sign-ins.", STORE_PAUSE)
        }
    }
}

pub fn method_not_allowed(allowed: &'static str) -> Problem {
    Problem::new(ProblemCode::MethodNotAllowed, format!("This address takes {allowed}."))
        .header(ALLOW, HeaderValue::from_static(allowed))
}
