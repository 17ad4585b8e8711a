//! The source tests itself: layers, file lengths, dependencies with a reason, documents that speak of what exists.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, tests in files of their own not counted. A longer one has two subjects.
const LONGEST: usize = 430;

/// Each module and the modules of ours that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("probe", &[]),
    ("texts", &[]),
    ("config", &["base", "texts"]),
    ("observe", &["base", "config"]),
    ("max", &[]),
    ("proxies", &[]),
    ("signin", &["base"]),
    ("upstream", &["base", "config"]),
    ("session", &["base", "signin"]),
    ("emulator", &["base", "max"]),
    ("drivers", &["base", "config", "max", "signin", "upstream"]),
    ("login", &["base", "signin", "texts"]),
    ("transport", &["base", "login", "probe", "signin", "texts"]),
    ("server", &["base", "config", "login", "probe", "proxies", "session", "texts", "transport"]),
    ("app", &["base", "config", "drivers", "login", "server", "session", "signin", "upstream"]),
    ("doctor", &["base", "config", "drivers", "probe", "proxies", "signin", "upstream"]),
    ("setup", &["proxies"]),
    (
        "cli",
        &[
            "app", "base", "config", "doctor", "drivers", "emulator", "observe", "proxies", "server", "session",
            "setup", "signin", "upstream",
        ],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn source() -> Vec<(String, String)> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    let name = |path: &PathBuf| path.strip_prefix(root().join("src")).unwrap().display().to_string();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn is_test(name: &str) -> bool {
    name.contains("tests") || name.ends_with("properties.rs") || name.ends_with("fuzzing.rs")
}

/// The part of a file before its inline tests.
fn production(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap()
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut seen = BTreeSet::new();
    for (name, text) in source() {
        if is_test(&name) || !name.contains('/') {
            continue;
        }
        let module = name.split('/').next().unwrap().to_owned();
        let allowed = LAYERS.iter().find(|(layer, _)| *layer == module);
        let (_, allowed) =
            allowed.unwrap_or_else(|| panic!("{module} has no layer; give it one here and in ARCHITECTURE.md"));
        for used in production(&text).split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let fine = used == module || allowed.contains(&used.as_str());
            assert!(fine, "src/{name} uses crate::{used}, which is not below {module}");
        }
        seen.insert(module);
    }
    assert_eq!(seen.len(), LAYERS.len(), "every layer exists: {seen:?}");
}

#[test]
fn the_protocol_is_pure() {
    for (name, text) in source() {
        if !name.starts_with("max/") || is_test(&name) {
            continue;
        }
        for impure in ["tokio", "std::net", "std::time::Instant", "SystemTime", "aws_lc_rs", "tracing", "std::fs"] {
            assert!(!production(&text).contains(impure), "src/{name} uses {impure}; max has no I/O, clock or chance");
        }
    }
}

#[test]
fn nothing_on_our_side_can_close_a_visitors_other_sessions() {
    for (name, text) in source() {
        if is_test(&name) || name.starts_with("emulator/") {
            continue;
        }
        let text = production(&text);
        assert!(!text.contains("Opcode(97)") && !text.contains("= Self(97)"), "src/{name} names opcode 97");
    }
}

#[test]
fn files_have_one_subject_and_say_it() {
    for (name, text) in source() {
        let lines = if is_test(&name) { 0 } else { production(&text).lines().count() };
        assert!(lines <= LONGEST, "src/{name} has {lines} lines; {LONGEST} at most");
        assert!(text.starts_with("//!"), "src/{name} does not begin by saying what it is for");
    }
}

