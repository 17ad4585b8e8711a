//! How long a file may be, and that it says what it is.

use super::{is_test, production, root, source};
use std::fs;

/// Lines of a file, tests in files of their own not counted. A longer one has two subjects.
const LONGEST: usize = 430;

#[test]
fn files_have_one_subject_and_say_it() {
    for (name, text) in source() {
        let lines = if is_test(&name) { 0 } else { production(&text).lines().count() };
        assert!(lines <= LONGEST, "src/{name} has {lines} lines; {LONGEST} at most");
        assert!(text.starts_with("//!"), "src/{name} does not begin by saying what it is for");
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

/// Lines of a JavaScript file.
const JAVASCRIPT: usize = 450;

#[test]
fn javascript_files_have_one_subject_and_lines_that_fit() {
    let folders = ["web", "web/npm"].map(|folder| root().join(folder));
    for entry in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "js") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= JAVASCRIPT, "{} has {lines} lines; {JAVASCRIPT} at most", path.display());
        }
    }
}
