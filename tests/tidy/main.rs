//! The source tests itself: layers, file lengths, dependencies with a reason, documents that speak of what exists.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod dependencies;
mod monitoring;
mod places;
mod sizes;
mod walls;

use std::fs;
use std::path::{Path, PathBuf};

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
    name.contains("tests")
        || name.ends_with("properties.rs")
        || name.ends_with("fuzzing.rs")
        || name.ends_with("suite.rs")
}

/// The part of a file before its inline tests.
fn production(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap()
}
