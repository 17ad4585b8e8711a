//! `max-auth health`: is the server that runs with this configuration alive? For `HEALTHCHECK`, where there is no curl.

use super::{CliError, block_on, ops, say};
use crate::config::Flags;
use http::{Method, StatusCode};

pub fn run(flags: &Flags) -> Result<(), CliError> {
    let address = ops::address(flags)?;
    block_on(async move {
        let outcome = match ops::ask(address, Method::GET, "/healthz").await {
            Ok((StatusCode::OK, _)) => Ok(()),
            Ok((status, _)) => Err(format!("answered {status}")),
            Err(why) => Err(why),
        };
        outcome
            .map_err(|why| CliError::No(format!("not healthy: http://{address}/healthz: {why} (server.ops_listen)")))?;
        say("healthy");
        Ok(())
    })
}
