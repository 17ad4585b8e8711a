//! Every fixed text of the report, in English and in Russian. What was seen is told in English: it quotes headers, errors
//! and figures, and is what people search for.

use super::delivery::DeliveryMode;
use crate::proxies::{APP, FindingCode, Lang, Layer, Severity, Text, UNKNOWN};

pub const SEEN: Text = ("seen", "видно");
pub const MEANS: Text = ("means", "смысл");
pub const WHO: Text = ("who", "кто");
pub const FIX: Text = ("fix", "правка");
pub const WHERE: Text = ("where", "куда");
pub const CHECK: Text = ("check", "тест");
pub const MORE: Text = ("more", "ещё");
pub const FAULT: Text = ("FAULT", "ОШИБКА");
pub const NOTE: Text = ("NOTE", "ЗАМЕТКА");
pub const GETS_ALONG: Text =
    ("max-auth gets along with it; other software would not", "max-auth с этим справляется, другие программы — нет");
pub const DELIVERED_BY: Text = ("delivered by", "доставка");
pub const FIRST_EVENT: Text = ("first event", "первое событие");
pub const MS: Text = ("ms", "мс");

/// The whole in a sentence.
pub const CANNOT: Text = (
    "Visitors cannot sign in: nothing gets from max-auth to them.",
    "Посетители не могут войти: от max-auth до них ничего не доходит.",
);
pub const REFUSED: Text = (
    "Visitors of this address cannot sign in: max-auth refuses its pages. The line itself delivers.",
    "Посетители этого адреса не могут войти: max-auth отклоняет его страницы. Сама линия работает.",
);
pub const SHARED: Text = (
    "Visitors can sign in, and a cache on the way gives what is theirs to others. Mend that before anything else.",
    "Войти можно, но кэш на пути отдаёт ответы одного посетителя другому. Исправьте это прежде всего.",
);
pub const BEST_WITH_FAULTS: Text = (
    "Visitors see each step of a sign-in as it happens. Some of them may not; see the faults below.",
    "Посетители видят каждый шаг входа сразу. Но не обязательно все: смотрите ошибки ниже.",
);
pub const BEST: Text =
    ("Visitors see each step of a sign-in as it happens.", "Посетители видят каждый шаг входа сразу.");
pub const SECOND_BEST: Text = (
    "Visitors can sign in and see each step as it happens, but only over the second-best way: WebSockets do not get \
     through.",
    "Посетители могут войти и видят каждый шаг сразу, но только запасным путём: WebSocket не проходит.",
);
pub const POLLING: Text = (
    "Visitors can sign in, but only by asking again and again: neither WebSockets nor event streams get through in time.",
    "Посетители могут войти, но только повторными запросами: ни WebSocket, ни потоки событий вовремя не доходят.",
);

/// A protected page, in a sentence.
pub const PROTECTED: Text = (
    "Only who is signed in gets to this page; everybody else is led to the sign-in and back.",
    "На эту страницу попадают только вошедшие; остальных ведут на вход и обратно.",
);
pub const PROTECTED_WITH_FAULTS: Text = (
    "Who is not signed in does not get to this page, but something is wrong: see the faults below.",
    "Кто не вошёл, на страницу не попадает, но не всё в порядке: смотрите ошибки ниже.",
);
pub const OPEN: Text = (
    "Everybody gets to this page, signed in or not. Mend that before anything else.",
    "На эту страницу попадает любой, вошёл он или нет. Исправьте это прежде всего.",
);
pub const FORGED: Text = (
    "A page behind the sign-in can be entered under another name. Mend that before anything else.",
    "На страницу можно войти под чужим именем. Исправьте это прежде всего.",
);

/// `--networks`: the whole in a sentence, the columns, what is said of each.
pub const NETWORKS_FROZEN: Text = (
    "Visitors of some networks lose the connection in the middle of a sign-in, and neither side is told.",
    "Посетители из некоторых сетей теряют связь посреди входа, и никто об этом не узнаёт.",
);
pub const NETWORKS_FINE: Text = (
    "No network that visitors came from today freezes connections in the middle of a sign-in.",
    "Ни одна сеть, из которой сегодня приходили посетители, не замораживает соединения посреди входа.",
);
pub const NETWORKS_NONE: Text = (
    "Nobody has signed in for a day, or since the server was started: nothing is known.",
    "За сутки или с запуска сервера никто не входил: ничего не известно.",
);
pub const NETWORKS_COLUMNS: [Text; 9] = [
    ("in a day", "за сутки"),
    ("sign-ins", "входов"),
    ("frozen", "замёрзло"),
    ("in 1 h", "за 1 ч"),
    ("streams", "потоков"),
    ("silent <8", "молчит <8"),
    ("8-40", "8-40"),
    (">40 KB", ">40 КБ"),
    ("mean", "средн."),
];
pub const NETWORKS_MORE: Text = ("further networks", "ещё сетей");
pub const NETWORK_FROZEN: Text = ("frozen", "замораживает");
pub const NETWORK_FINE: Text = ("fine", "в порядке");
pub const NETWORK_FEW: Text = ("too few to tell", "мало данных");
pub const NETWORK_INSIDE: Text = ("a proxy, or a network of your own", "прокси или ваша сеть");

