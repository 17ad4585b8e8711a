//! What is looked at in a store, as the one list: the public name, the line of the report, and why it matters. docs/storage.md
//! has a row for each.

use crate::proxies::Text;

macro_rules! codes {
    ($($variant:ident = $name:literal, $title_en:literal, $title_ru:literal, $why_en:literal, $why_ru:literal;)*) => {
        /// One thing that is looked at. The names are public: add, never rename.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum StoreCode { $($variant,)* }

        impl StoreCode {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its line of the report.
            pub fn title(self) -> Text {
                match self { $(Self::$variant => ($title_en, $title_ru),)* }
            }

            /// What depends on it.
            pub fn why(self) -> Text {
                match self { $(Self::$variant => ($why_en, $why_ru),)* }
            }
        }
    };
}

codes! {
    Address = "store-address", "address and connection", "адрес и соединение",
        "every sign-in is written there before anybody sees it; without it, none begins",
        "каждый вход сначала записывается туда; без этого вход не начинается";
    Tls = "store-tls", "encryption", "шифрование",
        "max-auth speaks to nobody whose certificate it does not trust",
        "max-auth не говорит с тем, чьему сертификату не доверяет";
    Greeting = "store-greeting", "what answers there", "что там отвечает",
        "what answers is not a Redis that can be spoken to",
        "отвечает не Redis, или с ним нельзя говорить";
    Password = "store-password", "user and password", "пользователь и пароль",
        "a Redis that refuses the password refuses every sign-in; `serve` does not start",
        "Redis, который не принимает пароль, отклоняет каждый вход; `serve` не запускается";
    Kind = "store-kind", "kind of address", "вид адреса",
        "a cluster, a sentinel and a single server are spoken to in different ways",
        "с кластером, sentinel и одиночным сервером говорят по-разному";
    Cluster = "store-cluster", "cluster", "кластер",
        "a sign-in whose slot nobody holds cannot be written",
        "вход, слот которого никто не держит, записать нельзя";
    Version = "store-version", "product and version", "продукт и версия",
        "older ones lack commands that sign-ins need (GETDEL)",
        "в более старых нет нужных команд (GETDEL)";
    Role = "store-role", "role", "роль",
        "a replica takes no writes, so no sign-in begins",
        "реплика не принимает записи, поэтому вход не начинается";
    Rights = "store-rights", "rights of the user", "права пользователя",
        "a command that the user may not use fails in the middle of a sign-in",
        "команда, запрещённая пользователю, обрывает вход на середине";
    Scripts = "store-scripts", "scripts", "скрипты",
        "each step of a sign-in is a script, so that it is done whole or not at all",
        "каждый шаг входа — скрипт: он выполняется целиком или никак";
    Writes = "store-writes", "a write", "запись",
        "what cannot be written cannot be signed in",
        "что нельзя записать, тем нельзя войти";
    Latency = "store-latency", "time of a write", "время записи",
        "a sign-in writes nine times; a command that takes longer than 1 s is given up",
        "вход — это девять записей; команду дольше 1 с max-auth не ждёт";
    Hints = "store-hints", "pub/sub", "pub/sub",
        "other nodes hear of a change by it; without it they find it seconds later",
        "по нему другие узлы узнают об изменениях; без него — через несколько секунд";
    Clock = "store-clock", "clocks", "часы",
        "records end by the store's clock, grants (60 s) and sessions by that of the node that looks at them",
        "записи истекают по часам хранилища, гранты (60 с) и сессии — по часам узла, который на них смотрит";
    Eviction = "store-eviction", "eviction", "вытеснение",
        "when memory is used up, Redis throws away sign-ins that people are in the middle of, and brings ended sessions back",
        "когда память кончится, Redis выбросит начатые входы, а завершённые сессии снова станут действительны";
    Memory = "store-memory", "memory", "память",
        "without room new sign-ins are refused; those that run go on",
        "без места новые входы отклоняются; начатые продолжаются";
    Persistence = "store-persistence", "persistence", "сохранность",
        "what is not on disk is gone when Redis restarts: sign-ins under way, and the marks of ended sessions, which are valid \
         again then",
        "чего нет на диске, пропадёт при перезапуске Redis: начатые входы и отметки о завершённых сессиях — те снова станут \
         действительны";
    Replicas = "store-replicas", "replicas", "реплики",
        "what a replica has not got yet is lost when it becomes the master",
        "чего реплика ещё не получила, пропадёт, когда она станет главной";
    Idle = "store-idle", "idle connections", "простаивающие соединения",
        "a connection that is closed while nothing flows has to be opened again in the middle of a sign-in",
        "соединение, закрытое по тишине, приходится открывать посреди входа";
    Connections = "store-connections", "connections", "число соединений",
        "a node that gets no connection cannot sign anybody in",
        "узел без соединения никого не впустит";
    Nodes = "store-nodes", "nodes that live", "живые узлы",
        "nodes take each other's sign-ins over; they must agree on the time",
        "узлы подхватывают входы друг друга; время у них должно совпадать";
    Key = "store-key", "key", "ключ",
        "what one key sealed no other opens: a sign-in that goes on at another node fails, and sessions are not known there",
        "запечатанное одним ключом другой не откроет: вход на другом узле сорвётся, сессии там не узнают";
    NotLooked = "store-not-looked", "what could not be looked at", "что не удалось посмотреть",
        "max-auth works without; the doctor sees less",
        "max-auth работает и так; доктор видит меньше";
    Folder = "store-folder", "folder", "каталог",
        "max-auth keeps what must survive a restart there",
        "там max-auth хранит то, что должно пережить перезапуск";
    Lock = "store-lock", "who has it open", "кем занят",
        "one process has a folder at a time",
        "каталогом владеет один процесс";
    Volume = "store-volume", "room on the volume", "место на томе",
        "without room new sign-ins are refused; those that run go on in memory",
        "без места новые входы отклоняются; начатые продолжаются в памяти";
    Filesystem = "store-filesystem", "file system", "файловая система",
        "a restart is survived only by what is really on a disk, and the lock holds only where locks do",
        "перезапуск переживёт лишь то, что действительно на диске, и блокировка верна лишь там, где они работают";
    Sync = "store-sync", "way to the disk", "путь на диск",
        "each step of a sign-in waits until it is on disk",
        "каждый шаг входа ждёт, пока окажется на диске";
    File = "store-file", "store.redb", "store.redb",
        "what cannot be read keeps `serve` from starting",
        "если файл не читается, `serve` не запустится";
    Forgets = "store-forgets", "memory only", "только память",
        "a restart forgets every sign-in under way and the marks of ended sessions, which are valid again then",
        "перезапуск забудет начатые входы и отметки о завершённых сессиях — те снова станут действительны";
}
