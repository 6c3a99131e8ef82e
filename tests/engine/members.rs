//! Nodes that leave a cluster: what is asked of the engine and of the API server, and in which order.

use std::time::Duration;

use local_cluster::drain::{Drain, drain, forget, take_back};
use local_cluster::node::access;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fake::{Answer, Fake, json, stream};

/// An API server that gives prepared answers: the fake engine speaks HTTP like it.
fn client(fake: &Fake) -> kube::Client {
    let address = fake.address().replace("tcp://", "http://");
    access::client(&format!(
        "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: \"{address}\"}}}}], \
         users: [{{name: c, user: {{}}}}], contexts: [{{name: c, context: {{cluster: c, user: c}}}}]}}"
    ))
    .unwrap()
}

fn status(code: u16) -> Answer {
    let status = if code < 300 { "Success" } else { "Failure" };
    json(
        code,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": status, "code": code, "message": "",
                 "reason": "" }),
    )
}

fn list(items: &Value) -> Answer {
    json(
        200,
        &json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items }),
    )
}

fn pod(name: &str, owner: &str) -> Value {
    let owners = match owner {
        "" => json!([]),
        kind => {
            json!([{ "apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "x", "controller": true }])
        }
    };
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "default", "uid": name,
            "ownerReferences": owners }, "spec": { "containers": [] } })
}

const GET_NODE: &str = "GET /api/v1/nodes/kube-node-1";
const PATCH_NODE: &str = "PATCH /api/v1/nodes/kube-node-1";

fn node(annotations: &Value, unschedulable: bool) -> Value {
    json!({ "kind": "Node", "apiVersion": "v1", "spec": { "unschedulable": unschedulable },
            "metadata": { "name": "kube-node-1", "annotations": annotations } })
}

fn known() -> (&'static str, Answer) {
    (GET_NODE, json(200, &node(&json!({}), false)))
}

fn cordoned() -> (&'static str, Answer) {
    (PATCH_NODE, json(200, &node(&json!({}), true)))
}

async fn drained(fake: &Fake, how: Drain) -> Result<(), local_cluster::error::Error> {
    let cancel = CancellationToken::new();
    drain(&client(fake), "kube-node-1", how, &cancel).await
}

#[tokio::test]
async fn a_refused_eviction_is_asked_for_again() {
    let pods = json!([pod("web", "ReplicaSet"), pod("agent", "DaemonSet")]);
    let evict = "POST /api/v1/namespaces/default/pods/web/eviction";
    let fake = Fake::new([
        known(),
        cordoned(),
        ("GET /api/v1/pods", list(&pods)),
        // Gone when it is looked for again, but for what stays.
        (
            "GET /api/v1/pods",
            list(&json!([pod("agent", "DaemonSet")])),
        ),
        (evict, status(429)),
        (evict, status(201)),
    ]);
    drained(&fake, Drain::default()).await.unwrap();
    let log = fake.log();
    assert_eq!(log[..2], [GET_NODE, PATCH_NODE]);
    assert_eq!(
        log.iter().filter(|what| *what == evict).count(),
        2,
        "{log:?}"
    );
    assert!(!log.iter().any(|what| what.contains("agent")), "{log:?}");
    // That pod is meant, and no other that has its name by now.
    let asked: Value = serde_json::from_slice(&fake.all(evict).remove(0).body).unwrap();
    assert_eq!(asked["deleteOptions"]["preconditions"]["uid"], "web");
}

#[tokio::test]
async fn a_node_that_kubernetes_does_not_know_has_no_pods() {
    let fake = Fake::new([(GET_NODE, status(404))]);
    drained(&fake, Drain::default()).await.unwrap();
    assert_eq!(fake.log().len(), 1);
}

