//! A cluster that is taken back to what it was.

use crate::program::{Program, engine};
use serde_json::Value;
use std::time::Duration;

#[cfg(feature = "e2e-all")]
const KILLS: u32 = 20;
#[cfg(not(feature = "e2e-all"))]
const KILLS: u32 = 3;

/// How long a restore lives before it is killed: all of its life.
const LIFE: Duration = Duration::from_secs(8);

#[test]
fn a_cluster_is_taken_back_to_a_snapshot() {
    let program = Program::new(244);
    program.ok(&["up", "--num-nodes", "1"]);
    assert_eq!(states(&program), [("fresh".to_owned(), "whole".to_owned())]);
    record(&program, "one");
    in_node(
        &program,
        "echo one >/opt/one; rm /etc/bindresvport.blacklist; echo '# one' >>/etc/profile",
    );
    program.ok(&["snapshot", "save", "later"]);
    let (code, text) = program.fails(&["snapshot", "save", "later"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("there is a snapshot `later` already"),
        "{text}"
    );
    record(&program, "two");
    program.kubectl(&["delete", "configmap", "record-one"]);
    in_node(&program, "rm /opt/one; echo two >/etc/two; chmod 755 /root");

    lose(&program, "kube-node-1");
    program.ok(&["snapshot", "restore", "later"]);
    assert_eq!(records(&program), ["one"]);
    program.assert_whole();
    // The volume of the node that was lost would be a node to the next command.
    let volumes: Value = serde_json::from_str(&engine("GET", "/volumes")).unwrap();
    let names = volumes["Volumes"].as_array().unwrap().iter();
    let names = names.map(|volume| volume["Name"].as_str().unwrap());
    let of_node = names.filter(|name| name.starts_with(&program.container("kube-node-1")));
    assert_eq!(of_node.count(), 1);
    // What differs from the node image is as it was, too.
    in_node(
        &program,
        "[ $(cat /opt/one) = one ] && tail -1 /etc/profile | grep -q one && [ $(stat -c %a /root) = 700 ]",
    );
    in_node(
        &program,
        "[ ! -e /etc/two ] && [ ! -e /etc/bindresvport.blacklist ]",
    );

    killed(&program);
    broken_off_save(&program);
    frozen_save(&program);

    // `down` keeps snapshots, and the next `up` is the fresh cluster again.
    program.ok(&["down"]);
    let up = program.run(&["up", "--num-nodes", "1"]);
    let told = String::from_utf8_lossy(&up.stderr);
    assert!(
        up.status.success() && told.contains("from snapshot `fresh`"),
        "{told}"
    );
    assert_eq!(records(&program), [""; 0]);
    program.assert_whole();
    // A restored node that is lost is made anew, as one that never was a snapshot's.
    lose(&program, "kube-node-1");
    program.ok(&["up"]);
    program.exec("kube-node-1", &["true"]);
    program.assert_whole();
    // What is another cluster is made, and its snapshot replaces the other.
    program.ok(&["down"]);
    let up = program.run(&["up", "--num-nodes", "0"]);
    let told = String::from_utf8_lossy(&up.stderr);
    assert!(
        up.status.success() && told.contains("with other settings"),
        "{told}"
    );
    record(&program, "four");
    let told = program.run(&["reup", "--num-nodes", "0"]).stderr;
    assert!(String::from_utf8_lossy(&told).contains("from snapshot `fresh`"));
    assert_eq!(records(&program), [""; 0]);
    program.assert_whole();
    // A snapshot brings its own nodes back.
    program.ok(&["snapshot", "restore", "later"]);
    assert_eq!(records(&program), ["one"]);
    program.assert_whole();
    program.ok(&["snapshot", "rm", "later"]);
    let (_, text) = program.fails(&["snapshot", "restore", "later"]);
    assert!(text.contains("there is no snapshot `later`"), "{text}");
    program.ok(&["clean"]);
    let left = engine("GET", "/volumes");
    assert!(!left.contains("local-cluster-244"), "{left}");
}

/// A snapshot brings its own version of Kubernetes back. The other version is built first, which takes minutes.
#[cfg(feature = "e2e-all")]
#[test]
fn a_snapshot_of_another_version_is_brought_back() {
    let program = Program::new(249);
    let versions = || {
        program.kubectl(&[
            "get",
            "nodes",
            "-o",
            "jsonpath={.items[*].status.nodeInfo.kubeletVersion}",
        ])
    };
    let old = ["up", "--num-nodes", "1", "--kubernetes-version", "1.35.4"];
    program.ok(&old);
    record(&program, "old");
    program.ok(&["snapshot", "save", "old"]);
    program.ok(&["down"]);
    program.ok(&["up", "--num-nodes", "1"]);
    assert_eq!(versions(), "v1.36.3 v1.36.3");
    assert_eq!(records(&program), [""; 0]);

    program.ok(&["snapshot", "restore", "old"]);
    assert_eq!(versions(), "v1.35.4 v1.35.4");
    assert_eq!(records(&program), ["old"]);
    // It goes on as what it was, in all that follows.
    program.ok(&["node", "add"]);
    assert_eq!(versions(), "v1.35.4 v1.35.4 v1.35.4");
    program.ok(&["stop"]);
    program.ok(&["start"]);
    assert_eq!(records(&program), ["old"]);
    program.ok(&["snapshot", "rm", "old"]);
    program.ok(&["clean"]);
}

/// A restore that is killed has not been: the next command finds the cluster as it was before, or as it was to be.
fn killed(program: &Program) {
    record(program, "three");
    for round in 0..KILLS {
        let moment = LIFE * (round + 1) / (KILLS + 1);
        program.killed(&["snapshot", "restore", "later"], moment);
        program.ok(&["up"]);
        let found = records(program);
        assert!(
            found == ["one", "three"] || found == ["one"],
            "round {round}: {found:?}"
        );
        program.assert_whole();
        if found == ["one"] {
            record(program, "three");
        }
    }
}

/// Part of a snapshot is none, and is in nobody's way.
fn broken_off_save(program: &Program) {
    let mut save = program.spawn(&["snapshot", "save", "half"]);
    program.until("the copying has begun", |_| {
        engine("GET", "/containers/json").contains("local-cluster-244.snapshot.half.save")
    });
    save.kill().unwrap();
    save.wait().unwrap();
    // Frozen nodes are thawed.
    program.ok(&["up"]);
    if states(program)
        .iter()
        .any(|(name, state)| name == "half" && state == "incomplete")
    {
        let (code, text) = program.fails(&["snapshot", "restore", "half"]);
        assert_eq!(code, Some(1));
        assert!(text.contains("never completed"), "{text}");
    }
    program.run(&["snapshot", "rm", "half"]);
    program.ok(&["snapshot", "save", "half"]);
    assert!(states(program).contains(&("half".to_owned(), "whole".to_owned())));
    program.ok(&["snapshot", "rm", "half"]);
}

/// Nodes that stood still for a save that was killed go on with the next command, even one that would leave them as they are.
fn frozen_save(program: &Program) {
    let is_frozen = || {
        let path = format!("/containers/{}/json", program.container("kube-master"));
        engine("GET", &path).contains("\"Paused\":true")
    };
    while !is_frozen() {
        program.run(&["snapshot", "rm", "half"]);
        let mut save = program.spawn(&["snapshot", "save", "half"]);
        program.until("all stand still or it is over", |_| {
            is_frozen() || save.try_wait().unwrap().is_some()
        });
        save.kill().unwrap();
        save.wait().unwrap();
    }
    program.ok(&["snapshot", "save", "other"]);
    assert!(!is_frozen());
    program.ok(&["snapshot", "rm", "half"]);
    program.ok(&["snapshot", "rm", "other"]);
}

/// A node's container is gone, and its volume is not.
fn lose(program: &Program, node: &str) {
    let path = format!("/containers/{}?force=true", program.container(node));
    engine("DELETE", &path);
}

fn in_node(program: &Program, script: &str) {
    program.exec("kube-node-1", &["sh", "-ec", script]);
}

fn states(program: &Program) -> Vec<(String, String)> {
    let list: Value =
        serde_json::from_str(&program.ok(&["snapshot", "list", "--output", "json"])).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = list["snapshots"].as_array().unwrap().iter();
    all.map(|one| (text(&one["name"]), text(&one["state"])))
        .collect()
}

fn record(program: &Program, name: &str) {
    let name = format!("record-{name}");
    program.kubectl(&["create", "configmap", &name]);
}

fn records(program: &Program) -> Vec<String> {
    let all = program.kubectl(&["get", "configmaps", "-o", "name"]);
    let names = all
        .lines()
        .filter_map(|line| line.strip_prefix("configmap/record-"));
    names.map(str::to_owned).collect()
}
