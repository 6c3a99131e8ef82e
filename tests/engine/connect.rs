//! Engines that cannot be used, as a user sees it.

use local_cluster::engine::Engine;
use serde_json::json;

use crate::fake::{Answer, Fake, json, refusal};

/// What `status` says of the engine at this address, with the exit code before it.
fn said(host: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = assert_cmd::Command::cargo_bin("local-cluster")
        .unwrap()
        .env_clear()
        .env("HOME", home.path())
        .env("DOCKER_HOST", host)
        .arg("status")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let stderr = String::from_utf8(output.stderr).unwrap();
    format!(
        "{:?}\n{}",
        output.status.code(),
        stderr.replace(host.trim_start_matches("tcp://"), "HOST")
    )
}

fn version(version: &serde_json::Value) -> String {
    said(Fake::new([("GET /version", json(200, version))]).address())
}

#[test]
fn an_engine_that_is_too_old() {
    insta::assert_snapshot!(version(&json!({ "Version": "18.09.1", "ApiVersion": "1.39" })), @r"
    Some(1)
    error: cannot use the Docker engine
      caused by: Docker 18.09.1 is too old: it speaks API 1.39, and 1.40 is the oldest that works
    ");
}

#[test]
fn an_engine_without_a_version() {
    insta::assert_snapshot!(version(&json!({})), @r"
    Some(1)
    error: cannot use the Docker engine
      caused by: what answers at tcp://HOST does not say which version of Docker's API it speaks
    ");
}

#[test]
fn something_that_is_no_engine() {
    let page = Answer::Whole(200, b"<html>hello</html>".to_vec());
    insta::assert_snapshot!(said(Fake::new([("GET /version", page)]).address()), @r"
    Some(1)
    error: cannot use the Docker engine
      caused by: cannot reach the Docker engine at tcp://HOST
      caused by: Failed to deserialize JSON: expected value at line 1 column 1
    ");
}

#[test]
fn an_engine_that_refuses() {
    let no = refusal(403, "client is not allowed");
    insta::assert_snapshot!(said(Fake::new([("GET /version", no)]).address()), @r"
    Some(1)
    error: cannot use the Docker engine
      caused by: cannot reach the Docker engine at tcp://HOST
      caused by: Docker responded with status code 403: client is not allowed
    ");
}

#[test]
fn an_engine_that_hangs_up() {
    insta::assert_snapshot!(said(Fake::new([("GET /version", Answer::HangUp)]).address()), @r"
    Some(1)
    error: cannot use the Docker engine
      caused by: cannot reach the Docker engine at tcp://HOST
      caused by: Error in the hyper legacy client: client error (SendRequest)
      caused by: connection closed before message completed
    ");
}

#[test]
fn nobody_listens() {
    // A port that was free a moment ago might be another test's by now.
    insta::assert_snapshot!(said("tcp://127.0.0.1:1"), @r"
    Some(1)
    error: cannot use the Docker engine
      caused by: cannot reach the Docker engine at tcp://HOST
      caused by: Error in the hyper legacy client: client error (Connect)
      caused by: tcp connect error
      caused by: Connection refused (os error 111)

    hint: is Docker running, and is it the right one? `docker context ls` and `docker info` tell;
          `DOCKER_HOST` names another engine
    ");
}

#[test]
fn there_is_no_socket() {
    insta::assert_snapshot!(said("unix:///no/such/docker.sock"), @r"
    Some(1)
    error: cannot use the Docker engine
      caused by: cannot reach the Docker engine at HOST
      caused by: Socket not found: /no/such/docker.sock

    hint: is Docker running, and is it the right one? `docker context ls` and `docker info` tell;
          `DOCKER_HOST` names another engine
    ");
}

#[test]
fn a_kind_of_address_that_is_not_known() {
    insta::assert_snapshot!(said("gopher://host"), @r"
    Some(1)
    error: cannot use the Docker engine
      caused by: cannot reach the Docker engine at HOST
      caused by: URI scheme is not supported: HOST
    ");
}

#[tokio::test]
async fn an_address_is_all_that_a_client_needs() {
    let fake = Fake::new([(
        "GET /info",
        json(200, &json!({ "ServerVersion": "28.0.0" })),
    )]);
    for address in [
        fake.address().to_owned(),
        fake.address().replace("tcp://", "http://"),
    ] {
        let engine = Engine::from_address(&address).unwrap();
        assert_eq!(engine.facts().await.unwrap().version, "28.0.0");
    }
}
