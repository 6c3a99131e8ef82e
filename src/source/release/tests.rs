use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::download::tests::{AT_ONCE, test_client};
use super::*;

const VERSION: &str = "v1.36.3";

fn release(server: &MockServer) -> Release {
    Release::new(&format!("{}/release/", server.uri()), "1.36.3", "amd64").unwrap()
}

fn digest(text: &str, expected: &Expected) -> String {
    let mut hasher = expected.hasher();
    hasher.update(text.as_bytes());
    hasher.finish()
}

fn sha256(text: &str) -> String {
    digest(text, &Expected::Sha256(String::new()))
}

fn sha512(text: &str) -> String {
    digest(text, &Expected::Sha512(String::new()))
}

async fn serve(server: &MockServer, name: &str, text: &str) {
    Mock::given(method("GET"))
        .and(path(format!("/release/{VERSION}/bin/linux/amd64/{name}")))
        .respond_with(ResponseTemplate::new(200).set_body_string(text))
        .expect(1..)
        .mount(server)
        .await;
}

async fn fetch(server: &MockServer, cache: &Path) -> Result<Vec<Fetched>, ReleaseError> {
    let fetch = Fetch {
        client: &test_client(),
        release: &release(server),
        cache,
        progress: &|_, _, _| {},
        cancel: &CancellationToken::new(),
    };
    fetch.all_with(&BINARIES, AT_ONCE).await
}

#[test]
fn urls_follow_the_layout_of_the_official_server() {
    let release = Release::new("https://dl.k8s.io/release/", "1.20.0-rc.0", "arm64").unwrap();
    assert_eq!(
        release.urls("kubeadm").sha256,
        "https://dl.k8s.io/release/v1.20.0-rc.0/bin/linux/arm64/kubeadm.sha256"
    );
    assert_eq!(
        release.urls("kubectl").file,
        "https://dl.k8s.io/release/v1.20.0-rc.0/bin/linux/arm64/kubectl"
    );
    assert_eq!(
        release.urls(TESTS_ARCHIVE).file,
        "https://dl.k8s.io/release/v1.20.0-rc.0/kubernetes-test-linux-arm64.tar.gz"
    );
}

#[test]
fn what_cannot_stand_in_a_url_is_refused() {
    let url = "https://dl.k8s.io/release";
    let new = |url, version, architecture| Release::new(url, version, architecture).unwrap_err();
    for version in ["", "latest", "1.36", "v1.36.3/../x", "vv1.36.3"] {
        let error = new(url, version, "amd64");
        assert!(matches!(error, ReleaseError::Version { .. }), "{version}");
    }
    for architecture in ["", "../amd64", "AMD64"] {
        let error = new(url, VERSION, architecture);
        assert!(
            matches!(error, ReleaseError::Architecture { .. }),
            "{architecture}"
        );
    }
    for url in ["", "dl.k8s.io", "file:///etc"] {
        let error = new(url, VERSION, "amd64");
        assert!(matches!(error, ReleaseError::BaseUrl { .. }), "{url}");
    }
}

#[tokio::test]
async fn binaries_are_kept_by_digest() {
    let server = MockServer::start().await;
    for name in BINARIES {
        serve(&server, name, name).await;
        // The official server sends bare digits, `sha256sum` a name as well.
        let sum = format!("{}  {name}\n", sha256(name));
        serve(&server, &format!("{name}.sha256"), &sum).await;
    }
    let cache = tempfile::tempdir().unwrap();
    let binaries = fetch(&server, cache.path()).await.unwrap();
    assert_eq!(
        binaries
            .iter()
            .map(|binary| binary.name)
            .collect::<Vec<_>>(),
        BINARIES
    );
    for binary in binaries {
        assert_eq!(binary.sha256, sha256(binary.name));
        assert_eq!(
            binary.file,
            cache.path().join(&binary.sha256).join(binary.name)
        );
        assert_eq!(std::fs::read_to_string(binary.file).unwrap(), binary.name);
    }
}

