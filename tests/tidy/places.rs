//! What stands in one place only, and the pages that speak of it.

use super::walls::LAYERS;
use super::{is_test, production, read, root, source};
use std::collections::BTreeSet;
use std::fs;

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
    let folders =
        [root().join("web"), root().join("web/built"), root().join("web/npm"), root().join("src/server/pages")];
    for entry in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        // The demo's site and phone are no part of anybody's sign-in.
        let ours = name.starts_with("texts") || name.starts_with("demo.") || name.starts_with("phone");
        assert!(ours || !has_russian(&read(&path)), "{name} has words of its own; they belong into web/texts.js");
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
    let described = named(production(&read("src/observe/series.rs")));
    let mut counted = BTreeSet::new();
    for (name, text) in source() {
        // What is read back is no name of its own.
        let read_back = name == "observe/history.rs" || name.starts_with("status/");
        if !is_test(&name) && name != "observe/series.rs" && !read_back && !name.starts_with("cli/bench") {
            counted.extend(named(production(&text)));
        }
    }
    assert!(counted.len() > 20, "{counted:?}");
    for metric in &counted {
        assert!(described.contains(metric), "{metric} has no line in observe/series.rs");
    }
    assert_eq!(described, counted, "nothing is described that nobody counts");
}

#[test]
fn what_a_label_may_say_is_listed() {
    let list = read("src/observe/series.rs");
    let mut said = codes("src/signin/failure.rs", "fn code(");
    said.extend(codes("src/oidc/error.rs", "const fn text("));
    said.extend(quoted_after(
        read("src/max/refusal.rs").split("const CODES").nth(1).unwrap().split("];").next().unwrap(),
        "    (\"",
    ));
    for (name, text) in source() {
        let elsewhere = ["doctor/", "cli/bench", "cli/doctor"].iter().any(|folder| name.starts_with(folder));
        if !elsewhere && !is_test(&name) {
            said.extend(quoted_after(production(&text), "spawn(\""));
        }
    }
    assert!(said.len() > 70, "{said:?}");
    for value in said {
        assert!(list.contains(&format!("\"{value}\"")), "a label may say {value:?}: src/observe/series.rs does not");
    }
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

#[test]
fn the_container_file_takes_along_what_the_program_is_built_of() {
    let file = read("deploy/Dockerfile");
    let stage = file.split("FROM ").nth(1).unwrap();
    let lines = stage.lines().filter_map(|line| line.strip_prefix("COPY "));
    // All but the last word of a line, which is where they go.
    let copied: Vec<&str> = lines.flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' ')).collect();
    let ignored = read("deploy/Dockerfile.dockerignore");
    let sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(
        BTreeSet::from_iter(&sent),
        BTreeSet::from_iter(&copied),
        "what is sent to the builder is what it copies"
    );
    let mut checked = 0;
    for (name, text) in source().iter().filter(|(name, _)| !is_test(name)) {
        let calls = production(text).split("include_").skip(1);
        for path in calls.filter_map(|call| call.split('"').nth(1)).filter(|path| path.starts_with("../")) {
            let mut place: Vec<&str> = std::iter::once("src").chain(name.split('/')).collect();
            place.pop();
            for part in path.split('/') {
                if part == ".." { _ = place.pop() } else { place.push(part) }
            }
            let place = place.join("/");
            let there = copied.iter().any(|copy| place == *copy || place.starts_with(&format!("{copy}/")));
            assert!(there, "src/{name} includes {place}, which deploy/Dockerfile does not copy");
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
    assert!(copied.contains(&".cargo"), "cargo's settings");
}
