//! What the operator reads on the status page, in Russian and English.

use super::summary::{State, Summary};
use crate::texts::Locale;

pub struct Words {
    pub other_language: &'static str,
    pub refresh: &'static str,
    pub begun: &'static str,
    pub in_flight: &'static str,
    pub gave_up: &'static str,
    pub turned_away: &'static str,
    pub funnel: &'static str,
    pub funnel_note: &'static str,
    pub step_page: &'static str,
    pub step_begun: &'static str,
    pub step_code: &'static str,
    pub step_scanned: &'static str,
    pub step_scanned_note: &'static str,
    pub step_approved: &'static str,
    pub step_success: &'static str,
    pub step_handed: &'static str,
    pub median: &'static str,
    pub nine_of_ten: &'static str,
    pub hour_plot: &'static str,
    pub day_plot: &'static str,
    pub plot_note: &'static str,
    pub exact: &'static str,
    pub time: &'static str,
    pub success: &'static str,
    pub failed: &'static str,
    pub left: &'static str,
    pub chosen: &'static str,
    pub nothing_then: &'static str,
    pub reasons: &'static str,
    pub reason: &'static str,
    pub hour: &'static str,
    pub day: &'static str,
    pub nothing_yet: &'static str,
    pub transports: &'static str,
    pub transports_note: &'static str,
    pub max: &'static str,
    pub works: &'static str,
    pub fails: &'static str,
    pub app_version: &'static str,
    pub refusals: &'static str,
    pub no_refusals: &'static str,
    pub left_open: &'static str,
    pub nodes: &'static str,
    pub node: &'static str,
    pub store: &'static str,
    pub version: &'static str,
    pub runs_for: &'static str,
    pub answers: &'static str,
    pub out_of_reach: &'static str,
    pub silent_node: &'static str,
    pub crashed: &'static str,
    pub hops: &'static str,
    pub hops_note: &'static str,
    pub hop: &'static str,
    pub transport: &'static str,
    pub ended: &'static str,
    pub cut: &'static str,
    pub frozen: &'static str,
    pub timer: &'static str,
    pub since_last_byte: &'static str,
    pub no_streams: &'static str,
    pub networks: &'static str,
    pub networks_note: &'static str,
    pub network: &'static str,
    pub logins: &'static str,
    pub no_networks: &'static str,
    pub keys: &'static str,
    pub no_keys: &'static str,
    pub key: &'static str,
    pub use_of_key: &'static str,
    pub warnings: &'static str,
    pub no_warnings: &'static str,
    pub failures: &'static str,
    pub failures_note: &'static str,
    pub no_failures: &'static str,
    pub when: &'static str,
    pub login: &'static str,
    pub max_said: &'static str,
    pub utc: &'static str,
    up: &'static str,
    degraded: &'static str,
    down: &'static str,
    idle: &'static str,
    never: &'static str,
    of: &'static str,
    in_a_day: &'static str,
    within: &'static str,
    days: &'static str,
    hours: &'static str,
    minutes: &'static str,
    seconds: &'static str,
    comma: char,
    /// Of the page that anybody may see.
    pub public_title: &'static str,
    pub public_up: &'static str,
    pub public_degraded: &'static str,
}

