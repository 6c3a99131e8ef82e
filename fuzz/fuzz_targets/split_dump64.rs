//! `split-dump64`: whatever a log says, nothing is written but below the directories of its dumps, and not more than there is
//! room for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use local_cluster::dump::split;

const ROOM: u64 = 1 << 20;

fuzz_target!(|log: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let Ok(found) = split::packed(log) else {
        return;
    };
    let directories = split::directories(&folder.path().join("dump"), found.len());
    let mut room = ROOM;
    for (packed, directory) in found.into_iter().zip(&directories) {
        let _ = split::split_packed(packed, directory, &mut room);
    }
    assert!(room <= ROOM);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        assert!(directories.contains(&entry.unwrap().path()));
    }
});
