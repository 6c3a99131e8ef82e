//! `split-dump`: whatever a text says, nothing is written but below its directory, and what was saved is there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use local_cluster::dump::split;

fuzz_target!(|text: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("dump");
    // A name that is too long for the file system is an error, and no fault.
    if let Ok(Some(saved)) = split::split(text, &directory) {
        assert_eq!(saved.directory, directory);
        assert!(directory.is_dir());
    }
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        assert_eq!(entry.unwrap().path(), directory);
    }
});