pub const EN: Words = Words {
    other_language: "По-русски",
    refresh: "Refresh",
    begun: "Begun in the last day",
    in_flight: "On their way now",
    gave_up: "Left or gave up",
    turned_away: "Turned away at the start",
    funnel: "From the page to the session, in the last day",
    funnel_note: "How many got so far, and how long the step before took them.",
    step_page: "Ready page opened",
    step_begun: "Sign-in begun",
    step_code: "Code shown",
    step_scanned: "Code scanned",
    step_scanned_note: "not known: MAX tells only what was decided on the phone",
    step_approved: "Approved in MAX",
    step_success: "Signed in",
    step_handed: "Session opened in the browser",
    median: "median",
    nine_of_ten: "nine of ten within",
    hour_plot: "The last hour, by minutes",
    day_plot: "The last day, by half hours",
    plot_note: "A click on a bar shows its reasons.",
    exact: "Exact figures",
    time: "Time",
    success: "Signed in",
    failed: "Could not",
    left: "Left",
    chosen: "Chosen:",
    nothing_then: "Nothing happened then.",
    reasons: "How sign-ins ended",
    reason: "Reason",
    hour: "Hour",
    day: "Day",
    nothing_yet: "Nobody has signed in yet.",
    transports: "What carried the success, in the last day",
    transports_note: "A sign-in begins with a page and moves to a stream where one lives.",
    max: "MAX",
    works: "works",
    fails: "does not work",
    app_version: "Version said to MAX",
    refusals: "Refused by MAX since the start",
    no_refusals: "MAX has refused nothing since the start.",
    left_open: "MAX sessions that an earlier run may have left open",
    nodes: "Nodes and store",
    node: "Node",
    store: "Store",
    version: "Version",
    runs_for: "Runs for",
    answers: "answers",
    out_of_reach: "out of reach",
    silent_node: "lives, but left no report that this version can read",
    crashed: "tasks have crashed; see the log, and please report it",
    hops: "How streams ended, by the proxy next to us",
    hops_note: "A cut is an end without a word: a visitor who left, or a proxy's timer.",
    hop: "How it writes requests",
    transport: "Over",
    ended: "Ended",
    cut: "Cut",
    frozen: "Frozen",
    timer: "Timer",
    since_last_byte: "without a byte",
    no_streams: "No stream has ended yet.",
    networks: "Networks that freeze connections, in the last day",
    networks_note: "max-auth doctor --networks judges them; docs/networks.md says what helps.",
    network: "Network",
    logins: "Sign-ins",
    no_networks: "No network froze a connection. Visitors came from so many:",
    keys: "Signing keys of apps (OpenID Connect)",
    no_keys: "No app has needed one.",
    key: "Key",
    use_of_key: "Use",
    warnings: "Said at the start",
    no_warnings: "Nothing was wrong with the configuration.",
    failures: "The last that could not",
    failures_note: "The id is that of the log. Whoever left or gave up is not among them.",
    no_failures: "Nobody, as far as this run remembers.",
    when: "When",
    login: "Login",
    max_said: "MAX said",
    utc: "Times are UTC.",
    up: "Signing in works",
    degraded: "Signing in works with trouble",
    down: "Signing in does not work",
    idle: "Nobody has tried to sign in for an hour; nothing is known to be broken",
    never: "Nobody has signed in yet; nothing is known to be broken",
    of: "of",
    in_a_day: "in the last day",
    within: "in the last",
    days: "d",
    hours: "h",
    minutes: "min",
    seconds: "s",
    comma: '.',
    public_title: "Signing in with MAX",
    public_up: "Signing in works.",
    public_degraded: "Signing in works with trouble at the moment.",
};

pub const RU: Words = Words {
    other_language: "In English",
    refresh: "Обновить",
    begun: "Начато за сутки",
    in_flight: "Входят сейчас",
    gave_up: "Ушли или передумали",
    turned_away: "Не пущены в начале",
    funnel: "От страницы до сессии, за сутки",
    funnel_note: "Сколько человек дошло до шага и сколько времени шаг занял.",
    step_page: "Открыта готовая страница входа",
    step_begun: "Вход начат",
    step_code: "Код показан",
    step_scanned: "Код отсканирован",
    step_scanned_note: "неизвестно: MAX сообщает только решение на телефоне",
    step_approved: "Подтверждено в MAX",
    step_success: "Вход выполнен",
    step_handed: "Сессия открыта в браузере",
    median: "медиана",
    nine_of_ten: "девять из десяти за",
    hour_plot: "Последний час, по минутам",
    day_plot: "Последние сутки, по получасам",
    plot_note: "Щелчок по столбцу показывает его причины.",
    exact: "Точные числа",
    time: "Время",
    success: "Вошли",
    failed: "Не смогли",
    left: "Ушли",
    chosen: "Выбрано:",
    nothing_then: "Тогда ничего не происходило.",
    reasons: "Чем закончился вход",
    reason: "Причина",
    hour: "Час",
    day: "Сутки",
    nothing_yet: "Ещё никто не входил.",
    transports: "Что донесло успех, за сутки",
    transports_note: "Вход начинается с обычных ответов и переходит на поток там, где он живёт.",
    max: "MAX",
    works: "работает",
    fails: "не работает",
    app_version: "Версия, названная MAX",
    refusals: "Отказы MAX с запуска",
    no_refusals: "С запуска MAX ни в чём не отказал.",
    left_open: "Сессии MAX, которые мог оставить прошлый запуск",
    nodes: "Узлы и хранилище",
    node: "Узел",
    store: "Хранилище",
    version: "Версия",
    runs_for: "Работает",
    answers: "отвечает",
    out_of_reach: "недоступно",
    silent_node: "жив, но не оставил отчёта, понятного этой версии",
    crashed: "задач упало; подробности в журнале, сообщите о них, пожалуйста",
    hops: "Чем закончились потоки, по ближайшему прокси",
    hops_note: "Обрыв — конец без слова: ушедший посетитель или таймер прокси.",
    hop: "Как он пишет запросы",
    transport: "Через",
    ended: "Всего",
    cut: "Обрыв",
    frozen: "Замерли",
    timer: "Таймер",
    since_last_byte: "без байтов",
    no_streams: "Ни один поток ещё не закончился.",
    networks: "Сети, которые замораживают соединения, за сутки",
    networks_note: "Их оценивает max-auth doctor --networks; что помогает — в docs/networks.md.",
    network: "Сеть",
    logins: "Входы",
    no_networks: "Ни одна сеть не заморозила соединения. Сетей, из которых приходили:",
    keys: "Ключи подписи приложений (OpenID Connect)",
    no_keys: "Приложениям они ещё не понадобились.",
    key: "Ключ",
    use_of_key: "Роль",
    warnings: "Сказано при запуске",
    no_warnings: "К настройкам нет замечаний.",
    failures: "Последние, кто не смог войти",
    failures_note: "Номер — как в журнале. Тех, кто ушёл или передумал, здесь нет.",
    no_failures: "Таких нет, насколько помнит этот запуск.",
    when: "Когда",
    login: "Вход",
    max_said: "Ответ MAX",
    utc: "Время — UTC.",
    up: "Вход работает",
    degraded: "Вход работает с перебоями",
    down: "Вход не работает",
    idle: "Последний час никто не входил; поломок не видно",
    never: "Ещё никто не входил; поломок не видно",
    of: "из",
    in_a_day: "за сутки",
    within: "за",
    days: "д",
    hours: "ч",
    minutes: "мин",
    seconds: "с",
    comma: ',',
    public_title: "Вход через MAX",
    public_up: "Вход работает.",
    public_degraded: "Сейчас вход работает с перебоями.",
};

