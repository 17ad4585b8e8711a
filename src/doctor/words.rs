//! Every fixed text of the report, in English and in Russian. What was seen is told in English: it quotes headers, errors
//! and figures, and is what people search for.

use super::conclude::Transport;
use super::finding::{Finding, Severity};
use crate::config::facts::{Code, Layer};

/// The report's language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lang {
    En,
    Ru,
}

/// The same in both.
pub type Both = (&'static str, &'static str);

impl Lang {
    /// As `LANG` and its kind name it: `ru_RU.UTF-8`.
    pub fn of_locale(locale: &str) -> Self {
        match locale.to_ascii_lowercase().split(['_', '.', '@', '-']).next() {
            Some("ru") => Self::Ru,
            _ => Self::En,
        }
    }

    pub fn say(self, (en, ru): Both) -> &'static str {
        match self {
            Self::En => en,
            Self::Ru => ru,
        }
    }
}

pub const SEEN: Both = ("seen", "видно");
pub const MEANS: Both = ("means", "смысл");
pub const WHO: Both = ("who", "кто");
pub const FIX: Both = ("fix", "правка");
pub const WHERE: Both = ("where", "куда");
pub const CHECK: Both = ("check", "тест");
pub const MORE: Both = ("more", "ещё");
pub const FAULT: Both = ("FAULT", "ОШИБКА");
pub const NOTE: Both = ("NOTE", "ЗАМЕТКА");
pub const GETS_ALONG: Both =
    ("max-auth gets along with it; other software would not", "max-auth с этим справляется, другие программы — нет");
pub const DELIVERED_BY: Both = ("delivered by", "доставка");
pub const FIRST_EVENT: Both = ("first event", "первое событие");
pub const MS: Both = ("ms", "мс");

/// The whole in a sentence.
pub const CANNOT: Both = (
    "Visitors cannot sign in: nothing gets from max-auth to them.",
    "Посетители не могут войти: от max-auth до них ничего не доходит.",
);
pub const REFUSED: Both = (
    "Visitors of this address cannot sign in: max-auth refuses its pages. The line itself delivers.",
    "Посетители этого адреса не могут войти: max-auth отклоняет его страницы. Сама линия работает.",
);
pub const SHARED: Both = (
    "Visitors can sign in, and a cache on the way gives what is theirs to others. Mend that before anything else.",
    "Войти можно, но кэш на пути отдаёт ответы одного посетителя другому. Исправьте это прежде всего.",
);
pub const BEST_WITH_FAULTS: Both = (
    "Visitors see each step of a sign-in as it happens. Some of them may not; see the faults below.",
    "Посетители видят каждый шаг входа сразу. Но не обязательно все: смотрите ошибки ниже.",
);
pub const BEST: Both =
    ("Visitors see each step of a sign-in as it happens.", "Посетители видят каждый шаг входа сразу.");
pub const SECOND_BEST: Both = (
    "Visitors can sign in and see each step as it happens, but only over the second-best way: WebSockets do not get \
     through.",
    "Посетители могут войти и видят каждый шаг сразу, но только запасным путём: WebSocket не проходит.",
);
pub const POLLING: Both = (
    "Visitors can sign in, but only by asking again and again: neither WebSockets nor event streams get through in time.",
    "Посетители могут войти, но только повторными запросами: ни WebSocket, ни потоки событий вовремя не доходят.",
);

/// Names of the parts of the way, as `report.rs` has them.
pub const PARTS: &[Both] = &[
    ("name and connection", "имя и соединение"),
    ("path to max-auth", "путь до max-auth"),
    ("WebSocket", "WebSocket"),
    ("event streams", "потоки событий"),
    ("pages and posts", "страницы и POST"),
    ("limits and timeouts", "лимиты и тайм-ауты"),
    ("what arrives of a request", "что доходит от запроса"),
    ("clock", "часы"),
    ("inner addresses", "внутренние адреса"),
    ("MAX", "MAX"),
];

