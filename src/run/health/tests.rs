use super::*;
use serde_json::{Value, json};

fn container(name: &str, role: &str, state: State) -> Found {
    let labels = [(label::NODE, name), (label::ROLE, role)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Found {
        name: format!("{name}-cluster-7"),
        labels: labels.into(),
        state,
        image: String::new(),
        volumes: Vec::new(),
    }
}

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn node(name: &str, ready: bool) -> Node {
    let status = if ready { "True" } else { "False" };
    of(json!({ "metadata": { "name": name }, "status": {
        "conditions": [{ "type": "Ready", "status": status }],
        "nodeInfo": { "kubeletVersion": "v1.36.3", "architecture": "", "bootID": "", "containerRuntimeVersion": "",
                      "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
                      "systemUUID": "" },
    } }))
}

fn pod(name: &str, label: (&str, &str), node: &str) -> Pod {
    of(json!({
        "metadata": { "name": name, "namespace": "kube-system", "labels": { label.0: label.1 } },
        "spec": { "nodeName": node, "containers": [] },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    }))
}

/// A pod of the control plane that runs, and that kubelet does not call ready yet.
fn component(name: &str) -> Pod {
    let state = json!({ "running": { "startedAt": "2026-11-21T12:00:00Z" } });
    of(json!({
        "metadata": { "name": name, "namespace": "kube-system", "labels": { "component": name } },
        "spec": { "nodeName": "kube-master", "containers": [] },
        "status": {
            "conditions": [{ "type": "Ready", "status": "False" }],
            "containerStatuses": [{ "name": name, "restartCount": 0, "image": "", "imageID": "", "ready": false, "state": state }],
        },
    }))
}

/// A cluster of a master and a worker in which all is well.
fn well() -> Seen {
    let mut pods: Vec<Pod> = [
        "kube-apiserver",
        "etcd",
        "kube-scheduler",
        "kube-controller-manager",
    ]
    .iter()
    .map(|name| component(name))
    .collect();
    for node in ["kube-master", "kube-node-1"] {
        pods.push(pod(
            &format!("kube-proxy-{node}"),
            ("k8s-app", "kube-proxy"),
            node,
        ));
    }
    pods.push(pod("coredns-1", ("k8s-app", "kube-dns"), "kube-node-1"));
    Seen {
        containers: Ok(vec![
            container("kube-master", "master", State::Running),
            container("kube-node-1", "worker", State::Running),
        ]),
        answers: Ok(Answers {
            readyz: "[+]ping ok\n[+]etcd ok\nreadyz check passed\n".to_owned(),
            nodes: vec![node("kube-master", true), node("kube-node-1", true)],
            pods,
        }),
    }
}

/// The same, after something has become of it; what is the matter, and which components do not work.
fn after(change: impl FnOnce(&mut Vec<Found>, &mut Answers)) -> (Vec<String>, Vec<&'static str>) {
    let mut seen = well();
    let (Ok(containers), Ok(answers)) = (&mut seen.containers, &mut seen.answers) else {
        unreachable!("both are there")
    };
    change(containers, answers);
    let health = health(&seen);
    let broken = health.components.iter().filter(|(_, works)| !**works);
    let broken = broken.map(|(name, _)| *name).collect();
    (health.problems, broken)
}

#[test]
fn a_cluster_that_works_has_no_problems() {
    let health = health(&well());
    assert_eq!(health.problems, Vec::<String>::new());
    assert_eq!(health.components.len(), COMPONENTS.len());
    assert!(health.components.values().all(|works| *works));
    assert!(health.nodes.iter().all(|node| node.ready));
    assert_eq!(health.nodes[1].version.as_deref(), Some("v1.36.3"));
}

#[test]
fn each_trouble_is_told_once() {
    let told = |words: &[&str], broken: &[&'static str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        (words, broken.to_vec())
    };
    assert_eq!(
        after(|containers, _| containers[1].state = State::Paused),
        told(
            &["kube-node-1-cluster-7 does not run: it is paused"],
            &["kube-proxy"]
        )
    );
    assert_eq!(
        after(|_, answers| answers.nodes[1] = node("kube-node-1", false)),
        told(&["node kube-node-1 is not Ready"], &[])
    );
    assert_eq!(
        after(|_, answers| answers.nodes.push(node("kube-node-2", true))),
        told(&["node kube-node-2 has no container"], &[])
    );
    assert_eq!(
        after(|_, answers| answers.readyz =
            "[+]ping ok\n[-]etcd failed: reason withheld\n".to_owned()),
        told(
            &["the API server is not ready: etcd failed: reason withheld"],
            &["etcd", "kube-apiserver"]
        )
    );
    assert_eq!(
        after(|_, answers| {
            answers.pods.retain(|pod| {
                let name = pod.metadata.name.as_deref().unwrap();
                !["kube-scheduler", "coredns-1"].contains(&name)
            });
        }),
        told(
            &[
                "kube-scheduler does not run on kube-master",
                "coredns is not ready"
            ],
            &["coredns", "kube-scheduler"]
        )
    );
    // A load balancer is no node.
    let balancer = container(
        "kube-lb",
        crate::inventory::LOAD_BALANCER_ROLE,
        State::Running,
    );
    assert_eq!(
        after(|containers, _| containers.push(balancer)),
        told(&[], &[])
    );
    assert_eq!(
        after(|containers, _| containers.clear()),
        told(&["there is no cluster"], &[])
    );
}

#[test]
fn of_what_does_not_answer_nothing_is_made_up() {
    let mut seen = well();
    seen.answers = Err("refused".to_owned());
    let health = super::health(&seen);
    assert_eq!(health.problems, ["the API server does not answer: refused"]);
    assert_eq!(health.components, [("kube-apiserver", false)].into());
    assert!(health.nodes.iter().all(|node| !node.ready));
    seen.containers = Err("cannot list containers".to_owned());
    assert_eq!(super::health(&seen).problems, ["cannot list containers"]);
}

#[test]
fn containers_that_were_started_again_are_counted() {
    let mut seen = well();
    let status = |name: &str, count: i32| json!({ "name": name, "restartCount": count, "image": "", "imageID": "", "ready": true });
    let restarted: Pod = of(json!({
        "metadata": { "name": "app", "namespace": "default" },
        "status": { "initContainerStatuses": [status("init", 1)], "containerStatuses": [status("a", 0), status("b", 3)] },
    }));
    if let Ok(answers) = &mut seen.answers {
        answers.pods.push(restarted);
    }
    let counts: Vec<(String, u64)> = super::health(&seen)
        .restarts
        .into_iter()
        .map(|restarts| (restarts.container, restarts.count))
        .collect();
    assert_eq!(counts, [("init".to_owned(), 1), ("b".to_owned(), 3)]);
}