impl Words {
    pub fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::Ru => &RU,
            Locale::En => &EN,
        }
    }

    /// Everything in a sentence.
    pub fn sentence(&self, summary: &Summary) -> String {
        let state = match summary.state {
            State::Up => self.up,
            State::Degraded => self.degraded,
            State::Down => self.down,
            State::Idle if summary.day.decided() == 0 => self.never,
            State::Idle => self.idle,
        };
        if summary.day.decided() == 0 {
            return state.to_owned();
        }
        let known = summary.known_for();
        let time = match known >= super::report::DAY {
            true => self.in_a_day.to_owned(),
            false => format!("{} {}", self.within, self.duration(known)),
        };
        let (success, decided) = (summary.day.success(), summary.day.decided());
        format!("{state}: {success} {} {decided} {time}", self.of)
    }

    /// The two largest units.
    pub fn duration(&self, seconds: i64) -> String {
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => format!("{} {}", seconds.max(1), self.seconds),
            (0, 0, minutes) => format!("{minutes} {}", self.minutes),
            (0, hours, minutes) => format!("{hours} {} {minutes} {}", self.hours, self.minutes),
            (days, hours, _) => format!("{days} {} {hours} {}", self.days, self.hours),
        }
    }

    /// Of what takes a moment: 0.04 s, 1.2 s, 34 s.
    pub fn moment(&self, seconds: f64) -> String {
        let digits = if seconds < 0.1 { 2 } else { usize::from(seconds < 10.0) };
        format!("{seconds:.digits$} {}", self.seconds).replace('.', &self.comma.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::end;
    use super::super::report::tests::{NOW, report};
    use super::super::summary::{FAULTS, GAVE_UP, TURNED_AWAY, summary};
    use super::*;
    use crate::observe::series;

    #[test]
    fn one_sentence_says_it() {
        let said = |success, failed, since| {
            let mut report = report("one", success, ("max-trouble", failed));
            report.facts.since = NOW - since;
            let summary = summary(report, Vec::new(), Vec::new());
            (RU.sentence(&summary), EN.sentence(&summary))
        };
        for (success, failed, since, ru, en) in [
            (412, 8, 99_999, "Вход работает: 412 из 420 за сутки", "Signing in works: 412 of 420 in the last day"),
            (
                4,
                4,
                12_000,
                "Вход работает с перебоями: 4 из 8 за 3 ч 20 мин",
                "Signing in works with trouble: 4 of 8 in the last 3 h 20 min",
            ),
            (0, 3, 59, "Вход не работает: 0 из 3 за 59 с", "Signing in does not work: 0 of 3 in the last 59 s"),
            (
                0,
                0,
                59,
                "Ещё никто не входил; поломок не видно",
                "Nobody has signed in yet; nothing is known to be broken",
            ),
        ] {
            assert_eq!(said(success, failed, since), (ru.to_owned(), en.to_owned()));
        }
        let mut quiet = report("one", 4, ("max-trouble", 0));
        quiet.hour.clear();
        let quiet = summary(quiet, Vec::new(), Vec::new());
        assert_eq!(RU.sentence(&quiet), "Последний час никто не входил; поломок не видно: 4 из 4 за сутки");
    }

    #[test]
    fn everything_has_words_in_both_languages() {
        for code in series::OUTCOMES.iter().chain(&TURNED_AWAY).chain(&FAULTS).chain(&GAVE_UP) {
            assert!(end(code, Locale::Ru) != *code && end(code, Locale::En) != *code, "{code}");
        }
        assert_eq!(end("new", Locale::Ru), "new");
        assert_eq!(
            (RU.moment(0.042), EN.moment(1.25), RU.moment(33.6)),
            ("0,04 с".into(), "1.2 s".into(), "34 с".into())
        );
        assert_eq!((EN.duration(0), RU.duration(200_000)), ("1 s".to_owned(), "2 д 7 ч".to_owned()));
    }
}
