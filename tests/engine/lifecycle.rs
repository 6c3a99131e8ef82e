//! `stop`, `start`, `pause`, `unpause` and `list` of the real binary on a fake engine.

use serde_json::{Value, json};

use crate::commands::{assert_untouched, engine, run};
use crate::fake::{Fake, done, json};

const SETTINGS: &str = r#"{"cluster.apiServerAddress":"127.0.0.1","cluster.apiServerPort":"any",
    "cluster.cniPlugin":"bridge","cluster.noDedicated":"false","cluster.numNodes":"2",
    "cluster.podSubnet":"10.244.0.0/16","cluster.serviceSubnet":"10.96.0.0/16","dind.subnet":"10.192.0.0/24",
    "source.kubernetesVersion":"1.36.3"}"#;

pub(crate) fn labels(role: &str, node: &str) -> Value {
    json!({ "local-cluster.cluster": "local-cluster", "local-cluster.id": "0", "local-cluster.role": role,
            "local-cluster.node": node, "local-cluster.settings": SETTINGS })
}

pub(crate) fn container(node: &str, role: &str, state: &str) -> Value {
    json!({ "Names": [format!("/{node}")], "State": state, "Status": "", "Labels": labels(role, node) })
}

/// A master and two workers in these states.
fn nodes(states: [&str; 3]) -> Value {
    json!([
        container("kube-master", "master", states[0]),
        container("kube-node-1", "worker", states[1]),
        container("kube-node-2", "worker", states[2]),
    ])
}

