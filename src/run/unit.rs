//! How systemd is asked to run the program as a service. PURE.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The flag that asks for it.
const FLAG: &str = "--systemd-unit";

/// What the service manager sets for the service itself: those of the client mean something else.
const OF_THE_MANAGER: [&str; 7] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
];

/// The name of a service, without its ending, or what is wrong with it.
pub fn service_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix(".service").unwrap_or(text);
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && name.len() <= 100 && name.bytes().all(is_fit) {
        return Ok(name.to_owned());
    }
    Err("give 1 to 100 letters, digits and `_`, `-`, `.`, `:`, a letter or digit first".to_owned())
}

/// The arguments of the program without the flag that hands the run to systemd.
pub fn without_flag(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let bytes = argument.as_bytes();
        if bytes == FLAG.as_bytes() {
            arguments.next();
        } else if !bytes
            .strip_prefix(FLAG.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"="))
        {
            kept.push(argument);
        }
    }
    kept
}

/// The arguments of `systemd-run` for a service of this name.
///
/// The variables come from a file: those of a unit can be read by everybody. It can be removed when `systemd-run` has
/// returned, as the service has been executed then.
pub fn command(
    name: &str,
    user: bool,
    directory: &Path,
    variables: &Path,
    program: &Path,
    arguments: &[OsString],
) -> Vec<OsString> {
    let property = |name: &str, value: &OsStr| {
        let mut text = OsString::from(format!("--property={name}="));
        text.push(value);
        text
    };
    let mut words: Vec<OsString> = Vec::new();
    if user {
        words.push("--user".into());
    }
    words.extend([
        format!("--unit={name}").into(),
        format!("--description=local-cluster run ({name})").into(),
        "--quiet".into(),
        // What failed is in the journal, and its name is free again.
        "--collect".into(),
        property("Type", "exec".as_ref()),
        // `up` lets what is under way settle before all is removed.
        property("TimeoutStopSec", "10min".as_ref()),
        property("WorkingDirectory", directory.as_os_str()),
        property("EnvironmentFile", variables.as_os_str()),
    ]);
    if !user {
        // At a shutdown it ends before the engine does. A user's manager knows nothing of the system's services.
        words.push(property("After", "docker.service".as_ref()));
    }
    words.push("--".into());
    let command =
        std::iter::once(program.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    words.extend(command.map(literal));
    words
}

/// A word of a command line that systemd leaves as it is: it would put variables in.
fn literal(word: &OsStr) -> OsString {
    let bytes = word.as_bytes().iter().flat_map(|byte| match byte {
        b'$' => b"$$".as_slice(),
        other => std::slice::from_ref(other),
    });
    OsString::from_vec(bytes.copied().collect())
}

/// The client's variables as a file that systemd reads.
pub fn variables(environment: &BTreeMap<String, String>) -> String {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let passed = environment
        .iter()
        // A shell's functions and the like are no names to systemd.
        .filter(|(name, _)| is_name(name) && !OF_THE_MANAGER.contains(&name.as_str()));
    let mut text = String::new();
    for (name, value) in passed {
        let mut quoted = String::new();
        for character in value.chars() {
            if matches!(character, '"' | '\\' | '`' | '$') {
                quoted.push('\\');
            }
            quoted.push(character);
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}=\"{quoted}\"");
    }
    text
}

/// The flag by which `systemctl` and the like mean the services of a user.
pub fn of_user(user: bool) -> &'static str {
    if user { " --user" } else { "" }
}

/// How to wait for the service, follow it and end it.
pub fn next_steps(name: &str, user: bool, port: Option<std::net::SocketAddr>) -> Vec<String> {
    let user = of_user(user);
    let mut steps = vec![
        format!("systemctl{user} status {name}  # whether it runs"),
        format!("journalctl{user} -fu {name}  # follow it"),
        format!("systemctl{user} stop {name}  # end it, and take the cluster down"),
    ];
    if let Some(address) = port {
        let wait = "curl -sS -f --retry 600 --retry-delay 1 --retry-connrefused";
        steps.insert(
            0,
            format!("{wait} http://{address}/healthz  # wait until the cluster works"),
        );
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_flag_is_left_out_and_nothing_else() {
        let kept = |given: &[&str]| without_flag(words(given).into_iter());
        assert_eq!(
            kept(&[
                "--label",
                "a",
                "run",
                "--systemd-unit",
                "x",
                "--timeout",
                "1h"
            ]),
            words(&["--label", "a", "run", "--timeout", "1h"])
        );
        assert_eq!(
            kept(&[
                "run",
                "--systemd-unit=x",
                "--systemd-unity",
                "--num-nodes=0"
            ]),
            words(&["run", "--systemd-unity", "--num-nodes=0"])
        );
    }

    #[test]
    fn a_name_is_one_of_a_service() {
        for name in ["ci", "ci.service", "job-7:a_b.c"] {
            let bare = name.strip_suffix(".service").unwrap_or(name);
            assert_eq!(service_name(name).as_deref(), Ok(bare));
        }
        let long = "a".repeat(101);
        for name in [
            "", ".service", "-x", "../x", "a/b", "a b", "a@b", "a%n", &long,
        ] {
            assert!(service_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn systemd_is_given_the_same_command() {
        let given = command(
            "ci",
            true,
            Path::new("/home/me/my project"),
            Path::new("/state/variables"),
            Path::new("/usr/bin/local-cluster"),
            &words(&["run", "--label", "dev", "--kubectl-link", "$HOME/k %n"]),
        );
        let text: Vec<&str> = given.iter().map(|word| word.to_str().unwrap()).collect();
        insta::assert_snapshot!(text.join("\n"), @r"
        --user
        --unit=ci
        --description=local-cluster run (ci)
        --quiet
        --collect
        --property=Type=exec
        --property=TimeoutStopSec=10min
        --property=WorkingDirectory=/home/me/my project
        --property=EnvironmentFile=/state/variables
        --
        /usr/bin/local-cluster
        run
        --label
        dev
        --kubectl-link
        $$HOME/k %n
        ");
    }

    #[test]
    fn a_service_of_the_system_ends_before_the_engine() {
        let of = |user| {
            let path = Path::new("/");
            let words = command("ci", user, path, path, path, &[]);
            words.contains(&OsString::from("--property=After=docker.service"))
        };
        assert!(of(false) && !of(true));
    }

    #[test]
    fn variables_are_quoted_as_systemd_reads_them() {
        let environment = [
            ("HOME", "/home/me"),
            ("K8S_DIND_LABEL", "dev"),
            ("ODD", "a \"b\" \\ $c `d` #e\nf"),
            ("BASH_FUNC_x%%", "() { :; }"),
            ("NOTIFY_SOCKET", "/run/systemd/notify"),
            ("1X", "no name"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        insta::assert_snapshot!(variables(&environment.into()), @r#"
        HOME="/home/me"
        K8S_DIND_LABEL="dev"
        ODD="a \"b\" \\ \$c \`d\` #e
        f"
        "#);
    }
}
