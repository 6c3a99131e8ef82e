//! An engine that gives prepared answers and keeps what it was asked. It can do what wiremock cannot: take a connection
//! over (101), and leave an answer unfinished until the client has gone.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use local_cluster::engine::Engine;

/// A prepared answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Status and body.
    Whole(u16, Vec<u8>),
    /// The beginning of a body; the rest never comes.
    Unfinished(Vec<u8>),
    /// The beginning of a body; and its end when this was asked.
    Then(Vec<u8>, &'static str, Vec<u8>),
    /// The connection is a stream of these bytes from now on.
    Upgraded(Vec<u8>),
    /// The connection is a stream on which nothing comes.
    UpgradedSilent,
    /// The connection ends.
    HangUp,
}

/// An answer in JSON.
pub(crate) fn json(status: u16, value: &serde_json::Value) -> Answer {
    Answer::Whole(status, value.to_string().into_bytes())
}

/// A refusal in the engine's form.
pub(crate) fn refusal(status: u16, message: &str) -> Answer {
    json(status, &serde_json::json!({ "message": message }))
}

/// An answer without a body.
pub(crate) fn done() -> Answer {
    Answer::Whole(204, Vec::new())
}

/// A line of JSON for each value, as builds and pulls answer.
pub(crate) fn stream(values: &[serde_json::Value]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| format!("{value}\r\n").into_bytes())
        .collect()
}

/// Output of a container in the engine's frames: 1 is standard output, 2 standard error.
pub(crate) fn frames(parts: &[(u8, &str)]) -> Vec<u8> {
    let frame = |(kind, text): &(u8, &str)| {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[*kind, 0, 0, 0][..], &length, text.as_bytes()].concat()
    };
    parts.iter().flat_map(frame).collect()
}

/// What the engine was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path: `GET /containers/json`.
    pub(crate) what: String,
    /// What follows the question mark, as it came.
    pub(crate) query: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers to what is known when it is asked.
pub(crate) type Otherwise = fn(&str) -> Answer;

/// The engine.
#[derive(Debug)]
pub(crate) struct Fake {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Several answers to the same question are given in turn; the last stays.
    answers: Mutex<HashMap<String, Vec<Answer>>>,
    asked: Mutex<Vec<Asked>>,
    /// Unfinished answers whose client has gone.
    given_up: Mutex<usize>,
    /// After so many questions it answers none any more.
    life: Mutex<Option<usize>>,
    /// That has come.
    dead: AtomicBool,
    /// What it answers where it was given no answer.
    otherwise: Mutex<Option<Otherwise>>,
}

