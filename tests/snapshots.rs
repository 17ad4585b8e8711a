//! What outsiders meet, kept as files: the help of every command, the routes, the pages of docs/reference. A change shows as a
//! difference of one of them. `UPDATE=1 cargo test --test snapshots` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test may read the environment and start our program")]

mod reference;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares `text` with the snapshot of that name, or writes it.
fn check(name: &str, text: &str) {
    check_file(&format!("tests/snapshots/{name}"), text);
}

fn check_file(name: &str, text: &str) {
    let path = root().join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "{name} has changed; if it should, UPDATE=1 cargo test --test snapshots, and look at it");
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_max-auth")).args(arguments).arg("--help").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names under "Commands:".
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_help_of_every_command() {
    let top = help(&[]);
    check("help/max-auth.txt", &top);
    let mut page = vec![("max-auth".to_owned(), top.clone())];
    let mut kept = BTreeSet::from(["max-auth.txt".to_owned()]);
    for command in commands(&top) {
        let text = help(&[&command]);
        check(&format!("help/{command}.txt"), &text);
        kept.insert(format!("{command}.txt"));
        page.push((format!("max-auth {command}"), text.clone()));
        for below in commands(&text) {
            let text = help(&[&command, &below]);
            check(&format!("help/{command}-{below}.txt"), &text);
            page.push((format!("max-auth {command} {below}"), text));
            kept.insert(format!("{command}-{below}.txt"));
        }
    }
    assert!(kept.len() > 8, "{kept:?}");
    check_file("docs/reference/commands.md", &reference::commands(&page));
    let names = fs::read_dir(root().join("tests/snapshots/help")).unwrap();
    let there: BTreeSet<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, kept, "a command is gone, its snapshot is not");
}

#[test]
fn the_reference_of_settings_and_findings() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    check_file("docs/reference/configuration.md", &reference::configuration(&read("max-auth.toml")));
    let (en, ru) = reference::findings(&read("src/proxies/finding_code.rs"));
    check_file("docs/reference/findings.md", &en);
    check_file("docs/ru/reference/findings.md", &ru);
}

#[test]
fn the_reference_of_apps_has_every_key() {
    let source = fs::read_to_string(root().join("src/config/oidc.rs")).unwrap();
    let list = source.split_once("const KEYS: [&str;").unwrap().1.split_once("];").unwrap().0;
    let keys: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    let page = fs::read_to_string(root().join("docs/reference/clients.md")).unwrap();
    let rows: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(key, _)| key).collect();
    assert_eq!(rows, keys, "docs/reference/clients.md");
}

/// Each `.route(…)` of a router's file: the address and the methods it takes.
fn routes(file: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let mut found = Vec::new();
    let served = text.split("\n#[cfg(test)]").next().unwrap();
    for call in served.split(".route(").skip(1) {
        let Some((address, rest)) = call.split_once(", ") else { continue };
        let address = address.trim_start_matches("&format!(").trim_start_matches('&');
        let address = address.trim_matches(['"', ' ']).trim_end_matches("\")");
        let address = address.replace("{{", "{").replace("}}", "}");
        let methods: Vec<&str> = ["get", "post", "delete", "any"]
            .into_iter()
            .filter(|method| {
                let end = rest.find('\n').unwrap_or(rest.len());
                rest[..end].contains(&format!("{method}("))
            })
            .collect();
        found.push(format!("{} {address}", methods.join(",")));
    }
    found
}

#[test]
fn the_routes() {
    let mut text = String::new();
    let mut files = Vec::new();
    collect(&root().join("src/server"), &mut files);
    files.sort();
    for file in files {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let found = routes(&name);
        if !found.is_empty() {
            text += &format!("{name}\n");
            for route in found {
                text += &format!("    {route}\n");
            }
        }
    }
    check("routes.txt", &text);
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