/// A part's name, which is looked up by its English.
pub fn part(lang: Lang, name: &'static str) -> &'static str {
    PARTS.iter().find(|(en, _)| *en == name).map_or(name, |both| lang.say(*both))
}

const NOBODY: Both = ("nobody: max-auth defeats it", "никто: max-auth справляется сам");
const NOBODY_MAX: Both = ("nobody: another address of MAX works", "никто: другой адрес MAX работает");
const CERTIFICATE: Both = ("you, where the certificate is kept", "вы, там, где лежит сертификат");
const ZONE: Both = ("you, in the zone of the name", "вы, в зоне DNS этого имени");
const MACHINE_CLOCK: Both = ("you, on the machine whose clock is wrong", "вы, на машине, где неверны часы");
const SERVER: Both = ("you, on the server of max-auth", "вы, на сервере max-auth");
const OUTWARDS: Both = ("you or your hoster, on max-auth's way to MAX", "вы или ваш хостер, на пути от max-auth к MAX");
const COMMAND_LINE: Both = ("you, on this command line", "вы, в этой командной строке");
const HERE: Both = ("you, on this machine", "вы, на этой машине");
const APPLICATION: Both = ("you, in the application in front of max-auth", "вы, в приложении перед max-auth");
const MAX_AUTH: Both = ("you, in max-auth", "вы, в настройках max-auth");
const DASHBOARD: Both = ("you, in Cloudflare's dashboard", "вы, в панели Cloudflare");
const HOSTER: Both = ("your hoster, or whoever runs the proxy", "ваш хостер или тот, кто ведёт прокси");

/// Who must act.
pub fn who(lang: Lang, finding: &Finding) -> String {
    let note = finding.severity == Severity::Note;
    let both = match (finding.code, finding.layer) {
        (Code::HopNotAsked, _) => COMMAND_LINE,
        (Code::ClockSkew, _) => MACHINE_CLOCK,
        (Code::UpstreamUnreachable, _) if note => NOBODY_MAX,
        (Code::UpstreamUnreachable, _) => OUTWARDS,
        _ if note => NOBODY,
        (Code::Dns, _) => ZONE,
        (Code::Tls, Layer::Unknown) => CERTIFICATE,
        (Code::BackendDown, Layer::Unknown | Layer::App) => SERVER,
        (Code::OriginRefused | Code::ClientAddressLost | Code::NotRouted | Code::RateLimited, Layer::App) => MAX_AUTH,
        (_, Layer::App) => APPLICATION,
        (_, Layer::ClientSide) => HERE,
        (_, Layer::Cloudflare) => DASHBOARD,
        (_, Layer::Unknown) => HOSTER,
        (_, layer) => {
            return format!("{} {}", lang.say(("you, in", "вы, в")), layer.name());
        }
    };
    lang.say(both).to_owned()
}

/// What a finding means, in a sentence.
pub fn means(lang: Lang, code: Code) -> &'static str {
    lang.say(match code {
        Code::WsUpgradeNotPassed => {
            ("the request for a WebSocket loses its headers on the way", "запрос WebSocket теряет заголовки по пути")
        }
        Code::WsConnectionHeaderMissing => {
            ("Upgrade arrives without Connection: upgrade", "Upgrade доходит без Connection: upgrade")
        }
        Code::WsUpgradeRefused => ("a proxy refuses WebSockets by itself", "прокси сам отклоняет WebSocket"),
        Code::WsUpgradeHangs => {
            ("the request for a WebSocket is never answered", "на запрос WebSocket никто не отвечает")
        }
        Code::WsFramesHeld => {
            ("the WebSocket opens and carries nothing", "WebSocket открывается, но ничего не передаёт")
        }
        Code::WsKeyMissing => {
            ("the request for a WebSocket arrives without its key", "запрос WebSocket доходит без ключа")
        }
        Code::Buffered => {
            ("a proxy collects events before it passes them on", "прокси копит события, прежде чем передать их")
        }
        Code::WholeResponseBuffered => (
            "a proxy passes answers on only when they are complete",
            "прокси передаёт ответ, только когда он весь готов",
        ),
        Code::Compressed => {
            ("a proxy compresses events and collects them meanwhile", "прокси сжимает события и при этом копит их")
        }
        Code::CompressedLateByOne => {
            ("each event comes when the next one is sent", "каждое событие приходит лишь со следующим")
        }
        Code::AppCompression => {
            ("an application in between compresses and collects events", "приложение на пути сжимает и копит события")
        }
        Code::Delayed => ("events come, but late", "события приходят, но с опозданием"),
        Code::XAccelIgnored => {
            ("nginx was told to ignore X-Accel-Buffering", "nginx велено не слушать X-Accel-Buffering")
        }
        Code::OneWorker => {
            ("what proxies here answers one request at a time", "прокси отвечает только на один запрос за раз")
        }
        Code::Cached => ("a cache answers instead of max-auth", "вместо max-auth отвечает кэш"),
        Code::IdleTimeout => {
            ("a connection is ended when nothing flows", "соединение обрывают, когда по нему ничего не идёт")
        }
        Code::TotalTimeout => {
            ("each request is ended after a fixed time", "каждый запрос обрывают через заданное время")
        }
        Code::NotRouted => ("the path does not lead to max-auth", "этот путь не ведёт к max-auth"),
        Code::RedirectLoop => ("the address is redirected in a circle", "адрес перенаправляется по кругу"),
        Code::AuthRedirect => {
            ("visitors are sent elsewhere before they can sign in", "посетителей уводят прежде, чем они смогут войти")
        }
        Code::AuthRequired => {
            ("a password or a rule stands before the sign-in", "перед входом стоит пароль или запрет")
        }
        Code::PostRefused => ("POST is refused while GET arrives", "POST отклоняют, а GET доходит"),
        Code::BackendDown => ("max-auth, or the way to it, does not answer", "max-auth или путь к нему не отвечает"),
        Code::RateLimited => ("a limit refuses quick requests", "лимит отклоняет частые запросы"),
        Code::ConnectionLimited => {
            ("a limit refuses connections side by side", "лимит отклоняет одновременные соединения")
        }
        Code::HostRewritten => ("the name of the site does not arrive", "имя сайта не доходит"),
        Code::OriginRefused => {
            ("max-auth does not accept pages of this address", "max-auth не принимает страницы этого адреса")
        }
        Code::ClientAddressLost => ("the visitor's address does not arrive", "адрес посетителя не доходит"),
        Code::Tls => {
            ("browsers do not accept the encrypted connection", "браузеры не принимают шифрованное соединение")
        }
        Code::Dns => ("the name leads nowhere", "имя никуда не ведёт"),
        Code::ClockSkew => ("a clock is wrong", "неверные часы"),
        Code::HopNotAsked => ("an inner address told nothing", "внутренний адрес ничего не сказал"),
        Code::UpstreamUnreachable => ("MAX does not answer as it should", "MAX не отвечает как следует"),
    })
}

