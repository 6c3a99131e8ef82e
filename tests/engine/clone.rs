//! `clone` of the real binary on a fake engine: what is refused before anything is made.

use crate::commands::{assert_untouched, engine, run};
use crate::fake::json;
use crate::lifecycle::with;
use serde_json::json;

#[test]
fn what_cannot_be_cloned_is_told_before_anything_is_made() {
    let runs = ["running", "running", "running"];
    for (arguments, wanted) in [
        (
            &["clone", "0"][..],
            "a clone of cluster `local-cluster` cannot have the same id, 0\n\nhint: give another id, or a label",
        ),
        (
            &["clone", "256"],
            "`256` is neither the id of a cluster, from 0 to 255, nor a label",
        ),
        (
            &["clone", "Dev"],
            "only lower case letters, digits and `-` are allowed",
        ),
        // The fake engine has the same containers for every cluster.
        (
            &["clone", "7"],
            "there is a cluster `local-cluster-7` already\n\nhint: choose another id, or remove that one with \
             `local-cluster --cluster-id 7 down`",
        ),
    ] {
        let fake = with(runs, &[]);
        let ended = run(&fake, arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}");
        assert!(
            ended.stderr.contains(wanted),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert_untouched(&fake);
    }
}

#[test]
fn what_is_not_there_cannot_be_cloned() {
    let nothing = || engine(&json!([]), &json!([]));
    let fake = nothing();
    let ended = run(&fake, &["clone", "7"]);
    assert!(
        ended
            .stderr
            .contains("error: there is no cluster `local-cluster`"),
        "{}",
        ended.stderr
    );
    assert_untouched(&fake);
    let fake = nothing();
    let ended = run(&fake, &["clone", "dev", "--snapshot", "one"]);
    assert!(
        ended.stderr.contains("error: there is no snapshot `one`"),
        "{}",
        ended.stderr
    );
    assert_untouched(&fake);
}

/// What a run that was killed has left of a clone is taken away by the next command.
#[test]
fn the_snapshot_of_a_clone_that_was_killed_goes() {
    let fake = with(["running", "running", "running"], &[]);
    let labels = json!({ "local-cluster.cluster": "local-cluster", "local-cluster.snapshot": "clone.local-cluster-7",
        "local-cluster.snapshot-of": json!({ "at": "", "nodes": [], "settings": {}, "image": "", "preload": "", "port": null }).to_string() });
    let name = "local-cluster.snapshot.clone.local-cluster-7";
    let volumes = json!({ "Volumes": [{ "Name": name, "Labels": labels, "Driver": "local", "Mountpoint": "", "Scope": "local", "Options": {} }] });
    let fake = fake.instead("GET /volumes", json(200, &volumes));
    fake.add(&format!("DELETE /volumes/{name}"), crate::fake::done());
    for node in ["kube-master", "kube-node-1", "kube-node-2"] {
        fake.add(
            &format!("POST /containers/{node}/stop"),
            crate::fake::done(),
        );
    }
    let ended = run(&fake, &["stop"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    fake.only(&format!("DELETE /volumes/{name}"));
}
