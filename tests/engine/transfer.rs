//! `snapshot export` and `import` of the real binary on a fake engine: what is refused before anything is touched. And the
//! streams that they are made of.

use crate::commands::{assert_untouched, engine, run};
use crate::fake::{Answer, Fake, done, frames, json, refusal};
use local_cluster::engine::Job;
use serde_json::json;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

#[test]
fn what_is_no_file_of_ours_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let import = |content: Option<&[u8]>, more: &[&str]| {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let fake = engine(&json!([]), &json!([]));
        let arguments = [&["snapshot", "import", file.to_str().unwrap()], more].concat();
        let ended = run(&fake, &arguments);
        assert_eq!(ended.code, Some(1));
        assert_untouched(&fake);
        ended.stderr
    };
    let text = import(None, &[]);
    assert!(
        text.contains("it cannot be read\n") && text.contains("No such file"),
        "{text}"
    );
    let text = import(Some(b"something"), &[]);
    assert!(
        text.contains("it is not a snapshot that `local-cluster snapshot export` has made"),
        "{text}"
    );
    let text = import(Some(b""), &["--name", "../x"]);
    assert!(
        text.contains("`../x` cannot be the name of a snapshot"),
        "{text}"
    );
}

#[test]
fn what_is_not_there_is_not_exported() {
    let fake = engine(&json!([]), &json!([]));
    let ended = run(&fake, &["snapshot", "export", "one", "/tmp/never"]);
    assert!(
        ended.stderr.contains("there is no snapshot `one`"),
        "{}",
        ended.stderr
    );
    assert_untouched(&fake);
}

fn job() -> Job {
    Job {
        name: "job".to_owned(),
        image: "image".to_owned(),
        command: vec!["archive".to_owned()],
        environment: Vec::new(),
        mounts: Vec::new(),
        labels: BTreeMap::new(),
        rights: None,
        host_network: false,
    }
}

fn streaming(output: &[(u8, &str)], status: i64) -> Fake {
    Fake::new([
        (
            "DELETE /containers/job",
            refusal(404, "No such container: job"),
        ),
        (
            "POST /containers/create",
            json(201, &json!({ "Id": "0", "Warnings": [] })),
        ),
        (
            "POST /containers/job/attach",
            Answer::Upgraded(frames(output)),
        ),
        ("POST /containers/job/start", done()),
        (
            "POST /containers/job/wait",
            json(200, &json!({ "StatusCode": status })),
        ),
    ])
}

#[tokio::test]
async fn a_job_s_output_comes_byte_for_byte_and_is_kept_nowhere() {
    let fake = streaming(&[(1, "a\0\r\n"), (2, "warning\n"), (1, "\nb")], 0);
    let mut taken = Vec::new();
    let take = |bytes: &[u8]| {
        taken.extend_from_slice(bytes);
        Ok(())
    };
    let cancel = CancellationToken::new();
    fake.engine()
        .stream_job(&job(), None, &cancel, take)
        .await
        .unwrap();
    assert_eq!(taken, b"a\0\r\n\nb");
    let body = fake.only("POST /containers/create").json();
    assert_eq!(body["HostConfig"]["LogConfig"]["Type"], "none");
    assert_eq!(body["OpenStdin"], false);
    let log = fake.log();
    let at = |what: &str| log.iter().position(|asked| asked.ends_with(what)).unwrap();
    assert!(
        at("attach") < at("start"),
        "or its first words would be missed"
    );
}

#[tokio::test]
async fn how_a_stream_ended_is_told() {
    let cancel = CancellationToken::new();
    let fake = streaming(&[(2, "tar: no space left on device\n")], 2);
    let input: Box<dyn std::io::Read + Send> = Box::new(std::io::repeat(0));
    let error = fake
        .engine()
        .stream_job(&job(), Some(input), &cancel, |_| Ok(()))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("exit status 2\ntar: no space left on device"),
        "{error}"
    );
    // What it gives cannot be taken: the disk of this side is full.
    let fake = streaming(&[(1, "a")], 0);
    let full = |_: &[u8]| Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
    let error = fake
        .engine()
        .stream_job(&job(), None, &cancel, full)
        .await
        .unwrap_err();
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "no storage space"
    );
}
