//! A cluster that is stopped, started, frozen and thawed, as a whole and node by node.

use crate::network::WORKLOAD;
use crate::program::{Program, engine};
use serde_json::Value;

const NODES: [&str; 3] = ["kube-master", "kube-node-1", "kube-node-2"];

#[test]
fn a_cluster_rests_and_comes_back() {
    // Nothing here takes the host's power away.
    let program = Program::new(220).with("K8S_DIND_UNSAFE_FAST", "true");
    program.ok(&["up"]);
    let etcd = "/etc/kubernetes/manifests/etcd.yaml";
    program.exec("kube-master", &["grep", "unsafe-no-fsync", etcd]);
    program.kubectl(&["apply", "-f", WORKLOAD]);
    program.kubectl(&["rollout", "status", "daemonset/server", "--timeout=120s"]);
    program.kubectl(&["create", "configmap", "kept", "--from-literal=word=still"]);
    stop_and_start(&program);
    pause_and_unpause(&program);
    one_node(&program);
    stopped_and_up(&program);
    two_are_listed(&program);
}

/// What the engine says that each node's container does.
fn states(program: &Program) -> Vec<String> {
    let state = |node: &str| -> String {
        let answer = engine(
            "GET",
            &format!("/containers/{}/json", program.container(node)),
        );
        let inspected: Value = serde_json::from_str(&answer).unwrap();
        inspected["State"]["Status"].as_str().unwrap().to_owned()
    };
    NODES.iter().map(|node| state(node)).collect()
}

/// All that the cluster had is there, and works.
fn assert_whole(program: &Program) {
    assert_eq!(states(program), ["running"; 3]);
    let word = program.kubectl(&["get", "configmap", "kept", "-o", "jsonpath={.data.word}"]);
    assert_eq!(word, "still");
    program.kubectl(&["rollout", "status", "daemonset/server", "--timeout=120s"]);
    let from = program.kubectl(&["get", "pods", "-l", "app=server", "-o", "name"]);
    let from = from.lines().next().unwrap();
    // A service's name, by the cluster's DNS and kube-proxy, to a pod of some node.
    program.until("a service answers", |program| {
        let answer = program.run(&[
            "kubectl",
            "exec",
            from,
            "--",
            "curl",
            "-sf",
            "-m",
            "5",
            "http://server/hostname",
        ]);
        answer.stdout.starts_with(b"server-")
    });
}

fn first_line(program: &Program) -> String {
    let status = program.status(&[]);
    status.lines().next().unwrap().to_owned()
}

fn stop_and_start(program: &Program) {
    program.kubectl(&[
        "apply",
        "-f",
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/ends.yaml"),
    ]);
    program.kubectl(&[
        "wait",
        "pod/patient",
        "pod/stubborn",
        "--for=condition=Ready",
        "--timeout=60s",
    ]);
    let write = "echo before the stop | systemd-cat -t test";
    program.exec("kube-node-1", &["sh", "-c", write]);
    program.ok(&["stop"]);
    assert_eq!(states(program), ["exited"; 3]);
    assert_eq!(
        first_line(program),
        "cluster local-cluster-220 is stopped; `local-cluster --cluster-id 220 start` brings it back"
    );
    for node in NODES {
        let ended = exit_code(program, node);
        // Docker's kill would be 137: each has ended by itself.
        assert_ne!(ended, 137, "{node}");
    }
    program.ok(&["stop"]);
    // Whatever is set today: the cluster has its own settings.
    let output = program
        .command(&["start"])
        .env("K8S_DIND_NUM_NODES", "1")
        .env("K8S_DIND_POD_SUBNET", "10.55.0.0/16")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_whole(program);
    let word = program.exec("kube-node-1", &["cat", "/data/patient/word"]);
    assert_eq!(word, "ended", "a pod has time for its end");
    let journal = program.exec(
        "kube-node-1",
        &["journalctl", "-q", "-o", "cat", "-t", "test"],
    );
    assert_eq!(journal, "before the stop");
    // What is left of the test's time is for others than the one that has to be killed.
    program.kubectl(&["delete", "pod", "patient", "stubborn", "--grace-period=1"]);
    program.ok(&["start"]);
}

fn exit_code(program: &Program, node: &str) -> i64 {
    let answer = engine(
        "GET",
        &format!("/containers/{}/json", program.container(node)),
    );
    let inspected: Value = serde_json::from_str(&answer).unwrap();
    inspected["State"]["ExitCode"].as_i64().unwrap()
}

fn pause_and_unpause(program: &Program) {
    program.ok(&["pause"]);
    assert_eq!(states(program), ["paused"; 3]);
    let port = program.ok(&["apiserver-port"]);
    let asked = std::process::Command::new("curl")
        .args([
            "-sk",
            "-m",
            "2",
            &format!("https://127.0.0.1:{}/livez", port.trim()),
        ])
        .output()
        .unwrap();
    assert!(
        !asked.status.success(),
        "a frozen API server answers nobody"
    );
    assert!(first_line(program).contains("is paused"));
    program.ok(&["unpause"]);
    assert_whole(program);
    // What is frozen is thawed before it is stopped.
    program.ok(&["pause", "kube-node-1"]);
    program.ok(&["stop"]);
    assert_eq!(states(program), ["exited"; 3]);
    program.ok(&["start"]);
    assert_whole(program);
}

fn one_node(program: &Program) {
    program.ok(&["stop", "kube-node-1"]);
    assert_eq!(states(program), ["running", "exited", "running"]);
    let line = first_line(program);
    assert!(line.contains("kube-node-1 not running"), "{line}");
    program.ok(&["start", "kube-node-1"]);
    assert_whole(program);
    program.ok(&["stop", "kube-master"]);
    let (code, text) = program.fails(&["start", "kube-node-1"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("does not run"), "{text}");
    program.ok(&["start", "kube-master"]);
    assert_whole(program);
}

fn stopped_and_up(program: &Program) {
    program.ok(&["stop"]);
    program.ok(&["up"]);
    assert_whole(program);
    program.ok(&["pause"]);
    program.ok(&["start"]);
    assert_whole(program);
}

fn two_are_listed(program: &Program) {
    let other = Program::new(221);
    program.ok(&["stop"]);
    other.ok(&["up", "--num-nodes", "0"]);
    other.ok(&["down"]);
    let list: Value = serde_json::from_str(&program.ok(&["list", "--output", "json"])).unwrap();
    let listed = |name: &str| {
        let all = list["clusters"].as_array().unwrap();
        all.iter()
            .find(|cluster| cluster["cluster"] == name)
            .cloned()
            .unwrap()
    };
    let (stopped, left) = (listed("local-cluster-220"), listed("local-cluster-221"));
    assert_eq!(stopped["state"], "stopped");
    assert_eq!(stopped["nodes"]["stopped"], 3);
    assert!(stopped["apiServerPort"].is_number());
    assert_eq!(left["state"], "down");
    assert_eq!(left["snapshots"], 1);
}