/// Names of `[dependencies]` and `[dev-dependencies]`.
fn dependencies() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line == "[dev-dependencies]";
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| inside) {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn every_dependency_has_its_paragraph() {
    let text = read("DEPS.md");
    let named: BTreeSet<String> = text.split("**").skip(1).step_by(2).map(str::to_owned).collect();
    let browser_side = ["ws", "playwright-core", "prettier", "typescript", "libfuzzer-sys"];
    for name in dependencies() {
        assert!(named.contains(&name), "DEPS.md says nothing of {name}");
    }
    for name in named {
        let known = dependencies().contains(&name) || browser_side.contains(&name.as_str());
        assert!(known, "DEPS.md speaks of {name}, which is not a dependency");
    }
}

#[test]
fn the_architecture_page_names_every_module_and_only_files_that_exist() {
    let text = read("ARCHITECTURE.md");
    for (module, _) in LAYERS {
        assert!(
            text.contains(&format!("| `{module}` |")) || text.contains(&format!("`{module}`")),
            "{module} is missing"
        );
    }
    for word in text.split('`').skip(1).step_by(2) {
        let is_file = word.contains('/') && [".rs", ".js", ".md", ".mjs"].iter().any(|end| word.ends_with(end));
        if is_file && !word.contains(' ') {
            let found = [word.to_owned(), format!("src/{word}")].iter().any(|path| root().join(path).exists());
            assert!(found, "ARCHITECTURE.md names {word}, which does not exist");
        }
    }
}

/// The first quoted text of each arm of a `match` in this function of a file.
fn codes(file: &str, function: &str) -> Vec<String> {
    let text = read(file);
    let body = text.split(function).nth(1).unwrap().split("\n    }\n").next().unwrap();
    body.split("Self::").skip(1).map(|arm| arm.split('"').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn every_problem_and_error_code_is_documented() {
    let text = read("docs/http.md");
    let section = |title: &str| text.split(title).nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let (problems, events) = (section("\n## Codes of problems\n"), section("\n## Events\n"));
    let codes_of_problems = codes("src/base/problem.rs", "fn row(");
    assert!(codes_of_problems.len() > 20, "{codes_of_problems:?}");
    for code in &codes_of_problems {
        assert!(problems.contains(&format!("`{code}`")), "docs/http.md does not list the problem {code}");
    }
    for code in codes("src/signin/failure.rs", "fn code(") {
        assert!(events.contains(&format!("`{code}`")), "docs/http.md does not list the error {code}");
    }
    let listed =
        problems.lines().filter(|line| line.starts_with("| ")).flat_map(|line| line.split('`').skip(1).step_by(2));
    for code in listed.filter(|code| *code != "Retry-After" && *code != "retryAfter") {
        assert!(
            codes_of_problems.iter().any(|known| known == code),
            "docs/http.md lists {code}, which nothing answers"
        );
    }
}

#[test]
fn codes_of_problems_stand_in_one_place() {
    let codes = codes("src/base/problem.rs", "fn row(");
    for (name, text) in source() {
        if is_test(&name) || !["server/", "transport/", "doctor/"].iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        for code in codes.iter().filter(|code| *code != "content-type") {
            let literal = format!("\"{code}\"");
            assert!(!production(&text).contains(&literal), "src/{name} says {literal}; ProblemCode does");
        }
    }
}

/// Whether a text holds a Cyrillic letter.
fn has_russian(text: &str) -> bool {
    text.chars().any(|c| ('\u{400}'..='\u{4ff}').contains(&c))
}

#[test]
fn what_visitors_read_stands_in_one_place() {
    for (name, text) in source() {
        let visitors = ["server/", "transport/", "login/", "signin/", "session/"];
        if is_test(&name) || !visitors.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        assert!(!has_russian(production(&text)), "src/{name} has words of its own; they belong into web/texts.js");
    }
    let folders = [root().join("web"), root().join("src/server/pages")];
    for entry in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // The demo's site and phone are no part of anybody's sign-in.
        let ours = name == "texts.js" || name.starts_with("demo.") || name.starts_with("phone.");
        assert!(ours || !has_russian(&read(&path)), "{name} has words of its own; they belong into web/texts.js");
    }
}

/// Modules whose public items are read far from where they are made.
const DOCUMENTED: &[&str] = &["signin/", "upstream/", "config/"];

#[test]
fn what_other_modules_use_says_what_it_is() {
    for (name, text) in source() {
        if is_test(&name) || !DOCUMENTED.iter().any(|module| name.starts_with(module)) {
            continue;
        }
        let mut documented = false;
        for (number, line) in production(&text).lines().enumerate() {
            let line = line.trim_start();
            let is_item = line.starts_with("pub ") && !line.starts_with("pub use") && !line.starts_with("pub mod");
            let obvious = line.starts_with("pub fn new(");
            assert!(!is_item || documented || obvious, "src/{name}, line {}: {line:?} has no words", number + 1);
            documented = line.starts_with("///") || (documented && line.starts_with("#["));
        }
    }
}

/// Licences that a program under MIT may carry. CDLA is for Mozilla's list of roots, which is data.
const LICENCES: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Whether an SPDX expression can be fulfilled: each part of an AND by one of its ORs.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ");
    // A group is looked at by itself, from the inside out.
    if let Some(start) = plain.rfind('(') {
        let end = start + plain[start..].find(')').unwrap();
        let group = if is_allowed(&plain[start + 1..end]) { "MIT" } else { "refused" };
        return is_allowed(&format!("{}{group}{}", &plain[..start], &plain[end + 1..]));
    }
    // AND binds closer than OR.
    let allowed = |name: &str| LICENCES.contains(&name.trim());
    plain.split(" OR ").any(|all| all.split(" AND ").all(allowed))
}

/// As in deny.toml, which says why. Those two that are only names in the lock file, switched off
/// (`ring`, `tracing-log`), cargo itself does not tell from what is built; cargo-deny does.
const BANNED: [&str; 4] = ["rsa", "openssl", "openssl-sys", "native-tls"];

#[test]
fn every_dependency_is_allowed_has_a_licence_that_fits_ours_and_comes_from_the_registry() {
    for banned in BANNED {
        assert!(read("deny.toml").contains(&format!("name = \"{banned}\"")), "deny.toml does not name {banned}");
    }
    for (expression, fine) in [
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("ISC AND (GPL-2.0 OR LGPL-3.0)", false),
        ("MIT/Apache-2.0", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression), fine, "{expression}");
    }
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform"])
        .arg("x86_64-unknown-linux-gnu")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    // What is built, and not what could be: from ours along the dependencies that are switched on.
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let mut built = BTreeSet::new();
    let mut waiting = vec![metadata["resolve"]["root"].as_str().unwrap()];
    while let Some(id) = waiting.pop() {
        if built.insert(id) {
            let node = nodes.iter().find(|node| node["id"] == id).unwrap();
            waiting.extend(node["dependencies"].as_array().unwrap().iter().filter_map(|id| id.as_str()));
        }
    }
    assert!(built.len() > 100, "the whole tree");
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages.iter().filter(|package| built.contains(package["id"].as_str().unwrap())) {
        let licence = package["license"].as_str().unwrap_or_default();
        let name = package["name"].as_str().unwrap();
        assert!(is_allowed(licence), "{name} is under {licence:?}");
        assert!(!BANNED.contains(&name), "{name} is banned");
        let source = package["source"].as_str().unwrap_or("ours");
        assert!(source.starts_with("registry+") || name == "max-auth", "{name} comes from {source}");
    }
}

