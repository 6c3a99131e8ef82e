//! `run` where it must not begin: nothing is made, and nothing that is there is touched.

use std::net::TcpListener;

use serde_json::json;

use crate::commands::{assert_untouched, engine, run};

fn refused(fake: &crate::fake::Fake, arguments: &[&str]) -> String {
    let ended = run(fake, &[&["run"], arguments].concat());
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{}",
        ended.stderr
    );
    assert_untouched(fake);
    ended.stderr
}

#[test]
fn a_port_that_is_taken_ends_it_before_it_begins() {
    let fake = engine(&json!([]), &json!([]));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = refused(&fake, &["--listen", &address]);
    insta::assert_snapshot!(told.replace(&address, "ADDRESS"), @r"
    error: cannot listen on ADDRESS: Address already in use (os error 98)

    hint: another program listens there, perhaps another run: choose another with `--listen`; port 0 is
          one that is free

    the log of this run is LOG
    ");
    assert!(fake.log().is_empty(), "{:?}", fake.log());
}

#[test]
fn a_cluster_that_is_there_is_not_taken() {
    let labels = json!({ "local-cluster.cluster": "local-cluster" });
    let node = json!([{ "Names": ["/kube-master"], "State": "running", "Labels": labels }]);
    let told = refused(&engine(&json!([]), &node), &["--listen", "127.0.0.1:0"]);
    insta::assert_snapshot!(told, @r"
    error: cluster `local-cluster` is there already: `run` removes all of a cluster in the end, and takes only a new one

    hint: `--cluster-id N` or `--label NAME` names another; `local-cluster clean` removes this one

    the log of this run is LOG
    ");

    let volumes = |labels: serde_json::Value| {
        let volumes = json!({ "Volumes": [{ "Name": "v", "Labels": labels, "Driver": "local", "Mountpoint": "",
                                            "Options": {}, "Scope": "local" }] });
        engine(&json!([]), &json!([])).instead("GET /volumes", crate::fake::json(200, &volumes))
    };
    let told = refused(&volumes(labels), &["--listen", "127.0.0.1:0"]);
    assert!(
        told.contains("cluster `local-cluster` was not removed as a whole: "),
        "{told}"
    );
    let snapshot =
        json!({ "local-cluster.cluster": "local-cluster", "local-cluster.snapshot": "fresh" });
    let told = refused(
        &volumes(snapshot),
        &["--listen", "127.0.0.1:0", "--dry-run"],
    );
    assert!(
        told.contains("is down, and snapshots of it are kept"),
        "{told}"
    );
}

#[test]
fn what_is_in_the_place_of_the_link_stays() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("kubectl");
    std::fs::write(&path, "somebody's").unwrap();
    let link = path.display().to_string();
    let told = refused(
        &engine(&json!([]), &json!([])),
        &["--listen", "127.0.0.1:0", "--kubectl-link", &link],
    );
    assert!(
        told.starts_with(&format!(
            "error: `{link}` is there already, and is no link to "
        )),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's");
}

#[test]
fn a_dry_run_prints_the_plan_and_ends() {
    let fake = engine(&json!([]), &json!([]));
    let arguments = [
        "run",
        "--dry-run",
        "--source",
        "modules",
        "--listen",
        "127.0.0.1:0",
    ];
    let ended = run(&fake, &arguments);
    assert_eq!(ended.code, Some(0));
    // What is taken down again in the end is not kept.
    let told = &ended.stderr;
    assert!(
        told.contains("then it writes /") && !told.contains("fresh"),
        "{told}"
    );
    assert!(ended.stdout.contains("\n[master]\n"), "{}", ended.stdout);
    assert_untouched(&fake);
}