#[tokio::test]
async fn a_mirror_may_have_sha512_only() {
    let server = MockServer::start().await;
    for name in BINARIES {
        serve(&server, name, name).await;
        serve(&server, &format!("{name}.sha512"), &sha512(name)).await;
    }
    let cache = tempfile::tempdir().unwrap();
    for binary in fetch(&server, cache.path()).await.unwrap() {
        assert_eq!(binary.sha256, sha256(binary.name));
        assert!(binary.file.exists());
    }
}

#[tokio::test]
async fn junk_is_no_digest() {
    let upwards = format!("../../{}", "a".repeat(58));
    for junk in [
        "",
        "<html>please log in</html>",
        "../../../etc",
        &upwards,
        &sha512("x"),
    ] {
        let server = MockServer::start().await;
        for name in BINARIES {
            Mock::given(path(format!(
                "/release/{VERSION}/bin/linux/amd64/{name}.sha256"
            )))
            .respond_with(ResponseTemplate::new(200).set_body_string(junk))
            .mount(&server)
            .await;
        }
        let cache = tempfile::tempdir().unwrap();
        let error = fetch(&server, cache.path()).await.unwrap_err();
        assert!(matches!(error, ReleaseError::Checksum { .. }), "{error}");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
        answers(&test_client(), &release(&server))
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn a_page_instead_of_a_checksum_is_not_read_to_its_end() {
    let server = MockServer::start().await;
    serve(&server, "kubeadm.sha256", &"x".repeat(10_000)).await;
    let error = answers(&test_client(), &release(&server))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        ReleaseError::Download(DownloadError::TooLong { .. })
    ));
}

#[tokio::test]
async fn a_release_answers_or_says_why_not() {
    let server = MockServer::start().await;
    let error = answers(&test_client(), &release(&server))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("kubeadm.sha512 answered 404 Not Found"),
        "{error}"
    );
    serve(&server, "kubeadm.sha256", &sha256("kubeadm")).await;
    answers(&test_client(), &release(&server)).await.unwrap();
}

#[tokio::test]
async fn where_nobody_answers_the_setting_of_another_server_is_named() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let release = Release::new(&url, "1.36.3", "amd64").unwrap();
    let error = answers(&test_client(), &release).await.unwrap_err();
    assert!(error.hint().unwrap().contains("K8S_DIND_RELEASE_URL"));
}

#[tokio::test]
async fn a_checksum_is_asked_for_again_when_the_server_is_overloaded() {
    let server = MockServer::start().await;
    Mock::given(path(format!(
        "/release/{VERSION}/bin/linux/amd64/kubelet.sha256"
    )))
    .respond_with(ResponseTemplate::new(503))
    .up_to_n_times(3)
    .mount(&server)
    .await;
    for name in BINARIES {
        serve(&server, name, name).await;
        serve(&server, &format!("{name}.sha256"), &sha256(name)).await;
    }
    let cache = tempfile::tempdir().unwrap();
    fetch(&server, cache.path()).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_fetch_asks_nobody() {
    let server = MockServer::start().await;
    let cache = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let fetch = Fetch {
        client: &test_client(),
        release: &release(&server),
        cache: cache.path(),
        progress: &|_, _, _| {},
        cancel: &cancel,
    };
    let error = fetch.all(&BINARIES).await.unwrap_err();
    assert!(matches!(
        error,
        ReleaseError::Download(DownloadError::Cancelled { .. })
    ));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[test]
fn fetching_can_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let release = Release::new("https://dl.k8s.io/release", VERSION, "amd64").unwrap();
    let fetch = Fetch {
        client: &test_client(),
        release: &release,
        cache: Path::new("/nowhere"),
        progress: &|_, _, _| {},
        cancel: &CancellationToken::new(),
    };
    check(answers(fetch.client, &release));
    check(fetch.all(&TESTS));
}
