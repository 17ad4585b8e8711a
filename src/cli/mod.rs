//! The command line. Exit codes: 0 fine, 1 the answer is "no" (a configuration is wrong), 2 could not run at all.

mod bench;
mod completions;
mod doctor;
mod emulate;
mod health;
mod inspector;
mod keys;
mod man;
mod networks;
mod ops;
mod serve;
mod setup;
mod waiting;

use crate::config::{Config, Flags, Invalid};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Sign in with MAX by QR code, on any site, behind any proxy.
#[derive(Parser)]
#[command(name = "max-auth", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The server
    Serve {
        #[command(flatten)]
        configuration: Configuration,
        /// Public address; wins over file and environment
        #[arg(long, value_name = "ADDR")]
        listen: Option<String>,
        /// A demo site and a pretended MAX with a phone: no network and no configuration needed
        #[arg(long)]
        demo: bool,
    },
    /// A stand-in for MAX, with a phone to press
    Emulate(emulate::Arguments),
    /// Why does the stream not arrive, and which line fixes it? Exit 0: it does; 1: by a fallback; 2: not; 3: not tested
    Doctor(doctor::Arguments),
    /// A working proxy or deployment file, or both sides of an app that signs in with MAX, on standard output
    Setup(setup::Arguments),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What OpenID Connect needs
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Is the running server alive? Exit 0: yes; 1: no, or the configuration is wrong. For HEALTHCHECK
    Health(Configuration),
    /// Load against a running server: memory, processor time and waiting times
    Bench(bench::Arguments),
    /// What a shell completes, on standard output
    Completions {
        /// For bash: max-auth completions bash > /usr/share/bash-completion/completions/max-auth
        shell: clap_complete::Shell,
    },
    /// The manual as roff, on standard output: max-auth man | man -l -
    Man(man::Arguments),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say what is wrong; exit 1 if anything is
    Check(Configuration),
    /// Show what is in force and where each value came from
    Show(Configuration),
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Show the signing keys of the running server
    List(Configuration),
    /// Let the next key sign from now on; the last one stays published
    Rotate {
        #[command(flatten)]
        configuration: Configuration,
        /// At once: the present key is known to somebody else. Apps that keep the list fetch it again
        #[arg(long)]
        now: bool,
    },
    /// Make a new secret for a client, and its hash for [[oidc.clients]]
    ClientSecret,
}

#[derive(Args)]
struct Configuration {
    /// A TOML file; keys that it leaves out keep their defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Configuration {
    fn flags(self) -> Flags {
        Flags { config: self.config, listen: None }
    }
}

/// How a command failed.
enum CliError {
    /// The answer is "no".
    No(String),
    /// It could not run at all.
    CannotRun(String),
}

/// "Could not run", with the whole chain of causes.
fn cannot_run(error: &dyn std::error::Error) -> CliError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    CliError::CannotRun(text)
}

impl From<Invalid> for CliError {
    fn from(invalid: Invalid) -> Self {
        Self::No(invalid.to_string())
    }
}

/// Runs the program.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // The doctor's 2 means "not delivered"; what cannot be asked is its 3. Help and version are no errors.
        Err(error) if error.use_stderr() && std::env::args_os().nth(1).is_some_and(|name| name == "doctor") => {
            let _ = error.print();
            return ExitCode::from(doctor::CANNOT_TEST);
        }
        Err(error) => error.exit(),
    };
    let outcome = match cli.command {
        Command::Serve { configuration, listen, demo } => {
            serve::run(&Flags { config: configuration.config, listen }, demo)
        }
        Command::Emulate(arguments) => emulate::run(arguments),
        // Its exit codes are its own.
        Command::Doctor(arguments) => return doctor::run(arguments),
        Command::Setup(arguments) => setup::run(arguments),
        Command::Config(ConfigCommand::Check(configuration)) => check(configuration),
        Command::Config(ConfigCommand::Show(configuration)) => show(configuration),
        Command::Health(configuration) => health::run(&configuration.flags()),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Completions { shell } => {
            say_bytes(&completions::script(shell, Cli::command()));
            Ok(())
        }
        Command::Man(arguments) => man::run(&arguments, Cli::command()),
        Command::Keys(KeysCommand::List(configuration)) => keys::list(&configuration.flags()),
        Command::Keys(KeysCommand::Rotate { configuration, now }) => keys::rotate(&configuration.flags(), now),
        Command::Keys(KeysCommand::ClientSecret) => {
            keys::client_secret();
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(CliError::No(why)) => {
            complain(&why);
            ExitCode::from(1)
        }
        Err(CliError::CannotRun(why)) => {
            complain(&why);
            ExitCode::from(2)
        }
    }
}

fn check(configuration: Configuration) -> Result<(), CliError> {
    let loaded = Config::load(&configuration.flags())?;
    say("the configuration is fine");
    for weakness in loaded.config.weaknesses() {
        complain(&format!("weaker than it could be: {weakness}"));
    }
    Ok(())
}

fn show(configuration: Configuration) -> Result<(), CliError> {
    let loaded = Config::load(&configuration.flags())?;
    say(loaded.shown.trim_end());
    Ok(())
}

/// Starts the runtime for a command.
fn block_on(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::CannotRun(format!("the runtime cannot start: {error}")))?;
    runtime.block_on(command)
}

/// Completes when the operator asks to stop: SIGTERM, SIGINT, or SIGHUP, which a closed terminal sends.
async fn stop_signal() {
    use tokio::signal::unix::SignalKind;
    let hangup = async {
        // `nohup` has us ignore it; listening would undo that.
        match is_ignored(SignalKind::hangup()) {
            true => std::future::pending().await,
            false => received(SignalKind::hangup()).await,
        }
    };
    tokio::select! {
        () = received(SignalKind::terminate()) => {}
        () = received(SignalKind::interrupt()) => {}
        () = hangup => {}
    }
}

async fn received(kind: tokio::signal::unix::SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signals) => drop(signals.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// Whether whoever started us had this signal ignored: the mask `SigIgn` of `/proc/self/status`.
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> bool {
    ignores(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), kind.as_raw_value())
}

fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

/// A line for the person who typed the command.
fn say(text: &str) {
    use std::io::Write as _;
    // Whoever closed our output does not want to hear more.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What is a file of its own, as it stands.
fn say_bytes(file: &[u8]) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(file);
}

fn complain(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "max-auth: {}", text.replace('\n', "\nmax-auth: "));
}

#[cfg(test)]
mod tests {
    use super::ignores;

    #[test]
    fn a_signal_that_was_ignored_is_seen_in_the_mask() {
        let status = |mask: &str| format!("Name:\tmax-auth\nSigBlk:\tffffffffffffffff\nSigIgn:\t{mask}\n");
        let (hangup, interrupt) = (1, 2);
        assert!(ignores(&status("0000000000000001"), hangup) && !ignores(&status("0000000000000001"), interrupt));
        assert!(!ignores(&status("0000000000001006"), hangup) && ignores(&status("0000000000001006"), interrupt));
        assert!(
            !ignores(&status("0000000000000000"), hangup) && !ignores("", hangup) && !ignores("SigIgn:\t?", hangup)
        );
    }
}
