//! Files that the configuration names: the key that all nodes share, certificates that are trusted.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

/// `store.key_file`; else what is wrong with it.
pub fn key_file(path: &Path) -> Result<Zeroizing<[u8; 32]>, String> {
    let wrong = |why: String| format!("store.key_file: {}: {why}", path.display());
    let mut bytes = Zeroizing::new(Vec::with_capacity(33));
    let file = File::open(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    // One more than fits tells a longer file; a device without an end is not read for ever.
    file.take(33).read_to_end(&mut bytes).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let key: Result<[u8; 32], _> = bytes.as_slice().try_into();
    let length = if bytes.len() > 32 { "more than 32".to_owned() } else { bytes.len().to_string() };
    key.map(Zeroizing::new)
        .map_err(|_| wrong(format!("has {length} bytes; 32 random ones are needed (head -c 32 /dev/urandom > FILE)")))
}

/// `store.ca_file`; else what is wrong with it.
pub fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("store.ca_file: {}: cannot be read: {error}", path.display()))
}