/// An engine with these nodes, where what the names say can be done to them.
pub(crate) fn with(states: [&str; 3], verbs: &[&'static str]) -> Fake {
    let network = json!([{ "Name": "k8s-kubeadm-local-cluster", "Labels": labels("", ""),
                           "IPAM": { "Config": [{ "Subnet": "10.192.0.0/24" }] } }]);
    let fake = engine(&network, &nodes(states));
    for verb in verbs {
        fake.add(verb, done());
    }
    fake
}

/// What was done to containers.
fn acts(fake: &Fake) -> Vec<String> {
    let mut acts: Vec<String> = fake
        .log()
        .iter()
        .filter_map(|what| what.strip_prefix("POST /containers/").map(str::to_owned))
        .collect();
    acts.sort();
    acts
}

#[test]
fn a_cluster_is_stopped_whatever_its_nodes_do() {
    let fake = with(
        ["running", "paused", "exited"],
        &[
            "POST /containers/kube-master/stop",
            "POST /containers/kube-node-1/unpause",
            "POST /containers/kube-node-1/stop",
        ],
    );
    let ended = run(&fake, &["stop"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        acts(&fake),
        [
            "kube-master/stop",
            "kube-node-1/stop",
            "kube-node-1/unpause"
        ]
    );
    assert!(
        ended
            .stderr
            .contains("stopped: kube-master, kube-node-1, kube-node-2\nlocal-cluster start  # "),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_rests_already_is_left_alone() {
    let fake = with(["exited", "exited", "exited"], &[]);
    let ended = run(&fake, &["stop"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("nothing of kube-master, kube-node-1, kube-node-2 was running"),
        "{}",
        ended.stderr
    );
    assert_untouched(&fake);
    let fake = with(["running", "paused", "paused"], &[]);
    let ended = run(&fake, &["pause", "kube-node-1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_untouched(&fake);
}

#[test]
fn nodes_are_named_as_in_kubernetes() {
    let fake = with(
        ["running", "running", "running"],
        &["POST /containers/kube-node-2/pause"],
    );
    let ended = run(&fake, &["--label", "dev", "pause", "kube-node-2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(acts(&fake), ["kube-node-2/pause"]);
    assert!(
        ended
            .stderr
            .contains("paused: kube-node-2\nlocal-cluster --label dev unpause kube-node-2  # "),
        "{}",
        ended.stderr
    );
    let fake = with(["running", "running", "running"], &[]);
    let ended = run(&fake, &["stop", "kube-node-1", "kube-node-3"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.starts_with(
            "error: there is no node `kube-node-3`\n\nhint: its nodes are kube-master, kube-node-1, kube-node-2\n"
        ),
        "{}",
        ended.stderr
    );
    assert_untouched(&fake);
}

#[test]
fn a_cluster_that_was_never_finished_is_not_started() {
    let fake = engine(
        &json!([]),
        &json!([
            container("kube-master", "master", "exited"),
            container("kube-node-1", "worker", "created")
        ]),
    );
    let ended = run(&fake, &["start"]);
    assert_eq!(ended.code, Some(1));
    insta::assert_snapshot!(ended.stderr, @r"
    local-cluster start: cluster `local-cluster`
    error: something of cluster `local-cluster` is missing or was never finished

    hint: complete it with `local-cluster up`

    the log of this run is LOG
    ");
    assert_untouched(&fake);
}

#[test]
fn a_worker_is_not_woken_without_its_master() {
    for (states, command) in [
        (["exited", "exited", "exited"], "start"),
        (["exited", "paused", "paused"], "unpause"),
        (["paused", "paused", "paused"], "unpause"),
    ] {
        let fake = with(states, &[]);
        let ended = run(&fake, &[command, "kube-node-1"]);
        assert_eq!(ended.code, Some(1));
        assert!(
            ended
                .stderr
                .contains("kube-master does not run, and no node is ready without it")
                && ended
                    .stderr
                    .contains("hint: start all with `local-cluster start`"),
            "{}",
            ended.stderr
        );
        assert_untouched(&fake);
    }
}

#[test]
fn settings_that_cannot_be_read_are_told() {
    let mut container = container("kube-master", "master", "exited");
    container["Labels"]["local-cluster.settings"] = json!(r#"{"cluster.podSubnet":"many"}"#);
    let ended = run(&engine(&json!([]), &json!([container])), &["start"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("the cluster does not say what its `cluster."),
        "{}",
        ended.stderr
    );
}

#[test]
fn today_s_settings_do_not_matter_to_a_start() {
    let fake = with(
        ["exited", "exited", "exited"],
        &["POST /containers/kube-master/start"],
    );
    // Other numbers, ranges and versions than it was made with; the start itself then ends at what this engine lacks.
    let ended = crate::commands::run_in(
        &fake,
        &["start"],
        &[
            ("K8S_DIND_NUM_NODES", "7"),
            ("K8S_DIND_POD_SUBNET", "10.1.0.0/16"),
            ("K8S_DIND_KUBERNETES_VERSION", "1.30.1"),
        ],
    );
    assert_eq!(acts(&fake), ["kube-master/exec", "kube-master/start"]);
    assert!(!ended.stderr.contains("other settings"), "{}", ended.stderr);
}

#[test]
fn the_status_tells_how_to_bring_a_cluster_back() {
    for (states, wanted) in [
        (
            ["exited", "exited", "exited"],
            "cluster local-cluster is stopped; `local-cluster start` brings it back",
        ),
        (
            ["paused", "paused", "paused"],
            "cluster local-cluster is paused; `local-cluster unpause` brings it back",
        ),
        (
            ["exited", "created", "exited"],
            "cluster local-cluster: kube-master, kube-node-1, kube-node-2 not running; `local-cluster up` brings it back",
        ),
    ] {
        let ended = run(&with(states, &[]), &["status"]);
        assert_eq!(ended.stdout.lines().next(), Some(wanted));
    }
    let ended = run(
        &with(["exited", "paused", "exited"], &[]),
        &["status", "--output", "json"],
    );
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(status["state"], "mixed");
}

#[test]
fn every_cluster_is_listed_and_so_is_what_is_left_of_one() {
    let other = json!({ "local-cluster.cluster": "local-cluster-dev", "local-cluster.id": "3" });
    let networks = json!([
        { "Name": "k8s-kubeadm-local-cluster", "Labels": labels("", "") },
        { "Name": "k8s-kubeadm-local-cluster-dev", "Labels": other },
        { "Name": "bridge" },
    ]);
    let bindings = json!({ "HostConfig": { "PortBindings": { "6443/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "16443" }] } } });
    let fake = engine(&networks, &nodes(["running", "exited", "exited"]));
    fake.add("GET /containers/kube-master/json", json(200, &bindings));
    let ended = run(&fake, &["ls"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.stdout, @r"
    CLUSTER            ID  KUBERNETES  NODES                 STATE                         SNAPSHOTS  API SERVER
    local-cluster      0   1.36.3      1 running, 2 stopped  mixed                         0          https://127.0.0.1:16443
    local-cluster-dev  3   -           -                     incomplete: only its network  0          -
    ");
    let ended = run(&fake, &["list", "--output", "json"]);
    let list: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        list["clusters"][0],
        json!({ "cluster": "local-cluster", "id": 0, "kubernetesVersion": "1.36.3", "state": "mixed", "missing": null,
                "nodes": { "running": 1, "stopped": 2 }, "network": true, "volumes": 0, "snapshots": 0,
                "hostSubnet": "10.192.0.0/24", "nodeSubnet": "10.192.0.0/24",
                "apiServerAddress": "127.0.0.1", "apiServerPort": 16443 })
    );
    assert_eq!(list["clusters"][1]["missing"], "only its network");
    let ended = run(&engine(&json!([]), &json!([])), &["list"]);
    assert_eq!(ended.stdout, "there is no cluster\n");
}