/// The module path of a file: `doctor/probe.rs` and `doctor/probe/mod.rs` are both `doctor`, `probe`.
fn module_path(name: &str) -> Vec<String> {
    let path = name.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// Names at the top of what follows a path: `a::b` is `a`, `{a, b::{c}, self}` is `a`, `b`, `self`.
fn heads(text: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let Some(group) = text.strip_prefix('{') else { return vec![name(text)] };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ if depth == 0 => parts.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    parts.iter().map(|part| name(part.trim())).collect()
}

/// Modules that a file names by `super::` or `crate::`, as absolute paths.
fn used_modules(name: &str, text: &str) -> Vec<Vec<String>> {
    let own = module_path(name);
    let mut used = Vec::new();
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for start in ["super::", "crate::"] {
        for (at, _) in code.match_indices(start) {
            // `super::super::` is one path; its second half is not another one.
            if code[..at].ends_with("super::") {
                continue;
            }
            let (mut base, mut rest) = match start {
                "crate::" => (Vec::new(), &code[at + start.len()..]),
                _ => (own[..own.len() - 1].to_vec(), &code[at + start.len()..]),
            };
            while let Some(further) = rest.strip_prefix("super::") {
                base.pop();
                rest = further;
            }
            // Down to the second name, so that `crate::doctor::probe` is a file of `doctor`.
            for head in heads(rest) {
                let mut path = base.clone();
                path.push(head.clone());
                let below = rest.strip_prefix(&format!("{head}::")).map(heads).unwrap_or_default();
                used.push(path.clone());
                used.extend(below.into_iter().map(|next| [path.clone(), vec![next]].concat()));
            }
        }
    }
    used
}

/// A circle among these edges, if there is one.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        edges: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(start) = way.iter().position(|name| name == at) {
            way.drain(..start);
            return true;
        }
        if !done.insert(at.to_owned()) {
            return false;
        }
        way.push(at.to_owned());
        if edges.get(at).is_some_and(|next| next.iter().any(|next| walk(next, edges, way, done))) {
            return true;
        }
        way.pop();
        false
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| {
        let mut way = Vec::new();
        walk(start, edges, &mut way, &mut done).then_some(way)
    })
}

