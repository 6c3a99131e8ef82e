//! Runs that are killed, and runs that meet each other.

use crate::program::{Program, engine};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

#[cfg(feature = "e2e-all")]
const KILLS: u64 = 50;
#[cfg(not(feature = "e2e-all"))]
const KILLS: u64 = 4;

/// How long an `up` lives before it is killed: spread over all of its life, kubeadm's phases among them.
const LIFE: Duration = Duration::from_secs(12);

#[test]
fn an_up_that_was_killed_is_finished_by_the_next() {
    let program = Program::new(241);
    program.ok(&["up", "--num-nodes", "1"]);
    let mut seed = 7_u64;
    for round in 1..=KILLS {
        program.ok(&["clean"]);
        // A linear congruential generator: the moments differ from round to round, and not from run to run.
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let life = u64::try_from(LIFE.as_millis()).unwrap();
        let moment = Duration::from_millis((seed >> 33) % life);
        program.killed(&["up", "--num-nodes", "1"], moment);
        program.ok(&["up", "--num-nodes", "1"]);
        let done = program.exec("kube-master", &["ls", "/data/local-cluster/done"]);
        assert_eq!(
            done.lines().count(),
            10,
            "round {round} after {moment:?}: {done}"
        );
        // Each phase is one unit: it ran once at a time, and no more often than it had to.
        let failed = program.exec(
            "kube-master",
            &[
                "systemctl",
                "list-units",
                "--failed",
                "--plain",
                "--no-legend",
            ],
        );
        assert_eq!(failed, "", "round {round} after {moment:?}");
    }
}

#[test]
fn of_two_at_once_one_works_and_the_other_says_so() {
    let program = Program::new(242);
    let mut first = program.spawn(&["up", "--num-nodes", "0"]);
    program.until("the first has begun", |_| {
        engine("GET", "/containers/json?all=1").contains("kube-master-cluster-242")
    });
    let (code, text) = program.fails(&["up", "--num-nodes", "0"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("another run")
            || text.contains("is being changed")
            || text.contains("process"),
        "{text}"
    );
    assert!(first.wait().unwrap().success());
    program.ok(&["clean"]);
    let left = engine("GET", "/containers/json?all=1");
    assert!(!left.contains("cluster-242"), "{left}");
}

#[test]
fn an_interrupted_up_says_how_to_go_on() {
    let program = Program::new(243);
    let up = program.spawn(&["up", "--num-nodes", "0"]);
    program.until("a node is there", |_| {
        engine("GET", "/containers/json").contains("kube-master-cluster-243")
    });
    let pid = up.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = up.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("local-cluster up"), "{text}");
    program.ok(&["up", "--num-nodes", "0"]);
}

#[test]
fn a_phase_that_fails_is_told_with_what_ran() {
    let program = Program::new(232);
    let node = "kube-master";
    program.ok(&["up", "--num-nodes", "0"]);
    // The phase runs again, with a kubeadm that fails only when `up` is waiting for it.
    let kubeadm =
        "#!/bin/sh\nuntil [ -e /run/go ]; do sleep 0.1; done\necho no addon >&2\nexit 7\n";
    let replace = "printf %s \"$1\" >/usr/local/bin/kubeadm && rm /data/local-cluster/done/kube-proxy && \
                   systemctl --no-block restart local-cluster-api-phase@kube-proxy";
    program.exec(node, &["sh", "-c", replace, "sh", kubeadm]);
    let up = program.spawn(&["up", "--num-nodes", "0"]);
    let watched = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q 'phases [w]atch'";
    program.until("the phases are watched", |program| {
        let found = program.run(&["exec", node, "sh", "-c", watched]);
        found.status.success()
    });
    program.exec(node, &["touch", "/run/go"]);
    let output = up.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [
        "`/usr/local/lib/local-cluster/phase kube-proxy` on `kube-master-cluster-232` ended with status 7",
        "no addon",
        "the log of this run is /",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // Its units have given up: it is made anew.
    program.ok(&["up", "--num-nodes", "0"]);
}

#[test]
fn two_new_labels_at_once_get_numbers_of_their_own() {
    // A range of their own: nobody else's clusters are near.
    let up = ["up", "--num-nodes", "0", "--dind-subnet", "10.230.0.0/16"];
    let programs = ["e2e-one", "e2e-two"].map(Program::labelled);
    let runs = programs.each_ref().map(|program| program.spawn(&up));
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
    }
    let networks: Value = serde_json::from_str(&engine("GET", "/networks")).unwrap();
    let ids: BTreeSet<&str> = networks
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|network| {
            let labels = &network["Labels"];
            let ours = labels["local-cluster.cluster"]
                .as_str()?
                .starts_with("local-cluster-e2e-");
            ours.then(|| labels["local-cluster.id"].as_str())?
        })
        .collect();
    assert_eq!(ids.len(), 2, "{networks}");
    for program in &programs {
        let nothing = program.ok(&[&up[..], &["--dry-run"]].concat());
        assert_eq!(nothing, "nothing to do\n");
    }
}
