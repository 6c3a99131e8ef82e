//! What was acknowledged is not lost, whatever happens to the cluster but a restore, which is exact.

use crate::program::{Program, engine};
use std::collections::BTreeSet;

#[cfg(feature = "e2e-all")]
const ROUNDS: usize = 50;
#[cfg(not(feature = "e2e-all"))]
const ROUNDS: usize = KINDS;

/// How many kinds of things happen to the cluster.
#[cfg(feature = "e2e-all")]
const KINDS: usize = 8;
#[cfg(not(feature = "e2e-all"))]
const KINDS: usize = 7;

const NODES: [&str; 2] = ["kube-master", "kube-node-1"];

/// What is known to have been written.
struct Written<'a> {
    program: &'a Program,
    /// Objects of the API.
    records: BTreeSet<String>,
    /// The application's file, as it was when it was read last.
    log: String,
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
        log: String::new(),
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
            6 => {
                for node in NODES {
                    engine(
                        "POST",
                        &format!("/containers/{}/restart?t=10", program.container(node)),
                    );
                }
                program.ok(&["up"]);
            }
            #[cfg(feature = "e2e-all")]
            7 => {
                crate::program::restart_engine();
                program.until("the cluster is back with its engine", |program| {
                    program.run(&["up"]).status.success()
                });
            }
            kind => unreachable!("there is no kind {kind}"),
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
        self.log = goes_on(self.program, &self.log);
    }

    /// It is all there, in the cluster or its clone, and the application goes on.
    fn check(&self, program: &Program, round: usize) {
        assert_eq!(records(program), self.records, "round {round}");
        goes_on(program, &self.log);
    }

    /// A snapshot has what was written before it and nothing of what came after, also when it has been a file.
    fn go_back(&mut self, round: usize, through_a_file: bool) {
        let (program, name) = (self.program, format!("round-{round}"));
        let during = format!("record-{round}-during");
        let written = program.while_it_is_written_to(&during, || {
            program.ok(&["snapshot", "save", &name]);
        });
        let after = goes_on(program, &log(program));
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
        // Of what was written while it was saved there is all up to one moment.
        let (now, known): (Vec<_>, Vec<_>) = records(program)
            .into_iter()
            .partition(|name| name.starts_with(&during));
        assert!(known.iter().eq(&self.records), "round {round}: {known:?}");
        let first: BTreeSet<_> = (0..now.len())
            .map(|number| format!("{during}-{number}"))
            .collect();
        assert!(now.len() <= written, "round {round}: {now:?} of {written}");
        assert!(first.iter().eq(&now), "round {round}: {now:?}");
        let written = goes_on(program, &self.log);
        assert!(
            !written.starts_with(&after),
            "round {round}: what came after the snapshot is there:\n{written}"
        );
        self.log = written;
        self.records.extend(now);
        program.ok(&["snapshot", "rm", &name]);
    }
}

/// Waits until the application has written more than that, of which nothing is lost.
fn goes_on(program: &Program, before: &str) -> String {
    let mut now = String::new();
    program.until("the application goes on", |program| {
        now = log(program);
        now.len() > before.len()
    });
    let kept = now.starts_with(before);
    assert!(kept, "written:\n{before}found:\n{now}");
    now
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

/// What the application has written, in whole lines: each has its number, and none is missing.
fn log(program: &Program) -> String {
    let log = program.run(&["exec", "kube-node-1", "cat", "/mnt/records/log"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    for (line, number) in log.lines().zip(1_usize..) {
        assert!(
            line.starts_with(&format!("{number} ")),
            "a line is missing or was written twice: {line}"
        );
    }
    log
}
