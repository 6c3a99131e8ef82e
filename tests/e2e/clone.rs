//! A cluster and its clone, side by side: neither knows of the other.

use crate::network::{self, WORKLOAD};
use crate::program::{Program, engine};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

const NODES: [&str; 2] = ["kube-master", "kube-node-1"];

#[cfg(feature = "e2e-all")]
const KILLS: u32 = 20;
#[cfg(not(feature = "e2e-all"))]
const KILLS: u32 = 3;

/// How long a clone takes to be made: it is killed at all of its ages.
const LIFE: Duration = Duration::from_secs(12);

#[test]
fn a_clone_and_its_original_know_nothing_of_each_other() {
    let original = Program::new(210);
    let clone = Program::new(211);
    original.ok(&["up", "--num-nodes", "1"]);
    original.kubectl(&["apply", "-f", WORKLOAD]);
    original.kubectl(&["rollout", "status", "daemonset/server", "--timeout=120s"]);
    original.kubectl(&["create", "configmap", "from-before"]);
    let written = original.while_it_is_written_to("record", || make(&original, &clone, &[]));

    for program in [&clone, &original] {
        program.ok(&["up"]);
        network::assert_works(program, &NODES);
    }
    assert_eq!(
        records(&original).len(),
        written,
        "nothing that was acknowledged is lost"
    );
    assert!(
        clone
            .kubectl(&["get", "configmaps", "-o", "name"])
            .contains("from-before")
    );
    addresses_are_told(&clone);

    // What is done to one is not done to the other.
    clone.kubectl(&["create", "configmap", "from-the-clone"]);
    clone.kubectl(&["delete", "configmap", "from-before"]);
    let maps = original.kubectl(&["get", "configmaps", "-o", "name"]);
    assert!(
        maps.contains("from-before") && !maps.contains("from-the-clone"),
        "{maps}"
    );
    no_packets_between(&original, &clone);

    for (restarted, other) in [(&clone, &original), (&original, &clone)] {
        let before = boots(other);
        restarted.ok(&["stop"]);
        restarted.ok(&["start"]);
        works(restarted);
        works(other);
        assert_eq!(boots(other), before);
    }
    let maps = clone.kubectl(&["get", "configmaps", "-o", "name"]);
    assert!(
        !maps.contains("from-before") && maps.contains("from-the-clone"),
        "{maps}"
    );

    it_is_a_cluster_like_any_other(&original, &clone);

    let before = boots(&original);
    clone.ok(&["clean"]);
    killed(&original, &clone);
    assert_eq!(boots(&original), before);
    works(&original);
    let left = engine("GET", "/volumes");
    assert!(
        !left.contains("local-cluster-211") && !left.contains("snapshot.clone."),
        "{left}"
    );
}

/// It has nodes more, is kept as a snapshot, and cloned.
fn it_is_a_cluster_like_any_other(original: &Program, clone: &Program) {
    assert_eq!(clone.ok(&["up", "--dry-run"]), "nothing to do\n");
    clone.ok(&["node", "add"]);
    assert_eq!(names(clone), ["kube-master", "kube-node-1", "kube-node-2"]);
    assert_eq!(names(original), NODES);
    clone.ok(&["snapshot", "save", "three"]);
    clone.ok(&["node", "remove", "kube-node-2"]);
    clone.ok(&["snapshot", "restore", "three"]);
    assert_eq!(names(clone), ["kube-master", "kube-node-1", "kube-node-2"]);
    works(clone);
    let again = Program::new(212);
    make(clone, &again, &["--snapshot", "three"]);
    works(&again);
    let inner = again.kubectl(&[
        "get",
        "nodes",
        "-o",
        "jsonpath={.items[*].status.addresses[0].address}",
    ]);
    assert_eq!(inner, "10.192.210.2 10.192.210.3 10.192.210.4");
    let (code, text) = original.fails(&["clone", "211"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("there is a cluster `local-cluster-211` already"),
        "{text}"
    );
}

/// The clone has a home of its own here, as another user would have.
fn make(original: &Program, clone: &Program, more: &[&str]) {
    let id = clone.id();
    original.ok(&[&["clone", &id], more].concat());
    clone.ok(&["up"]);
}

/// A clone that is killed while it is made leaves nothing that is in the way of the next, which is whole.
fn killed(original: &Program, clone: &Program) {
    for round in 0..KILLS {
        original.killed(&["clone", "211"], LIFE * (round + 1) / (KILLS + 1));
        // What is there is seen, or taken away by the next command.
        let again = original.run(&["clone", "211"]);
        if !again.status.success() {
            let text = String::from_utf8_lossy(&again.stderr);
            assert!(
                text.contains("there is a cluster `local-cluster-211` already"),
                "round {round}: {text}"
            );
        }
        clone.ok(&["up"]);
        assert_eq!(names(clone), NODES, "round {round}");
        clone.ok(&["clean"]);
    }
}

fn records(program: &Program) -> Vec<String> {
    let all = program.kubectl(&["get", "configmaps", "-o", "name"]);
    let names = all
        .lines()
        .filter_map(|line| line.strip_prefix("configmap/record-"));
    names.map(str::to_owned).collect()
}

fn names(program: &Program) -> Vec<String> {
    let names = program.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]);
    names.split_whitespace().map(str::to_owned).collect()
}

/// When its nodes were started.
fn boots(program: &Program) -> Vec<String> {
    let started = |node: &&str| {
        let path = format!("/containers/{}/json", program.container(node));
        let found: Value = serde_json::from_str(&engine("GET", &path)).unwrap();
        found["State"]["StartedAt"].to_string()
    };
    NODES.iter().map(started).collect()
}

/// It is whole, and its nodes reach each other.
fn works(program: &Program) {
    program.ok(&["up"]);
    let names = names(program);
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    network::assert_pods_reach_all(program, &nodes);
}

/// The host reaches the clone's nodes where `node list` says.
fn addresses_are_told(clone: &Program) {
    let status = clone.status(&[]);
    assert!(
        status.contains("in 10.192.211.0/24 for this host; the nodes of this clone know each other by those of 10.192.210.0/24"),
        "{status}"
    );
    let list: Value =
        serde_json::from_str(&clone.ok(&["node", "list", "--output", "json"])).unwrap();
    for node in list["nodes"].as_array().unwrap() {
        let address = node["hostAddress"].as_str().unwrap();
        assert!(address.starts_with("10.192.211."), "{list}");
        assert_eq!(
            node["address"].as_str().unwrap(),
            address.replace(".211.", ".210.")
        );
        let url = format!("http://{address}:30080/hostname");
        let output = Command::new("curl")
            .args(["-sf", "-m", "10", &url])
            .output()
            .unwrap();
        assert!(output.stdout.starts_with(b"server-"), "{url}: {output:?}");
    }
}

/// The nodes of each speak with nobody but each other, and with the host at their own network's gateway.
fn no_packets_between(original: &Program, clone: &Program) {
    for (program, gateway) in [(original, "10.192.210.1"), (clone, "10.192.211.1")] {
        for node in NODES {
            let peers = program.exec(node, &["ss", "-Htn4"]);
            for line in peers.lines() {
                let peer = line.split_whitespace().nth(4).unwrap();
                let address = peer.rsplit_once(':').unwrap().0;
                let own = ["127.0.0.", "10.192.210.", "10.244.", "10.96."];
                // The original's gateway is the host in the original's network.
                let is_own =
                    address != "10.192.210.1" && own.iter().any(|own| address.starts_with(own));
                assert!(
                    address == gateway || is_own,
                    "{node} of {}: {line}",
                    program.container(node)
                );
            }
        }
    }
}