#[test]
fn no_files_of_a_folder_use_each_other_in_a_circle() {
    // By folder: which of its files (or folders, taken whole) use which. A `mod.rs` stands for its folder and is looked at as
    // one of the files above.
    let mut folders: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (name, text) in source() {
        if is_test(&name) || !name.contains('/') {
            continue;
        }
        let own = module_path(&name);
        for used in used_modules(&name, production(&text)) {
            let common = own.iter().zip(&used).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (own.get(common), used.get(common)) else { continue };
            if common == 0 || from == to {
                continue;
            }
            let folder = own[..common].join("/");
            let exists = [format!("{folder}/{to}.rs"), format!("{folder}/{to}/mod.rs")]
                .iter()
                .any(|file| root().join("src").join(file).exists());
            if exists {
                folders.entry(folder).or_default().entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    assert!(folders.len() >= 8, "the graph was read: {:?}", folders.keys());
    let found: BTreeMap<&str, Vec<String>> =
        folders.iter().filter_map(|(folder, edges)| Some((folder.as_str(), circle(edges)?))).collect();
    assert!(found.is_empty(), "circles of files: {found:?}");
}

/// Lines of a JavaScript file.
const JAVASCRIPT: usize = 450;

#[test]
fn javascript_files_have_one_subject_and_lines_that_fit() {
    for entry in fs::read_dir(root().join("web")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "js") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= JAVASCRIPT, "{} has {lines} lines; {JAVASCRIPT} at most", path.display());
        }
    }
}

/// The string literals of a source text.
fn literals(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let (code, mut found, mut inside) = (code.join("\n"), Vec::new(), None::<String>);
    let mut letters = code.chars();
    while let Some(letter) = letters.next() {
        match (&mut inside, letter) {
            (Some(word), '\\') => word.extend(letters.next()),
            (Some(_), '"') => found.extend(inside.take()),
            (Some(word), _) => word.push(letter),
            (None, '"') => inside = Some(String::new()),
            // A quotation mark as a character is none.
            (None, '\'') if letters.as_str().starts_with("\"'") => drop(letters.next()),
            (None, _) => {}
        }
    }
    found
}

