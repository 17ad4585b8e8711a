//! How sign-ins go, for the operator: what a node reports, what the reports of all nodes come to, and the page that says it.
//! Pure: it is handed what was counted, and the time.

mod codes;
mod json;
mod page;
mod report;
mod summary;
mod time;
mod words;

pub use json::json;
pub use page::{Chosen, health_page, page};
pub use report::{Facts, FailedLogin, Hop, NodeReport};
pub use summary::{State, Summary, summary};
