//! `max-auth setup`: a working proxy or deployment file, or both sides of an app, on standard output.

use super::{CliError, say};
use crate::base::rng::Rng;
use crate::config::{Config, Flags};
use crate::setup::{self, AppOptions, Options};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct Arguments {
    #[arg(help = targets())]
    target: String,
    /// The site's name, e.g. example.ru; of an app, its own
    #[arg(long, value_name = "NAME")]
    domain: String,
    /// Where max-auth listens (for nginx-outer: the inner tier)
    #[arg(long, value_name = "ADDR")]
    upstream: Option<String>,
    /// Where the site's own application listens
    #[arg(long, value_name = "ADDR")]
    site: Option<String>,
    /// server.base_path [default: /api/auth/max]
    #[arg(long, value_name = "PATH")]
    base_path: Option<String>,
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
    /// For an app: where people sign in, e.g. https://login.example.ru; without it that of --config or the environment
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// For an app: the file of settings that its client will stand in
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// "angie, …, compose or systemd", and the apps apart.
fn targets() -> String {
    let list = |all: Vec<&'static str>| match all.split_last() {
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    format!(
        "A proxy or a deployment: {}. An app that signs in with MAX: {}",
        list(setup::targets()),
        list(setup::apps())
    )
}

pub fn run(arguments: Arguments) -> Result<(), CliError> {
    let text = match setup::app_named(&arguments.target) {
        Some(app) => both_sides(app, &arguments)?,
        None => file(arguments)?,
    };
    say(text.trim_end());
    Ok(())
}

fn refused(error: setup::Refused) -> CliError {
    CliError::No(error.to_string())
}

fn both_sides(app: &str, arguments: &Arguments) -> Result<String, CliError> {
    for (option, given) in [
        ("upstream", arguments.upstream.is_some()),
        ("site", arguments.site.is_some()),
        ("base-path", arguments.base_path.is_some()),
        ("listen", arguments.listen.is_some()),
        ("certificate", arguments.certificate.is_some()),
        ("key", arguments.key.is_some()),
        ("plain", arguments.plain),
        ("oidc", arguments.oidc),
        ("protect", arguments.protect),
    ] {
        if given {
            return Err(CliError::No(format!(
                "--{option} is for proxies; {app} is an app: --domain, --issuer, --config"
            )));
        }
    }
    let config = match (&arguments.config, &arguments.issuer) {
        (None, Some(_)) => None,
        (file, _) => Some(Config::load(&Flags { config: file.clone(), listen: None })?.config),
    };
    if let Some((config, id)) = config.as_ref().zip(setup::client_id(app))
        && config.oidc.clients.iter().any(|client| client.id == id)
    {
        let why = "take its block out for a new secret; for a second app say --issuer instead, and change the id on both sides";
        return Err(CliError::No(format!("[[oidc.clients]] has a client {id:?} already: {why}")));
    }
    let issuer = arguments.issuer.clone().or_else(|| config.as_ref().and_then(issuer_of));
    let issuer = issuer.ok_or_else(|| {
        let why = "where do people sign in? Say it, as https://login.example.ru, or name a file with server.public_url";
        CliError::No(format!("--issuer: {why} (--config FILE)"))
    })?;
    let options = AppOptions { domain: &arguments.domain, issuer: &issuer, rng: &Rng::system() };
    setup::both_sides(app, &options).unwrap_or_else(|| Ok(String::new())).map_err(refused)
}

/// As the provider says it.
fn issuer_of(config: &Config) -> Option<String> {
    let given = config.server.public_url_given.then(|| config.server.public_url.origin().ascii_serialization());
    config.oidc.issuer.clone().or(given)
}

fn file(arguments: Arguments) -> Result<String, CliError> {
    if setup::targets().contains(&arguments.target.as_str()) {
        for (option, given) in [("issuer", arguments.issuer.is_some()), ("config", arguments.config.is_some())] {
            if given {
                return Err(CliError::No(format!("--{option} is for apps; {} is none", arguments.target)));
            }
        }
    }
    let options = Options {
        domain: arguments.domain,
        upstream: arguments.upstream,
        site: arguments.site,
        base_path: arguments.base_path.unwrap_or_else(|| "/api/auth/max".to_owned()),
        listen: arguments.listen,
        certificate: arguments.certificate,
        key: arguments.key,
        plain: arguments.plain,
        oidc: arguments.oidc,
        protect: arguments.protect,
    };
    setup::file(&arguments.target, &options).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        setup: Arguments,
    }

    fn said(line: &str) -> String {
        let words = ["setup"].into_iter().chain(line.split(' '));
        let arguments = Line::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).setup;
        let outcome = match setup::app_named(&arguments.target) {
            Some(app) => both_sides(app, &arguments),
            None => file(arguments),
        };
        match outcome {
            Ok(text) => text,
            Err(CliError::No(why) | CliError::CannotRun(why)) => why,
        }
    }

    #[test]
    fn an_option_is_for_proxies_or_for_apps() {
        let app = "grafana --domain app.example.ru --issuer https://login.example.ru";
        assert!(said(app).contains("token_url = https://login.example.ru/oauth2/token"));
        for option in ["--upstream a:1", "--site a:1", "--base-path /a", "--listen 1", "--certificate /a", "--key /a"] {
            let name = option.split(' ').next().unwrap();
            assert!(said(&format!("{app} {option}")).starts_with(&format!("{name} is for proxies")), "{option}");
        }
        for option in ["--plain", "--oidc", "--protect"] {
            assert!(said(&format!("{app} {option}")).starts_with(&format!("{option} is for proxies")), "{option}");
        }
        for option in ["--issuer https://a.ru", "--config /nowhere"] {
            let name = option.split(' ').next().unwrap();
            let why = said(&format!("nginx --domain a.ru {option}"));
            assert_eq!(why, format!("{name} is for apps; nginx is none"));
            assert!(said(&format!("iis --domain a.ru {option}")).starts_with("there is nothing to set up for"));
        }
    }

    #[test]
    fn where_people_sign_in_is_said_or_read() {
        let why = said("grafana --domain app.example.ru");
        assert!(why.starts_with("--issuer: where do people sign in?"), "{why}");
        assert!(said("grafana --domain app.example.ru --config /nowhere").contains("/nowhere: cannot be read"));
        let issuer = |file: &str| issuer_of(&Config::of(file));
        assert_eq!(issuer(""), None);
        let public = "[server]\npublic_url = \"https://a.ru/\"\n";
        assert_eq!(issuer(public).as_deref(), Some("https://a.ru"));
        assert_eq!(issuer(&format!("{public}[oidc]\nissuer = \"https://b.ru\"")).as_deref(), Some("https://b.ru"));
    }
}
