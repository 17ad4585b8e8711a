//! `max-auth man`: the manual, out of what `--help` says and the commented configuration.

use super::{CliError, say_bytes};
use crate::config;
use clap::{Args, Command};
use clap_mangen::Man;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Arguments {
    /// Write a page for each command there, and max-auth.toml(5), instead of one page on standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(arguments: &Arguments, command: Command) -> Result<(), CliError> {
    match &arguments.dir {
        None => {
            let page = whole(command).map_err(|error| CliError::CannotRun(error.to_string()))?;
            say_bytes(&page);
            Ok(())
        }
        Some(folder) => {
            let told = |path: &Path, error: io::Error| CliError::CannotRun(format!("{}: {error}", path.display()));
            fs::create_dir_all(folder).map_err(|error| told(folder, error))?;
            let pages = pages(command).map_err(|error| CliError::CannotRun(error.to_string()))?;
            for (name, page) in pages {
                let path = folder.join(name);
                fs::write(&path, page).map_err(|error| told(&path, error))?;
            }
            Ok(())
        }
    }
}

/// What no command's help has room for.
const MORE: &str = "\
.SH \"EXIT STATUS\"
.TP
0
Fine.
.TP
1
The answer is \\(lqno\\(rq: the configuration is wrong, the server is not healthy, a load test found faults.
.TP
2
It could not run at all.
.PP
\\fBmax\\-auth doctor\\fR has its own: 0 the best transport works, 1 delivered but by a fallback or with faults, 2 not
delivered, 3 could not test.
.SH ENVIRONMENT
.TP
\\fBMAX_AUTH_\\fISECTION\\fB_\\fIKEY\\fR
Any key of the configuration, such as \\fBMAX_AUTH_SERVER_PUBLIC_URL\\fR. It wins over the file; flags win over both.
.TP
\\fBNO_COLOR\\fR
Reports without colours.
.TP
\\fBLC_ALL\\fR, \\fBLC_MESSAGES\\fR, \\fBLANG\\fR
The language of the doctor's reports: Russian or English.
.TP
\\fBSSL_CERT_FILE\\fR
The authorities that the doctor trusts instead of the system's.
.SH FILES
.TP
\\fI/etc/max\\-auth/max\\-auth.toml\\fR
The configuration of the packaged service. No file is read that \\fB\\-\\-config\\fR does not name.
.TP
\\fI/var/lib/max\\-auth\\fR
The store of the packaged service, and the key that seals it.
.SH \"SEE ALSO\"
.BR max\\-auth.toml (5)
";

fn page(command: Command) -> Man {
    // No date: the same source is the same page.
    Man::new(command).source(concat!("max-auth ", env!("CARGO_PKG_VERSION"))).manual("max-auth")
}

/// With the names that the pages go by: `max-auth serve` and `max-auth-serve`.
fn built(command: Command) -> Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

/// Everything in one page.
fn whole(command: Command) -> io::Result<Vec<u8>> {
    let command = built(command);
    let man = page(command.clone());
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_options_section(&mut out)?;
    out.extend_from_slice(b".SH COMMANDS\n");
    for command in leaves(&command) {
        let mut text = Vec::new();
        let man = page(command.clone());
        man.render_synopsis_section(&mut text)?;
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        out.extend_from_slice(format!(".SS \"{}\"\n", escaped(name)).as_bytes());
        // Headings of a page of its own are paragraphs here.
        for line in String::from_utf8_lossy(&text).lines() {
            let line = if line.starts_with(".SH ") { ".PP" } else { line };
            out.extend_from_slice(format!("{line}\n").as_bytes());
        }
    }
    out.extend_from_slice(MORE.as_bytes());
    Ok(out)
}

/// The commands that do something: `config check`, not `config`.
fn leaves(command: &Command) -> Vec<&Command> {
    let below = || command.get_subcommands().filter(|below| !below.is_hide_set());
    match below().next() {
        None => vec![command],
        Some(_) => below().flat_map(leaves).collect(),
    }
}

/// A page for each command and one for the configuration, with their file names.
fn pages(command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let command = built(command);
    let mut found = vec![("max-auth.toml.5".to_owned(), configuration().into_bytes())];
    let mut waiting = vec![&command];
    while let Some(next) = waiting.pop() {
        waiting.extend(next.get_subcommands().filter(|below| !below.is_hide_set()));
        let (man, mut text) = (page(next.clone()), Vec::new());
        man.render(&mut text)?;
        let more = if next.get_name() == command.get_name() { MORE } else { ".SH \"SEE ALSO\"\n.BR max\\-auth (1)\n" };
        text.extend_from_slice(more.as_bytes());
        found.push((man.get_filename(), text));
    }
    Ok(found)
}

/// The commented file is its own manual.
fn configuration() -> String {
    let mut text = String::from(concat!(
        ".TH max-auth.toml 5 \"\" \"max-auth ",
        env!("CARGO_PKG_VERSION"),
        "\" \"max-auth\"\n.SH NAME\nmax\\-auth.toml \\- the configuration of max\\-auth\n.SH DESCRIPTION\n.nf\n"
    ));
    for line in config::DEFAULTS.lines() {
        let _ = writeln!(text, "{}", escaped(line));
    }
    text.push_str(".fi\n.SH \"SEE ALSO\"\n.BR max\\-auth (1)\n");
    text
}

/// As it stands, for roff.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn text(page: &[u8]) -> String {
        String::from_utf8(page.to_vec()).unwrap().replace("\\-", "-")
    }

    #[test]
    fn one_page_has_every_command_with_every_option() {
        let page = text(&whole(super::super::Cli::command()).unwrap());
        let command = built(super::super::Cli::command());
        let all = leaves(&command);
        assert!(all.len() > 10, "{}", all.len());
        for command in all {
            let heading = format!(".SS \"{}\"\n", command.get_bin_name().unwrap());
            let section = page.split_once(&heading).unwrap_or_else(|| panic!("no {heading}")).1;
            let section = section.split("\n.S").next().unwrap();
            let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
            for option in shown.filter_map(clap::Arg::get_long) {
                assert!(section.contains(&format!("--{option}")), "{heading} has no --{option}");
            }
        }
        assert_eq!(page.matches("\n.TH ").count(), 1, "one page");
        assert!(page.contains(".SH \"EXIT STATUS\"") && page.contains("MAX_AUTH_SERVER_PUBLIC_URL"));
    }

    #[test]
    fn each_command_has_a_page_of_its_own_and_so_has_the_configuration() {
        let pages = pages(super::super::Cli::command()).unwrap();
        let page =
            |name: &str| text(&pages.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name}")).1);
        assert!(page("max-auth.1").contains("max-auth-keys(1)"), "the first page leads to the others");
        assert!(page("max-auth-keys-rotate.1").contains("--now"));
        let configuration = page("max-auth.toml.5");
        for line in ["[server]", "ops_listen = \"127.0.0.1:3002\"", "key_file = \"\""] {
            assert!(configuration.contains(&format!("\n{line}\n")), "{line}");
        }
    }

    #[test]
    fn what_roff_would_take_for_its_own_is_escaped() {
        assert_eq!(escaped(".TH a\\b"), "\\&.TH a\\eb");
        assert_eq!(escaped("'a' --now"), "\\&'a' \\-\\-now");
    }
}
