//! Dependencies: each with a reason and a licence.

use super::{read, root};
use std::collections::BTreeSet;

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
    let browser_side = [
        "ws",
        "playwright-core",
        "axe-core",
        "puppeteer-core",
        "openid-client",
        "@auth/core",
        "@maxhub/max-bot-api",
        "jose",
        "prettier",
        "terser",
        "typescript",
        "libfuzzer-sys",
        "vite",
        "webpack",
        "esbuild",
        "react",
        "vue",
    ];
    for name in dependencies() {
        assert!(named.contains(&name), "DEPS.md says nothing of {name}");
    }
    for name in named {
        let known = dependencies().contains(&name) || browser_side.contains(&name.as_str());
        assert!(known, "DEPS.md speaks of {name}, which is not a dependency");
    }
}

#[test]
fn the_npm_package_has_the_version_of_the_server() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap();
    let package = read("web/package.json");
    assert!(package.contains(&format!("\"version\": {version},")), "web/package.json is not of version {version}");
}

/// Licences that a program under MIT may carry. CDLA is for Mozilla's list of roots, which is data.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
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