/// What stands between `begin` and the next quotation mark, each time.
fn quoted_after(text: &str, begin: &str) -> Vec<String> {
    text.split(begin).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn only_proxies_names_products() {
    let source = source();
    let products: Vec<String> = source
        .iter()
        .filter(|(name, _)| name.starts_with("proxies/products/"))
        .flat_map(|(_, text)| [quoted_after(text, "Product::new(\""), quoted_after(text, "Product::fork(\"")].concat())
        .collect();
    assert!(products.len() > 12, "{products:?}");
    for (name, text) in &source {
        // The fuzzer's targets have names of their own.
        if name.starts_with("proxies/") || name.ends_with("fuzzing.rs") || is_test(name) {
            continue;
        }
        for literal in literals(production(text)) {
            let literal = literal.to_ascii_lowercase();
            let words: Vec<&str> = literal.split(|c: char| !c.is_ascii_alphanumeric()).collect();
            let named = products.iter().find(|product| words.contains(&product.as_str()));
            assert!(named.is_none(), "src/{name} names a product: {literal:?}; that belongs into src/proxies/products");
        }
    }
}

#[test]
fn only_the_list_spells_finding_codes() {
    let source = source();
    let (_, list) = source.iter().find(|(name, _)| name == "proxies/finding_code.rs").unwrap();
    let codes = quoted_after(list, " = \"");
    assert!(codes.len() > 30 && codes.contains(&"buffered".to_owned()), "{codes:?}");
    for (name, text) in &source {
        let concerned = ["doctor/", "setup/", "cli/doctor"].iter().any(|folder| name.starts_with(folder));
        if !concerned || is_test(name) {
            continue;
        }
        for literal in literals(production(text)) {
            assert!(!codes.contains(&literal), "src/{name} spells {literal:?}: FindingCode has it");
        }
    }
}

#[test]
fn every_metric_is_described_and_documented() {
    let named = |text: &str| -> BTreeSet<String> {
        let quoted = text.split('"').filter(|word| word.starts_with("max_auth_"));
        let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        quoted.filter(is_name).map(str::to_owned).collect()
    };
    let (described, docs) = (named(&read("src/observe/mod.rs")), read("docs/http.md"));
    let mut counted = BTreeSet::new();
    for (name, text) in source() {
        if !is_test(&name) && name != "observe/mod.rs" && !name.starts_with("cli/bench") {
            counted.extend(named(production(&text)));
        }
    }
    assert!(counted.len() > 20, "{counted:?}");
    for metric in &counted {
        assert!(described.contains(metric), "{metric} has no line in observe/mod.rs");
        let short = metric.trim_start_matches("max_auth_");
        let written = docs.contains(metric) || ["`", "{"].iter().any(|end| docs.contains(&format!("`…_{short}{end}")));
        assert!(written, "docs/http.md does not name {metric}");
    }
    assert_eq!(described, counted, "nothing is described that nobody counts");
}

/// What browser and server both know: a line of `web/`, and the line of ours that it must agree with.
const SHARED: &[(&str, &str, &str, &str)] = &[
    ("web/wire.js", "BEAT_MS = 10_000;", "src/base/limits.rs", "HEARTBEAT: Duration = Duration::from_secs(10);"),
    ("web/pages.js", "HOLD_MAX = 10;", "src/base/limits.rs", "LONG_POLL_WAIT: Duration = Duration::from_secs(10);"),
    ("web/delivery.js", "WS_MARKS = 3;", "src/base/limits.rs", "OPENING_MARKS: u32 = 3;"),
    ("web/delivery.js", "TRIAL_MARKS = 3;", "src/base/limits.rs", "OPENING_MARKS: u32 = 3;"),
    // Shorter than the grant lives, by a try.
    (
        "web/questions.js",
        "REDEEM_PATIENCE_MS = 50 * SECOND;",
        "src/base/limits.rs",
        "GRANT_LIFE: Duration = Duration::from_secs(60);",
    ),
    ("web/client.js", "LOGIN_LIFE_MS = 10 * 60 * SECOND;", "max-auth.toml", "ttl = \"600s\""),
    ("web/client.js", "MAY_COME_BACK = 4001;", "src/transport/ws.rs", "4001"),
];

#[test]
fn browser_and_server_agree_on_their_numbers() {
    for (theirs, line, ours, agrees) in SHARED {
        assert!(
            read(theirs).contains(line),
            "{theirs} has no {line:?} any more: it must agree with {ours}, {agrees:?}"
        );
        assert!(read(ours).contains(agrees), "{ours} has no {agrees:?} any more: {theirs} says {line:?}");
    }
}
