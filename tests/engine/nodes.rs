//! `node add`, `node remove`, `node list` and the number of workers of an `up`, up to the point where a real API server
//! is needed.

use local_cluster::cluster::DEFAULT_VERSION;
use serde_json::{Value, json};

use crate::commands::{assert_untouched, engine, run};
use crate::fake::{Answer, Fake, frames, json};

/// The settings that a cluster of the defaults keeps.
pub(crate) fn settings() -> String {
    json!({
        "dind.subnet": "10.192.0.0/24", "cluster.podSubnet": "10.244.0.0/16",
        "cluster.serviceSubnet": "10.96.0.0/16", "cluster.cniPlugin": "bridge",
        "source.kubernetesVersion": DEFAULT_VERSION.to_string(), "cluster.apiServerAddress": "127.0.0.1",
        "cluster.apiServerPort": "any", "cluster.noDedicated": "false",
    })
    .to_string()
}

pub(crate) fn node(name: &str, state: &str) -> Value {
    let role = if name == "kube-master" {
        "master"
    } else {
        "worker"
    };
    json!({ "Names": [format!("/{name}")], "State": state, "Status": "", "Image": "local-cluster/node:x",
            "Labels": { "local-cluster.role": role, "local-cluster.node": name, "local-cluster.settings": settings() } })
}

/// A cluster of the defaults with these containers, all of whose phases are complete.
pub(crate) fn cluster(containers: &[Value]) -> Fake {
    let network = json!([{ "Name": "k8s-kubeadm-local-cluster", "Labels": { "local-cluster.cluster": "local-cluster" },
                           "IPAM": { "Config": [{ "Subnet": "10.192.0.0/24" }] } }]);
    let fake = engine(&network, &json!(containers));
    let done = [
        "control-plane",
        "api-server",
        "scheduler",
        "cluster-admins",
        "upload-config-kubeadm",
        "upload-config-kubelet",
        "bootstrap-token",
        "mark-control-plane",
        "kube-proxy",
        "coredns",
        "join",
    ]
    .map(|phase| format!("done {phase}\n"))
    .concat();
    for container in containers {
        let name = container["Names"][0].as_str().unwrap();
        fake.add(
            &format!("POST /containers{name}/exec"),
            json(201, &json!({ "Id": "e" })),
        );
    }
    fake.add(
        "POST /exec/e/start",
        Answer::Upgraded(frames(&[(1, &done)])),
    );
    fake.add("GET /exec/e/json", json(200, &json!({ "ExitCode": 0 })));
    fake
}

/// A node of a cluster with several masters.
fn of_several(name: &str, state: &str) -> Value {
    let mut settings: Value = serde_json::from_str(&settings()).unwrap();
    settings["cluster.numMasters"] = json!("several");
    let role = match name {
        "kube-lb" => "load-balancer",
        name if name.starts_with("kube-master") => "master",
        _ => "worker",
    };
    let mut node = node(name, state);
    node["Labels"]["local-cluster.settings"] = json!(settings.to_string());
    node["Labels"]["local-cluster.role"] = json!(role);
    node
}

fn several(nodes: &[(&str, &str)]) -> Fake {
    cluster(
        &nodes
            .iter()
            .map(|(name, state)| of_several(name, state))
            .collect::<Vec<_>>(),
    )
}

const RUN: &str = "running";

