//! Workers that come and go.

use crate::program::{Program, engine};
use serde_json::Value;

#[test]
fn workers_come_and_go() {
    let program = Program::new(225);
    program.ok(&["up", "--num-nodes", "1"]);
    let deployment = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/spread.yaml");
    program.kubectl(&["apply", "-f", deployment]);
    rolled_out(&program);

    program.ok(&["node", "add", "-n", "2"]);
    assert_eq!(
        nodes(&program),
        [
            "kube-master 10.192.225.2 10.244.1.0/24 true",
            "kube-node-1 10.192.225.3 10.244.2.0/24 true",
            "kube-node-2 10.192.225.4 10.244.3.0/24 true",
            "kube-node-3 10.192.225.5 10.244.4.0/24 true",
        ]
    );
    let ranges = program.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].spec.podCIDR}"]);
    assert_eq!(
        ranges,
        "10.244.1.0/24 10.244.2.0/24 10.244.3.0/24 10.244.4.0/24"
    );
    program.kubectl(&["scale", "deployment/spread", "--replicas=4"]);
    rolled_out(&program);
    all_reach_all(&program, 4);

    program.ok(&["node", "remove", "kube-node-1"]);
    assert_eq!(
        names(&program),
        ["kube-master", "kube-node-2", "kube-node-3"]
    );
    let left = engine("GET", "/containers/json?all=1") + &engine("GET", "/volumes");
    assert!(!left.contains("kube-node-1-cluster-225"), "{left}");
    rolled_out(&program);
    all_reach_all(&program, 4);
    let homes = program.kubectl(&[
        "get",
        "pods",
        "-A",
        "-o",
        "jsonpath={.items[*].spec.nodeName}",
    ]);
    assert!(!homes.contains("kube-node-1"), "{homes}");
    // The number is that of the cluster, not of the settings.
    assert_eq!(program.ok(&["up", "--dry-run"]), "nothing to do\n");
    program.ok(&["up"]);
    assert_eq!(names(&program).len(), 3);

    // A worker that does not run, and whose pods nobody can end.
    let stopped = program.container("kube-node-3");
    engine("POST", &format!("/containers/{stopped}/stop?t=10"));
    program.ok(&["node", "remove", "kube-node-3"]);
    rolled_out(&program);

    program.ok(&["node", "add"]);
    assert_eq!(
        nodes(&program)[1],
        "kube-node-1 10.192.225.3 10.244.2.0/24 true"
    );
    program.kubectl(&["rollout", "restart", "deployment/spread"]);
    rolled_out(&program);
    all_reach_all(&program, 4);

    lonely_pods_need_force(&program);
    let output = program.run(&["up", "--num-nodes", "1"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("removing kube-node-2: then there is 1 worker"),
        "{told}"
    );
    assert_eq!(names(&program), ["kube-master", "kube-node-1"]);
    a_removal_that_was_killed_is_finished(&program);
    alone_again(&program);
}

