//! `max-auth doctor`. Exit codes: 0 the best transport works, 1 delivered but by a fallback or with faults, 2 not
//! delivered, 3 could not test.

use super::{complain, say};
use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use crate::config::{self, Config, Flags};
use crate::doctor::{self, Options, Trust};
use clap::Args;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use url::Url;

/// Could not test.
pub const CANNOT_TEST: u8 = 3;

#[derive(Args)]
pub struct Arguments {
    /// The site or its login endpoint, e.g. https://example.ru or https://example.ru/api/auth/max
    #[arg(value_name = "URL", value_parser = address, required_unless_present = "upstream")]
    url: Option<Url>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// An inner address of the same line, such as http://127.0.0.1:8080; repeat it, from the outside inwards
    #[arg(long = "hop", value_name = "URL", value_parser = inner_address)]
    hops: Vec<Url>,
    /// What `nginx -T` printed: findings then name file and line; repeat it, one for each machine
    #[arg(long, value_name = "FILE")]
    nginx: Vec<PathBuf>,
    /// Wait 70 s for connections that are cut when nothing flows
    #[arg(long)]
    slow: bool,
    /// Ask MAX itself, too, as the configured endpoints say: is it in reach, does it give a code?
    #[arg(long)]
    upstream: bool,
    /// The configuration file, for --upstream
    #[arg(long, value_name = "FILE", requires = "upstream")]
    config: Option<PathBuf>,
    /// A private authority's certificates (PEM), beside Mozilla's and the system's (or SSL_CERT_FILE's); repeatable
    #[arg(long = "ca-file", value_name = "FILE")]
    ca_files: Vec<PathBuf>,
    /// Accept any certificate, and look at what lies behind it
    #[arg(long, conflicts_with = "ca_files")]
    insecure: bool,
}

/// People type `example.ru`.
fn address(text: &str) -> Result<Url, String> {
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&text).map_err(|error| format!("{error}; an address is such as https://example.ru"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other}: an address begins with http:// or https://")),
    }
}

/// An inner address seldom speaks TLS: `127.0.0.1:8080`.
fn inner_address(text: &str) -> Result<Url, String> {
    address(&if text.contains("://") { text.to_owned() } else { format!("http://{text}") })
}

pub fn run(arguments: Arguments) -> ExitCode {
    let cannot = |why: String| {
        complain(&why);
        ExitCode::from(CANNOT_TEST)
    };
    let mut nginx = Vec::new();
    for path in &arguments.nginx {
        match std::fs::read_to_string(path) {
            Ok(text) => nginx.push(text),
            Err(error) => return cannot(format!("{}: {error}", path.display())),
        }
    }
    let upstream = match arguments.upstream {
        false => None,
        true => match Config::load(&Flags { config: arguments.config, listen: None }) {
            Ok(loaded) => Some(loaded.config),
            Err(error) => return cannot(error.to_string()),
        },
    };
    let trust = match arguments.insecure {
        true => Ok(Trust::Anybody),
        false => Trust::load(&arguments.ca_files, config::environment("SSL_CERT_FILE").map(PathBuf::from).as_deref()),
    };
    let trust = match trust {
        Ok(trust) => trust,
        Err(why) => return cannot(why),
    };
    let options = Options { url: arguments.url, hops: arguments.hops, nginx, slow: arguments.slow, trust, upstream };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot(format!("the runtime cannot start: {error}")),
    };
    match runtime.block_on(doctor::examine(&options, Clock::system(), Tasks::new())) {
        Err(error) => cannot(error.to_string()),
        Ok(report) => {
            match arguments.json {
                true => say(&report.json().to_string()),
                false => say(&report.text(std::io::stdout().is_terminal())),
            }
            // Connections may still hang; nobody waits for them.
            runtime.shutdown_background();
            ExitCode::from(report.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_address_without_a_scheme_speaks_no_tls() {
        assert_eq!(inner_address("127.0.0.1:8080").unwrap().as_str(), "http://127.0.0.1:8080/");
        assert_eq!(inner_address("https://10.0.0.2").unwrap().as_str(), "https://10.0.0.2/");
        assert_eq!(address("example.ru").unwrap().as_str(), "https://example.ru/");
    }
}
