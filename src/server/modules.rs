//! Modules of `web/` joined into one answer: a visitor asks once, into however many files the source is divided.

use std::borrow::Cow;

/// A file of `web/` and its text.
#[derive(Clone, Copy)]
pub struct Module {
    #[cfg(test)]
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! modules {
    ($($name:literal),* $(,)?) => {
        &[$(Module {
            #[cfg(test)]
            name: $name,
            text: include_str!(concat!("../../web/", $name)),
        }),*]
    };
}

/// What `/client.js` is made of; each is below those that it imports.
pub const CLIENT: &[Module] = modules![
    "here.js",
    "answers.js",
    "browser.js",
    "failures.js",
    "lateness.js",
    "reader.js",
    "waits.js",
    "wire.js",
    "page-lifecycle.js",
    "pages.js",
    "questions.js",
    "sse.js",
    "websocket.js",
    "delivery.js",
    "client.js",
];

/// What `/dialog.js` has besides.
pub const DIALOG: &[Module] = modules![
    "widget-look.js",
    "widget-elements.js",
    "widget-drawing.js",
    "widget-ways.js",
    "widget-panel-view.js",
    "widget-panel.js",
    "widget-dialog.js",
    "dialog.js",
];

/// What `/elsewhere.js` is made of: for sites whose cookies are not the server's.
pub const ELSEWHERE: &[Module] = modules!["here.js", "elsewhere.js"];

/// One after the other, without their imports and comments. Only the last one exports.
pub fn joined(modules: &[Module]) -> String {
    without_comments(&together(modules))
}

fn together(modules: &[Module]) -> String {
    let last = modules.len().saturating_sub(1);
    let parts = modules.iter().enumerate().map(|(at, module)| without_imports(module.text, at == last));
    parts.collect::<Vec<_>>().join("\n")
}

/// Of a script or a style sheet, without what is for its readers: comments that have lines of their own or end one, and the
/// room before a line. A third of what would travel.
pub fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.lines() {
        let mut line = line.trim();
        while inside || line.starts_with("/*") {
            let end = line.split_once("*/");
            inside = end.is_none();
            line = end.map_or("", |(_, after)| after.trim_start());
            if inside {
                break;
            }
        }
        let line = without_inner_comments(without_end_comment(line));
        if !line.is_empty() && !line.starts_with("//") {
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    kept
}

/// How a sheet with a code looks, on the ready page and in the small dialog.
pub fn sheet() -> String {
    tight(&without_comments(include_str!("../../web/sheet.css")))
}

/// How the mini-app looks.
pub fn sheet_of_app() -> String {
    sheet() + &tight(&without_comments(include_str!("../../web/app.css")))
}

/// Colours of the sheet that a page may set, and the names that it knows them by (docs/widget.md).
const COLORS: [(&str, &str); 8] = [
    ("--surface", "surface"),
    ("--ink", "text"),
    ("--muted", "muted"),
    ("--line", "line"),
    ("--soft", "soft"),
    ("--accent", "accent"),
    ("--good", "good"),
    ("--bad", "bad"),
];

/// Other values that a page may set.
const VALUES: [(&str, &str); 3] = [
    ("border-radius: 14px;", "border-radius:var(--max-auth-radius,14px);"),
    (
        "color: #fff; background: linear-gradient(100deg",
        "color:var(--max-auth-button-text,#fff);background:var(--max-auth-button,linear-gradient(100deg",
    ),
    ("#2c68ee);", "#2c68ee));"),
];

/// The sheet for the shadow tree of `light.js`: what a page sets goes before our colours, `theme` before what the system
/// wants, and what is for a page of our own is left out.
pub fn sheet_in_shadow() -> String {
    let sheet = without_comments(include_str!("../../web/sheet.css"));
    let colors = |block: &str| -> String {
        let block = block.split('}').next().unwrap_or_default();
        let all = block.split(';').filter_map(|line| line.trim().split_once(": "));
        let ours = all.filter_map(|(ours, color)| {
            let (_, name) = COLORS.iter().find(|(known, _)| *known == ours)?;
            Some(format!("{ours}:var(--max-auth-{name},{color});"))
        });
        ours.collect()
    };
    let mut blocks = sheet.split(":root {").skip(1).map(colors);
    let [day, night] = [(); 2].map(|()| blocks.next().unwrap_or_default());
    let mut rules = format!(
        ":host{{color-scheme:light;{day}}}@media (prefers-color-scheme:dark){{:host(:not([theme=light])){{color-scheme:dark;{night}}}}}\
         :host([theme=dark]){{color-scheme:dark;{night}}}"
    );
    let (mut begun, mut passed_over) = (false, false);
    for line in sheet.lines() {
        begun |= line.starts_with('*');
        passed_over |= ["body", ".login", ".plain { width: 100%;"].iter().any(|of_a_page| line.starts_with(of_a_page));
        if begun && !passed_over {
            rules.push_str(line);
            rules.push('\n');
        }
        passed_over &= !line.ends_with('}');
    }
    for (ours, theirs) in VALUES {
        rules = rules.replace(ours, theirs);
    }
    tight(&rules)
}

/// A style sheet without the room around its marks; none of ours has a text that would change.
fn tight(style: &str) -> String {
    let mut tight = String::with_capacity(style.len());
    for line in style.lines() {
        let mut parts = line.split_inclusive(['{', '}', ';', ':', ',']).map(str::trim);
        parts.by_ref().for_each(|part| tight.push_str(part));
    }
    tight.replace(" {", "{").replace(";}", "}")
}

/// A remark behind code.
fn without_end_comment(line: &str) -> &str {
    match line.split_once(" // ") {
        Some((code, _)) if is_closed(code) => code,
        _ => line,
    }
}

/// The types that stand before what they are of.
fn without_inner_comments(line: &str) -> Cow<'_, str> {
    let mut line = Cow::Borrowed(line);
    while let Some((before, rest)) = line.split_once("/** ")
        && let Some((_, after)) = rest.split_once("*/")
        && is_closed(before)
    {
        line = Cow::Owned(format!("{before}{}", after.trim_start()));
    }
    line
}

/// No text is meant behind it: every quote in it is closed.
fn is_closed(code: &str) -> bool {
    ['"', '\'', '`'].iter().all(|quote| code.matches(*quote).count() % 2 == 0)
}

fn without_imports(text: &str, exports: bool) -> String {
    let mut inside = false;
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        // An import may have several lines, the last of which ends with a semicolon.
        if inside || line.starts_with("import ") {
            inside = !line.ends_with(';');
            continue;
        }
        kept.push_str(if exports { line } else { line.strip_prefix("export ").unwrap_or(line) });
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn answers() -> [Vec<Module>; 2] {
        [CLIENT.to_vec(), [CLIENT, DIALOG].concat()]
    }

    #[test]
    fn comments_stay_behind_and_nothing_else_does() {
        let text = "/** a */\n/**\n * b; {\n */\nlet c = 1; // d\n  // e\n\n  /** @type {f} */ (g).h();\n  i('/x // y');\n/* j\n k */ l();\n";
        assert_eq!(without_comments(text), "let c = 1;\n(g).h();\ni('/x // y');\nl();\n");
        for modules in [CLIENT.to_vec(), [CLIENT, DIALOG].concat()] {
            let text = joined(&modules);
            let remark = |line: &&str| line.starts_with("//") || line.starts_with("* ") || line.contains("/**");
            // Within a text that has more than text inside a type may stay.
            let kept: Vec<_> = text.lines().filter(|line| remark(line) && !line.contains('`')).collect();
            assert_eq!(kept, Vec::<&str>::new());
        }
    }

    /// Names that a text declares for all its lines.
    fn declared(text: &str) -> Vec<&str> {
        let words = ["export", "async", "const", "let", "class", "function"];
        let lines = text.lines().filter(|line| words.iter().any(|word| line.starts_with(&format!("{word} "))));
        lines.filter_map(|line| line.split([' ', '(', ';']).find(|word| !words.contains(word))).collect()
    }

    #[test]
    fn a_module_stands_below_those_that_it_imports() {
        for modules in answers() {
            let mut above = BTreeSet::from(["texts.js"]);
            for module in modules {
                let sources = module.text.lines().filter_map(|line| line.strip_suffix("';")?.split_once("from './"));
                for (_, imported) in sources {
                    assert!(above.contains(imported), "{} imports {imported}, which is not above it", module.name);
                }
                above.insert(module.name);
            }
        }
    }

    #[test]
    fn in_one_answer_no_two_modules_declare_the_same_name() {
        for modules in answers() {
            let text = together(&modules);
            let names = declared(&text);
            assert!(names.len() > 40 && names.contains(&"startMaxAuth") && names.contains(&"sseParser"), "{names:?}");
            let mut seen = BTreeSet::from(["TEXTS"]);
            for name in names.into_iter().filter(|name| *name != "{") {
                assert!(seen.insert(name), "{name} is declared twice");
            }
        }
    }

    #[test]
    fn an_answer_imports_nothing_and_exports_what_outsiders_use() {
        let [client, dialog] = answers().map(|modules| joined(&modules));
        let exports = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with("export ")).map(str::to_owned).collect()
        };
        assert_eq!(exports(&client), ["export function startMaxAuth(onEvent, options = {}) {"]);
        assert_eq!(exports(&dialog), ["export { Dialog, Panel, adoptDrawing };"]);
        for text in [client, dialog] {
            let imports = |line: &&str| line.starts_with("import ") || line.contains("await import(");
            assert_eq!(text.lines().find(imports), None);
        }
    }

    #[test]
    fn in_a_shadow_a_page_says_the_colours_and_the_theme() {
        let sheet = sheet_in_shadow();
        for (ours, name) in COLORS {
            assert_eq!(sheet.matches(&format!("{ours}:var(--max-auth-{name},#")).count(), 3, "{name}: {sheet}");
        }
        for (_, set) in VALUES {
            assert!(sheet.contains(set), "{set}: {sheet}");
        }
        assert!(sheet.contains(":host([theme=dark]){color-scheme:dark;"), "{sheet}");
        assert!(sheet.contains(".plain") && sheet.contains("@keyframes turn"), "{sheet}");
        for of_a_page in ["body", ".login", ":root", "--glow", "100dvh"] {
            assert!(!sheet.contains(of_a_page), "{of_a_page}: {sheet}");
        }
    }

    #[test]
    fn an_import_of_several_lines_goes_whole() {
        let module = Module {
            name: "a.js",
            text: "// a\nimport {\n  b,\n} from './b.js';\nimport { c } from './c.js';\nexport const a = b;\n",
        };
        assert_eq!(together(&[module, module]), "// a\nconst a = b;\n\n// a\nexport const a = b;\n");
    }
}