/// Advice in Russian, by the name of its row in the table of facts.
pub const ADVICE: &[(&str, &str)] = &[
    ("any-upgrade", "передавайте `Upgrade: websocket` и `Connection: upgrade` ниже {base}, по HTTP/1.1"),
    ("any-key", "передавайте Sec-WebSocket-Key вместе с Upgrade: max-auth обойдётся, другие откажут"),
    (
        "any-stream",
        "в этом прокси выключите всё, что копит ответы ниже {base}: буферизацию, переписывание, проверку ответов целиком",
    ),
    ("any-compress", "исключите text/event-stream из сжатия"),
    (
        "any-delay",
        "передавайте сразу, что пришло: ищите то, что проверяет, ограничивает или склеивает ответы ниже {base}",
    ),
    ("any-cache", "не кэшируйте ниже {base}"),
    ("any-timeout", "поднимите тайм-аут ответов ниже {base} до часа"),
    ("any-route", "направьте {base} и всё ниже на http://{upstream}"),
    (
        "any-loop",
        "пусть тот, кто перенаправляет, видит схему и имя посетителя: передавайте Host и X-Forwarded-Proto, в CDN включите TLS и до сервера (Cloudflare: Full вместо Flexible); или исключите {base} из перенаправления",
    ),
    ("any-auth", "пропускайте {base} без входа: через него и входят"),
    ("any-post", "разрешите POST (application/json) ниже {base}"),
    ("any-backend", "запустите max-auth и направьте прокси на его адрес (server.listen)"),
    ("any-rate", "разрешите всплеск в 40 запросов на посетителя ниже {base}"),
    ("any-connections", "разрешите 20 соединений на посетителя ниже {base}"),
    ("any-host", "передавайте заголовок Host таким, каким его прислал посетитель"),
    ("any-origin", "передавайте заголовок Origin; задайте server.public_url = \"{origin}\""),
    ("any-client", "передавайте X-Forwarded-For с адресом посетителя"),
    ("any-tls", "обновите сертификат: для этого имени и с промежуточными (certbot renew; fullchain.pem)"),
    ("any-dns", "добавьте запись A или AAAA для имени или исправьте адрес"),
    ("any-max", "проверьте upstream.endpoints и upstream.app_version; разрешите исходящие соединения на порт 443"),
    ("any-frames", "после ответа 101 ниже {base} пропускайте байты в обе стороны"),
    (
        "any-workers",
        "пусть отвечает на много запросов сразу: каждый удержанный поток занимает процесс или нить (gunicorn: threads = 32)",
    ),
    ("any-hop", "дайте --hop адрес, который виден с этой машины и ведёт к max-auth, например http://127.0.0.1:8080"),
];