#[tokio::test]
async fn only_what_we_have_cordoned_is_taken_back() {
    let annotated = |fake: &Fake| {
        let patch = fake.all(PATCH_NODE).remove(0).body;
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        patch["metadata"]["annotations"].clone()
    };
    let fake = Fake::new([known(), cordoned(), ("GET /api/v1/pods", list(&json!([])))]);
    drained(&fake, Drain::default()).await.unwrap();
    let ours = annotated(&fake);
    assert_eq!(ours.as_object().unwrap().len(), 1);

    // Somebody else wants no pods there.
    let theirs = node(&json!({}), true);
    let fake = Fake::new([
        (GET_NODE, json(200, &theirs)),
        ("GET /api/v1/pods", list(&json!([]))),
    ]);
    drained(&fake, Drain::default()).await.unwrap();
    assert!(fake.all(PATCH_NODE).is_empty());

    let cancel = CancellationToken::new();
    for (found, wanted, back) in [
        (node(&ours, true), "kube-node-1", true),
        (node(&ours, true), "kube-node-2", false),
        (theirs, "kube-node-1", false),
    ] {
        let fake = Fake::new([cordoned()]);
        let listed = [serde_json::from_value(found).unwrap()];
        let names = take_back(&client(&fake), &listed, &[wanted], &cancel).await;
        assert_eq!(names.unwrap() == ["kube-node-1"], back);
        assert_eq!(fake.all(PATCH_NODE).len(), usize::from(back));
    }
}

#[tokio::test]
async fn what_nobody_makes_again_is_named_and_left() {
    let fake = Fake::new([
        known(),
        cordoned(),
        ("GET /api/v1/pods", list(&json!([pod("lonely", "")]))),
    ]);
    let error = drained(&fake, Drain::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot drain kube-node-1: nobody would make these pods again: default/lonely"
    );
    assert!(error.hints()[0].contains("--force"));
    assert!(!fake.log().iter().any(|what| what.contains("eviction")));
}

#[tokio::test]
async fn patience_ends_with_the_reason() {
    let impatient = Drain {
        patience: Duration::from_secs(3),
        force: false,
    };
    let ended = |evicted: u16| async move {
        let pods = || list(&json!([pod("web", "ReplicaSet")]));
        let nothing_new = json!({ "type": "BOOKMARK", "object": {
            "kind": "Pod", "apiVersion": "v1", "metadata": { "resourceVersion": "2" }, "spec": { "containers": [] } } });
        let fake = Fake::new([
            known(),
            cordoned(),
            (
                "POST /api/v1/namespaces/default/pods/web/eviction",
                status(evicted),
            ),
            ("GET /api/v1/pods", pods()),
            ("GET /api/v1/pods", pods()),
            (
                "GET /api/v1/pods",
                Answer::Unfinished(stream(&[nothing_new])),
            ),
        ]);
        drained(&fake, impatient).await.unwrap_err().to_string()
    };
    let (refused, granted) = tokio::join!(ended(429), ended(201));
    insta::assert_snapshot!(refused, @"cannot drain kube-node-1 within 3s: a disruption budget does not let all pods go");
    insta::assert_snapshot!(granted, @"cannot drain kube-node-1 within 3s: these pods have not ended: default/web");
}

#[tokio::test]
async fn what_is_left_of_a_node_is_forgotten() {
    let fake = Fake::new([
        ("DELETE /api/v1/nodes/kube-node-1", status(404)),
        (
            "GET /api/v1/pods",
            list(&json!([pod("agent", "DaemonSet")])),
        ),
        ("DELETE /api/v1/namespaces/default/pods/agent", status(200)),
    ]);
    forget(&client(&fake), "kube-node-1", &CancellationToken::new())
        .await
        .unwrap();
    let removed = fake.only("DELETE /api/v1/namespaces/default/pods/agent");
    assert_eq!(removed.json()["gracePeriodSeconds"], 0);
    assert!(
        fake.only("GET /api/v1/pods")
            .query
            .contains("spec.nodeName%3Dkube-node-1"),
        "{:?}",
        fake.asked()
    );
}
