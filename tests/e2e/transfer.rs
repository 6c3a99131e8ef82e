//! A snapshot that becomes a file and a snapshot again.

use crate::program::{Program, engine};
use local_cluster::snapshot::file::check;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

#[cfg(feature = "e2e-all")]
const KILLS: u32 = 20;
#[cfg(not(feature = "e2e-all"))]
const KILLS: u32 = 3;

/// How long an export or an import lives before it is killed: all of its life.
const LIFE: Duration = Duration::from_secs(20);

#[test]
fn a_snapshot_goes_through_a_file() {
    let program = Program::new(213);
    program.ok(&["up", "--num-nodes", "1"]);
    program.kubectl(&["create", "configmap", "record"]);
    program.ok(&["snapshot", "save", "one"]);
    let file = program.home().join("one.snapshot");
    let path = file.to_str().unwrap();

    killed(&program, &["snapshot", "export", "one", path], || {
        // What is there under that name is whole.
        if file.exists() {
            assert_whole(&file);
            fs::remove_file(&file).unwrap();
        }
    });
    program.ok(&["snapshot", "export", "one", path]);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_whole(&file);
    let beside = fs::read_dir(program.home()).unwrap();
    let beside = beside.map(|entry| entry.unwrap().file_name());
    let part = |name: &std::ffi::OsString| {
        let name = name.to_str().unwrap();
        name.starts_with("one.snapshot") && name != "one.snapshot"
    };
    assert_eq!(beside.filter(part).count(), 0);
    let (_, text) = program.fails(&["snapshot", "export", "one", path]);
    assert!(text.contains("already"), "{text}");
    let (_, text) = program.fails(&["snapshot", "import", path]);
    assert!(text.contains("there is a snapshot `one` already"), "{text}");

    program.ok(&["clean"]);
    damaged(&program, &file);
    killed(&program, &["snapshot", "import", path], || {
        // It is there wholly, or counts for nothing and is not in the way of the next.
        match state(&program).as_deref() {
            None => {
                let (_, text) = program.fails(&["snapshot", "restore", "one"]);
                assert!(text.contains("there is no snapshot `one`"), "{text}");
            }
            Some("incomplete") => {
                let (_, text) = program.fails(&["snapshot", "restore", "one"]);
                assert!(text.contains("was never completed"), "{text}");
            }
            Some("whole") => {
                let (_, text) = program.fails(&["snapshot", "import", path]);
                assert!(text.contains("there is a snapshot `one` already"), "{text}");
                program.ok(&["snapshot", "rm", "one"]);
            }
            other => panic!("{other:?}"),
        }
    });
    program.ok(&["snapshot", "import", path]);
    program.ok(&["snapshot", "restore", "one"]);
    assert!(
        program
            .kubectl(&["get", "configmaps", "-o", "name"])
            .contains("configmap/record")
    );
    program.ok(&["up"]);
    assert_eq!(program.ok(&["up", "--dry-run"]), "nothing to do\n");

    // Elsewhere than where it was, the nodes keep their addresses all the same.
    let other = Program::new(214);
    other.ok(&["snapshot", "import", path, "--name", "other"]);
    other.ok(&["snapshot", "restore", "other"]);
    assert!(
        other
            .kubectl(&["get", "configmaps", "-o", "name"])
            .contains("configmap/record")
    );
    assert!(
        other
            .status(&[])
            .contains("in 10.192.214.0/24 for this host")
    );
    program.ok(&["clean"]);
    other.ok(&["clean"]);
    let left = engine("GET", "/volumes") + &engine("GET", "/containers/json?all=1");
    assert!(
        !left.contains("local-cluster-213") && !left.contains("local-cluster-214"),
        "{left}"
    );
}

/// The file is one that can be imported.
fn assert_whole(file: &Path) {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let opened = BufReader::new(fs::File::open(file).unwrap());
    check(opened, fs::metadata(file).unwrap().len(), architecture).unwrap();
}

/// What the list says of snapshot `one`; nothing where that is not there.
fn state(program: &Program) -> Option<String> {
    let list = program.ok(&["snapshot", "list", "--output", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    match list["snapshots"].as_array().unwrap().as_slice() {
        [] => None,
        [one] => {
            assert_eq!(one["name"], "one", "{list}");
            Some(one["state"].as_str().unwrap().to_owned())
        }
        _ => panic!("{list}"),
    }
}

/// A command that is killed at any age leaves nothing that is in its way the next time.
fn killed(program: &Program, arguments: &[&str], afterwards: impl Fn()) {
    for round in 0..KILLS {
        program.killed(arguments, LIFE * (round + 1) / (KILLS + 1));
        afterwards();
    }
}

/// A file that is not what was written is refused, and nothing of it is used.
fn damaged(program: &Program, file: &Path) {
    let other = program.home().join("other.snapshot");
    let path = other.to_str().unwrap();
    let size = fs::metadata(file).unwrap().len();
    let refusal = || program.fails(&["snapshot", "import", path]).1;

    fs::copy(file, &other).unwrap();
    let mut changed = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&other)
        .unwrap();
    // In the last part.
    changed.seek(SeekFrom::Start(size - 10_000)).unwrap();
    let mut byte = [0];
    changed.read_exact(&mut byte).unwrap();
    changed.seek(SeekFrom::Start(size - 10_000)).unwrap();
    changed.write_all(&[!byte[0]]).unwrap();
    let text = refusal();
    assert!(
        text.contains("it is damaged: `nodes.tar.zst` is not what was written"),
        "{text}"
    );
    changed.set_len(size / 2).unwrap();
    let text = refusal();
    assert!(text.contains("it ends before its end"), "{text}");
    fs::write(&other, "something").unwrap();
    let text = refusal();
    assert!(text.contains("it is not a snapshot that"), "{text}");
    fs::remove_file(&other).unwrap();
    assert_eq!(program.ok(&["snapshot", "list"]), "");
}