/// Since the saved report.
pub const SINCE: Both = ("since it was saved", "с сохранённого отчёта");
pub const NOTHING_CHANGED: Both = ("nothing changed", "ничего не изменилось");
pub const APPEARED: Both = ("new", "новое");
pub const GONE: Both = ("gone", "ушло");
pub const ADDRESS: Both = ("address", "адрес");
pub const TRANSPORT: Both = ("transport", "транспорт");
pub const SLOWER: Both = ("first event slower", "первое событие позже");

/// While it works.
pub const ANSWERED: Both = ("answered after", "ответ через");
pub const STILL: Both = ("waiting for idle cuts, still", "ждём обрывов по тишине, ещё");
pub const SECONDS: Both = ("s", "с");

/// `--watch`.
pub const NOT_THROUGH: Both = ("does not get through", "не проходит");
pub const WAS: Both = ("was", "было");
pub const FIRST_CHANGE: Both = ("first change", "первое изменение");
pub const WATCHING: Both = ("asked again every 10 s, until Ctrl-C", "спрашиваем каждые 10 с, до Ctrl-C");

/// As `Transport::name`, for a person.
pub fn transport(lang: Lang, transport: Transport) -> &'static str {
    match transport {
        Transport::None => lang.say(("none", "никак")),
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::facts::{self, Tier};

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

    #[test]
    fn every_advice_is_there_in_russian_and_names_the_same() {
        for fact in facts::facts().filter(|fact| fact.words) {
            let (_, russian) = ADVICE.iter().find(|(id, _)| *id == fact.id).unwrap_or_else(|| panic!("{}", fact.id));
            for name in ["{base}", "{upstream}", "{origin}"] {
                assert_eq!(fact.line.contains(name), russian.contains(name), "{} {name}", fact.id);
            }
        }
        assert_eq!(ADVICE.len(), facts::facts().filter(|fact| fact.words).count());
    }

    #[test]
    fn who_must_act_is_one_group_of_words() {
        let who = |code, severity, layer| super::who(Lang::En, &Finding::new(code, severity, layer, Tier::Unknown, ""));
        use Severity::{Fault, Note};
        for (code, severity, layer, words) in [
            (Code::Buffered, Fault, Layer::Nginx, "you, in nginx"),
            (Code::Buffered, Note, Layer::Nginx, "nobody: max-auth defeats it"),
            (Code::WholeResponseBuffered, Fault, Layer::Unknown, "your hoster, or whoever runs the proxy"),
            (Code::OriginRefused, Fault, Layer::App, "you, in max-auth"),
            (Code::AppCompression, Fault, Layer::App, "you, in the application in front of max-auth"),
            (Code::HopNotAsked, Note, Layer::ClientSide, "you, on this command line"),
            (Code::Tls, Fault, Layer::Unknown, "you, where the certificate is kept"),
            (Code::Cached, Fault, Layer::Cloudflare, "you, in Cloudflare's dashboard"),
        ] {
            assert_eq!(who(code, severity, layer), words, "{}", code.name());
        }
    }
}
