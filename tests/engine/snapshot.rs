//! The making of a snapshot: nodes stand still while the rest is copied, and never longer.

use crate::execute::{Run, spec};
use crate::fake::{Answer, Fake, done, frames, json, refusal};
use local_cluster::engine::Rights;
use local_cluster::error::{Error, in_one_line};
use local_cluster::execute::snapshot::{is_whole, save};
use local_cluster::snapshot::{Origin, Snapshot};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const JOB: &str = "local-cluster.snapshot.one.save";

fn snapshot() -> Snapshot {
    let spec = spec(None);
    let of = Origin {
        at: String::new(),
        nodes: spec.nodes.iter().map(|node| node.name.clone()).collect(),
        settings: spec.fingerprint(),
        image: "image".to_owned(),
        preload: "preload".to_owned(),
        port: None,
    };
    Snapshot::new(&spec.names, "one", BTreeMap::new(), of)
}

/// An engine on which the job prints this, and ends with this status.
fn engine(logs: Answer, status: i64) -> Fake {
    let created = json(201, &json!({ "Id": "0", "Warnings": [] }));
    let volume = json!({ "Name": "", "Driver": "local", "Mountpoint": "", "Labels": { "local-cluster.cluster": "local-cluster" }, "Scope": "local", "Options": {} });
    let fake = Fake::new([
        ("POST /volumes/create", json(201, &volume)),
        ("DELETE /volumes/local-cluster.snapshot.one", done()),
        ("POST /containers/create", created),
    ]);
    fake.add(
        &format!("DELETE /containers/{JOB}"),
        refusal(404, "No such container"),
    );
    fake.add(&format!("DELETE /containers/{JOB}"), done());
    fake.add(
        &format!("PUT /containers/{JOB}/archive"),
        Answer::Whole(200, Vec::new()),
    );
    fake.add(&format!("POST /containers/{JOB}/start"), done());
    fake.add(&format!("GET /containers/{JOB}/logs"), logs);
    fake.add(
        &format!("POST /containers/{JOB}/wait"),
        json(200, &json!({ "StatusCode": status })),
    );
    for node in ["kube-master", "kube-node-2"] {
        for verb in ["pause", "unpause"] {
            fake.add(&format!("POST /containers/{node}/{verb}"), done());
        }
    }
    fake
}

const FROZEN: &str = "PUT /containers/local-cluster.snapshot.one.save/archive";

async fn made(fake: &Fake) -> Result<Duration, Error> {
    let run = Run::new(fake);
    let running = ["kube-master", "kube-node-2"].map(str::to_owned);
    save(
        &run.work(),
        &snapshot(),
        &spec(None).nodes,
        &running,
        &Rights::Privileged,
    )
    .await
}

/// Where this was asked first, and last.
fn at(fake: &Fake, what: &str) -> (usize, usize) {
    let log = fake.log();
    let first = log.iter().position(|asked| asked.contains(what)).unwrap();
    (
        first,
        log.iter().rposition(|asked| asked.contains(what)).unwrap(),
    )
}

#[tokio::test]
async fn the_rest_is_copied_while_all_stand_still() {
    let fake = engine(
        Answer::Then(
            frames(&[(1, "copied\n")]),
            FROZEN,
            frames(&[(1, "caught up\n")]),
        ),
        0,
    );
    assert!(!made(&fake).await.unwrap().is_zero());
    // Those that do not run are not frozen; they are copied all the same.
    assert!(
        !fake
            .log()
            .iter()
            .any(|asked| asked.contains("kube-node-1/"))
    );
    let body = fake.only("POST /containers/create").json();
    assert_eq!(
        body["Entrypoint"].as_array().unwrap()[1..],
        ["save", "kube-master", "kube-node-1", "kube-node-2"].map(|word| json!(word))
    );
    let (paused, sign, thawed) = (
        at(&fake, "/pause"),
        at(&fake, FROZEN),
        at(&fake, "/unpause"),
    );
    assert!(
        at(&fake, "/start").1 < paused.0 && paused.1 < sign.0 && sign.1 < thawed.0,
        "{:?}",
        fake.log()
    );
    assert_eq!(
        fake.log().last().unwrap(),
        &format!("DELETE /containers/{JOB}")
    );
    assert!(
        fake.all("DELETE /volumes/local-cluster.snapshot.one")
            .is_empty()
    );
}

