//! `split-dump` and `split-dump64` as they are run, with samples after the older tool's description: made with `lzma`, `xz`
//! and `base64`, as that tool used them.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use local_cluster::dump::index::{self, Index};
use local_cluster::dump::pack::Packer;
use local_cluster::dump::spool::Spool;
use local_cluster::dump::wire::Writer;

const OLDER: &str = include_str!("dump/older.txt");
const OLDER_LZMA: &str = include_str!("dump/older.lzma64");
const OLDER_XZ: &str = include_str!("dump/older.xz64");
const HOSTILE: &str = include_str!("dump/hostile.txt");

type Files = BTreeMap<String, Vec<u8>>;

fn run(place: &Path, arguments: &[&str], input: impl Into<Vec<u8>>) -> Output {
    Command::cargo_bin("local-cluster")
        .unwrap()
        .env_clear()
        .current_dir(place)
        .args(arguments)
        .write_stdin(input)
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// All files below a directory; they and their directories are the user's alone.
fn files(directory: &Path) -> Files {
    let mut files = Files::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            left.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
            let name = path
                .strip_prefix(directory)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    files
}

/// Splits an input that is whole.
fn split(command: &str, input: impl Into<Vec<u8>>) -> Files {
    let place = tempfile::tempdir().unwrap();
    let output = run(place.path(), &[command], input);
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), &b""[..]),
        "{}",
        told(&output)
    );
    files(&place.path().join("cluster-dump"))
}

/// What is in the samples.
fn older() -> Files {
    [
        (
            "service-kube-master-kubelet.service.log",
            "* kubelet.service - kubelet\n   Active: active (running)\n",
        ),
        (
            "psaux-kube-master.txt",
            "USER PID\nroot 1\n @@@ indented.txt @@@\nroot 2\n",
        ),
        ("pod-kube-node-1-default-web--c.log", "one\n"),
        ("nodes.txt", "kube-master Ready\n"),
    ]
    .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
    .into()
}

/// A dump of ours with an index, in its text form.
fn ours(contents: &[(&str, Vec<u8>)]) -> (Vec<u8>, Files) {
    let place = tempfile::tempdir().unwrap();
    let spool = Spool::new(place.path().join("spool"));
    for (path, content) in contents {
        let mut sink = spool.file(path).unwrap();
        sink.take(content);
        sink.finish(false).unwrap();
    }
    let index = Index {
        files: spool.files(),
        ..Index::default()
    };
    spool.text(index::NAME, &index.text()).unwrap();
    let mut writer = Writer::begin(Vec::new(), "a dump").unwrap();
    let files = files(spool.directory());
    for file in spool.files() {
        writer
            .file(&file.path, files[&file.path].as_slice())
            .unwrap();
    }
    (writer.finish().unwrap(), files)
}

fn pack(text: &[u8]) -> String {
    let mut packer = Packer::begin(Vec::new()).unwrap();
    packer.write_all(text).unwrap();
    String::from_utf8(packer.finish().unwrap()).unwrap()
}

/// Words that do not compress away.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = length as u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        b"abcdefghijklmnopqrstuvwxyz     \n"[usize::try_from(seed >> 59).unwrap()]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_the_older_tool_wrote_is_read() {
    assert_eq!(split("split-dump", OLDER), older());
    assert_eq!(split("split-dump64", OLDER_LZMA), older());
    assert_eq!(split("split-dump64", OLDER_XZ), older());
}

/// The older tool's reader, after its description, with the commands that it ran.
#[test]
fn what_we_write_the_older_tool_reads() {
    let text = b"one\n@@@ x @@@\n  @@@ y @@@\n".to_vec();
    let (dump, files) = ours(&[
        ("kube-master/journal/kubelet.log", text),
        ("versions.txt", noise(9000)),
    ]);
    let place = tempfile::tempdir().unwrap();
    let reader = r"sed -n '/^%%% start-base64 %%%$/,/^%%% end-base64 %%%$/p' | sed '1d;$d' | base64 -d | lzma -dc |
        awk '/^@@@ .* @@@$/ { out = $2; next } out { print > out }'";
    let output = Command::new("sh")
        .args(["-c", reader])
        .current_dir(place.path())
        .write_stdin(format!("before\n{}after\n", pack(&dump)))
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let read = |name: &str| std::fs::read(place.path().join(name)).unwrap();
    assert_eq!(read("versions.txt"), files["versions.txt"]);
    assert_eq!(read("index.txt"), files["index.txt"]);
    assert_eq!(
        String::from_utf8(read("kube-master__journal__kubelet.log")).unwrap(),
        "one\n @@@ x @@@\n   @@@ y @@@\n"
    );
}

#[test]
fn what_we_write_we_read_byte_for_byte() {
    let (dump, files) = ours(&[
        (
            "a/b.txt",
            b"one\n@@@ x @@@\n  @@@ y @@@\n%%% start-base64 %%%\n".to_vec(),
        ),
        ("a/c.txt", Vec::new()),
        ("d.bin", vec![0, 255, b'\r', b'\n', 13, 7]),
        ("e.txt", noise(100_000)),
    ]);
    assert_eq!(split("split-dump", dump.clone()), files);
    assert_eq!(split("split-dump64", pack(&dump)), files);
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("job.log"), pack(&dump)).unwrap();
    let output = run(
        place.path(),
        &["split-dump64", "--to", "deep/er", "job.log"],
        "",
    );
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(self::files(&place.path().join("deep/er")), files);
}

