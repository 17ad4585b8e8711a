//! `max-auth completions SHELL`: what a shell completes, on standard output.

use crate::doctor;
use crate::setup;
use clap::Command;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

/// The script. What a command looks up itself, so as to name the nearest for a slip, is a plain list here.
pub fn script(shell: Shell, command: Command) -> Vec<u8> {
    let targets = setup::targets().into_iter().chain(setup::apps()).collect::<Vec<_>>();
    let codes = doctor::codes().collect::<Vec<_>>();
    let mut command = command
        .mut_subcommand("setup", |setup| {
            setup.mut_arg("target", |target| target.value_parser(PossibleValuesParser::new(targets)))
        })
        .mut_subcommand("doctor", |doctor| {
            doctor.mut_arg("explain", |code| code.value_parser(PossibleValuesParser::new(codes)))
        });
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command, "max-auth", &mut out);
    // clap_complete 4.6.12 takes our hyphen for a subcommand where it lists what follows one, so nothing would.
    match shell {
        Shell::Bash => String::from_utf8_lossy(&out).replace("max__subcmd__auth", "max__auth").into_bytes(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, ValueEnum as _};

    #[test]
    fn every_shell_completes_commands_and_options() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell, super::super::Cli::command())).unwrap();
            for word in ["doctor", "forward-auth", "config", "rotate", "client-secret", "man"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    /// What bash offers after these words.
    #[allow(clippy::disallowed_methods, reason = "a shell is what this is for")]
    fn offered(words: &[&str]) -> Vec<String> {
        let script = String::from_utf8(script(Shell::Bash, super::super::Cli::command())).unwrap();
        let asked = "COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
            _max__auth \"$1\" \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
            printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut bash = std::process::Command::new("bash");
        let output = bash.args(["-c", &format!("{script}\n{asked}"), "bash", "max-auth"]).args(words).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_goes_on_after_a_command() {
        assert_eq!(offered(&["he"]), ["health", "help"]);
        assert_eq!(offered(&["doctor", "--forw"]), ["--forward-auth"]);
        assert_eq!(offered(&["keys", "rot"]), ["rotate"]);
        assert_eq!(offered(&["keys", "rotate", "--n"]), ["--now"]);
        assert_eq!(offered(&["setup", "nginx-o"]), ["nginx-outer"]);
        assert_eq!(offered(&["setup", "graf"]), ["grafana"]);
        assert_eq!(offered(&["doctor", "--explain", "store-ev"]), ["store-eviction"]);
        assert_eq!(offered(&["completions", "po"]), ["powershell"]);
    }
}
