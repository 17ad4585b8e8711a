//! What codes mean, in English and in Russian: reasons, warnings, transports, uses of keys.

use super::summary::Reason;
use crate::texts::Locale;

/// A code, and what it means in English and in Russian.
type Row = (&'static str, &'static str, &'static str);

/// By the names of `history::COLUMNS`.
const ENDS: &[Row] = &[
    ("success", "Signed in", "Вход выполнен"),
    ("login-expired", "Waited until the sign-in was over", "Ждали, пока время входа не вышло"),
    ("visitor-left", "Left the page", "Ушли со страницы"),
    ("cancelled", "Gave up", "Передумали"),
    ("upstream-unreachable", "MAX out of reach", "MAX недоступен"),
    ("qr-login-disabled", "MAX refuses our version", "MAX не принимает нашу версию"),
    ("password-not-supported", "Account with a cloud password", "Аккаунт с облачным паролем"),
    ("password-wrong", "Wrong cloud password", "Неверный облачный пароль"),
    ("two-factor-needed", "Account has to set a cloud password", "MAX требует задать облачный пароль"),
    ("account-blocked", "Account blocked by MAX", "Аккаунт заблокирован в MAX"),
    ("max-rate-limited", "MAX limits this server", "MAX ограничивает этот сервер"),
    ("max-trouble", "MAX has trouble", "Неполадки MAX"),
    ("declined", "Declined on the phone, or a wrong number", "Отклонён на телефоне, или не то число"),
    ("expired", "Opened on the phone, and not answered", "Код открыли на телефоне и не ответили"),
    ("locked", "Too many wrong numbers", "Слишком много неверных чисел"),
    ("driver-down", "The bot does not work", "Бот не работает"),
    ("internal", "A defect of max-auth", "Ошибка max-auth"),
    ("server-stopped", "The server stopped", "Сервер остановлен"),
    ("busy", "Turned away: login.max_active", "Не пущены: login.max_active"),
    ("rate-limited", "Turned away: too many from one address", "Не пущены: слишком много с одного адреса"),
    ("origin-refused", "Turned away: a foreign origin", "Не пущены: чужой Origin"),
];

const WARNINGS: &[Row] = &[
    (
        "public-url-not-set",
        "server.public_url is not set: only pages opened on this machine can sign in.",
        "Не задан server.public_url: войти можно только со страниц, открытых на этой машине.",
    ),
    (
        "public-url-not-https",
        "server.public_url is not https: cookies and codes can be read on the way.",
        "server.public_url не https: куки и коды можно прочитать по дороге.",
    ),
    (
        "few-descriptors",
        "The limit of open files is too low for login.max_active; fewer sign-ins are let in (LimitNOFILE=).",
        "Лимит открытых файлов мал для login.max_active; входов пускается меньше (LimitNOFILE=).",
    ),
];

const KEY_USES: &[Row] =
    &[("signing", "signs", "подписывает"), ("next", "next", "следующий"), ("retired", "retired", "отслужил")];

const TRANSPORTS: &[Row] = &[
    ("websocket", "WebSocket", "WebSocket"),
    ("sse", "Server-sent events", "Server-sent events"),
    ("page", "Long polling", "Долгие запросы"),
];

impl Reason {
    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::StoreUnreachable => (
                "The store is out of reach: new sign-ins are refused (max-auth doctor --store).",
                "Хранилище недоступно: новые входы не принимаются (max-auth doctor --store).",
            ),
            Self::MaxUnreachable => {
                ("MAX cannot be reached by any of its addresses.", "MAX недоступен ни по одному из адресов.")
            }
            Self::MaxAddressFails => (
                "An address of MAX does not work; another one carries the sign-ins.",
                "Один из адресов MAX не работает; вход идёт через другой.",
            ),
            Self::AppVersionRefused => (
                "MAX refuses upstream.app_version: raise it to what web.max.ru reports today.",
                "MAX не принимает upstream.app_version: поднимите её до той, что сообщает web.max.ru.",
            ),
            Self::MaxLimits => {
                ("MAX limits how many sign in from this server.", "MAX ограничивает входы с этого сервера.")
            }
            Self::SignInsFail => (
                "More than a tenth of the sign-ins fail; the reasons are below.",
                "Больше десятой части входов не удаётся; причины ниже.",
            ),
            Self::Busy => (
                "Visitors are turned away: login.max_active sign-ins are on their way.",
                "Посетители не пускаются: входов уже login.max_active.",
            ),
            Self::Stopping => ("The server is stopping.", "Сервер останавливается."),
        }
    }

    pub fn text(self, locale: Locale) -> &'static str {
        let (en, ru) = self.row();
        if locale == Locale::Ru { ru } else { en }
    }
}

fn look_up<'a>(table: &[Row], code: &'a str, locale: Locale) -> &'a str {
    let row = table.iter().find(|(known, _, _)| *known == code);
    row.map_or(code, |(_, en, ru)| if locale == Locale::Ru { ru } else { en })
}

/// What a column or an outcome means.
pub fn end(code: &str, locale: Locale) -> &str {
    look_up(ENDS, code, locale)
}

pub fn warning(code: &str, locale: Locale) -> &str {
    look_up(WARNINGS, code, locale)
}

pub fn key_use(code: &str, locale: Locale) -> &str {
    look_up(KEY_USES, code, locale)
}

pub fn transport(code: &str, locale: Locale) -> &str {
    look_up(TRANSPORTS, code, locale)
}
