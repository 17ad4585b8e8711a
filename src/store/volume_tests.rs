//! How large the file becomes. docs/storage.md has these figures ("A volume").

use super::*;
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use futures_util::future::join_all;
use std::path::Path;
use std::sync::Arc;

const LONG: Duration = Duration::from_secs(600);

fn size(path: &Path) -> u64 {
    std::fs::metadata(path.join("store.redb")).unwrap().len()
}

/// So many at once, each as a sign-in is: a head, six events of which a drawn code is the largest, a grant.
async fn sign_in(store: &FileStore, count: usize) {
    let rng = Rng::system();
    let record = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    let node = NodeName::new("node-1", &rng);
    let logins = (0..count).map(async |_| {
        let key = |space| Key::of(space, &[&rng.bytes::<16>()]);
        let (log, grant) = (key(Space::Login), key(Space::Grant));
        store.begin(log, node.clone(), record(400), vec![record(150)], LONG).await.unwrap();
        for (after, bytes) in [(1, 700), (2, 150), (3, 150), (4, 150), (5, 300)] {
            let append = Append { fence: 1, after, records: vec![record(bytes)], seal: None };
            assert_eq!(store.append(log, append).await.unwrap(), Appended::Stored);
        }
        store.put(grant, record(600), LONG, When::Always).await.unwrap();
    });
    join_all(logins).await;
}

#[tokio::test]
async fn a_volume_has_room_for_twice_what_logins_take() {
    let count = 500;
    let folder = tempfile::tempdir().unwrap();
    let opened = || {
        let folder = Arc::new(Folder::open(folder.path()).unwrap());
        FileStore::open(folder, Clock::system()).unwrap()
    };
    let store = opened();
    let empty = size(folder.path());
    sign_in(&store, count).await;
    let full = size(folder.path());
    let each = (full - empty) / count as u64;
    let told = format!("empty {empty}, with {count} logins {full}: {each} each");
    assert!(empty < 3 * 1024 * 1024 && each < 24 * 1024, "{told}");
}
