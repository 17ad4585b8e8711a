//! Everything a visitor is told in words, in Russian and English.

use crate::signin::Failure;
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

/// What the visitor is told when a login ended without success, with what they can do.
fn failure_message(failure: Failure, locale: Locale) -> &'static str {
    match failure {
        Failure::Expired => {
            locale.pick("Время входа истекло. Начните ещё раз.", "The time for signing in is over. Please start again.")
        }
        Failure::VisitorLeft => locale.pick(
            "Страница была закрыта, вход остановлен. Начните ещё раз.",
            "The page was closed and the sign-in stopped. Please start again.",
        ),
        Failure::Cancelled => locale.pick("Вход отменён.", "The sign-in was cancelled."),
        Failure::UpstreamUnreachable => locale.pick(
            "MAX сейчас недоступен. Попробуйте через минуту.",
            "MAX cannot be reached right now. Please try again in a minute.",
        ),
        Failure::QrDisabled => locale.pick(
            "MAX не выдаёт код этому сайту. Сообщите администратору сайта.",
            "MAX gives this site no code. Please tell the site's administrator.",
        ),
        Failure::PasswordRefused => locale.pick(
            "В вашем аккаунте MAX включён облачный пароль. Этот сайт намеренно не спрашивает его, \
                 поэтому войти через MAX здесь нельзя. Выберите другой способ входа.",
            "Your MAX account has a cloud password. This site deliberately does not ask for it, \
                 so signing in with MAX is not possible here. Please use another way to sign in.",
        ),
        Failure::PasswordExhausted => locale.pick(
            "Пароль неверный, попыток больше нет. Начните ещё раз.",
            "The password was wrong and no tries are left. Please start again.",
        ),
        Failure::NeedsTwoFactor => locale.pick(
            "MAX требует сначала включить облачный пароль в настройках аккаунта.",
            "MAX wants a cloud password to be set in the account's settings first.",
        ),
        Failure::Blocked => locale.pick(
            "MAX не пускает этот аккаунт. Проверьте его в приложении MAX.",
            "MAX refuses this account. Please check it in the MAX app.",
        ),
        Failure::TooMany => locale.pick(
            "Слишком много попыток входа. Подождите немного и начните ещё раз.",
            "Too many sign-ins. Please wait a little and start again.",
        ),
        Failure::MaxTrouble => locale
            .pick("У MAX временные неполадки. Попробуйте ещё раз.", "MAX has trouble at the moment. Please try again."),
        Failure::Internal => {
            locale.pick("Что-то пошло не так. Попробуйте ещё раз.", "Something went wrong. Please try again.")
        }
    }
}

/// The data of an `error` event. `retry_after` in milliseconds.
pub fn error_data(failure: Failure, locale: Locale, retry_after: Option<u64>) -> Value {
    let message = failure_message(failure, locale);
    let mut data = json!({"code": failure.code(), "message": message, "retry": failure.retry()});
    if let Some(after) = retry_after {
        data["retryAfter"] = after.into();
    }
    data
}
