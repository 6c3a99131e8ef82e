mod server;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;

use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use server::{continuing, promising, raw_server};

const TEXT: &str = "the quick brown fox jumps over the lazy dog";
const TEXT_SHA256: &str = "05c6e08f1d9fdafa03147fcb8f82f124c76d2f70e3d989dc8aadb5e7d7450bec";

/// Repeats at once: no test waits for the clock.
pub(in crate::source) const AT_ONCE: Retry = Retry {
    times: 3,
    delay: Duration::ZERO,
};

pub(in crate::source) fn test_client() -> reqwest::Client {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    client_with(None).unwrap()
}

fn to(directory: &tempfile::TempDir, url: String) -> Download {
    Download {
        url,
        file: directory.path().join("cache").join("fox"),
        expected: Expected::Sha256(TEXT_SHA256.into()),
        item: "fox".into(),
    }
}

async fn run(request: &Download) -> Result<(), DownloadError> {
    let cancel = CancellationToken::new();
    fetch_with(&test_client(), request, &|_, _| {}, &cancel, AT_ONCE).await
}

/// What is in the directory of the file, name and text.
fn left(request: &Download) -> Vec<(String, String)> {
    let mut left: Vec<_> = std::fs::read_dir(request.file.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    left.sort();
    left
}

fn whole() -> Vec<(String, String)> {
    vec![("fox".into(), TEXT.into())]
}

fn leave_part(request: &Download, text: &str) {
    std::fs::create_dir_all(request.file.parent().unwrap()).unwrap();
    std::fs::write(part::path_of(&request.file), text).unwrap();
}

async fn serving(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn fetches_once_and_tells_progress() {
    let server = MockServer::start().await;
    Mock::given(path("/fox"))
        .respond_with(ResponseTemplate::new(200).set_body_string(TEXT))
        .expect(1)
        .mount(&server)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, format!("{}/fox", server.uri()));
    let seen = Mutex::new(Vec::new());
    let progress = |done, total| seen.lock().unwrap().push((done, total));
    let cancel = CancellationToken::new();
    for _ in 0..2 {
        fetch(&test_client(), &request, &progress, &cancel)
            .await
            .unwrap();
    }
    assert_eq!(left(&request), whole());
    let length = TEXT.len() as u64;
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.first(), Some(&(0, Some(length))));
    assert_eq!(seen.last(), Some(&(length, Some(length))));
}

#[tokio::test]
async fn all_algorithms_are_known_in_any_case() {
    let server = serving(ResponseTemplate::new(200).set_body_string(TEXT)).await;
    for expected in [Expected::Sha512(
        "801b90d850f51736249cb33df75e17918c2233d7a083cb9d27561160ae15f1e2\
             cc2c97531fcdaa8426c654ba9c7c3a4b7d97ba770d09f0d839bff3047b2f5ce2"
            .into(),
    )] {
        let directory = tempfile::tempdir().unwrap();
        let request = Download {
            expected,
            ..to(&directory, server.uri())
        };
        run(&request).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_with_another_digest_is_replaced() {
    let server = serving(ResponseTemplate::new(200).set_body_string(TEXT)).await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, server.uri());
    std::fs::create_dir_all(request.file.parent().unwrap()).unwrap();
    std::fs::write(&request.file, "damaged").unwrap();
    run(&request).await.unwrap();
    assert_eq!(left(&request), whole());
}

#[tokio::test]
async fn follows_redirects() {
    let server = MockServer::start().await;
    Mock::given(path("/here"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", "/there"))
        .mount(&server)
        .await;
    Mock::given(path("/there"))
        .and(header("range", "bytes=10-"))
        .respond_with(
            ResponseTemplate::new(206)
                .insert_header("content-range", "bytes 10-42/43")
                .set_body_string(&TEXT[10..]),
        )
        .mount(&server)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, format!("{}/here", server.uri()));
    leave_part(&request, &TEXT[..10]);
    run(&request).await.unwrap();
    assert_eq!(left(&request), whole());
}

#[tokio::test]
async fn a_missing_file_is_asked_for_once() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(404))
        .expect(1)
        .mount(&server)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let address = server.address();
    let request = to(
        &directory,
        format!("http://me:secret@{address}/fox?signature=secret"),
    );
    let error = run(&request).await.unwrap_err();
    let told = format!("cannot fetch fox: http://{address}/fox answered 404 Not Found");
    assert_eq!(error.to_string(), told);
    assert!(error.hint().unwrap().contains("this version exists"));
    assert_eq!(left(&request), []);
}

