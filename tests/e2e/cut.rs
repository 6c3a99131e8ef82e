//! The engine goes away in the midst of a command: here it is the way to it that is cut, at a moment that is known.

use crate::program::Program;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

/// A way to the engine, until somebody asks for something that has these words. That is handed on; the answer never
/// comes.
struct Way {
    socket: PathBuf,
}

#[derive(Default)]
struct Open {
    /// Both ends of each connection; none where the way is cut.
    ends: Option<Vec<UnixStream>>,
}

impl Way {
    fn until(program: &Program, words: &'static str) -> Self {
        let socket = program.home().join("engine.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let open = Arc::new(Mutex::new(Open {
            ends: Some(Vec::new()),
        }));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut all = open.lock().unwrap();
                let Some(ends) = &mut all.ends else { continue };
                let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
                ends.extend([client.try_clone().unwrap(), engine.try_clone().unwrap()]);
                let (answers, asks) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || copy(answers, client, |_| false));
                let open = Arc::clone(&open);
                thread::spawn(move || {
                    copy(asks, engine, |asked| {
                        let cut = has(asked, words);
                        if cut && let Some(ends) = open.lock().unwrap().ends.take() {
                            for end in ends {
                                let _ = end.shutdown(Shutdown::Both);
                            }
                        }
                        cut
                    });
                });
            }
        });
        Self { socket }
    }
}

fn has(asked: &[u8], words: &str) -> bool {
    String::from_utf8_lossy(asked).contains(words)
}

/// Copies until the end, or until this says that it is enough.
fn copy(mut from: UnixStream, mut to: UnixStream, mut enough: impl FnMut(&[u8]) -> bool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read) = from.read(&mut bytes) {
        if read == 0 || to.write_all(&bytes[..read]).is_err() || enough(&bytes[..read]) {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// The command ends, and says why and what to do.
fn cut(program: &Program, arguments: &[&str], words: &'static str) {
    let way = Way::until(program, words);
    let output = program
        .command(arguments)
        .env("DOCKER_HOST", format!("unix://{}", way.socket.display()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{arguments:?} at {words}: {told}"
    );
    assert!(
        told.contains("the connection to the Docker engine was lost"),
        "{arguments:?} at {words}: {told}"
    );
}

#[test]
fn an_engine_that_goes_away_takes_nothing_along() {
    let program = Program::new(45);
    let up = ["up", "--num-nodes", "1", "--skip-snapshot"];
    for words in ["volumes/create", "/kube-master-cluster-45/start"] {
        cut(&program, &up, words);
    }
    program.ok(&up);
    program.kubectl(&["create", "configmap", "record"]);
    program.ok(&["snapshot", "save", "whole"]);
    for words in [".two.save/start", "/pause", ".two.save/archive", "/unpause"] {
        let save = ["snapshot", "save", "two"];
        cut(&program, &save, words);
        program.assert_whole();
        // Where the job needed nobody any more, what it made is whole; else it counts for nothing.
        let output = program.run(&save);
        let told = String::from_utf8_lossy(&output.stderr);
        let there = told.contains("there is a snapshot `two` already");
        assert!(output.status.success() || there, "{words}: {told}");
        program.ok(&["snapshot", "rm", "two"]);
    }
    for words in [".restore/start", "/rename", "/kube-node-1-cluster-45/start"] {
        cut(&program, &["snapshot", "restore", "whole"], words);
        program.assert_whole();
        program.kubectl(&["get", "configmap", "record"]);
    }
    program.kubectl(&["create", "configmap", "after"]);
    program.ok(&["snapshot", "restore", "whole"]);
    let maps = program.kubectl(&["get", "configmaps", "-o", "name"]);
    assert!(
        maps.contains("/record") && !maps.contains("/after"),
        "{maps}"
    );
    let clone = Program::new(46);
    let id = clone.id();
    for words in [".clone/start", "/kube-master-cluster-46.coming/start"] {
        cut(&program, &["clone", &id], words);
        program.assert_whole();
        clone.run(&["clean"]);
    }
    program.ok(&["clone", &id]);
    clone.ok(&["up"]);
    clone.kubectl(&["get", "configmap", "record"]);
    program.assert_whole();
}
