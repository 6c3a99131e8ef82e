//! Whatever the program is doing when it is killed: nothing is lost, and the next try works.

use crate::program::{Program, engine};
use serde_json::Value;
use std::time::Instant;

/// At how many moments of its life each command is killed.
#[cfg(feature = "e2e-all")]
const KILLS: u32 = 10;
#[cfg(not(feature = "e2e-all"))]
const KILLS: u32 = 1;

/// What comes before, and the command that is killed.
const COMMANDS: [(&[&str], &[&str]); 11] = [
    (&["up"], &["stop"]),
    (&["stop"], &["start"]),
    (&["up"], &["pause"]),
    (&["pause"], &["unpause"]),
    (&["up", "--num-nodes", "1"], &["up", "--num-nodes", "2"]),
    (&["up", "--num-nodes", "2"], &["up", "--num-nodes", "1"]),
    (&["up"], &["snapshot", "save", "kept"]),
    (&["up"], &["reup", "--num-nodes", "1"]),
    (&["snapshot", "save", "kept"], &["snapshot", "rm", "kept"]),
    (&["up"], &["down"]),
    (&["up"], &["clean"]),
];

#[test]
fn what_was_killed_can_be_done_again() {
    let program = Program::new(246);
    program.ok(&["up", "--num-nodes", "1"]);
    for (before, command) in COMMANDS {
        program.ok(before);
        let began = Instant::now();
        program.ok(command);
        let life = began.elapsed();
        for kill in 1..=KILLS {
            program.run(&["snapshot", "rm", "kept"]);
            program.ok(&["up"]);
            write(&program);
            program.ok(before);
            program.killed(command, life * kill / (KILLS + 1));
            // Those that look have something to say, whatever there is.
            let listed = program.ok(&["list"]);
            program.status(&[]);
            program.ok(&["snapshot", "list"]);
            assert_eq!(
                listed.contains("local-cluster-246"),
                !labelled(&program).is_empty(),
                "{command:?}: {listed}"
            );
            again(&program, command);
            program.assert_whole();
            let renewed = ["reup", "down", "clean"].contains(&command[0]);
            assert_eq!(is_kept(&program), !renewed, "{command:?}");
        }
    }
}

/// The same command; a snapshot's name is taken by what there is of it, and what is gone already cannot be removed.
fn again(program: &Program, command: &[&str]) {
    if command[0] == "snapshot" {
        program.run(&["snapshot", "rm", "kept"]);
    }
    if command[..2.min(command.len())] != ["snapshot", "rm"] {
        program.ok(command);
    }
    if command == ["clean"] {
        assert_eq!(labelled(program), Vec::<Value>::new());
    }
}

/// All that the engine has of the cluster: containers, volumes and networks.
fn labelled(program: &Program) -> Vec<Value> {
    [
        ("/containers/json?all=1", ""),
        ("/volumes", "Volumes"),
        ("/networks", ""),
    ]
    .into_iter()
    .flat_map(|(path, within)| {
        let all: Value = serde_json::from_str(&engine("GET", path)).unwrap();
        let all = if within.is_empty() {
            &all
        } else {
            &all[within]
        };
        let ours = |object: &&Value| {
            let name = format!("local-cluster-{}", program.id());
            object["Labels"]["local-cluster.cluster"] == name.as_str()
        };
        all.as_array()
            .into_iter()
            .flatten()
            .filter(ours)
            .cloned()
            .collect::<Vec<_>>()
    })
    .collect()
}

fn write(program: &Program) {
    if !is_kept(program) {
        program.kubectl(&["create", "configmap", "kept"]);
    }
}

fn is_kept(program: &Program) -> bool {
    let found = program.kubectl(&["get", "configmaps", "-o", "name"]);
    found.lines().any(|line| line == "configmap/kept")
}
