//! Containers that do one thing and end; nodes' containers; which rights the engine gives.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use local_cluster::engine::{EngineError, Job, NodeContainer, Rights};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fake::{Answer, Fake, done, frames, json, refusal};
use crate::told;

fn job() -> Job {
    Job {
        name: "job".to_owned(),
        image: "image".to_owned(),
        command: vec!["make".to_owned(), "all".to_owned()],
        environment: Vec::new(),
        mounts: Vec::new(),
        labels: BTreeMap::new(),
        rights: None,
        network: None,
    }
}

/// An engine on which the job prints this and ends with this status; none if it goes on for ever.
fn engine_with_job(output: &[(u8, &str)], status: Option<i64>) -> Fake {
    let output = frames(output);
    Fake::new([
        (
            "DELETE /containers/job",
            refusal(404, "No such container: job"),
        ),
        ("DELETE /containers/job", done()),
        (
            "POST /containers/create",
            json(201, &json!({ "Id": "0", "Warnings": [] })),
        ),
        (
            "PUT /containers/job/archive",
            Answer::Whole(200, Vec::new()),
        ),
        ("POST /containers/job/start", done()),
        (
            "GET /containers/job/logs",
            if status.is_some() {
                Answer::Whole(200, output)
            } else {
                Answer::Unfinished(output)
            },
        ),
        (
            "POST /containers/job/wait",
            json(200, &json!({ "StatusCode": status.unwrap_or(0) })),
        ),
    ])
}

#[tokio::test]
async fn a_job_is_made_given_files_started_and_listened_to() {
    let fake = engine_with_job(&[(1, "one\ntw"), (2, "warning\n"), (1, "o\nlast")], Some(0));
    let mut lines = Vec::new();
    let cancel = CancellationToken::new();
    let run = fake
        .engine()
        .run_job(&job(), Some(b"files".to_vec()), &cancel, |line| {
            lines.push(line.to_owned());
        })
        .await;
    run.unwrap();
    assert_eq!(
        fake.log(),
        [
            "DELETE /containers/job",
            "POST /containers/create",
            "PUT /containers/job/archive",
            "POST /containers/job/start",
            "GET /containers/job/logs",
            "POST /containers/job/wait",
        ]
    );
    assert_eq!(fake.only("PUT /containers/job/archive").body, b"files");
    assert_eq!(lines.last().map(String::as_str), Some("last"));
    assert_eq!(lines[0], "one");
}

#[tokio::test]
async fn a_job_that_fails_tells_its_last_lines() {
    let many: String = (1..=30)
        .map(|number| format!("line {number}\n"))
        .collect::<Vec<_>>()
        .concat();
    let fake = engine_with_job(&[(1, &many), (2, "no space left on device")], Some(2));
    let error = fake
        .engine()
        .run_job(&job(), None, &CancellationToken::new(), |_| ())
        .await
        .unwrap_err();
    let text = told::<()>(Err(error));
    assert!(
        text.starts_with("cannot run `make all` in container job: exit status 2\n"),
        "{text}"
    );
    let tail: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(tail.len(), 20);
    assert_eq!((tail[0], tail[19]), ("line 12", "no space left on device"));
}

