//! What the checklist of the operator's listener says (`server/checklist.rs`).

use super::Locale;

/// The same in English and in Russian.
#[derive(Clone, Copy)]
pub struct Both(&'static str, &'static str);

impl Both {
    pub const fn of(self, locale: Locale) -> &'static str {
        match locale {
            Locale::En => self.0,
            Locale::Ru => self.1,
        }
    }
}

pub const WEAKER: Both = Both("Weaker than it could be", "Слабее, чем могло бы быть");
pub const NO_ADDRESS: Both = Both(
    "is not set: only pages opened on this machine can sign in, at",
    "не задан: войти можно только на этой машине, по адресу",
);
pub const READABLE: Both = Both(
    "is not https: cookies and codes can be read on the way:",
    "без https: cookie и коды прочтёт любой по дороге:",
);
pub const VISITORS_SEE: Both = Both("visitors see", "посетители видят");
pub const ADDRESS: Both = Both("The site's address (server.public_url)", "Адрес сайта (server.public_url)");
pub const ARRIVES: Both = Both("events arrive over a WebSocket", "события доходят по WebSocket");
pub const ARRIVES_SOMEHOW: Both = Both(
    "it arrives, but not by the best way: what to mend is said below",
    "доходит, но не лучшим путём: что исправить, сказано ниже",
);
pub const DOES_NOT_ARRIVE: Both = Both(
    "it does not arrive: whose fault it is, and the line to change, is said below",
    "не доходит: чья это вина и какую строку исправить, сказано ниже",
);
pub const NOT_YET: Both = Both("not looked at yet", "ещё не проверено");
pub const PATH: Both = Both("The way through the proxies", "Путь через прокси");
pub const STORE_AWAY: Both =
    Both("out of reach: max-auth doctor --store says why", "недоступно: max-auth doctor --store скажет почему");
pub const IN_MEMORY: Both =
    Both("memory: a restart ends sign-ins, and forgets who signed out", "память: перезапуск обрывает входы и выходы");
pub const FOLDER: Both = Both("the folder", "папка");
pub const SHARED: Both = Both("Redis answers", "Redis отвечает");
pub const STORE: Both = Both("The store", "Хранилище");
pub const EVERYBODY: Both = Both(
    "everybody who has MAX. Right for a site that anybody may join; but /verify then protects nothing",
    "любой, у кого есть MAX. Для сайта с открытой регистрацией это верно; но /verify тогда никого не останавливает",
);
pub const NAMED: Both = Both("those whom session.allow names", "те, кто назван в session.allow");
pub const PEOPLE: Both = Both("Who may sign in", "Кто может войти");
pub const GIVES_CODES: Both =
    Both("answers, takes our version and gives codes", "отвечает, принимает версию и выдаёт коды");
pub const ONE_ANSWERS: Both = Both("one of the addresses answers", "отвечает один из адресов");
pub const GIVES_NONE: Both =
    Both("does not answer, or gives no code: the reason is below", "не отвечает или не выдаёт код: причина ниже");
pub const TITLE: Both = Both("What is left to do", "Что осталось сделать");
pub const PRESS: Both = Both("Look now", "Проверить сейчас");
pub const HOW: Both = Both(
    "It looks from outside, as a visitor does, and asks MAX. It takes a quarter of a minute at most.",
    "Проверка идёт снаружи, как у посетителя, и спрашивает MAX. Она длится до четверти минуты.",
);
pub const FINE: Both = Both("fine", "в порядке");
pub const ATTENTION: Both = Both("to look at", "обратите внимание");
pub const BROKEN: Both = Both("broken", "не работает");
pub const UNKNOWN: Both = Both("not known", "неизвестно");
pub const LOOKED: Both = Both("Looked at, seconds ago:", "Проверено, секунд назад:");
