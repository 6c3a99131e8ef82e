//! A disk that is full in the midst of a snapshot: nothing is lost, the reason is told, and the next try works.

use crate::program::{Program, engine, engine_with};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// So much fits, which is less than any cluster's.
const SMALL: &str = "2m";

#[test]
fn a_full_disk_takes_nothing_away() {
    let program = Program::new(44);
    program.ok(&["up", "--num-nodes", "0", "--skip-snapshot"]);
    program.kubectl(&["create", "configmap", "record"]);

    let one = ["snapshot", "save", "one"];
    meets_a_full_disk(&program, &one, "save");
    program.ok(&one);

    let folder = program.home().join("small");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("one");
    assert_eq!(export_to_a_full_disk(&program, &folder), "");
    let path = file.to_str().unwrap();
    program.ok(&["snapshot", "export", "one", path]);

    program.ok(&["snapshot", "rm", "one"]);
    let import = ["snapshot", "import", path];
    meets_a_full_disk(&program, &import, "import");
    program.ok(&import);

    program.kubectl(&["create", "configmap", "after"]);
    restore_meets_a_full_disk(&program);
    program.ok(&["snapshot", "restore", "one"]);
    let maps = program.kubectl(&["get", "configmaps", "-o", "name"]);
    assert!(
        maps.contains("/record") && !maps.contains("/after"),
        "{maps}"
    );
    program.assert_whole();
}

/// The volume that a command makes of snapshot `one` is a small one, and it fails; of it nothing stays.
fn meets_a_full_disk(program: &Program, arguments: &[&str], job: &str) {
    let volume = "local-cluster-44.snapshot.one";
    let job = format!("{volume}.{job}");
    // The command removes what has the name before it makes its own: somebody else must come between.
    for _ in 0..10 {
        let (making, until) = (volume.to_owned(), job.clone());
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        let maker = thread::spawn(move || make_small_until_there_is(&making, &until, &over));
        let output = program.run(arguments);
        ended.store(true, Ordering::Relaxed);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        maker.join().unwrap();
        if output.status.success() {
            // It would not be found by a label.
            engine("DELETE", &format!("/volumes/{volume}"));
            continue;
        }
        for words in [
            "No space left on device",
            "the disk of the engine's host is full",
        ] {
            assert!(told.contains(words), "{told}");
        }
        let left = engine("GET", "/volumes") + &engine("GET", "/containers/json?all=1");
        assert!(!left.contains(volume), "{left}");
        assert_eq!(program.ok(&["snapshot", "list"]), "");
        program.assert_whole();
        program.kubectl(&["get", "configmap", "record"]);
        return;
    }
    panic!("the command was always first");
}

/// The volume that a restore would fill is there, and is a small one: the old nodes stay.
fn restore_meets_a_full_disk(program: &Program) {
    let volume = "kube-master-cluster-44-data.2";
    engine_with("POST", "/volumes/create", &small(volume));
    let (_, told) = program.fails(&["snapshot", "restore", "one"]);
    assert!(told.contains("No space left on device"), "{told}");
    program.kubectl(&["get", "configmap", "after"]);
    program.assert_whole();
    engine("DELETE", &format!("/volumes/{volume}"));
}

/// A volume in which little fits. By its label it is ours, and by none it is found.
fn small(name: &str) -> Value {
    let options = json!({ "type": "tmpfs", "device": "tmpfs", "o": format!("size={SMALL}") });
    json!({ "Name": name, "DriverOpts": options, "Labels": { "local-cluster.small": "" } })
}

/// Makes a volume again and again, until there is a container of this name, or none will come.
fn make_small_until_there_is(volume: &str, container: &str, ended: &AtomicBool) {
    let mut engine = BufReader::new(UnixStream::connect("/var/run/docker.sock").unwrap());
    let body = small(volume).to_string();
    let path = format!("/containers/{container}/json");
    while !ended.load(Ordering::Relaxed) && ask(&mut engine, "GET", &path, "") == 404 {
        ask(&mut engine, "POST", "/volumes/create", &body);
    }
}

/// Asks on a connection that stays, as each new one takes longer; gives the status.
fn ask(engine: &mut BufReader<UnixStream>, method: &str, path: &str, body: &str) -> u16 {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    engine.get_mut().write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    engine.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut length = 0;
    loop {
        line.clear();
        engine.read_line(&mut line).unwrap();
        if let Some((name, value)) = line.trim().split_once(": ") {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        } else {
            break;
        }
    }
    engine.read_exact(&mut vec![0; length]).unwrap();
    status
}

/// Gives what is left there.
fn export_to_a_full_disk(program: &Program, folder: &std::path::Path) -> String {
    let export = program.command(&["snapshot", "export", "one", "one"]);
    let script =
        format!("mount -t tmpfs -o size={SMALL} tmpfs \"$0\" && cd \"$0\" && ! \"$@\" && ls -A");
    let mut small = Command::new("unshare");
    small.args(["--mount", "sh", "-c", &script]).arg(folder);
    small.arg(export.get_program()).args(export.get_args());
    for (name, value) in export.get_envs() {
        match value {
            Some(value) => small.env(name, value),
            None => small.env_remove(name),
        };
    }
    let output = small.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
    String::from_utf8(output.stdout).unwrap()
}
