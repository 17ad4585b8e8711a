//! What outsiders see, kept as text: `--help` of every command, and what each address answers to each method.
//! `UPDATE=1 cargo test --test snapshots` writes it again; the difference is then a part of the change.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test reads its own environment")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares with the kept text, or keeps this one.
fn assert_snapshot(name: &str, text: &str) {
    let path = root().join("tests/snapshots").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept == text {
        return;
    }
    let (kept_lines, lines): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), text.lines().collect());
    let gone = kept_lines.iter().filter(|line| !lines.contains(line)).map(|line| format!("- {line}"));
    let new = lines.iter().filter(|line| !kept_lines.contains(line)).map(|line| format!("+ {line}"));
    let difference: Vec<String> = gone.chain(new).collect();
    panic!("tests/snapshots/{name} (UPDATE=1 writes it again):\n{}", difference.join("\n"));
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_max-auth"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MAX_AUTH_") {
            command.env_remove(name);
        }
    }
    command
}

fn help(words: &[&str]) -> String {
    let output = command(&[words, &["--help"]].concat()).output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_of_every_command() {
    let commands = |text: &str| -> Vec<String> {
        let list = text.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
        let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(str::to_owned)
            .collect()
    };
    let whole = help(&[]);
    assert_snapshot("help/max-auth.txt", &whole);
    let names = commands(&whole);
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        let text = help(&[&name]);
        for inner in commands(&text) {
            assert_snapshot(&format!("help/{name}-{inner}.txt"), &help(&[&name, &inner]));
        }
        assert_snapshot(&format!("help/{name}.txt"), &text);
    }
}

/// A demo server: it needs nothing.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        // Taken and given back: nobody else is handed it in the moment between.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = command(&["serve", "--demo", "--listen", &address.to_string()])
            .env("MAX_AUTH_SERVER_OPS_LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("http://")));
        assert!(said.is_some(), "the server prints its address");
        Self { child, address }
    }

    /// Status and some headers of the answer to a request without a body.
    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let host = format!("Host: {}\r\nOrigin: http://{}", self.address, self.address);
        write!(stream, "{method} {path} HTTP/1.1\r\n{host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let code = body.split_once("\"code\":\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
        let parts = [header("content-type"), header("cache-control"), header("allow"), Some(code.to_owned())];
        let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        format!("{status} {}", parts.join(" | ")).trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Every address that the server's source names below its base path, so that a new one is here without being added.
fn routes() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&root().join("src/server"), &mut files);
    let mut routes = BTreeSet::from([String::new(), "/".to_owned(), "/no-such-thing".to_owned()]);
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for route in text.split(".route(&format!(\"{base}").skip(1) {
            let route = route.split('"').next().unwrap();
            routes.insert(route.replace("{{", "{").replace("}}", "}"));
        }
    }
    routes
}

#[test]
fn what_each_address_answers_to_each_method() {
    let server = Server::start();
    let mut table = String::new();
    let routes = routes();
    assert!(routes.len() >= 15, "{routes:?}");
    for route in routes {
        let path = route.replace("{login}", "abc").replace("{unique}", "x1").replace("{file}", "x");
        for method in ["GET", "POST", "DELETE", "PUT"] {
            let answer = server.ask(method, &format!("/api/auth/max{path}"));
            table += &format!("{method:<6} {:<32} {answer}\n", if route.is_empty() { "(base)" } else { &route });
        }
    }
    assert_snapshot("routes.txt", &table);
}