#[tokio::test]
async fn a_job_that_is_killed_has_failed() {
    let fake = engine_with_job(&[], Some(137));
    let error = fake
        .engine()
        .run_job(&job(), None, &CancellationToken::new(), |_| ())
        .await
        .unwrap_err();
    assert!(
        matches!(error, EngineError::Failed { status: 137, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_job_goes_with_the_wish_to_stop() {
    let fake = engine_with_job(&[(1, "compiling\n")], None);
    let cancel = CancellationToken::new();
    let run = fake
        .engine()
        .run_job(&job(), None, &cancel, |_| cancel.cancel())
        .await;
    assert_eq!(
        told(run),
        "interrupted while trying to run `make all` in container job"
    );
    assert_eq!(
        fake.log().last().map(String::as_str),
        Some("DELETE /containers/job")
    );
    fake.until_given_up(1).await;
}

#[tokio::test]
async fn a_job_whose_output_breaks_off_has_not_succeeded() {
    let cut = [frames(&[(1, "one\n")]), vec![1, 0, 0, 0, 0, 0, 0, 9, b'x']].concat();
    let fake = Fake::new([
        ("DELETE /containers/job", done()),
        (
            "POST /containers/create",
            json(201, &json!({ "Id": "0", "Warnings": [] })),
        ),
        ("POST /containers/job/start", done()),
        ("GET /containers/job/logs", Answer::Whole(200, cut)),
        ("POST /containers/job/wait", Answer::HangUp),
    ]);
    let error = told(
        fake.engine()
            .run_job(&job(), None, &CancellationToken::new(), |_| ())
            .await,
    );
    assert!(
        error.starts_with("cannot wait for container job"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_that_is_taken_is_told() {
    let words =
        "Conflict. The container name \"/kube-master\" is already in use by container \"0123\".";
    let fake = Fake::new([("POST /containers/create", refusal(409, words))]);
    let node = NodeContainer {
        name: "kube-master".to_owned(),
        hostname: "kube-master".to_owned(),
        image: "image".to_owned(),
        labels: BTreeMap::new(),
        network: "network".to_owned(),
        address: Ipv4Addr::new(10, 192, 0, 2),
        mounts: Vec::new(),
        publish: None,
        cpu_shares: None,
        environment: Vec::new(),
        rights: Some(Rights::Privileged),
        program: None,
    };
    let error = fake.engine().create_node(&node).await.unwrap_err();
    assert_eq!(error.status(), Some(409));
    assert_eq!(
        told::<()>(Err(error)),
        format!(
            "cannot create container kube-master: Docker responded with status code 409: {words}"
        )
    );
    let query = fake.only("POST /containers/create").query;
    assert!(query.starts_with("name=kube-master&"), "{query}");
}

/// An engine that answers the tries of rights in this order: refused with these words, or started.
fn engine_with_rights(tries: &[Option<&str>]) -> Fake {
    // The name has the number of the process.
    let path = |method: &str, end: &str| -> &'static str {
        Box::leak(
            format!(
                "{method} /containers/local-cluster-rights-{}{end}",
                std::process::id()
            )
            .into_boxed_str(),
        )
    };
    let mut answers = vec![
        (
            "POST /containers/create",
            json(201, &json!({ "Id": "0", "Warnings": [] })),
        ),
        (path("DELETE", ""), done()),
    ];
    for refused in tries {
        answers.push((
            path("POST", "/start"),
            refused.map_or_else(done, |words| refusal(400, words)),
        ));
    }
    Fake::new(answers)
}

const CAPS: &str = "OCI runtime create failed: unable to apply caps: operation not permitted";

#[tokio::test]
async fn privileged_is_tried_first() {
    let fake = engine_with_rights(&[None]);
    assert_eq!(
        fake.engine().probe_rights("image").await.unwrap(),
        Rights::Privileged
    );
    // And nothing stays.
    assert!(
        fake.log()
            .last()
            .unwrap()
            .starts_with("DELETE /containers/local-cluster-rights-")
    );
}

#[tokio::test]
async fn then_all_but_what_is_known_to_lack() {
    let fake = engine_with_rights(&[Some(CAPS), None]);
    let Rights::Capabilities(names) = fake.engine().probe_rights("image").await.unwrap() else {
        panic!()
    };
    assert_eq!(names.len(), 40);
    assert!(!names.iter().any(|name| name == "SYS_RESOURCE"));
    let fake = engine_with_rights(&[
        Some(CAPS),
        Some("invalid CapAdd: unknown capability: \"CAP_BPF\""),
        None,
    ]);
    let Rights::Capabilities(names) = fake.engine().probe_rights("image").await.unwrap() else {
        panic!()
    };
    assert_eq!(names.len(), 37);
}

#[tokio::test]
async fn then_each_alone() {
    let fake = engine_with_rights(&[Some(CAPS), Some(CAPS), Some(CAPS), None, Some(CAPS), None]);
    let Rights::Capabilities(names) = fake.engine().probe_rights("image").await.unwrap() else {
        panic!()
    };
    assert_eq!(names.len(), 37);
    assert!(
        !names.iter().any(|name| name == "DAC_OVERRIDE"),
        "{names:?}"
    );
    let created = fake
        .log()
        .iter()
        .filter(|what| *what == "POST /containers/create")
        .count();
    assert_eq!(created, 3 + 38);
}

#[tokio::test]
async fn what_has_nothing_to_do_with_rights_is_an_error() {
    let fake = engine_with_rights(&[Some("the disk is full")]);
    let error = told(fake.engine().probe_rights("image").await);
    assert!(
        error.starts_with("cannot start container local-cluster-rights-"),
        "{error}"
    );
    assert!(fake.log().last().unwrap().starts_with("DELETE "));
}
