//! Pages of docs/reference that are written out of what is true: the settings out of `max-auth.toml`, the commands out of their
//! own `--help`, the findings out of the list that the doctor has.

use std::fmt::Write as _;

const NOT_BY_HAND: &str =
    "<!-- Written by `UPDATE=1 cargo test --test snapshots`; a change here by hand would be lost. -->\n\n";

/// One thing of the settings file.
enum Setting {
    /// Its name, and the comment above it.
    Section(String, Vec<String>),
    /// Its name, its default as it stands there, and the comment above it.
    Key(String, String, Vec<String>),
}

/// The settings file, in its order. Comments belong to what follows them.
fn settings(file: &str) -> Vec<Setting> {
    let mut found = Vec::new();
    let mut comment = Vec::new();
    let mut section_open = false;
    let mut lines = file.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
        } else if let Some(name) = line.strip_prefix('[') {
            found.push(Setting::Section(name.trim_end_matches(']').to_owned(), std::mem::take(&mut comment)));
            section_open = true;
        } else if let Some((key, value)) = line.split_once(" = ") {
            let mut value = value.to_owned();
            while value.starts_with('[') && !value.ends_with(']') {
                let next = lines.next().unwrap();
                value = format!("{value}\n{next}");
            }
            found.push(Setting::Key(key.to_owned(), value, std::mem::take(&mut comment)));
        } else if !section_open {
            // What stands above the first section is about the file itself.
            comment.clear();
        }
    }
    found
}

/// A comment as Markdown: what is indented in it is an example.
fn prose(comment: &[String]) -> String {
    let mut out = String::new();
    let mut example = false;
    for line in comment {
        let indented = line.starts_with("  ");
        if indented != example {
            out += if indented { "\n```toml\n" } else { "```\n\n" };
            example = indented;
        }
        let _ = writeln!(out, "{}", if indented { line.trim_start() } else { line });
    }
    if example {
        out += "```\n";
    }
    out
}

/// docs/reference/configuration.md
pub fn configuration(file: &str) -> String {
    let mut out = format!("# Configuration\n\n{NOT_BY_HAND}");
    out += "Everything has a default. A file of your own holds what differs (`max-auth serve --config FILE`); a variable wins over the \
            file, a flag over both. `max-auth config check` names the line of every mistake, `max-auth config show` what is in force and \
            where it came from. The whole file with these words in it: [max-auth.toml](../../max-auth.toml), which is built into the \
            program.\n\nDurations are texts: `\"500ms\"`, `\"10s\"`, `\"5m\"`, `\"12h\"`, `\"7d\"`. An empty text means \"not set\". A variable is \
            read as a TOML value where it is one, else as a text: `MAX_AUTH_SERVER_ALLOWED_ORIGINS='[\"https://example.ru\"]'`.\n";
    let mut section = String::new();
    for setting in settings(file) {
        match setting {
            Setting::Section(name, comment) => {
                let _ = write!(out, "\n## [{name}]\n");
                if !comment.is_empty() {
                    let _ = write!(out, "\n{}", prose(&comment));
                }
                section = name;
            }
            Setting::Key(key, default, comment) => {
                let variable = format!("MAX_AUTH_{}_{key}", section.replace('.', "_")).to_uppercase();
                let _ = write!(out, "\n### {section}.{key}\n\n{}\n", prose(&comment));
                if (section.as_str(), key.as_str()) == ("oidc", "clients") {
                    out += "Each key of a client with its default: [apps](clients.md).\n\n";
                }
                if default.contains('\n') {
                    let _ = write!(out, "Variable `{variable}`, default\n\n```toml\n{default}\n```\n");
                } else {
                    let _ = writeln!(out, "Default `{default}`, variable `{variable}`");
                }
            }
        }
    }
    out
}

