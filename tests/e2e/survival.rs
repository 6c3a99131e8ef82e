//! What was acknowledged is not lost, whatever happens to the cluster but a restore, which is exact.

use crate::program::{Program, engine};
use std::collections::BTreeSet;

#[cfg(feature = "e2e-all")]
const ROUNDS: usize = 50;
#[cfg(not(feature = "e2e-all"))]
const ROUNDS: usize = KINDS;

/// How many kinds of things happen to the cluster.
const KINDS: usize = 7;

const NODES: [&str; 2] = ["kube-master", "kube-node-1"];

/// What is known to have been written.
struct Written<'a> {
    program: &'a Program,
    /// Objects of the API.
    records: BTreeSet<String>,
    /// Lines of the application's file.
    lines: usize,
}

#[test]
fn what_was_acknowledged_survives() {
    let program = Program::new(245);
    let clone = Program::new(247);
    program.ok(&["up", "--num-nodes", "1"]);
    let writer = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/writer.yaml");
    program.kubectl(&["apply", "-f", writer]);
    let mut written = Written {
        program: &program,
        records: BTreeSet::new(),
        lines: 0,
    };
    // A linear congruential generator: the mix differs from round to round, and not from run to run.
    let mut seed = 11_u64;
    for round in 0..ROUNDS {
        written.more(round);
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The first rounds have one of each.
        let kind = if round < KINDS {
            round as u64
        } else {
            (seed >> 33) % KINDS as u64
        };
        match kind {
            0 => {
                program.ok(&["stop"]);
                program.ok(&["start"]);
            }
            1 => {
                for node in NODES {
                    engine(
                        "POST",
                        &format!("/containers/{}/kill", program.container(node)),
                    );
                }
                program.ok(&["up"]);
            }
            2 => written.go_back(round, false),
            3 => {
                program.ok(&["pause"]);
                program.ok(&["unpause"]);
            }
            4 => {
                program.ok(&["clone", &clone.id()]);
                clone.ok(&["up"]);
                written.check(&clone, round);
                clone.ok(&["clean"]);
            }
            5 => written.go_back(round, true),
            _ => {
                for node in NODES {
                    engine(
                        "POST",
                        &format!("/containers/{}/restart?t=10", program.container(node)),
                    );
                }
                program.ok(&["up"]);
            }
        }
        written.check(&program, round);
    }
}

impl Written<'_> {
    /// Writes another record, and sees the application write more.
    fn more(&mut self, round: usize) {
        let name = format!("record-{round}");
        self.program.kubectl(&["create", "configmap", &name]);
        self.records.insert(name);
        let before = self.lines;
        self.program
            .until("the application writes", |program| lines(program) > before);
        self.lines = lines(self.program);
    }

    /// It is all there, in the cluster or its clone, and the application goes on.
    fn check(&self, program: &Program, round: usize) {
        assert_eq!(records(program), self.records, "round {round}");
        program.until("the application goes on", |program| {
            lines(program) > self.lines
        });
    }

    /// A snapshot has what was written before it and nothing of what came after, also when it has been a file.
    fn go_back(&mut self, round: usize, through_a_file: bool) {
        let (program, name) = (self.program, format!("round-{round}"));
        program.ok(&["snapshot", "save", &name]);
        if through_a_file {
            let file = program.home().join("file");
            let path = file.to_str().unwrap();
            program.ok(&["snapshot", "export", &name, path]);
            program.ok(&["snapshot", "rm", &name]);
            program.ok(&["snapshot", "import", path]);
            std::fs::remove_file(&file).unwrap();
        }
        program.exec("kube-node-1", &["touch", "/mnt/after"]);
        program.kubectl(&["create", "configmap", "record-after"]);
        program.ok(&["snapshot", "restore", &name]);
        assert_eq!(
            program.exec("kube-node-1", &["ls", "/mnt"]),
            "records",
            "round {round}"
        );
        program.ok(&["snapshot", "rm", &name]);
    }
}

fn records(program: &Program) -> BTreeSet<String> {
    let all = program.kubectl(&["get", "configmaps", "-o", "name"]);
    let names = all
        .lines()
        .filter_map(|line| line.strip_prefix("configmap/"));
    names
        .filter(|name| name.starts_with("record-"))
        .map(str::to_owned)
        .collect()
}

/// How many lines the application has written; each has its number, and none is missing.
fn lines(program: &Program) -> usize {
    let log = program.run(&["exec", "kube-node-1", "cat", "/mnt/records/log"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    for (line, number) in log.lines().zip(1_usize..) {
        assert_eq!(
            line,
            number.to_string(),
            "a line is missing or was written twice"
        );
    }
    log.lines().count()
}
