//! `max-auth setup`: a working proxy or deployment file on standard output.

use super::{CliError, say};
use crate::setup::{self, Options};
use clap::Args;

#[derive(Args)]
pub struct Arguments {
    #[arg(help = targets())]
    target: String,
    /// The site's name, e.g. example.ru
    #[arg(long, value_name = "NAME")]
    domain: String,
    /// Where max-auth listens (for nginx-outer: the inner tier)
    #[arg(long, value_name = "ADDR")]
    upstream: Option<String>,
    /// Where the site's own application listens
    #[arg(long, value_name = "ADDR")]
    site: Option<String>,
    /// server.base_path
    #[arg(long, value_name = "PATH", default_value = "/api/auth/max")]
    base_path: String,
    /// Where the proxy listens: a port, or address and port
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The certificate with its intermediates (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: Option<String>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE")]
    key: Option<String>,
    /// Plain HTTP: for a try, or behind something that ends TLS
    #[arg(long)]
    plain: bool,
    /// Pass OpenID Connect on, too: apps sign in with MAX
    #[arg(long)]
    oidc: bool,
    /// Only who is signed in gets to the rest of the site
    #[arg(long)]
    protect: bool,
}

/// "apache, caddy, …, compose or systemd"
fn targets() -> String {
    let all = setup::targets();
    match all.split_last() {
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let options = Options {
        domain: arguments.domain,
        upstream: arguments.upstream,
        site: arguments.site,
        base_path: arguments.base_path,
        listen: arguments.listen,
        certificate: arguments.certificate,
        key: arguments.key,
        plain: arguments.plain,
        oidc: arguments.oidc,
        protect: arguments.protect,
    };
    let text = setup::file(&arguments.target, &options).map_err(|error| CliError::No(error.to_string()))?;
    say(text.trim_end());
    Ok(())
}
