//! `max-auth keys`: the signing keys of the running server, and secrets for clients.

use super::{CliError, block_on, ops, say};
use crate::base::id;
use crate::base::rng::Rng;
use crate::config::{self, Flags};
use http::{Method, StatusCode};
use serde_json::Value;

/// 256 random bits: enough that a plain hash keeps them.
pub fn client_secret() {
    let secret = id::encode(&Rng::system().bytes::<32>());
    say(&format!("for the app:  client_secret = {secret}"));
    say(&format!("for max-auth: secret_hash = \"{}\"", config::secret_hash(&secret)));
}

/// What signs, what did, and what will.
pub fn list(flags: &Flags) -> Result<(), CliError> {
    asked(flags, Method::GET, "/keys")
}

/// The next key signs from now on.
pub fn rotate(flags: &Flags, now: bool) -> Result<(), CliError> {
    asked(flags, Method::POST, if now { "/keys/rotate?now=1" } else { "/keys/rotate" })
}

fn asked(flags: &Flags, method: Method, path: &'static str) -> Result<(), CliError> {
    let address = ops::address(flags)?;
    block_on(async move {
        let told = |why: String| {
            let where_ = format!("http://{address}{path}: {why}");
            CliError::CannotRun(format!("{where_} (the running server is asked, at server.ops_listen)"))
        };
        let (status, body) = ops::ask(address, method, path).await.map_err(told)?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match answer["keys"].as_array() {
            Some(keys) if status == StatusCode::OK => keys.iter().for_each(|key| say(&line(key))),
            _ if status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(CliError::No(answer["detail"].as_str().unwrap_or_default().to_owned()));
            }
            _ => return Err(told(format!("answered {status}"))),
        }
        Ok(())
    })
}

fn line(key: &Value) -> String {
    let text = |name: &str| key[name].as_str().unwrap_or_default();
    format!("{:<8} {:<6} {}", text("state"), text("alg"), text("kid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_is_a_line() {
        let key = json!({"state": "next", "alg": "RS256", "kid": "abc"});
        assert_eq!(line(&key), "next     RS256  abc");
    }
}