#[test]
fn names_that_lead_out_are_refused_and_the_rest_is_saved() {
    let place = tempfile::tempdir().unwrap();
    let inner = place.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let output = run(&inner, &["split-dump"], HOSTILE);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(told(&output), @r"
    note: 1 file in cluster-dump
    warning: cluster-dump: `../escaped.txt` is refused as a name: it would lead out of the directory
    warning: cluster-dump: `/tmp/absolute.txt` is refused as a name: it begins at the root
    warning: cluster-dump: `fine.txt/below.txt` cannot be made: File exists (os error 17)
    warning: cluster-dump: `a/../../up` is refused as a name: it would lead out of the directory
    error: not all of the dump could be saved
    ");
    assert_eq!(
        files(&inner.join("cluster-dump")),
        Files::from([("fine.txt".to_owned(), b"yes\n".to_vec())])
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    assert!(!Path::new("/tmp/absolute.txt").exists());
}

/// Ten thousand lines of others, timestamps, colours, and carriage returns.
#[test]
fn a_log_full_of_others_gives_the_dump_back() {
    let (dump, files) = ours(&[
        ("kube-master/journal/all.log", noise(300_000)),
        ("versions.txt", noise(50)),
    ]);
    let packed = pack(&dump);
    let lines: Vec<&str> = packed.lines().collect();
    let mut log = Vec::new();
    for other in 0..10_000 {
        let time = format!(
            "2026-11-21T15:{:02}:{:02}.1234567Z ",
            other / 600 % 60,
            other % 60
        );
        let from = other * lines.len() / 10_000;
        let to = (other + 1) * lines.len() / 10_000;
        for line in &lines[from..to] {
            writeln!(log, "{time}\u{1b}[0m{line}\u{1b}[0m\r").unwrap();
        }
        let text = [
            "ok",
            "test dump ... done",
            "/usr/bin/ld",
            "100%\r",
            "{\"a\": \"AAAA\"}",
        ][other % 5];
        writeln!(log, "{time}{text}\r").unwrap();
    }
    assert!(lines.len() > 1000);
    assert_eq!(split("split-dump64", log), files);
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_saved() {
    let (dump, files) = ours(&[
        ("versions.txt", noise(400_000)),
        ("z/last.txt", noise(400_001)),
    ]);
    let packed = pack(&dump);
    let lines: Vec<&str> = packed.lines().collect();
    let most = lines.len() * 3 / 4;
    // A line that was cut in two, and a log that ends too soon.
    let mut cut = lines.clone();
    cut[most] = &cut[most][..70];
    for (log, says) in [
        (
            cut.join("\n"),
            format!("line {} of the log has only a part", most + 1),
        ),
        (
            lines[..most].join("\n"),
            "the log ends before the dump does".to_owned(),
        ),
    ] {
        let place = tempfile::tempdir().unwrap();
        let output = run(place.path(), &["split-dump64"], log);
        assert_eq!(output.status.code(), Some(1));
        let told = told(&output);
        for says in [
            &says,
            "the rest could not be unpacked",
            "`z/last.txt` is not as it was",
            "not all of the dump could be saved",
        ] {
            assert!(told.contains(says), "{says} in {told}");
        }
        let found = self::files(&place.path().join("cluster-dump"));
        assert_eq!(found["versions.txt"], files["versions.txt"]);
        assert!(
            found["z/last.txt"].len() > 10_000
                && files["z/last.txt"].starts_with(&found["z/last.txt"][..10_000])
        );
    }
    // A line of the plain form that is not as it was, and a file that is not there.
    let text = String::from_utf8(dump).unwrap();
    let (before, last) = text.split_once("@@@ z__last").unwrap();
    let place = tempfile::tempdir().unwrap();
    let output = run(place.path(), &["split-dump"], before);
    assert!(
        told(&output).contains("`z/last.txt` is missing"),
        "{}",
        told(&output)
    );
    let place = tempfile::tempdir().unwrap();
    let output = run(
        place.path(),
        &["split-dump"],
        format!("{before}@@@ z__last{last}more\n"),
    );
    assert!(
        told(&output).contains("`z/last.txt` is not as it was"),
        "{}",
        told(&output)
    );
}

#[test]
fn several_dumps_of_one_log_do_not_mix() {
    let place = tempfile::tempdir().unwrap();
    let output = run(
        place.path(),
        &["split-dump64"],
        format!("{OLDER_LZMA}between\n{OLDER_XZ}"),
    );
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for directory in ["cluster-dump", "cluster-dump-2"] {
        assert_eq!(files(&place.path().join(directory)), older());
    }
    // Nor with those of a log before: none is begun if not all have room.
    std::fs::remove_dir_all(place.path().join("cluster-dump")).unwrap();
    let output = run(
        place.path(),
        &["split-dump64"],
        format!("{OLDER_LZMA}{OLDER_XZ}"),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).contains("`cluster-dump-2` is not empty"),
        "{}",
        told(&output)
    );
    assert!(!place.path().join("cluster-dump").exists());
}

#[test]
fn what_is_no_dump_is_said_to_be_none() {
    let place = tempfile::tempdir().unwrap();
    for (command, input, says) in [
        ("split-dump", "", "standard input is no dump"),
        ("split-dump", "words\n", "standard input is no dump"),
        ("split-dump", OLDER_LZMA, "`split-dump64`"),
        ("split-dump64", OLDER, "`split-dump`"),
        (
            "split-dump64",
            "%%% start-base64 %%%\n%%% end-base64 %%%\n",
            "could not be unpacked",
        ),
    ] {
        let output = run(place.path(), &[command], input);
        assert_eq!(output.status.code(), Some(1), "{command} {input}");
        assert!(
            told(&output).contains(says),
            "{command} {input}: {}",
            told(&output)
        );
        let _ = std::fs::remove_dir(place.path().join("cluster-dump"));
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let output = run(place.path(), &["split-dump", "absent.txt"], "");
    assert!(
        told(&output).starts_with("error: cannot read `absent.txt`\n"),
        "{}",
        told(&output)
    );
    let output = run(place.path(), &["split-dump", "."], "");
    assert!(
        told(&output).contains("cannot split `.`"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_directory_that_has_something_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("cluster-dump")).unwrap();
    std::fs::write(place.path().join("cluster-dump/mine"), "mine").unwrap();
    let output = run(place.path(), &["split-dump"], OLDER);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(told(&output), @r"
    error: `cluster-dump` is not empty

    hint: remove it, or name another directory with `--to`
    ");
    assert_eq!(
        std::fs::read_dir(place.path().join("cluster-dump"))
            .unwrap()
            .count(),
        1
    );
}

/// A disk that takes no more: nothing is said to be saved that is not.
#[test]
fn a_full_disk_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let (dump, _) = ours(&[("versions.txt", noise(100_000))]);
    std::fs::write(place.path().join("dump.txt"), dump).unwrap();
    let binary = assert_cmd::cargo::cargo_bin("local-cluster");
    let script = r#"trap '' XFSZ; ulimit -f 8; exec "$0" split-dump dump.txt"#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(binary)
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    assert!(
        told.starts_with(
            "error: cannot split `dump.txt` into cluster-dump\n  caused by: File too large"
        ),
        "{told}"
    );
}

/// Two hundred megabytes, in a fraction of that.
#[test]
fn much_is_read_in_little_memory() {
    let place = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(place.path().join("dump.txt")).unwrap();
    let mut file = std::io::BufWriter::new(file);
    let block = noise(1 << 20);
    writeln!(file, "a dump").unwrap();
    for name in ["a", "b"] {
        writeln!(file, "@@@ {name} @@@").unwrap();
        for _ in 0..100 {
            file.write_all(&block).unwrap();
        }
        writeln!(file).unwrap();
    }
    drop(file);
    split_in_little_memory(place.path(), "split-dump", "dump.txt");
    let length = |name: &str| {
        std::fs::metadata(place.path().join("cluster-dump").join(name))
            .unwrap()
            .len()
    };
    assert_eq!(
        (length("a"), length("b")),
        ((100 << 20) + 1, (100 << 20) + 1)
    );
}

/// The same where it is packed, in a log with much of others.
#[test]
fn much_is_found_and_unpacked_in_little_memory() {
    let place = tempfile::tempdir().unwrap();
    let block = noise(1 << 20);
    let mut dump = b"a dump\n@@@ a @@@\n".to_vec();
    // Each line the same, or packing alone would take minutes.
    let length = dump.len() + (200 << 20);
    while dump.len() < length {
        dump.extend_from_slice(b"what a node has said, and has said before: again\n");
    }
    let content = dump.len() - "a dump\n@@@ a @@@\n".len();
    dump.push(b'\n');
    let packed = pack(&dump).into_bytes();
    let file = std::fs::File::create(place.path().join("job.log")).unwrap();
    let mut file = std::io::BufWriter::new(file);
    for (part, times) in [(&block, 10), (&packed, 1), (&block, 10)] {
        for _ in 0..times {
            file.write_all(part).unwrap();
        }
        writeln!(file).unwrap();
    }
    drop(file);
    split_in_little_memory(place.path(), "split-dump64", "job.log");
    let length = std::fs::metadata(place.path().join("cluster-dump/a"))
        .unwrap()
        .len();
    assert_eq!(length, content as u64 + 1);
}

/// Nothing can have more than so many kilobytes, whatever it is for.
fn split_in_little_memory(place: &Path, command: &str, file: &str) {
    let binary = assert_cmd::cargo::cargo_bin("local-cluster");
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -d 65536; exec "$0" "$@""#])
        .arg(binary)
        .args([command, file])
        .current_dir(place)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}