const NOBODY: Text = ("nobody: max-auth defeats it", "никто: max-auth справляется сам");
const NOBODY_MAX: Text = ("nobody: another address of MAX works", "никто: другой адрес MAX работает");
const CERTIFICATE: Text = ("you, where the certificate is kept", "вы, там, где лежит сертификат");
const ZONE: Text = ("you, in the zone of the name", "вы, в зоне DNS этого имени");
const MACHINE_CLOCK: Text = ("you, on the machine whose clock is wrong", "вы, на машине, где неверны часы");
const SERVER: Text = ("you, on the server of max-auth", "вы, на сервере max-auth");
const OUTWARDS: Text = ("you or your hoster, on max-auth's way to MAX", "вы или ваш хостер, на пути от max-auth к MAX");
const RENTED: Text = ("you, where the sign-in host is rented", "вы, там, где размещён адрес входа");
const COMMAND_LINE: Text = ("you, on this command line", "вы, в этой командной строке");
const YOU_IN: Text = ("you, in", "вы, в");
const MAX_AUTH: Text = ("you, in max-auth", "вы, в настройках max-auth");

/// Who must act.
pub fn who(lang: Lang, code: FindingCode, severity: Severity, layer: Layer) -> String {
    let note = severity == Severity::Note;
    let in_max_auth = matches!(
        code,
        FindingCode::OriginRefused
            | FindingCode::ClientAddressLost
            | FindingCode::NotRouted
            | FindingCode::RateLimited
            | FindingCode::WayBackPathLost
            | FindingCode::WayBackHostWrong
            | FindingCode::HostNotListed
    );
    let text = match code {
        FindingCode::HopNotAsked => COMMAND_LINE,
        FindingCode::ClockSkew => MACHINE_CLOCK,
        FindingCode::FrozenByNetwork => RENTED,
        FindingCode::UpstreamUnreachable if note => NOBODY_MAX,
        FindingCode::UpstreamUnreachable => OUTWARDS,
        _ if note => NOBODY,
        FindingCode::Dns => ZONE,
        FindingCode::Tls if layer == UNKNOWN => CERTIFICATE,
        FindingCode::BackendDown if layer == UNKNOWN || layer == APP => SERVER,
        _ if in_max_auth && layer == APP => MAX_AUTH,
        _ => match layer.product().operator {
            Some(text) => text,
            None => return format!("{} {}", lang.say(YOU_IN), layer.name()),
        },
    };
    lang.say(text).to_owned()
}

/// Since the saved report.
pub const SINCE: Text = ("since it was saved", "с сохранённого отчёта");
pub const NOTHING_CHANGED: Text = ("nothing changed", "ничего не изменилось");
pub const APPEARED: Text = ("new", "новое");
pub const GONE: Text = ("gone", "ушло");
pub const ADDRESS: Text = ("address", "адрес");
pub const TRANSPORT: Text = ("transport", "транспорт");
pub const SLOWER: Text = ("first event slower", "первое событие позже");

/// While it works.
pub const ANSWERED: Text = ("answered after", "ответ через");
pub const STILL: Text = ("waiting for idle cuts, still", "ждём обрывов по тишине, ещё");
pub const SECONDS: Text = ("s", "с");

/// `--watch`.
pub const NOT_THROUGH: Text = ("does not get through", "не проходит");
pub const WAS: Text = ("was", "было");
pub const FIRST_CHANGE: Text = ("first change", "первое изменение");
pub const WATCHING: Text = ("asked again every 10 s, until Ctrl-C", "спрашиваем каждые 10 с, до Ctrl-C");

/// As `DeliveryMode::name`, for a person.
pub fn transport(lang: Lang, transport: DeliveryMode) -> &'static str {
    match transport {
        DeliveryMode::None => lang.say(("none", "никак")),
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::{CLIENT_SIDE, NGINX, layer};

    #[test]
    fn who_must_act_is_one_group_of_words() {
        let who = |code, severity, layer| super::who(Lang::En, code, severity, layer);
        use Severity::{Fault, Note};
        for (code, severity, layer, words) in [
            (FindingCode::Buffered, Fault, NGINX, "you, in nginx"),
            (FindingCode::Buffered, Note, NGINX, "nobody: max-auth defeats it"),
            (FindingCode::WholeResponseBuffered, Fault, UNKNOWN, "your hoster, or whoever runs the proxy"),
            (FindingCode::OriginRefused, Fault, APP, "you, in max-auth"),
            (FindingCode::AppCompression, Fault, APP, "you, in the application in front of max-auth"),
            (FindingCode::FrozenByNetwork, Fault, UNKNOWN, "you, where the sign-in host is rented"),
            (FindingCode::HopNotAsked, Note, CLIENT_SIDE, "you, on this command line"),
            (FindingCode::Tls, Fault, UNKNOWN, "you, where the certificate is kept"),
            (FindingCode::Tls, Fault, NGINX, "you, in nginx"),
            (FindingCode::BackendDown, Fault, UNKNOWN, "you, on the server of max-auth"),
            (FindingCode::BackendDown, Fault, APP, "you, on the server of max-auth"),
            (FindingCode::BackendDown, Fault, NGINX, "you, in nginx"),
            (FindingCode::Dns, Fault, UNKNOWN, "you, in the zone of the name"),
            (FindingCode::UpstreamUnreachable, Note, APP, "nobody: another address of MAX works"),
            (FindingCode::UpstreamUnreachable, Fault, APP, "you or your hoster, on max-auth's way to MAX"),
            (FindingCode::ClientAddressLost, Fault, APP, "you, in max-auth"),
            (FindingCode::NotRouted, Fault, APP, "you, in max-auth"),
            (FindingCode::RateLimited, Fault, APP, "you, in max-auth"),
            (FindingCode::RateLimited, Fault, NGINX, "you, in nginx"),
            (FindingCode::Cached, Fault, layer("cloudflare"), "you, in Cloudflare's dashboard"),
        ] {
            assert_eq!(who(code, severity, layer), words, "{}", code.name());
        }
    }
}
