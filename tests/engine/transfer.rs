//! `snapshot export` and `import` of the real binary on a fake engine: what is refused before anything is touched. And the
//! streams that they are made of.

use crate::commands::{assert_untouched, engine, run};
use crate::execute::spec;
use crate::fake::{Answer, Fake, done, frames, json, refusal};
use local_cluster::engine::Job;
use local_cluster::execute::transfer::{identity, settle_rights};
use local_cluster::snapshot::file::{Kind, Manifest, Writer};
use local_cluster::snapshot::{Origin, Snapshot};
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use tokio_util::sync::CancellationToken;

#[test]
fn what_is_no_file_of_ours_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let import = |content: Option<&[u8]>| {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let fake = engine(&json!([]), &json!([]));
        let ended = run(&fake, &["snapshot", "import", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(1));
        assert_untouched(&fake);
        ended.stderr
    };
    let text = import(None);
    assert!(
        text.contains("it cannot be read\n") && text.contains("No such file"),
        "{text}"
    );
    let text = import(Some(b"something"));
    assert!(
        text.contains("it is not a snapshot that `local-cluster snapshot export` has made"),
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

const IMAGE: &str = "local-cluster/node:1.36.3-0123456789ab";

fn snapshot() -> Snapshot {
    let spec = spec(None);
    let of = Origin {
        at: "2026-11-21T12:30:00Z".to_owned(),
        nodes: spec.nodes.iter().map(|node| node.name.clone()).collect(),
        settings: spec.fingerprint(),
        image: IMAGE.to_owned(),
        preload: "local-cluster-preload-1.36.3-0123456789ab".to_owned(),
        port: None,
    };
    Snapshot::new(&spec.names, "one", BTreeMap::new(), of)
}

fn archive(name: &str, content: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_cksum();
    archive
        .append_data(&mut header, name, content.as_bytes())
        .unwrap();
    archive.into_inner().unwrap()
}

/// A snapshot that nobody has looked into, or can, is not replaced by a file's.
#[test]
fn what_may_be_whole_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut writer = Writer::begin(std::fs::File::create(&path).unwrap()).unwrap();
    for kind in Kind::ALL {
        let mut part = writer.part(kind).unwrap();
        let tags = json!([{ "RepoTags": [IMAGE] }]).to_string();
        part.take(&archive("manifest.json", &tags)).unwrap();
        writer = part.finish().unwrap();
    }
    let manifest = Manifest::new("one", 0, snapshot().of, "amd64", "0".repeat(64));
    let (file, _) = writer.finish(manifest).unwrap();
    // That is told before all of the file is read, which is damaged besides.
    file.write_all_at(&[9], file.metadata().unwrap().len() / 2)
        .unwrap();
    let we = env!("CARGO_PKG_VERSION");
    for (version, wanted) in [
        ("0.0.1", "there is a snapshot `one` already"),
        // The engine does not say whether it is whole.
        (we, "cannot look into snapshot `one`"),
    ] {
        let mut labels = snapshot().labels();
        for (name, value) in [("cluster", "local-cluster"), ("version", version)] {
            labels.insert(format!("local-cluster.{name}"), value.to_owned());
        }
        let volumes = json!({ "Volumes": [{ "Name": snapshot().volume, "Labels": labels, "Driver": "local",
            "Mountpoint": "", "Scope": "local", "Options": {} }] });
        let info = json!({ "ServerVersion": "28.0.0", "Architecture": "x86_64", "MemTotal": 64_u64 << 30 });
        let fake = engine(&json!([]), &json!([]))
            .instead("GET /volumes", json(200, &volumes))
            .instead("GET /info", json(200, &info));
        let ended = run(&fake, &["snapshot", "import", path.to_str().unwrap()]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
        let log = fake.log();
        let changes =
            |what: &&String| what.contains(" /volumes/") || what.contains(" /images/load");
        assert_eq!(log.iter().find(changes), None);
    }
}

/// An engine that has the node image, on which nodes get all rights.
fn with_image(labels: &serde_json::Value) -> Fake {
    let throw_away = format!("local-cluster-rights-{}", std::process::id());
    let base = "local-cluster.snapshot.one.rights";
    let created = json(201, &json!({ "Id": "0", "Warnings": [] }));
    let fake = Fake::new([("POST /containers/create", created)]);
    let image = json!({ "Config": { "Labels": labels } });
    fake.add(&format!("GET /images/{IMAGE}/json"), json(200, &image));
    fake.add(&format!("POST /containers/{throw_away}/start"), done());
    for name in [throw_away.as_str(), base] {
        fake.add(&format!("DELETE /containers/{name}"), done());
    }
    fake.add("POST /commit", json(201, &json!({ "Id": "1" })));
    fake.add("GET /info", json(200, &json!({ "ID": "ENGINE" })));
    fake
}

/// A run that was killed after it had loaded the image has left one with another machine's rights.
#[tokio::test]
async fn an_image_that_is_there_says_this_machine_s_rights() {
    let settled = async |of: &str| {
        let fake = with_image(
            &json!({ "local-cluster.rights": "CHOWN,KILL", "local-cluster.rights-of": of }),
        );
        let engine = fake.engine();
        let facts = engine.facts().await.unwrap();
        settle_rights(&engine, &facts, &snapshot()).await.unwrap();
        fake
    };
    let fake = settled("OTHER").await;
    let made = fake.only("POST /commit").json();
    assert_eq!(made["Labels"]["local-cluster.rights"], "privileged");
    assert_eq!(made["Labels"]["local-cluster.rights-of"], "ENGINE");
    // One that is left goes with the images.
    let base = fake.all("POST /containers/create").pop().unwrap().json();
    assert_eq!(base["Labels"]["local-cluster.job"], "import");

    // What was found out on this engine is not tried again.
    let fake = settled("ENGINE").await;
    assert!(fake.all("POST /commit").is_empty() && fake.all("POST /containers/create").is_empty());
}

/// The job that looks into a preload volume is found again when the run was killed: by the snapshot's volume where that is
/// there, or with the images.
#[tokio::test]
async fn who_looks_into_a_preload_volume_is_found_again() {
    for (is_there, job, volumes) in [
        (false, "import", vec!["preload"]),
        (
            true,
            "snapshot",
            vec!["preload", "local-cluster.snapshot.one"],
        ),
    ] {
        let created = json(201, &json!({ "Id": "0", "Warnings": [] }));
        let fake = Fake::new([("POST /containers/create", created)]);
        let name = "local-cluster.snapshot.one.identity";
        fake.add(&format!("DELETE /containers/{name}"), done());
        let missing = refusal(404, "Could not find the file");
        fake.add(&format!("GET /containers/{name}/archive"), missing);
        let engine = fake.engine();
        let is = identity(&engine, &snapshot(), "preload", is_there).await;
        assert_eq!(is.unwrap().len(), 64);
        let body = fake.only("POST /containers/create").json();
        assert_eq!(body["Labels"]["local-cluster.job"], job);
        let mounts = body["HostConfig"]["Mounts"].as_array().unwrap();
        let sources = mounts.iter().map(|mount| mount["Source"].as_str().unwrap());
        assert_eq!(sources.collect::<Vec<_>>(), volumes);
    }
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
        network: None,
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