#[tokio::test]
async fn nodes_are_thawed_whatever_happens() {
    // The disk is full, when all stand still.
    let full = || frames(&[(2, "no space left on device\n")]);
    let fake = engine(Answer::Then(frames(&[(1, "copied\n")]), FROZEN, full()), 1);
    let error = made(&fake).await.unwrap_err();
    assert!(
        in_one_line(&error).contains("no space left on device"),
        "{}",
        in_one_line(&error)
    );
    assert_thawed(&fake);
    // One node cannot be frozen: the job, which would wait, is removed.
    let fake = engine(
        Answer::Then(
            frames(&[(1, "copied\n")]),
            "POST /containers/kube-node-2/unpause",
            Vec::new(),
        ),
        137,
    )
    .instead(
        "POST /containers/kube-node-2/pause",
        refusal(500, "cannot freeze"),
    );
    let error = made(&fake).await.unwrap_err();
    assert!(
        in_one_line(&error).contains("cannot freeze"),
        "{}",
        in_one_line(&error)
    );
    assert_thawed(&fake);
    assert!(fake.all(FROZEN).is_empty());
}

#[tokio::test]
async fn a_node_that_cannot_be_frozen_at_once_is_frozen_again() {
    let unable = "OCI runtime pause failed: unable to freeze: unknown";
    let pause = "POST /containers/kube-node-2/pause";
    let copying = |until| {
        Answer::Then(
            frames(&[(1, "copied\n")]),
            until,
            frames(&[(1, "caught up\n")]),
        )
    };
    let fake = engine(copying(FROZEN), 0).instead(pause, refusal(500, unable));
    fake.add(pause, refusal(500, unable));
    fake.add(pause, done());
    made(&fake).await.unwrap();
    assert_eq!(fake.all(pause).len(), 3);
}

/// Both nodes go on, and nothing is left of the snapshot.
fn assert_thawed(fake: &Fake) {
    for node in ["kube-master", "kube-node-2"] {
        fake.only(&format!("POST /containers/{node}/unpause"));
    }
    let log = fake.log();
    let (job, volume) = (
        format!("DELETE /containers/{JOB}"),
        "DELETE /volumes/local-cluster.snapshot.one",
    );
    assert_eq!(log[log.len() - 2..], [job.as_str(), volume], "{log:?}");
}

#[tokio::test]
async fn a_disk_that_is_full_before_stops_nobody() {
    let fake = engine(
        Answer::Whole(200, frames(&[(2, "no space left on device\n")])),
        1,
    );
    made(&fake).await.unwrap_err();
    assert!(
        !fake.log().iter().any(|asked| asked.contains("pause")),
        "{:?}",
        fake.log()
    );
    fake.only("DELETE /volumes/local-cluster.snapshot.one");
}

#[tokio::test]
async fn a_snapshot_without_its_mark_is_none() {
    for (answer, wanted) in [
        (Answer::Whole(200, archive("whole")), true),
        (
            refusal(404, "Could not find the file /snapshot/whole"),
            false,
        ),
    ] {
        let fake = Fake::new([(
            "POST /containers/create",
            json(201, &json!({ "Id": "0", "Warnings": [] })),
        )]);
        let job = format!("local-cluster.snapshot.one.look.{}", std::process::id());
        fake.add(&format!("DELETE /containers/{job}"), done());
        fake.add(&format!("GET /containers/{job}/archive"), answer);
        assert_eq!(is_whole(&fake.engine(), &snapshot()).await.unwrap(), wanted);
        // It looks, and changes nothing.
        let mounts = fake.only("POST /containers/create").json()["HostConfig"]["Mounts"].clone();
        assert!(
            mounts
                .as_array()
                .unwrap()
                .iter()
                .all(|mount| mount["ReadOnly"] == true),
            "{mounts}"
        );
    }
}

pub(crate) fn archive(name: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_cksum();
    archive
        .append_data(&mut header, name, std::io::empty())
        .unwrap();
    archive.into_inner().unwrap()
}
