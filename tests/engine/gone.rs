//! An engine that goes away in the midst of a command, whenever that is: the command ends, and says what to do.

use local_cluster::cluster::DEFAULT_VERSION;
use local_cluster::snapshot::Origin;
use serde_json::{Value, json};

use crate::commands::run;
use crate::fake::{Answer, Fake, done, frames, json};
use crate::nodes::{cluster, node, settings};
use crate::snapshot::archive;

const IMAGE: &str = "local-cluster/node:x";
const SAVE: &str = "local-cluster.snapshot.two.save";
const FROZEN: &str = "PUT /containers/local-cluster.snapshot.two.save/archive";
const VOLUME: &str = "local-cluster.snapshot.one";

/// An engine with a cluster that runs, and a snapshot of it, on which whatever is asked for is done.
fn engine() -> Fake {
    let mut master = node("kube-master", "running");
    master["Labels"]["local-cluster.cluster"] = json!("local-cluster");
    master["Labels"]["local-cluster.preload-used"] = json!("preload");
    master["Mounts"] =
        json!([{ "Type": "volume", "Name": "kube-master-data", "Destination": "/data" }]);
    let settings: Value = serde_json::from_str(&settings()).unwrap();
    let of = Origin {
        at: "2026-11-21T12:30:00Z".to_owned(),
        nodes: vec!["kube-master".to_owned()],
        settings: serde_json::from_value(settings).unwrap(),
        image: IMAGE.to_owned(),
        preload: "preload".to_owned(),
        port: None,
    };
    let of = serde_json::to_string(&of).unwrap();
    let volume = |name: &str, labels: Value| json!({ "Name": name, "Labels": labels, "Driver": "local", "Mountpoint": "", "Scope": "local", "Options": {} });
    let version = env!("CARGO_PKG_VERSION");
    let volumes = [
        volume(
            "kube-master-data",
            json!({ "local-cluster.cluster": "local-cluster" }),
        ),
        volume(
            "preload",
            json!({ "local-cluster.preload": DEFAULT_VERSION.to_string() }),
        ),
        volume(
            VOLUME,
            json!({ "local-cluster.cluster": "local-cluster", "local-cluster.snapshot": "one",
                    "local-cluster.snapshot-of": of, "local-cluster.version": version }),
        ),
    ];
    let made = json(201, &json!({ "Id": "0", "Warnings": [] }));
    let fake = cluster(&[master])
        .instead("GET /volumes", json(200, &json!({ "Volumes": volumes })))
        .instead(
            "POST /volumes/create",
            json(
                201,
                &volume("", json!({ "local-cluster.cluster": "local-cluster" })),
            ),
        )
        .instead(
            "POST /networks/create",
            json(201, &json!({ "Id": "0", "Warning": "" })),
        )
        .instead("POST /containers/create", made);
    let rights = json!({ "local-cluster.rights": "privileged", "local-cluster.rights-of": "" });
    let image = json!({ "Config": { "Labels": rights } });
    fake.add(&format!("GET /images/{IMAGE}/json"), json(200, &image));
    let image = json!([{ "Id": "1", "ParentId": "", "RepoTags": [IMAGE], "RepoDigests": [], "Created": 0, "Size": 0,
                         "SharedSize": 0, "Labels": {}, "Containers": 0 }]);
    let saved = Answer::Then(
        frames(&[(1, "copied\n")]),
        FROZEN,
        frames(&[(1, "caught up\n")]),
    );
    fake.add(&format!("GET /containers/{SAVE}/logs"), saved);
    fake.instead("GET /images/json", json(200, &image))
        .that_else(done_as_asked)
}

/// What is asked of the objects that a command makes, whose names are its own.
fn done_as_asked(what: &str) -> Answer {
    let (method, path) = what.split_once(' ').unwrap();
    match (method, path.rsplit('/').next().unwrap()) {
        ("GET", "logs") | ("PUT", _) => Answer::Whole(200, Vec::new()),
        ("GET", "archive") => Answer::Whole(200, archive("whole")),
        ("GET", _) => json(200, &json!({})),
        ("POST", "wait") => json(200, &json!({ "StatusCode": 0 })),
        _ => done(),
    }
}

#[test]
fn a_command_ends_whenever_its_engine_goes_away() {
    let mut seen = Vec::new();
    for arguments in [
        &["snapshot", "save", "two"][..],
        &["snapshot", "restore", "one"],
        &["snapshot", "rm", "one"],
        &["up", "--num-nodes", "1"],
        &["stop"],
        &["down"],
    ] {
        let whole = engine();
        run(&whole, arguments);
        seen.extend(whole.log());
        for life in 1..whole.log().len() {
            let ended = run(&engine().that_dies_after(life), arguments);
            let told = ended.stderr;
            assert_eq!(ended.code, Some(1), "{arguments:?} after {life}: {told}");
            // The fake cluster has no API server: a restore takes itself back, or cannot any more.
            let helps = [
                "the connection to the Docker engine was lost: when the engine answers again",
                "`local-cluster up` tries it again",
            ];
            assert!(
                helps.iter().any(|words| told.contains(words)),
                "{arguments:?} after {life}: {told}"
            );
            assert!(!told.contains("panicked"), "{told}");
        }
    }
    // The moments that matter were among these.
    for moment in [
        "POST /containers/kube-master/pause",
        FROZEN,
        "POST /containers/kube-master/rename",
        "POST /containers/create",
        "POST /volumes/create",
    ] {
        assert!(
            seen.iter().any(|asked| asked == moment),
            "{moment}: {seen:#?}"
        );
    }
}
