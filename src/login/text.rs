//! Everything a visitor is told in words, in Russian and English.

use crate::max::refusal::{Refusal, RefusalKind};
use serde_json::{Value, json};

/// The visitor's language; Russian unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Locale {
    #[default]
    Ru,
    En,
}

impl Locale {
    /// A language tag such as `ru` or `en-GB`. Where Russian is read, Russian; the same table as in `web/browser.js`.
    pub fn parse(tag: &str) -> Self {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        let russian = ["ru", "be", "uk", "kk"].iter().any(|known| language.eq_ignore_ascii_case(known));
        if russian { Self::Ru } else { Self::En }
    }

    /// The tag.
    pub fn tag(self) -> &'static str {
        self.pick("ru", "en")
    }

    /// For whom no login could be begun.
    pub fn too_many(self) -> &'static str {
        self.pick(
            "Слишком много входов сейчас. Попробуйте чуть позже.",
            "Too many sign-ins right now. Please try again shortly.",
        )
    }

    pub fn pick<T>(self, ru: T, en: T) -> T {
        match self {
            Self::Ru => ru,
            Self::En => en,
        }
    }
}

/// The stages of a login (contract).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Connecting,
    Code,
    Waiting,
    Approved,
    Finishing,
}

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Code => "code",
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Finishing => "finishing",
        }
    }

    pub fn message(self, locale: Locale) -> &'static str {
        match self {
            Self::Connecting => locale.pick("Подключение к серверу…", "Connecting to the server…"),
            Self::Code => locale.pick("Получаем QR-код...", "Getting the QR code..."),
            Self::Waiting => locale.pick("Отсканируйте код в MAX", "Scan the code in MAX"),
            Self::Approved => locale.pick("Вход подтверждён на телефоне", "Approved on the phone"),
            Self::Finishing => locale.pick("Завершаем вход…", "Finishing…"),
        }
    }
}

/// Why a login ended without success, with what the visitor can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    Expired,
    VisitorLeft,
    Cancelled,
    UpstreamUnreachable,
    QrDisabled,
    PasswordRefused,
    PasswordExhausted,
    NeedsTwoFactor,
    Blocked,
    TooMany,
    MaxTrouble,
    Internal,
}

impl Failure {
    /// What a visitor is told when MAX said no.
    pub fn of(refusal: &Refusal) -> Self {
        match refusal.kind {
            RefusalKind::AppVersionTooOld => Self::QrDisabled,
            RefusalKind::PasswordRequired => Self::PasswordRefused,
            RefusalKind::PasswordWrong | RefusalKind::PasswordExhausted => Self::PasswordExhausted,
            RefusalKind::NeedsTwoFactor => Self::NeedsTwoFactor,
            RefusalKind::Blocked => Self::Blocked,
            RefusalKind::TooMany => Self::TooMany,
            RefusalKind::MaxTrouble | RefusalKind::CodeGone | RefusalKind::TokenGone | RefusalKind::Unknown => {
                Self::MaxTrouble
            }
            RefusalKind::WrongOrder | RefusalKind::OurBug => Self::Internal,
        }
    }

    /// (code, retry, Russian, English)
    fn row(self) -> (&'static str, bool, &'static str, &'static str) {
        match self {
            Self::Expired => (
                "login-expired",
                true,
                "Время входа истекло. Начните ещё раз.",
                "The time for signing in is over. Please start again.",
            ),
            Self::VisitorLeft => (
                "visitor-left",
                true,
                "Страница была закрыта, вход остановлен. Начните ещё раз.",
                "The page was closed and the sign-in stopped. Please start again.",
            ),
            Self::Cancelled => ("cancelled", true, "Вход отменён.", "The sign-in was cancelled."),
            Self::UpstreamUnreachable => (
                "upstream-unreachable",
                true,
                "MAX сейчас недоступен. Попробуйте через минуту.",
                "MAX cannot be reached right now. Please try again in a minute.",
            ),
            Self::QrDisabled => (
                "qr-login-disabled",
                false,
                "MAX не выдаёт код этому сайту. Сообщите администратору сайта.",
                "MAX gives this site no code. Please tell the site's administrator.",
            ),
            Self::PasswordRefused => (
                "password-not-supported",
                false,
                "В вашем аккаунте MAX включён облачный пароль. Этот сайт намеренно не спрашивает его, \
                 поэтому войти через MAX здесь нельзя. Выберите другой способ входа.",
                "Your MAX account has a cloud password. This site deliberately does not ask for it, \
                 so signing in with MAX is not possible here. Please use another way to sign in.",
            ),
            Self::PasswordExhausted => (
                "password-wrong",
                true,
                "Пароль неверный, попыток больше нет. Начните ещё раз.",
                "The password was wrong and no tries are left. Please start again.",
            ),
            Self::NeedsTwoFactor => (
                "two-factor-needed",
                false,
                "MAX требует сначала включить облачный пароль в настройках аккаунта.",
                "MAX wants a cloud password to be set in the account's settings first.",
            ),
            Self::Blocked => (
                "account-blocked",
                false,
                "MAX не пускает этот аккаунт. Проверьте его в приложении MAX.",
                "MAX refuses this account. Please check it in the MAX app.",
            ),
            Self::TooMany => (
                "max-rate-limited",
                true,
                "Слишком много попыток входа. Подождите немного и начните ещё раз.",
                "Too many sign-ins. Please wait a little and start again.",
            ),
            Self::MaxTrouble => (
                "max-trouble",
                true,
                "У MAX временные неполадки. Попробуйте ещё раз.",
                "MAX has trouble at the moment. Please try again.",
            ),
            Self::Internal => (
                "internal",
                true,
                "Что-то пошло не так. Попробуйте ещё раз.",
                "Something went wrong. Please try again.",
            ),
        }
    }

    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// The data of an `error` event. `retry_after` in milliseconds.
    pub fn data(self, locale: Locale, retry_after: Option<u64>) -> Value {
        let (code, retry, ru, en) = self.row();
        let mut data = json!({"code": code, "message": locale.pick(ru, en), "retry": retry});
        if let Some(after) = retry_after {
            data["retryAfter"] = after.into();
        }
        data
    }
}
