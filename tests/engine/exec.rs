//! Commands in containers. The engine answers with 101 and the connection becomes the command's output.

use local_cluster::cluster::Role;
use local_cluster::node::phases::{self, Phases};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fake::{Answer, Fake, frames, json, refusal};
use crate::told;

/// An engine on which a command in container `c` prints this and ends like this.
fn engine_with_command(output: Answer, ended: &serde_json::Value) -> Fake {
    Fake::new([
        ("POST /containers/c/exec", json(201, &json!({ "Id": "e" }))),
        ("POST /exec/e/start", output),
        ("GET /exec/e/json", json(200, ended)),
    ])
}

fn printing(output: &[(u8, &str)], status: i64) -> Fake {
    engine_with_command(
        Answer::Upgraded(frames(output)),
        &json!({ "ExitCode": status }),
    )
}

#[tokio::test]
async fn both_outputs_and_the_status_are_kept() {
    let fake = printing(&[(1, "one\ntw"), (2, "warning\n"), (1, "o\n"), (1, "")], 3);
    let executed = fake.engine().exec("c", &["cat", "a b"]).await.unwrap();
    assert_eq!(
        (executed.status, executed.text().as_str()),
        (3, "one\ntwo\n")
    );
    assert_eq!(executed.stderr, b"warning\n");
    assert_eq!(executed.tail(2), ["two", "warning"]);
    let asked = fake.only("POST /containers/c/exec").json();
    assert_eq!(asked["Cmd"], json!(["cat", "a b"]));
    assert_eq!(
        (&asked["AttachStdout"], &asked["AttachStderr"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test]
async fn much_output_comes_whole() {
    let part = "0123456789abcde\n".repeat(4096);
    let parts: Vec<(u8, &str)> = (0..32).map(|_| (1, part.as_str())).collect();
    let executed = printing(&parts, 0)
        .engine()
        .exec("c", &["cat"])
        .await
        .unwrap();
    assert_eq!(executed.stdout.len(), 32 * part.len());
}

#[tokio::test]
async fn lines_are_told_as_they_come() {
    let fake = printing(&[(1, "one\r\ntw"), (1, "o\n\nlast")], 0);
    let mut lines = Vec::new();
    let status = fake
        .engine()
        .exec_lines("c", &["x"], |line| lines.push(line.to_owned()))
        .await
        .unwrap();
    assert_eq!(
        (status, lines),
        (0, ["one", "two", "", "last"].map(str::to_owned).to_vec())
    );
}

#[tokio::test]
async fn a_command_that_has_no_status_has_failed() {
    let fake = engine_with_command(
        Answer::Upgraded(Vec::new()),
        &json!({ "ExitCode": null, "Running": true }),
    );
    assert_eq!(fake.engine().exec("c", &["x"]).await.unwrap().status, -1);
}

#[tokio::test]
async fn refusals_say_which_command_and_where() {
    let fake = Fake::new([(
        "POST /containers/c/exec",
        refusal(409, "Container c is not running"),
    )]);
    assert_eq!(
        told(fake.engine().exec("c", &["cat", "file"]).await),
        "cannot run `cat file` in c: Docker responded with status code 409: Container c is not running"
    );
    let fake = Fake::new([
        ("POST /containers/c/exec", json(201, &json!({ "Id": "e" }))),
        ("POST /exec/e/start", Answer::HangUp),
    ]);
    assert!(told(fake.engine().exec("c", &["cat"]).await).starts_with("cannot run `cat` in c: "));
}

#[tokio::test]
async fn phases_are_read_from_the_nodes_script() {
    let all = format!("done {}\n", phases::of(Role::Master).join("\ndone "));
    for (output, wanted) in [
        (all.as_str(), Phases::Done),
        ("done control-plane\n", Phases::Running),
        (
            "failed coredns local-cluster-api-phase@coredns.service\n",
            Phases::Failed,
        ),
    ] {
        let fake = printing(&[(1, output)], 0);
        assert_eq!(
            phases::observe(&fake.engine(), "c", Role::Master)
                .await
                .unwrap(),
            wanted
        );
    }
}

#[tokio::test]
async fn phases_that_end_well_are_told_one_by_one() {
    let fake = printing(&[(1, "done a\ndone"), (1, " b\nnoise\n")], 0);
    let mut done = Vec::new();
    let (engine, cancel) = (fake.engine(), CancellationToken::new());
    phases::wait(&engine, "c", phases::of(Role::Worker), &cancel, |phase| {
        done.push(phase.to_owned());
    })
    .await
    .unwrap();
    assert_eq!(done, ["a", "b"]);
    let asked = fake.only("POST /containers/c/exec").json();
    assert_eq!(
        asked["Cmd"],
        json!([
            "timeout",
            "310",
            "/usr/local/lib/local-cluster/phases",
            "watch",
            "join"
        ])
    );
}

#[tokio::test]
async fn a_phase_that_fails_brings_its_command_and_its_journal() {
    let of = |output: &str| Answer::Upgraded(frames(&[(1, output)]));
    let fake = Fake::new([
        ("POST /containers/c/exec", json(201, &json!({ "Id": "w" }))),
        (
            "POST /exec/w/start",
            of("failed join local-cluster-phase@join.service\n"),
        ),
        ("GET /exec/w/json", json(200, &json!({ "ExitCode": 1 }))),
        ("POST /containers/c/exec", json(201, &json!({ "Id": "u" }))),
        (
            "POST /exec/u/start",
            of(
                "ExecMainCode=1\nExecMainStatus=3\nExecStart={ path=/lib/phase ; argv[]=/lib/phase join ; pid=7 }\n",
            ),
        ),
        ("GET /exec/u/json", json(200, &json!({ "ExitCode": 0 }))),
        // Both journals.
        ("POST /containers/c/exec", json(201, &json!({ "Id": "j" }))),
        ("POST /exec/j/start", of("the end\n")),
        ("GET /exec/j/json", json(200, &json!({ "ExitCode": 0 }))),
    ]);
    let waited = phases::wait(
        &fake.engine(),
        "c",
        phases::of(Role::Worker),
        &CancellationToken::new(),
        |_| (),
    )
    .await;
    let error = waited.unwrap_err();
    insta::assert_snapshot!(local_cluster::error::render(&error, &[]), @r"
    error: `/lib/phase join` on `c` ended with status 3

    the end of the output on `c`:
        the end

    the end of the journal of `kubelet.service` on `c`:
        the end
    ");
    let commands: Vec<String> = fake
        .asked()
        .iter()
        .filter(|asked| asked.what == "POST /containers/c/exec")
        .map(|asked| asked.json()["Cmd"].to_string())
        .collect();
    for (program, unit) in [
        ("systemctl", "local-cluster-phase@join.service"),
        ("journalctl", "local-cluster-phase@join.service"),
        ("journalctl", "kubelet.service"),
    ] {
        let asked = |command: &String| command.contains(program) && command.contains(unit);
        assert!(commands.iter().any(asked), "{commands:?}");
    }
}

#[tokio::test]
async fn a_node_that_stops_while_it_is_waited_for_is_told() {
    let fake = printing(&[(1, "done a\n")], 137);
    let waited = phases::wait(
        &fake.engine(),
        "c",
        phases::of(Role::Worker),
        &CancellationToken::new(),
        |_| (),
    )
    .await;
    assert_eq!(
        told(waited),
        "node c stopped before its phases were complete"
    );
}

#[tokio::test]
async fn waiting_ends_with_the_wish_to_stop() {
    let fake = Fake::new([
        ("POST /containers/c/exec", json(201, &json!({ "Id": "e" }))),
        ("POST /exec/e/start", Answer::UpgradedSilent),
    ]);
    let cancel = CancellationToken::new();
    let engine = fake.engine();
    let waiting = phases::wait(&engine, "c", phases::of(Role::Worker), &cancel, |_| ());
    let stopping = async {
        fake.until_asked("POST /exec/e/start").await;
        cancel.cancel();
    };
    let (waited, ()) = tokio::join!(waiting, stopping);
    assert_eq!(waited.unwrap_err().exit_code(), 130);
}
