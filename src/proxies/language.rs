//! Texts that stand in two languages side by side.

/// The language of what a person reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lang {
    En,
    Ru,
}

/// The same in English and in Russian.
pub type Text = (&'static str, &'static str);

impl Lang {
    /// As `LANG` and its kind name it: `ru_RU.UTF-8`.
    pub fn of_locale(locale: &str) -> Self {
        match locale.to_ascii_lowercase().split(['_', '.', '@', '-']).next() {
            Some("ru") => Self::Ru,
            _ => Self::En,
        }
    }

    pub fn say(self, (en, ru): Text) -> &'static str {
        match self {
            Self::En => en,
            Self::Ru => ru,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_names_the_language() {
        for (locale, lang) in [
            ("ru_RU.UTF-8", Lang::Ru),
            ("ru", Lang::Ru),
            ("RU-ru", Lang::Ru),
            ("run", Lang::En),
            ("C.UTF-8", Lang::En),
            ("", Lang::En),
        ] {
            assert_eq!(Lang::of_locale(locale), lang, "{locale}");
        }
    }
}
