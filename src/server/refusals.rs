//! Refusals that several endpoints give.

use crate::base::problem::{Problem, ProblemCode};
use crate::login::TooManyReaders;
use http::HeaderValue;
use http::header::ALLOW;
use std::time::Duration;

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

pub fn method_not_allowed(allowed: &'static str) -> Problem {
    Problem::new(ProblemCode::MethodNotAllowed, format!("This address takes {allowed}."))
        .header(ALLOW, HeaderValue::from_static(allowed))
}
