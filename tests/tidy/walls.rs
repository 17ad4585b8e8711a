//! Which module may use which, and what none may do.

use super::{is_test, production, root, source};
use std::collections::{BTreeMap, BTreeSet};

/// Each module and the modules of ours that it may use.
pub const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("probe", &[]),
    ("texts", &[]),
    ("config", &["base", "texts"]),
    ("observe", &["base", "config"]),
    ("status", &["base", "observe", "probe", "texts"]),
    ("max", &[]),
    ("proxies", &[]),
    ("signin", &["base"]),
    ("upstream", &["base", "config"]),
    ("store", &["base"]),
    ("session", &["base", "signin", "store"]),
    ("outbound", &["base", "upstream"]),
    ("emulator", &["base", "max"]),
    ("drivers", &["base", "config", "max", "outbound", "signin", "store", "texts", "upstream"]),
    ("login", &["base", "signin", "store", "texts"]),
    ("transport", &["base", "login", "probe", "signin", "store", "texts"]),
    ("oidc", &["base", "config", "login", "session", "store"]),
    (
        "server",
        &[
            "base",
            "config",
            "drivers",
            "login",
            "observe",
            "oidc",
            "probe",
            "proxies",
            "session",
            "signin",
            "status",
            "store",
            "texts",
            "transport",
        ],
    ),
    (
        "app",
        &["base", "config", "drivers", "login", "oidc", "outbound", "server", "session", "signin", "store", "upstream"],
    ),
    // The store: `doctor --store` looks at it by the connections that `serve` makes.
    ("doctor", &["base", "config", "drivers", "outbound", "probe", "proxies", "signin", "store", "upstream"]),
    // Its hashes are the configuration's.
    ("setup", &["base", "config", "proxies"]),
    (
        "cli",
        &[
            "app", "base", "config", "doctor", "drivers", "emulator", "observe", "outbound", "probe", "proxies",
            "server", "session", "setup", "signin", "upstream",
        ],
    ),
];

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