/// docs/reference/commands.md, of the commands and what each says of itself.
pub fn commands(helps: &[(String, String)]) -> String {
    let mut out = format!("# Commands\n\n{NOT_BY_HAND}");
    out += "What `--help` says. Exit codes, and what programs may rely on: [contract.md](../contract.md#commands-and-exit-codes).\n";
    for (name, help) in helps {
        let _ = write!(out, "\n## {name}\n\n```text\n{help}```\n");
    }
    out
}

/// One line of the list of findings.
struct Finding<'a> {
    name: &'a str,
    part: &'a str,
    severity: &'a str,
    en: &'a str,
    ru: &'a str,
}

fn finding(entry: &str) -> Finding<'_> {
    // Variant = "name", Part, Severity, "en", "ru"
    let texts: Vec<&str> = entry.split('"').collect();
    let words: Vec<&str> = texts[2].split(',').map(str::trim).collect();
    Finding { name: texts[1], part: words[1], severity: words[2], en: texts[3], ru: texts[5] }
}

fn findings_of(source: &str) -> Vec<Finding<'_>> {
    let (_, list) = source.split_once("\ncodes! {").unwrap();
    list.split(';').filter(|entry| entry.contains(" = ")).map(finding).collect()
}

/// The titles of the parts of a path, in English and in Russian, by the names of their variants.
fn parts(source: &str) -> Vec<(&str, &str, &str)> {
    let (_, list) = source.split_once("pub fn title(self) -> Text {").unwrap();
    let lines = list.lines().map_while(|line| (!line.starts_with("    }")).then_some(line));
    let texts = lines.filter_map(|line| line.trim().strip_prefix("Self::"));
    texts
        .map(|line| (line.split(' ').next().unwrap(), line.split('"').collect::<Vec<_>>()))
        .map(|(name, texts)| (name, texts[1], texts[3]))
        .collect()
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// docs/reference/findings.md and docs/ru/reference/findings.md.
pub fn findings(source: &str) -> (String, String) {
    let mut en = format!("# Findings of the doctor\n\n{NOT_BY_HAND}");
    en += "What `max-auth doctor` may find, along the path from a visitor to MAX. A **fault** costs visitors something now; a **note** is \
           defeated by max-auth itself, and would break other software. Each leads to what visitors see, why, and the line that cures it.\n";
    let mut ru = format!("# Что находит doctor\n\n{NOT_BY_HAND}");
    ru += "Всё, что может найти `max-auth doctor`, по пути от посетителя к MAX. **Ошибка** уже сейчас мешает посетителям; **заметка** — то, \
           с чем max-auth справляется сам, а другая программа на том же месте сломалась бы. Ссылки ведут к подробностям (на английском): что видит \
           посетитель, почему и какая строка это исправит. То же по-русски печатает `max-auth doctor --lang ru`.\n";
    let all = findings_of(source);
    let mut told = 0;
    for (variant, part_en, part_ru) in parts(source) {
        let here: Vec<&Finding<'_>> = all.iter().filter(|finding| finding.part == variant).collect();
        told += here.len();
        let _ = write!(en, "\n## {}\n\n| code | severity | what it means |\n|---|---|---|\n", sentence(part_en));
        let _ = write!(ru, "\n## {}\n\n| код | важность | что это значит |\n|---|---|---|\n", sentence(part_ru));
        for finding in here {
            let Finding { name, severity, en: title, ru: title_ru, .. } = finding;
            let _ =
                writeln!(en, "| [`{name}`](../troubleshooting.md#{name}) | {} | {title} |", severity.to_lowercase());
            let word = if *severity == "Fault" { "ошибка" } else { "заметка" };
            let _ = writeln!(ru, "| [`{name}`](../../troubleshooting.md#{name}) | {word} | {title_ru} |");
        }
    }
    assert_eq!(told, all.len(), "a finding belongs to a part that has no title");
    let store = "\nWhat `max-auth doctor --store` looks at: [storage.md]";
    let _ = writeln!(en, "{store}(../storage.md#what-the-doctor-looks-at).");
    ru += "\nЧто смотрит `max-auth doctor --store`: [storage.md](../../storage.md#what-the-doctor-looks-at).\n";
    (en, ru)
}
