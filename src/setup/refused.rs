//! Why there is no file.

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "there is nothing to set up for {target:?}\nproxies and deployments: {files}\napps that sign in with MAX: {apps}"
    )]
    Unknown { target: String, files: String, apps: String },
    #[error("--{option}: there is nothing of the kind for {target}, but for {list}")]
    NotThere { option: &'static str, target: &'static str, list: String },
    #[error("--{option} {value:?}: {why}")]
    Odd { option: &'static str, value: String, why: &'static str },
    #[error(
        "--domain {host:?}: {app} answers below /oauth2/ and so does max-auth, which is on the same host; give it a host \
         name of its own"
    )]
    Clash { app: &'static str, host: String },
}

pub fn odd(option: &'static str, value: &str, why: &'static str) -> Refused {
    Refused::Odd { option, value: value.to_owned(), why }
}

/// What goes into a configuration file must not be able to end its line.
pub fn safe(option: &'static str, value: &str, why: &'static str, fine: impl Fn(u8) -> bool) -> Result<(), Refused> {
    if !value.is_empty() && value.bytes().all(fine) { Ok(()) } else { Err(odd(option, value, why)) }
}
