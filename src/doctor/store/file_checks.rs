//! The folder of `store.path`: what was seen of it, judged.

use super::check::{Check, Level, SHELL, size, times};
use super::code::StoreCode;
use crate::store::{Filesystem, FolderLook, KeyLook, Lock, Rows};
use std::path::Path;

/// Bytes that 20 000 logins take in the file, and as much again while it is written (docs/storage.md, "A volume").
const ROOM: u64 = 256 * 1024 * 1024;

/// Milliseconds of a page down to the disk. Writes that wait share one commit, so a slow disk makes sign-ins late, not few.
const SLOW: f64 = 50.0;
const TOO_SLOW: f64 = 500.0;

pub fn judge(look: &FolderLook, own_key: bool) -> Vec<Check> {
    let mut checks = vec![folder(look), filesystem(look), lock(look), volume(look)];
    checks.extend(sync(look));
    checks.extend(file(look));
    if own_key {
        checks.push(key_of_folder(look));
    }
    let at = look.path.display().to_string();
    checks.into_iter().map(|check| check.at(&at)).collect()
}

fn folder(look: &FolderLook) -> Check {
    let (path, at) = (look.path.display(), look.looked_at.display());
    let check = |level, measured: String| Check::new(StoreCode::Folder, level, measured);
    if !look.is_folder {
        return check(Level::Stop, format!("{at} is not a folder"));
    }
    if let Err(why) = &look.writes {
        return check(Level::Stop, format!("{at}: no file can be made: {why}"))
            .line(format!("install -d -m 0700 -o USER {path}"), SHELL)
            .advice(
                "USER is whom `serve` runs as; in a container, give a volume that can be written; with systemd, StateDirectory=",
                "USER — пользователь, от которого работает `serve`; в контейнере дайте том, доступный на запись; в systemd — \
                 StateDirectory=",
            );
    }
    if look.looked_at != look.path {
        return check(Level::Ok, format!("is not there yet; `serve` makes it in {at}"));
    }
    let told = format!("mode {:04o}, of user {}, asked as {}", look.mode, look.owner, look.us);
    if look.mode & 0o022 != 0 {
        return check(Level::Fault, format!("{told}: others may put files of theirs there"))
            .line(format!("chmod 0700 {path}"), SHELL);
    }
    if look.owner != look.us && look.us != 0 {
        return check(Level::Warning, format!("{told}: ask as the user of `serve`"))
            .line(format!("chown -R USER {path}"), SHELL);
    }
    check(Level::Ok, told)
}

fn filesystem(look: &FolderLook) -> Check {
    let check = |level, measured: &str| Check::new(StoreCode::Filesystem, level, measured);
    let elsewhere = |check: Check| {
        check.line("store.path = \"/var/lib/max-auth\"", "max-auth.toml: a folder on a disk of this machine")
    };
    match look.filesystem {
        Filesystem::Local => check(Level::Ok, "on a disk of this machine"),
        Filesystem::Memory => elsewhere(check(Level::Fault, "in memory (tmpfs): gone when the machine restarts")),
        Filesystem::Overlay => {
            let measured = "the container's own layer (overlayfs): gone when the container is made anew";
            check(Level::Warning, measured).line("volumes: [\"max-auth:/var/lib/max-auth\"]", "compose.yaml: a volume")
        }
        Filesystem::Network(name) => {
            let measured = format!("on another machine ({name}): locks and syncs may not hold there");
            elsewhere(check(Level::Warning, &measured)).advice(
                "many machines share a Redis instead: store.kind = \"redis\"",
                "несколько машин делят Redis: store.kind = \"redis\"",
            )
        }
    }
}

fn lock(look: &FolderLook) -> Check {
    let check = |level, measured: &str| Check::new(StoreCode::Lock, level, measured);
    match &look.lock {
        Lock::Free => check(Level::Ok, "nobody: no server runs on it"),
        Lock::Held => check(Level::Ok, "a running server; what is in store.redb was not looked at"),
        Lock::Unknown(why) => check(Level::Unknown, why),
    }
}

