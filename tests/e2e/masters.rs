//! Three masters: the loss of one is survived and mended, and they come back in any order.

use crate::program::{Program, engine};
use serde_json::Value;
use std::time::Duration;

const MASTERS: [&str; 3] = ["kube-master", "kube-master-2", "kube-master-3"];

/// The orders of three, by their places.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

#[test]
fn three_masters_survive_the_loss_of_one() {
    let program = Program::new(218);
    program.ok(&["up", "--num-masters", "3", "--num-nodes", "1"]);
    program.kubectl(&["create", "configmap", "first"]);
    one_is_killed(&program);
    for (stop, start) in orders() {
        come_back(&program, stop, start);
    }
    program.ok(&["snapshot", "save", "kept"]);
    one_is_destroyed(&program);
    the_first_goes(&program);
    program.ok(&["stop"]);
    program.ok(&["start"]);
    most_are_destroyed(&program);
    program.ok(&["snapshot", "restore", "kept"]);
    assert_all_ready(&program);
    program.kubectl(&["get", "configmap", "first"]);
    for master in MASTERS {
        program.assert_certificates_last(master);
    }
    changes_that_are_killed_can_be_done_again(&program);
    it_can_be_cloned(&program);
    program.ok(&["pause"]);
    program.ok(&["unpause"]);
    assert_all_ready(&program);
    program.ok(&["down"]);
    program.ok(&["up", "--num-masters", "3", "--num-nodes", "1"]);
    assert_all_ready(&program);
    let maps = program.kubectl(&["get", "configmaps", "-o", "name"]);
    assert!(!maps.contains("/first"), "it is fresh again: {maps}");
}

/// At how many moments of its life each change of the set of masters is killed.
const KILLS: u32 = if cfg!(feature = "e2e-all") { 5 } else { 1 };

/// etcd counts each master once and for good, whenever the program is killed.
fn changes_that_are_killed_can_be_done_again(program: &Program) {
    let last = MASTERS[2];
    let is_there = |program: &Program| {
        let nodes = program.kubectl(&["get", "nodes", "-o", "name"]);
        nodes.lines().any(|node| node == format!("node/{last}"))
    };
    for kill in 1..=KILLS {
        let at = |life: Duration| life * kill / (KILLS + 1);
        program.killed(&["node", "remove", last], at(Duration::from_secs(2)));
        program.run(&["node", "remove", last]);
        assert!(!is_there(program));
        program.killed(&["node", "add", "--master"], at(Duration::from_secs(6)));
        program.ok(&["up"]);
        if !is_there(program) {
            program.ok(&["node", "add", "--master"]);
        }
        assert_all_ready(program);
        for master in MASTERS {
            let script = "cd /etc/kubernetes/pki/etcd &&
                curl -sf --http1.1 --cacert ca.crt --cert peer.crt --key peer.key https://$(hostname):2380/members";
            let members: Value =
                serde_json::from_str(&program.exec(master, &["sh", "-c", script])).unwrap();
            let members = members.as_array().unwrap();
            let is_learner = |member: &Value| member["isLearner"] == true;
            assert!(
                members.len() == 3 && !members.iter().any(is_learner),
                "{master} at {kill}: {members:?}"
            );
        }
    }
}

fn it_can_be_cloned(program: &Program) {
    let clone = Program::new(48);
    program.ok(&["clone", &clone.id()]);
    clone.ok(&["up"]);
    clone.kubectl(&["get", "configmap", "first"]);
    clone.kubectl(&["delete", "configmap", "first"]);
    clone.ok(&["stop"]);
    clone.ok(&["start"]);
    assert_all_ready(&clone);
    assert_all_ready(program);
    program.kubectl(&["get", "configmap", "first"]);
}

/// The first of them does what is done once. Lost before it has, it is no master that others could do without.
#[test]
fn a_founder_that_is_lost_founds_again() {
    let program = Program::new(219);
    let arguments = [
        "up",
        "--num-masters",
        "3",
        "--num-nodes",
        "0",
        "--skip-snapshot",
    ];
    let mut up = program.spawn(&arguments);
    let last = program.container(MASTERS[2]);
    program.until("the last master runs", |_| {
        engine("GET", "/containers/json").contains(&last)
    });
    up.kill().unwrap();
    up.wait().unwrap();
    engine(
        "DELETE",
        &format!("/containers/{}?force=1", program.container(MASTERS[0])),
    );
    // Two of three are enough for etcd: they go on, and must not take themselves for the cluster.
    program.until("the others have an API server", |program| {
        let done =
            |node: &&str| program.run(&["exec", node, "ls", "/data/local-cluster/done/scheduler"]);
        MASTERS[1..].iter().all(|node| done(node).status.success())
    });
    program.ok(&arguments);
    let maps = program.kubectl(&["get", "configmaps", "-n", "kube-system", "-o", "name"]);
    assert!(maps.contains("configmap/kubeadm-config"), "{maps}");
}