#[test]
fn one_more_master_joins_the_others() {
    let fake = several(&[
        ("kube-master-3", RUN),
        ("kube-master-2", RUN),
        ("kube-lb", RUN),
    ]);
    let ended = run(&fake, &["node", "add", "--master", "--dry-run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    insta::assert_snapshot!(ended.stdout, @r"
    [join master]
      add kube-master at 10.192.0.2 to the control plane
    [control plane]
      wait for kubeadm init on kube-master
    ");
    assert_eq!(
        ended.stderr,
        "note: adding kube-master: then there are 3 masters\n"
    );
    // Up to an API server that must be asked.
    let ended = run(&running(&["kube-master"]), &["node", "add", "--master"]);
    assert_eq!(ended.code, Some(1));
    insta::assert_snapshot!(ended.stderr, @r"
    local-cluster node add: cluster `local-cluster`
    error: cluster `local-cluster` was made for one master: its nodes and its users reach it there, and not by a load balancer

    hint: make it anew for several: `local-cluster down`, then `local-cluster up --num-masters 3`

    the log of this run is LOG
    ");
}

#[test]
fn masters_go_where_enough_are_left() {
    let three = [
        ("kube-master", RUN),
        ("kube-master-2", RUN),
        ("kube-master-3", RUN),
        ("kube-lb", RUN),
    ];
    let remove = |nodes: &[(&str, &str)], names: &[&str]| {
        let arguments = [&["node", "remove", "--dry-run"], names].concat();
        let ended = run(&several(nodes), &arguments);
        format!("{}{}", ended.stdout, ended.stderr)
    };
    insta::assert_snapshot!(remove(&three, &["kube-master"]), @r"
    [drain]
      drain kube-master
    [remove]
      remove kube-master and what Kubernetes knows of it
    note: removing kube-master: then there are 2 masters; pods go elsewhere, but for those of DaemonSets, and what they keep in emptyDir volumes is lost
    warning: 2 masters survive the loss of no more of them than 1 would
      hint: `local-cluster node add --master` adds one
    ");
    insta::assert_snapshot!(remove(&three, &["kube-master", "kube-master-2", "kube-master-3"]), @r"
    error: kube-master, kube-master-2, kube-master-3 cannot be removed: the control plane would be gone

    hint: `local-cluster down` removes all nodes

    the log of this run is LOG
    ");
    let mut one_down = three;
    one_down[2].1 = "exited";
    insta::assert_snapshot!(remove(&one_down, &["kube-master"]), @r"
    error: of 3 masters 2 run, and of the 2 that would be left 1: etcd needs most of them

    hint: start the others first, with `local-cluster start`

    the log of this run is LOG
    ");
    insta::assert_snapshot!(remove(&one_down, &["kube-master-3"]), @r"
    [remove]
      remove kube-master-3 and what Kubernetes knows of it
    note: removing kube-master-3: then there are 2 masters; pods go elsewhere, but for those of DaemonSets, and what they keep in emptyDir volumes is lost
    warning: 2 masters survive the loss of no more of them than 1 would
      hint: `local-cluster node add --master` adds one
    ");
}

#[test]
fn too_few_masters_are_neither_started_nor_made_anew() {
    let text = |nodes: &[(&str, &str)], arguments: &[&str]| run(&several(nodes), arguments).stderr;
    let stopped = [
        ("kube-master", "exited"),
        ("kube-master-2", "exited"),
        ("kube-master-3", "exited"),
        ("kube-lb", RUN),
    ];
    insta::assert_snapshot!(text(&stopped, &["start", "kube-master"]), @r"
    local-cluster start: cluster `local-cluster`
    error: only 1 of 3 masters would run, and etcd needs most of them: kube-master-2, kube-master-3 would not

    hint: start all with `local-cluster start`

    the log of this run is LOG
    ");
    let unmade = [
        ("kube-master", RUN),
        ("kube-master-2", "created"),
        ("kube-master-3", "created"),
        ("kube-lb", RUN),
    ];
    insta::assert_snapshot!(text(&unmade, &["up", "--num-nodes", "0"]), @r"
    local-cluster up: cluster `local-cluster`
    error: only 1 of 3 masters of cluster `local-cluster` are left, and etcd needs most of them

    hint: `local-cluster snapshot restore` takes it back to what was saved, `local-cluster down` removes
          it so that `up` makes it anew

    the log of this run is LOG
    ");
    for arguments in [
        &["node", "add", "--master"][..],
        &["node", "remove", "kube-master-3"],
    ] {
        let told = text(&unmade, arguments);
        assert!(told.contains("only 1 of 3 masters"), "{told}");
    }
    let told = run(&several(&unmade), &["status"]).stdout;
    assert!(
        told.contains("only 1 of 3 masters") && told.contains("snapshot restore"),
        "{told}"
    );
    insta::assert_snapshot!(text(&[("kube-master", RUN), ("kube-lb", RUN)], &["up", "--num-masters", "3"]), @r"
    local-cluster up: cluster `local-cluster`
    error: the cluster has 1 masters, and 3 are wanted

    hint: `local-cluster node add --master` adds one, `local-cluster node remove NODE` removes one

    the log of this run is LOG
    ");
}

fn running(names: &[&str]) -> Fake {
    cluster(
        &names
            .iter()
            .map(|name| node(name, "running"))
            .collect::<Vec<_>>(),
    )
}

#[test]
fn an_addition_takes_the_lowest_numbers_that_are_free() {
    let fake = running(&["kube-master", "kube-node-2"]);
    let ended = run(&fake, &["node", "add", "-n", "2", "--dry-run"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    insta::assert_snapshot!(ended.stdout, @r"
    [workers]
      create kube-node-1 at 10.192.0.3
      create kube-node-3 at 10.192.0.5
      see that CoreDNS has two replicas
    [join]
      wait for kubeadm join on kube-node-1
      wait for kubeadm join on kube-node-3
    ");
    assert_eq!(
        ended.stderr,
        "note: adding kube-node-1, kube-node-3: then there are 3 workers\n"
    );
}

#[test]
fn a_first_worker_changes_nothing_for_the_master() {
    let fake = running(&["kube-master"]);
    // What the settings say today does not matter.
    let ended = run(&fake, &["node", "add", "--dry-run"]);
    insta::assert_snapshot!(ended.stderr, @r"
    note: adding kube-node-1: then there is 1 worker
    note: ordinary pods may go on running on kube-master, as they did while it was alone
    ");
    let ended = run(&fake, &["node", "add", "-n", "101"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let fake = running(&["kube-master", "kube-node-7"]);
    let ended = run(&fake, &["node", "add", "-n", "100"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("there is room for 100 workers in a cluster, and 1 are there"),
        "{}",
        ended.stderr
    );
}

#[test]
fn only_a_cluster_that_runs_can_be_changed() {
    for command in [&["node", "add"][..], &["node", "remove", "kube-node-1"]] {
        let ended = run(&engine(&json!([]), &json!([])), command);
        assert_eq!(ended.code, Some(1));
        assert!(
            ended.stderr.contains("there is no cluster `local-cluster`"),
            "{}",
            ended.stderr
        );
        for (state, words, back) in [
            ("exited", "stopped", "start"),
            ("paused", "paused", "unpause"),
        ] {
            let fake = cluster(&[node("kube-master", state), node("kube-node-1", state)]);
            let ended = run(&fake, command);
            assert_eq!(ended.code, Some(1));
            let message = format!(
                "error: kube-master does not run: it is {words}\n\nhint: bring the cluster back with `local-cluster {back}`\n"
            );
            assert!(ended.stderr.contains(&message), "{}", ended.stderr);
            assert_untouched(&fake);
        }
    }
}

#[test]
fn nodes_are_removed_by_name() {
    let fake = cluster(&[
        node("kube-master", "running"),
        node("kube-node-1", "running"),
        node("kube-node-2", "exited"),
    ]);
    let ended = run(
        &fake,
        &["node", "remove", "kube-node-1", "kube-node-2", "--dry-run"],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    insta::assert_snapshot!(ended.stdout, @r"
    [untaint]
      let ordinary pods run on kube-master
    [drain]
      drain kube-node-1
    [remove]
      remove kube-node-1 and what Kubernetes knows of it
      remove kube-node-2 and what Kubernetes knows of it
    ");
    insta::assert_snapshot!(ended.stderr, @"note: removing kube-node-1, kube-node-2: then there is no worker; pods go elsewhere, but for those of DaemonSets, and what they keep in emptyDir volumes is lost");
    for (name, words) in [
        (
            "kube-master",
            "error: kube-master cannot be removed: it runs the control plane\n\nhint: `local-cluster down` removes all nodes\n",
        ),
        (
            "kube-node-9",
            "error: there is no worker `kube-node-9`\n\nhint: its workers are kube-node-1, kube-node-2\n",
        ),
    ] {
        let ended = run(&fake, &["node", "remove", "kube-node-1", name, "--dry-run"]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.starts_with(words), "{}", ended.stderr);
    }
    assert_untouched(&fake);
}

#[test]
fn a_list_has_what_is_fixed_for_a_node() {
    let fake = cluster(&[node("kube-master", "exited"), node("kube-node-3", "paused")]);
    let ended = run(&fake, &["node", "list"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ended.stdout, @r"
    NAME         ROLE    CONTAINER    ADDRESS     POD SUBNET     STATE    READY
    kube-master  master  kube-master  10.192.0.2  10.244.1.0/24  stopped  unknown
    kube-node-3  worker  kube-node-3  10.192.0.5  10.244.4.0/24  paused   unknown
    ");
    let ended = run(&fake, &["node", "list", "--output", "json"]);
    let list: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(list["problem"], "the master does not run");
    assert_eq!(
        list["nodes"][1],
        json!({ "name": "kube-node-3", "role": "worker", "container": "kube-node-3", "address": "10.192.0.5", "hostAddress": "10.192.0.5",
                "podSubnet": "10.244.4.0/24", "state": "paused", "ready": null })
    );
}

/// What `up` would do, by flags and variables, and what it says of it.
fn up(fake: &Fake, arguments: &[&str]) -> (String, String) {
    let ended = run(
        fake,
        &[&["up", "--source", "modules", "--dry-run"], arguments].concat(),
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    (ended.stdout, ended.stderr)
}

#[test]
fn only_a_flag_changes_the_number_of_workers() {
    let fake = running(&["kube-master", "kube-node-1", "kube-node-4", "kube-node-5"]);
    let nothing = "nothing to do\n".to_owned();
    let kept =
        "note: the cluster keeps the number of its workers, 3: `--num-nodes 2` would change it\n";
    assert_eq!(up(&fake, &[]), (nothing.clone(), kept.to_owned()));
    assert_eq!(up(&fake, &["--num-nodes", "3"]), (nothing, String::new()));
    let (plan, told) = up(&fake, &["--num-nodes", "4"]);
    assert!(
        plan.starts_with("[workers]\n  create kube-node-2 at 10.192.0.4\n"),
        "{plan}"
    );
    assert_eq!(told, "note: adding kube-node-2: then there are 4 workers\n");
    let (plan, told) = up(&fake, &["--num-nodes", "1"]);
    insta::assert_snapshot!(plan, @r"
    [drain]
      drain kube-node-4
      drain kube-node-5
    [remove]
      remove kube-node-4 and what Kubernetes knows of it
      remove kube-node-5 and what Kubernetes knows of it
    ");
    assert!(
        told.starts_with("note: removing kube-node-4, kube-node-5: then there is 1 worker; "),
        "{told}"
    );
}