impl Fake {
    /// An engine with these answers: `("GET /info", json(200, ...))`. To all else it says that it has none.
    pub(crate) fn new(answers: impl IntoIterator<Item = (&'static str, Answer)>) -> Self {
        let shared = Arc::new(Shared::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&serving);
                // A client that goes away is part of some tests.
                std::thread::spawn(move || shared.serve(&connection));
            }
        });
        let fake = Self { address, shared };
        for (what, answer) in answers {
            fake.add(what, answer);
        }
        fake
    }

    /// One answer more; of several to the same question this one comes last.
    pub(crate) fn add(&self, what: &str, answer: Answer) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.entry(what.to_owned()).or_default().push(answer);
    }

    /// The same with another answer to this question.
    pub(crate) fn instead(self, what: &str, answer: Answer) -> Self {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(what.to_owned(), vec![answer]);
        drop(answers);
        self
    }

    /// The same, that answers so many questions and then goes away: each connection ends.
    pub(crate) fn that_dies_after(self, questions: usize) -> Self {
        *self.shared.life.lock().unwrap() = Some(questions);
        self
    }

    /// The same, that answers so what it was given no answer to.
    pub(crate) fn that_else(self, answer: Otherwise) -> Self {
        *self.shared.otherwise.lock().unwrap() = Some(answer);
        self
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A client of it.
    pub(crate) fn engine(&self) -> Engine {
        Engine::from_address(&self.address).unwrap()
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Methods and paths of all that was asked so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.what).collect()
    }

    /// All times that this was asked.
    pub(crate) fn all(&self, what: &str) -> Vec<Asked> {
        let mut all = self.asked();
        all.retain(|asked| asked.what == what);
        all
    }

    /// The one time that this was asked.
    pub(crate) fn only(&self, what: &str) -> Asked {
        let mut found = self.all(what);
        assert_eq!(found.len(), 1, "{what} in {:?}", self.log());
        found.remove(0)
    }

    /// Waits until clients have gone away from that many unfinished answers.
    pub(crate) async fn until_given_up(&self, count: usize) {
        self.until(|shared| *shared.given_up.lock().unwrap() >= count)
            .await;
    }

    /// Waits until this was asked.
    pub(crate) async fn until_asked(&self, what: &str) {
        self.until(|shared| {
            shared
                .asked
                .lock()
                .unwrap()
                .iter()
                .any(|asked| asked.what == what)
        })
        .await;
    }

    async fn until(&self, condition: impl Fn(&Shared) -> bool) {
        let began = Instant::now();
        while !condition(&self.shared) {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{:?}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Shared {
    fn serve(&self, mut connection: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection);
        let asked = read(&mut reader)?;
        let mut all = self.asked.lock().unwrap();
        if self
            .life
            .lock()
            .unwrap()
            .is_some_and(|life| all.len() >= life)
        {
            self.dead.store(true, Ordering::Relaxed);
            return None;
        }
        let answer = self.answer(&asked.what);
        all.push(asked);
        drop(all);
        let head = |status: u16, more: &str| {
            format!("HTTP/1.1 {status} -\r\ncontent-type: application/json\r\n{more}\r\n")
        };
        match answer {
            Answer::Whole(status, body) => {
                let length = if status == 204 || status == 304 {
                    String::new()
                } else {
                    format!("content-length: {}\r\n", body.len())
                };
                let head = head(status, &format!("{length}connection: close\r\n"));
                connection
                    .write_all(&[head.as_bytes(), &body].concat())
                    .ok()?;
            }
            Answer::Unfinished(body) => {
                let head = head(200, "transfer-encoding: chunked\r\n");
                let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat();
                connection
                    .write_all(&[head.as_bytes(), &chunk].concat())
                    .ok()?;
                // Ends when the client does.
                let _ = reader.read_to_end(&mut Vec::new());
                *self.given_up.lock().unwrap() += 1;
            }
            Answer::Then(first, what, rest) => {
                let head = head(200, "transfer-encoding: chunked\r\n");
                let chunk = |part: &[u8]| {
                    [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
                };
                connection
                    .write_all(&[head.as_bytes(), &chunk(&first)].concat())
                    .ok()?;
                let began = Instant::now();
                while !self
                    .asked
                    .lock()
                    .unwrap()
                    .iter()
                    .any(|asked| asked.what == what)
                {
                    if self.dead.load(Ordering::Relaxed) {
                        return connection.shutdown(std::net::Shutdown::Both).ok();
                    }
                    assert!(
                        began.elapsed() < Duration::from_secs(20),
                        "nobody asked {what}"
                    );
                    std::thread::yield_now();
                }
                connection
                    .write_all(&[&chunk(&rest)[..], b"0\r\n\r\n"].concat())
                    .ok()?;
            }
            Answer::Upgraded(bytes) => {
                let head = head(101, "connection: Upgrade\r\nupgrade: tcp\r\n");
                connection
                    .write_all(&[head.as_bytes(), &bytes].concat())
                    .ok()?;
            }
            Answer::UpgradedSilent => {
                let head = head(101, "connection: Upgrade\r\nupgrade: tcp\r\n");
                connection.write_all(head.as_bytes()).ok()?;
                let _ = reader.read_to_end(&mut Vec::new());
                *self.given_up.lock().unwrap() += 1;
            }
            Answer::HangUp => {}
        }
        connection.shutdown(std::net::Shutdown::Both).ok()
    }

    fn answer(&self, what: &str) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        match answers.get_mut(what) {
            Some(several) if several.len() > 1 => several.remove(0),
            Some(one) => one[0].clone(),
            None => match *self.otherwise.lock().unwrap() {
                Some(otherwise) => otherwise(what),
                None => refusal(501, &format!("the test has no answer to {what}")),
            },
        }
    }
}

/// Reads a request.
fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = || {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|length| *length > 0)?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line()?.to_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("transfer-encoding", value)) => chunked = value == "chunked",
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else {
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
    }
    Some(Asked {
        what: format!("{method} {path}"),
        query: query.to_owned(),
        body,
    })
}