fn volume(look: &FolderLook) -> Check {
    let Some(free) = look.free else {
        return Check::new(StoreCode::Volume, Level::Unknown, "the volume does not say");
    };
    let (free_size, least) = (size(free), size(look.reserve));
    let full = |check: Check| {
        check.line(format!("df -h {}", look.looked_at.display()), SHELL).advice(
            "make room, or give a larger volume; max-auth goes on by itself once there is some",
            "освободите место или дайте том побольше; дальше max-auth продолжит сам",
        )
    };
    match free {
        free if free < look.reserve => full(Check::new(
            StoreCode::Volume,
            Level::Stop,
            format!("{free_size} free; nothing is written below {least}"),
        )),
        free if free < ROOM => {
            let measured = format!("{free_size} free; 20 000 sign-ins at once need {}", size(ROOM));
            full(Check::new(StoreCode::Volume, Level::Warning, measured))
        }
        _ => Check::new(StoreCode::Volume, Level::Ok, format!("{free_size} free")),
    }
}

fn sync(look: &FolderLook) -> Option<Check> {
    let all = look.writes.as_ref().ok()?;
    let (middle, most, longest) = times(all)?;
    let measured =
        format!("p50 {middle:.1} ms, p99 {most:.1} ms, longest {longest:.1} ms of {} small writes", all.len());
    let level = match middle {
        middle if middle >= TOO_SLOW => Level::Fault,
        middle if middle >= SLOW => Level::Warning,
        _ => Level::Ok,
    };
    let check = Check::new(StoreCode::Sync, level, measured);
    Some(match level {
        Level::Ok => check,
        _ => check.advice(
            "a disk of its own, or a faster one; see what else writes (iostat -x 1)",
            "отдельный диск или диск побыстрее; посмотрите, кто ещё пишет (iostat -x 1)",
        ),
    })
}

fn file(look: &FolderLook) -> Option<Check> {
    let bytes = size(look.bytes?);
    let check = |level, measured: String| Check::new(StoreCode::File, level, measured);
    Some(match &look.rows {
        Rows::NotLooked => check(Level::Ok, bytes),
        Rows::Count(rows) => check(Level::Ok, format!("{bytes}, {rows} records")),
        Rows::Unclean => check(Level::Ok, format!("{bytes}; the last server was killed, and the next one mends it")),
        Rows::Broken(why) => {
            let path = look.path.join("store.redb");
            let path = path.display();
            check(Level::Stop, format!("{bytes}: {why}")).line(format!("mv {path} {path}.broken"), SHELL).advice(
                "the next `serve` makes a new one: sign-ins under way begin anew, and ended sessions are valid again until \
                 they are over (a new key ends them all: move session.key away, too)",
                "следующий `serve` создаст новый: начатые входы начнутся заново, завершённые сессии снова станут \
                 действительны до своего срока (новый ключ завершит все: уберите и session.key)",
            )
        }
    })
}

fn key_of_folder(look: &FolderLook) -> Check {
    let path = look.key.path.display();
    match look.key.file {
        None if look.bytes.is_some() => {
            let measured = format!("{path} is missing, and store.redb is there: nothing in it can be read");
            Check::new(StoreCode::Key, Level::Fault, measured).advice(
                "put the file back from a copy; without it, `serve` makes a new one and everybody is signed out",
                "верните файл из копии; без него `serve` создаст новый, и всем придётся войти заново",
            )
        }
        None => Check::new(StoreCode::Key, Level::Ok, format!("{path}: made on first use")),
        Some((_, length)) if length != 32 => {
            Check::new(StoreCode::Key, Level::Stop, format!("{path} has {length} bytes, not 32"))
                .line(format!("mv {path} {path}.broken"), SHELL)
                .advice("a new one is made; everybody is signed out", "будет создан новый; всем придётся войти заново")
        }
        Some(_) => private(&look.key),
    }
}

/// A key that others could read is everybody's.
pub fn private(key: &KeyLook) -> Check {
    let path = key.path.display();
    match key.file {
        Some((mode, _)) if mode & 0o077 != 0 => {
            Check::new(StoreCode::Key, Level::Warning, format!("{path} could be read by others (mode {mode:04o})"))
                .line(format!("chmod 0600 {path}"), SHELL)
        }
        Some((mode, _)) => Check::new(StoreCode::Key, Level::Ok, format!("{path}, mode {mode:04o}")),
        None => Check::new(StoreCode::Key, Level::Stop, format!("{path} is not there")),
    }
}

/// `store.key_file` that cannot be used.
pub fn no_key(why: &str, path: &Path) -> Check {
    Check::new(StoreCode::Key, Level::Stop, why)
        .at(path.display().to_string())
        .line(format!("(umask 077; head -c 32 /dev/urandom > {})", path.display()), SHELL)
        .advice("the same file on all nodes", "один и тот же файл на всех узлах")
}