/// A pod that nobody would make again keeps its node, until it is said that it may go.
fn lonely_pods_need_force(program: &Program) {
    program.ok(&["node", "add"]);
    let image = "registry.k8s.io/e2e-test-images/agnhost:2.63.0";
    let home = r#"{"spec": {"nodeName": "kube-node-3", "terminationGracePeriodSeconds": 1}}"#;
    program.kubectl(&[
        "run",
        "lonely",
        "--image",
        image,
        "--image-pull-policy=Never",
        "--overrides",
        home,
        "--",
        "pause",
    ]);
    program.kubectl(&[
        "wait",
        "pod/lonely",
        "--for=condition=Ready",
        "--timeout=60s",
    ]);
    let (code, text) = program.fails(&["node", "remove", "kube-node-3"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("default/lonely") && text.contains("--force"),
        "{text}"
    );
    assert_eq!(names(program).len(), 4);
    // It gets no pods meanwhile; a cluster that is said to be ready uses all of its nodes.
    let path = "jsonpath={.items[*].spec.unschedulable}";
    let cordoned = || program.kubectl(&["get", "nodes", "-o", path]);
    assert_eq!(cordoned(), "true");
    program.ok(&["up"]);
    assert_eq!(cordoned(), "");
    program.ok(&["node", "remove", "kube-node-3", "--force"]);
    assert_eq!(names(program).len(), 3);
}

/// What a killed removal has left, at its worst moment: the container is gone, all else is there.
fn a_removal_that_was_killed_is_finished(program: &Program) {
    program.ok(&["node", "add"]);
    let container = program.container("kube-node-2");
    engine("DELETE", &format!("/containers/{container}?force=1"));
    let listed = program.ok(&["node", "list"]);
    assert!(listed.contains("missing"), "{listed}");
    program.ok(&["node", "remove", "kube-node-2"]);
    assert_eq!(names(program), ["kube-master", "kube-node-1"]);
}

/// The last worker goes: the master takes its pods. The next that comes finds them there.
fn alone_again(program: &Program) {
    program.ok(&["up", "--num-nodes", "0"]);
    rolled_out(program);
    all_reach_all(program, 4);
    program.ok(&["node", "add"]);
    assert_eq!(names(program), ["kube-master", "kube-node-1"]);
    let taints = program.kubectl(&[
        "get",
        "node",
        "kube-master",
        "-o",
        "jsonpath={.spec.taints}",
    ]);
    assert_eq!(taints, "");
}

fn rolled_out(program: &Program) {
    program.kubectl(&["rollout", "status", "deployment/spread", "--timeout=120s"]);
}

/// Name, address, pod range and readiness of each node, as `node list` has them.
fn nodes(program: &Program) -> Vec<String> {
    let list: Value =
        serde_json::from_str(&program.ok(&["node", "list", "--output", "json"])).unwrap();
    let line = |node: &Value| {
        let text = |key: &str| node[key].as_str().unwrap().to_owned();
        format!(
            "{} {} {} {}",
            text("name"),
            text("address"),
            text("podSubnet"),
            node["ready"]
        )
    };
    list["nodes"].as_array().unwrap().iter().map(line).collect()
}

/// The names of the nodes that Kubernetes knows.
fn names(program: &Program) -> Vec<String> {
    let names = program.kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]);
    names.split_whitespace().map(str::to_owned).collect()
}

/// Every pod of the deployment is answered by every other.
fn all_reach_all(program: &Program, count: usize) {
    let pods: Value = serde_json::from_str(&program.kubectl(&[
        "get",
        "pods",
        "-l",
        "app=spread",
        "--field-selector=status.phase=Running",
        "-o",
        "json",
    ]))
    .unwrap();
    let pods: Vec<(&str, &str)> = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| {
            let (name, address) = (&pod["metadata"]["name"], &pod["status"]["podIP"]);
            (name.as_str().unwrap(), address.as_str().unwrap())
        })
        .collect();
    assert_eq!(pods.len(), count, "{pods:?}");
    for (from, _) in &pods {
        for (to, address) in &pods {
            let url = format!("http://{address}:8080/hostname");
            let answer = program.kubectl(&["exec", from, "--", "curl", "-sf", "-m", "10", &url]);
            assert_eq!(answer, *to, "from {from}");
        }
    }
}

#[test]
fn a_lone_master_gets_company() {
    let program = Program::new(226);
    let replicas = || {
        program.kubectl(&[
            "get",
            "-n",
            "kube-system",
            "deployment/coredns",
            "-o",
            "jsonpath={.spec.replicas}",
        ])
    };
    program.ok(&["up", "--num-nodes", "0"]);
    assert_eq!(replicas(), "1");
    program.ok(&["node", "add"]);
    assert_eq!(replicas(), "2");
    // Of whoever has set the number it is.
    program.kubectl(&[
        "scale",
        "-n",
        "kube-system",
        "deployment/coredns",
        "--replicas=1",
    ]);
    program.ok(&["node", "add"]);
    assert_eq!(replicas(), "1");
    assert_eq!(names(&program).len(), 3);
    let (code, text) = program.fails(&["node", "remove", "kube-master"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("it runs the control plane"), "{text}");
    program.ok(&["clean"]);

    // Killed before there is any worker, and finished without a word on how many there are to be.
    let mut up = program.spawn(&["up", "--num-nodes", "3"]);
    let master = program.container("kube-master");
    program.until("the master is there", |_| {
        engine("GET", "/containers/json?all=1").contains(&master)
    });
    up.kill().unwrap();
    up.wait().unwrap();
    program.ok(&["up"]);
    assert_eq!(names(&program).len(), 4);
}
