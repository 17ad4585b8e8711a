//! For unit tests: a text kept in a file beside the source. `UPDATE=1 cargo test --lib` writes it again; the difference is
//! then a part of the change.

use std::fs;
use std::path::Path;

/// Compares `text` with the kept file `src/{name}`, or keeps it.
#[allow(clippy::disallowed_methods, reason = "a test reads its own environment")]
pub fn assert_snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if let Some(line) = (0..).zip(kept.lines().zip(text.lines())).find(|(_, (kept, line))| kept != line) {
        let (number, (kept, line)) = line;
        panic!("src/{name}:{} (UPDATE=1 cargo test --lib writes it again)\n- {kept}\n+ {line}", number + 1);
    }
    assert!(kept == text, "src/{name} and the text differ in length (UPDATE=1 cargo test --lib writes it again)");
}