#[tokio::test]
async fn an_error_of_the_server_is_tried_again_and_leaves_the_part() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(503))
        .expect(4)
        .mount(&server)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, server.uri());
    leave_part(&request, "the quick");
    let error = run(&request).await.unwrap_err();
    assert!(matches!(error, DownloadError::Status { .. }), "{error}");
    assert_eq!(left(&request), [("fox.part".into(), "the quick".into())]);
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/fox", listener.local_addr().unwrap());
    drop(listener);
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, url.clone());
    let error = run(&request).await.unwrap_err();
    assert!(matches!(error, DownloadError::Refused { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("cannot fetch fox: {url} refuses connections")
    );
    assert_eq!(left(&request), []);
}

#[tokio::test]
async fn another_file_is_thrown_away() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string("the slow fox"))
        .expect(1)
        .mount(&server)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, server.uri());
    let error = run(&request).await.unwrap_err();
    assert!(matches!(error, DownloadError::Digest { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with(&format!("expected sha256:{TEXT_SHA256}"))
    );
    assert_eq!(left(&request), []);
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_ended() {
    let (url, server) = raw_server(vec![
        promising(TEXT.len(), &TEXT[..10]),
        continuing(10, &TEXT[10..20]),
        continuing(20, &TEXT[20..]),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, url);
    run(&request).await.unwrap();
    assert_eq!(left(&request), whole());
    let ranges = [
        None,
        Some("bytes=10-".to_owned()),
        Some("bytes=20-".to_owned()),
    ];
    assert_eq!(server.join().unwrap(), ranges);
}

#[tokio::test]
async fn what_arrived_is_kept_for_the_next_run() {
    let mut answers = vec![promising(TEXT.len(), &TEXT[..10])];
    answers.extend((10..13).map(|from| continuing(from, &TEXT[from..=from])));
    answers.push(continuing(13, &TEXT[13..]));
    let (url, server) = raw_server(answers);
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, url.clone());

    let error = run(&request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot fetch fox: {url} broke off after 13 bytes of 43")
    );
    assert!(error.hint().unwrap().contains("goes on from there"));
    assert_eq!(left(&request), [("fox.part".into(), TEXT[..13].into())]);

    run(&request).await.unwrap();
    assert_eq!(left(&request), whole());
    assert_eq!(
        server.join().unwrap().last().unwrap().as_deref(),
        Some("bytes=13-")
    );
}

#[tokio::test]
async fn a_server_without_ranges_sends_the_whole() {
    let server = serving(ResponseTemplate::new(200).set_body_string(TEXT)).await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, server.uri());
    leave_part(&request, "the quick");
    run(&request).await.unwrap();
    assert_eq!(left(&request), whole());
}

#[tokio::test]
async fn a_complete_part_is_taken() {
    let answer = ResponseTemplate::new(416).insert_header("content-range", "bytes */43");
    let server = serving(answer).await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, server.uri());
    leave_part(&request, TEXT);
    run(&request).await.unwrap();
    assert_eq!(left(&request), whole());
}

#[tokio::test]
async fn a_part_of_another_file_is_fetched_anew() {
    let refusal = "HTTP/1.1 416 no\r\ncontent-range: bytes */43\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for (junk, answer) in [
        ("THE QUICK!".to_owned(), continuing(10, &TEXT[10..])),
        (TEXT.repeat(2), refusal.to_owned()),
    ] {
        let (url, server) = raw_server(vec![answer, promising(TEXT.len(), TEXT)]);
        let directory = tempfile::tempdir().unwrap();
        let request = to(&directory, url);
        leave_part(&request, &junk);
        run(&request).await.unwrap();
        assert_eq!(left(&request), whole());
        assert_eq!(server.join().unwrap().last(), Some(&None));
    }
}

#[tokio::test]
async fn an_answer_from_elsewhere_in_the_file_is_not_appended() {
    let (url, server) = raw_server(vec![continuing(5, &TEXT[5..]), promising(TEXT.len(), TEXT)]);
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, url);
    leave_part(&request, &TEXT[..10]);
    run(&request).await.unwrap();
    assert_eq!(left(&request), whole());
    assert_eq!(server.join().unwrap(), [Some("bytes=10-".to_owned()), None]);
}

#[tokio::test]
async fn cancelling_ends_it_without_a_file() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/fox", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).unwrap();
        stream
            .write_all(promising(TEXT.len(), &TEXT[..10]).as_bytes())
            .unwrap();
        // Open until the client has given up.
        receiver.recv().unwrap_err();
    });
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, url);
    let cancel = CancellationToken::new();
    let progress = |done, _| {
        if done == 10 {
            cancel.cancel();
        }
    };
    let error = fetch(&test_client(), &request, &progress, &cancel)
        .await
        .unwrap_err();
    assert!(matches!(error, DownloadError::Cancelled { .. }), "{error}");
    assert!(!request.file.exists());
    drop(sender);
    server.join().unwrap();
}

#[tokio::test]
async fn two_at_once_fetch_once() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string(TEXT))
        .expect(1)
        .mount(&server)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, server.uri());
    let (first, second) = tokio::join!(run(&request), run(&request));
    first.unwrap();
    second.unwrap();
    assert_eq!(left(&request), whole());
}

#[tokio::test]
async fn a_malformed_digest_is_found_before_the_download() {
    let directory = tempfile::tempdir().unwrap();
    let request = Download {
        expected: Expected::Sha256("latest".into()),
        ..to(&directory, "http://127.0.0.1:1/fox".into())
    };
    let error = run(&request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the digest `sha256:latest` of fox is malformed"
    );
}

#[tokio::test]
async fn a_directory_that_is_a_file_is_named() {
    let server = serving(ResponseTemplate::new(200).set_body_string(TEXT)).await;
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, server.uri());
    std::fs::write(directory.path().join("cache"), "").unwrap();
    let error = run(&request).await.unwrap_err();
    assert!(matches!(error, DownloadError::Write { .. }), "{error}");
}

#[test]
fn downloads_can_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let client = test_client();
    let directory = tempfile::tempdir().unwrap();
    let request = to(&directory, String::new());
    let cancel = CancellationToken::new();
    check(fetch(&client, &request, &|_, _| {}, &cancel));
}
