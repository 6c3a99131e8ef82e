//! Images: pulled, built, imported, laid over.

use std::collections::BTreeMap;

use bytes::Bytes;
use local_cluster::engine::{Build, EngineError};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fake::{Answer, Fake, json, refusal, stream};
use crate::told;

fn build() -> Build {
    Build {
        tag: "local-cluster/base:1".to_owned(),
        context: b"context".to_vec(),
        arguments: BTreeMap::from([("BASE".to_owned(), "debian".to_owned())]),
        labels: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_build_tells_its_lines() {
    let output = [
        json!({ "stream": "Step 1/2 : FROM debian\n" }),
        json!({ "stream": "\n" }),
        json!({ "status": "Pulling from library/debian", "id": "trixie" }),
        json!({ "stream": "one\ntwo\n" }),
        json!({ "aux": { "ID": "sha256:0" } }),
    ];
    let fake = Fake::new([("POST /build", Answer::Whole(200, stream(&output)))]);
    let mut lines = Vec::new();
    fake.engine()
        .build(build(), &CancellationToken::new(), |line| {
            lines.push(line.to_owned());
        })
        .await
        .unwrap();
    assert_eq!(lines, ["Step 1/2 : FROM debian", "one", "two"]);
    let asked = fake.only("POST /build");
    assert_eq!(asked.body, b"context");
    assert!(
        asked.query.contains("t=local-cluster%2Fbase%3A1"),
        "{}",
        asked.query
    );
    assert!(
        asked
            .query
            .contains("buildargs=%7B%22BASE%22%3A%22debian%22%7D"),
        "{}",
        asked.query
    );
}

#[tokio::test]
async fn a_build_that_fails_tells_its_last_lines() {
    let mut output: Vec<_> = (1..=30)
        .map(|number| json!({ "stream": format!("line {number}\n") }))
        .collect();
    let words = "The command '/bin/sh -c false' returned a non-zero code: 100";
    output.push(json!({ "errorDetail": { "code": 100, "message": words }, "error": words }));
    let fake = Fake::new([("POST /build", Answer::Whole(200, stream(&output)))]);
    let error = fake
        .engine()
        .build(build(), &CancellationToken::new(), |_| ())
        .await
        .unwrap_err();
    let EngineError::Failed { action, output, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(action, "build image local-cluster/base:1");
    assert_eq!(output.len(), 21);
    assert_eq!(
        (output[0].as_str(), output[19].as_str()),
        ("line 11", "line 30")
    );
    assert!(output[20].contains(words), "{}", output[20]);
}

#[tokio::test]
async fn a_build_that_is_refused_says_why() {
    let fake = Fake::new([("POST /build", refusal(500, "dockerfile parse error line 1"))]);
    let error = told(
        fake.engine()
            .build(build(), &CancellationToken::new(), |_| ())
            .await,
    );
    assert!(
        error.starts_with("cannot build image local-cluster/base:1"),
        "{error}"
    );
    assert!(error.ends_with("dockerfile parse error line 1"), "{error}");
}

#[tokio::test]
async fn a_build_ends_with_the_wish_to_stop() {
    let fake = Fake::new([(
        "POST /build",
        Answer::Unfinished(stream(&[json!({ "stream": "Step 1/2 : RUN sleep\n" })])),
    )]);
    let cancel = CancellationToken::new();
    let built = fake
        .engine()
        .build(build(), &cancel, |_| cancel.cancel())
        .await;
    assert_eq!(
        told(built),
        "interrupted while trying to build image local-cluster/base:1"
    );
    // The engine ends a build whose client has gone.
    fake.until_given_up(1).await;
}

#[tokio::test]
async fn a_pull_tells_what_is_happening_and_why_it_fails() {
    let words = "toomanyrequests: You have reached your pull rate limit";
    let fake = Fake::new([
        (
            "POST /images/create",
            Answer::Whole(
                200,
                stream(&[
                    json!({ "status": "Pulling from library/debian" }),
                    json!({}),
                ]),
            ),
        ),
        (
            "POST /images/create",
            Answer::Whole(
                200,
                stream(&[
                    json!({ "status": "Pulling" }),
                    json!({ "errorDetail": { "message": words }, "error": words }),
                ]),
            ),
        ),
        (
            "POST /images/create",
            refusal(404, "manifest for debian:none not found"),
        ),
        (
            "POST /images/create",
            Answer::Unfinished(stream(&[json!({ "status": "Downloading" })])),
        ),
    ]);
    let (engine, cancel) = (fake.engine(), CancellationToken::new());
    let mut lines = Vec::new();
    engine
        .pull("debian:trixie", &cancel, |line| lines.push(line.to_owned()))
        .await
        .unwrap();
    assert_eq!(lines, ["Pulling from library/debian"]);
    assert!(
        fake.asked()[0].query.contains("fromImage=debian%3Atrixie"),
        "{:?}",
        fake.asked()
    );
    for expected in [words, "manifest for debian:none not found"] {
        let error = told(engine.pull("debian:trixie", &cancel, |_| ()).await);
        assert!(
            error.starts_with("cannot pull image debian:trixie: ") && error.ends_with(expected),
            "{error}"
        );
    }
    let error = told(
        engine
            .pull("debian:trixie", &cancel, |_| cancel.cancel())
            .await,
    );
    assert_eq!(
        error,
        "interrupted while trying to pull image debian:trixie"
    );
    fake.until_given_up(1).await;
}

#[tokio::test]
async fn a_root_file_system_is_imported_as_it_comes() {
    let fake = Fake::new([(
        "POST /images/create",
        Answer::Whole(200, stream(&[json!({ "status": "sha256:0" })])),
    )]);
    let parts = ["one ", "two"].map(|part| Ok(Bytes::from(part)));
    let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    let archive = futures_util::stream::iter(parts);
    fake.engine()
        .import_root("local-cluster/base", "1", archive, &labels)
        .await
        .unwrap();
    let asked = fake.only("POST /images/create");
    assert_eq!(asked.body, b"one two");
    assert!(
        asked.query.contains("fromSrc=-") && asked.query.contains("LABEL+a%3D1"),
        "{}",
        asked.query
    );
}

#[tokio::test]
async fn an_archive_that_breaks_off_is_no_image() {
    let fake = Fake::new([(
        "POST /images/create",
        Answer::Whole(200, stream(&[json!({ "status": "sha256:0" })])),
    )]);
    let parts = [
        Ok(Bytes::from("one")),
        Err(std::io::Error::other("the disk has gone")),
    ];
    let archive = futures_util::stream::iter(parts);
    let error = told(
        fake.engine()
            .import_root("local-cluster/base", "1", archive, &BTreeMap::new())
            .await,
    );
    assert!(
        error.starts_with("cannot import image local-cluster/base:1"),
        "{error}"
    );
}

#[tokio::test]
async fn labels_of_an_image_that_is_not_there_are_none() {
    let fake = Fake::new([
        (
            "GET /images/i/json",
            json(
                200,
                &json!({ "Config": { "Labels": { "local-cluster.rights": "privileged" } } }),
            ),
        ),
        (
            "GET /images/i/json",
            json(200, &json!({ "Config": { "Labels": null } })),
        ),
        ("GET /images/i/json", refusal(404, "No such image")),
        ("GET /images/i/json", refusal(500, "the disk is full")),
    ]);
    let engine = fake.engine();
    let labels = engine.image_labels("i").await.unwrap().unwrap();
    assert_eq!(labels["local-cluster.rights"], "privileged");
    assert_eq!(
        engine.image_labels("i").await.unwrap(),
        Some(BTreeMap::new())
    );
    assert_eq!(engine.image_labels("i").await.unwrap(), None);
    assert!(told(engine.image_labels("i").await).starts_with("cannot inspect image i: "));
}

#[tokio::test]
async fn a_container_is_committed_with_the_entry_point_of_a_node() {
    let fake = Fake::new([("POST /commit", json(201, &json!({ "Id": "sha256:0" })))]);
    let labels = BTreeMap::from([("local-cluster.rights".to_owned(), "privileged".to_owned())]);
    fake.engine()
        .commit("job", "local-cluster/node", "1", &labels, "/entrypoint")
        .await
        .unwrap();
    let asked = fake.only("POST /commit");
    for part in [
        "container=job",
        "repo=local-cluster%2Fnode",
        "tag=1",
        "ENTRYPOINT+%5B%22%2Fentrypoint%22%5D%0ACMD+%5B%5D",
    ] {
        assert!(asked.query.contains(part), "{part} in {}", asked.query);
    }
    assert_eq!(
        asked.json()["Labels"],
        json!({ "local-cluster.rights": "privileged" })
    );
}
