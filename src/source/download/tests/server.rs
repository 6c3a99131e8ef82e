//! A server of a few lines, for what wiremock cannot do: to break off in the middle of an answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::TEXT;

/// Answers each connection with the next of these texts and hangs up. Gives the requests' `Range` headers when all is said.
pub(super) fn raw_server(answers: Vec<String>) -> (String, JoinHandle<Vec<Option<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/fox", listener.local_addr().unwrap());
    let serve = move || {
        let mut ranges = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut range = None;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                if let Some(value) = line.to_lowercase().strip_prefix("range:") {
                    range = Some(value.trim().to_owned());
                }
            }
            ranges.push(range);
            stream.write_all(answer.as_bytes()).unwrap();
        }
        ranges
    };
    (url, std::thread::spawn(serve))
}

/// An answer of that length, of which only the text comes.
pub(super) fn promising(length: usize, text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}")
}

/// The rest of the file, of which only the text comes.
pub(super) fn continuing(from: usize, text: &str) -> String {
    format!(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{}/{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        TEXT.len() - 1,
        TEXT.len(),
        TEXT.len() - from,
    )
}
