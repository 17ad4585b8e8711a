//! `max-auth bench`: what waiting and finished logins cost, and whether a server keeps its word under load. Servers of
//! this machine only.

mod app;
mod connect;
mod cost;
mod phone;
mod plan;
mod report;
mod run;
mod stream;
mod tally;
#[cfg(test)]
mod tests;
mod visit;

use super::{CliError, block_on, complain, say, waiting};
pub use plan::Arguments;
use plan::Plan;

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let plan = Plan::of(&arguments).and_then(|plan| plan.raise_files().map(|()| plan)).map_err(CliError::CannotRun)?;
    block_on(bench(plan))
}

async fn bench(plan: Plan) -> Result<(), CliError> {
    let json = plan.json;
    // Beside the result, which stands alone on standard output.
    let told = |progress: &str| {
        waiting::clear();
        complain(&format!("bench: {progress}"));
    };
    let result = waiting::shown("bench", "s", run::run(plan, &told)).await.map_err(CliError::CannotRun)?;
    say(&if json { result.json().to_string() } else { result.table() });
    if result.tally.is_clean() { Ok(()) } else { Err(CliError::No(result.complaint())) }
}