/// Orders of stopping and starting: all of them take long.
fn orders() -> Vec<([usize; 3], [usize; 3])> {
    if cfg!(feature = "e2e-all") {
        let of = |stop| ORDERS.map(|start| (stop, start));
        ORDERS.into_iter().flat_map(of).collect()
    } else {
        vec![([0, 1, 2], [1, 2, 0]), ([2, 0, 1], [2, 1, 0])]
    }
}

fn docker(program: &Program, node: &str, doing: &str) {
    let container = program.container(node);
    engine("POST", &format!("/containers/{container}/{doing}"));
}

fn status(program: &Program) -> Value {
    serde_json::from_str(&program.status(&["--output", "json"])).unwrap()
}

/// All four are Ready. It is waited for: after a boot a kubelet that has said so is started once more, and may say for a
/// second that it is not.
fn assert_all_ready(program: &Program) {
    program.until("all are Ready", |program| {
        let last = status(program);
        assert_eq!(last["loadBalancer"]["state"], "running", "{last}");
        let nodes = last["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 4, "{last}");
        nodes.iter().all(|node| node["ready"] == true)
    });
}

fn one_is_killed(program: &Program) {
    for (number, master) in MASTERS.iter().enumerate() {
        docker(program, master, "kill");
        none_hangs(program);
        // A write that may be done again: of one whose answer is lost nobody knows whether it was done.
        let note = format!("without={number}");
        let write = [
            "kubectl",
            "annotate",
            "configmap/first",
            &note,
            "--overwrite",
        ];
        program.until("the other masters answer", |program| {
            program.run(&write).status.success()
        });
        let told = program.status(&[]);
        assert!(told.contains(&format!("{master} not running")), "{told}");
        program.ok(&["start"]);
        assert_all_ready(program);
    }
}

/// Connections that are being made when a master is lost are made to another, or end: none is left in the load balancer.
fn none_hangs(program: &Program) {
    let asking: Vec<_> = (0..16)
        .map(|_| program.spawn(&["kubectl", "get", "--raw", "/version"]))
        .collect();
    for mut child in asking {
        child.wait().unwrap();
    }
    program.until("no connection hangs", |program| {
        let sockets = program.exec("kube-lb", &["cat", "/proc/net/tcp"]);
        // What its client has ended and HAProxy has not, at port 6443.
        let hangs = |line: &str| line.contains(":192B ") && line.contains(" 08 ");
        assert!(sockets.contains(":192B "), "{sockets}");
        !sockets.lines().any(hangs)
    });
}

fn come_back(program: &Program, stop: [usize; 3], start: [usize; 3]) {
    for node in stop {
        docker(program, MASTERS[node], "stop");
    }
    for node in start {
        docker(program, MASTERS[node], "start");
    }
    // Where all nodes run, `up` does nothing and does not wait for long.
    program.until("all are ready again", |program| {
        program.run(&["up"]).status.success()
    });
    assert_all_ready(program);
}

/// Of most of them nothing is left: the one that is cannot go on, which its etcd knows, and nobody waits for it.
fn most_are_destroyed(program: &Program) {
    for master in &MASTERS[1..] {
        let container = program.container(master);
        engine("DELETE", &format!("/containers/{container}?force=1"));
        engine("DELETE", &format!("/volumes/{container}-data"));
    }
    let refused = |command: &str| {
        let (_, told) = program.fails(&[command]);
        assert!(told.contains("only 1 of 3 masters of cluster"), "{told}");
        assert!(told.contains("snapshot restore"), "{told}");
    };
    refused("up");
    program.ok(&["stop"]);
    refused("start");
    refused("up");
}

fn one_is_destroyed(program: &Program) {
    let container = program.container("kube-master-2");
    engine("DELETE", &format!("/containers/{container}?force=1"));
    engine("DELETE", &format!("/volumes/{container}-data"));
    // The others have to find a leader before they can say anything.
    program.until("the loss is told", |program| {
        let told = program.status(&[]);
        told.contains("kube-master-2 is lost")
    });
    program.ok(&["node", "remove", "kube-master-2"]);
    let nodes = program.kubectl(&["get", "nodes", "-o", "name"]);
    assert!(!nodes.contains("kube-master-2"), "{nodes}");
    program.ok(&["node", "add", "--master"]);
    assert_all_ready(program);
    // Its volume is left: `up` mends it by itself.
    engine("DELETE", &format!("/containers/{container}?force=1"));
    program.ok(&["up"]);
    assert_all_ready(program);
}

fn the_first_goes(program: &Program) {
    let (_, told) = program.fails(&[
        "node",
        "remove",
        "kube-master",
        "kube-master-2",
        "kube-master-3",
    ]);
    assert!(told.contains("the control plane would be gone"), "{told}");
    program.ok(&["node", "remove", "kube-master"]);
    let nodes = program.kubectl(&["get", "nodes", "-o", "name"]);
    assert_eq!(nodes.lines().count(), 3, "{nodes}");
    program.ok(&["node", "add", "--master"]);
    assert_all_ready(program);
    program.kubectl(&["get", "configmap", "first"]);
}
