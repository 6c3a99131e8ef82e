use super::*;
use proptest::prelude::*;

/// What goes, by where it stands: the text, and the secret in it.
const PLANTED: &[(&str, &str)] = &[
    (
        "kubeadm join --token abcdef.0123456789abcdef --discovery",
        "abcdef.0123456789abcdef",
    ),
    (
        "x_abcdef.0123456789abcdef,abcdef.0123456789abcdef",
        "0123456789abcdef",
    ),
    ("a.b.abcdef.0123456789abcdef", "0123456789abcdef"),
    ("  token: 9a08jv.c0izixklcxtmnze7", "c0izixklcxtmnze7"),
    ("    token: plain-word", "plain-word"),
    ("- \"token\": \"two words\"", "words"),
    ("password: my secret phrase", "phrase"),
    ("password: \"with \\\" a quote\"", "quote"),
    ("dbPassword='single quoted'", "quoted"),
    (
        "{\"auths\":{\"r\":{\"auth\":\"dXNlcjpwYXNz\"}}}",
        "dXNlcjpwYXNz",
    ),
    ("{\"password\":\"in a row\",\"b\":1}", "in a row"),
    (
        "msg=\"{\\\"token\\\":\\\"quoted twice\\\"}\"",
        "quoted twice",
    ),
    ("GITHUB_TOKEN=abc,def", "abc,def"),
    ("\"DB_PASSWORD=hunter2\",", "hunter2"),
    ("--password hunter2", "hunter2"),
    ("--certificate-key 0a1b2c", "0a1b2c"),
    ("DB_PASS=hunter2", "hunter2"),
    ("MYSQL_PWD=hunter2", "hunter2"),
    ("Server=db;Uid=sa;Pwd=hunter2;", "hunter2"),
    ("SECRET_KEY_BASE: hunter2", "hunter2"),
    ("AccountName=a;AccountKey=hunter2==", "hunter2"),
    (
        "\"passwords\": [\n  \"hunter2\",\n  \"hunter3\"\n]",
        "hunter3",
    ),
    ("tokens:\n- hunter2\n- 'hunter3'\nother: x", "hunter3"),
    ("- name: SMTP_PASS\n  value: hunter2", "hunter2"),
    ("{\"name\":\"MYSQL_PWD\",\"value\":\"hunter2\"}", "hunter2"),
    ("\"MYSQL_PWD=hunter2\",", "hunter2"),
    ("- --password\n- hunter2", "hunter2"),
    ("    - '--password'\n    - \"hunter2 and more\"", "and more"),
    ("- --password\n- |\n  one\n  two\n- x", "two"),
    ("- -password\n- hunter2", "hunter2"),
    ("- - --password\n  - hunter2", "hunter2"),
    ("\"--db-pass\",\n    \"hunter2\",", "hunter2"),
    ("[\"server\", \"--password\",\n \"hunter2\"]", "hunter2"),
    ("\\\"--password\\\",\n  \\\"hunter2\\\"", "hunter2"),
    ("server --port 1 --password \\\n  hunter2", "hunter2"),
    ("--password\nhunter2", "hunter2"),
    ("[\"--password\",\"hunter2, and more\"]", "and more"),
    ("[\"--password\", \"--token\", \"hunter2\"]", "hunter2"),
    (
        "{\\\"Cmd\\\":[\\\"--password\\\",\\\"hunter2\\\"]}",
        "hunter2",
    ),
    ("[--password, hunter2]", "hunter2"),
    ("sh -c \"server -password hunter2,3\"", ",3"),
    ("--password '-hunter2'", "hunter2"),
    ("certificateKey: 0a1b2c", "0a1b2c"),
    (
        "client-key-data: LS0tLS1CRUdJTiBSU0Eg",
        "LS0tLS1CRUdJTiBSU0Eg",
    ),
    (
        "data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFb3dJQkFB",
        "QpNSUlF",
    ),
    ("Authorization: Bearer abcdef", "abcdef"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    (
        "\"Authorization\":[\"Bearer mF_9.B5f-4.1JqM\"]",
        "mF_9.B5f-4.1JqM",
    ),
    ("curl -H 'authorization: custom'", "custom"),
    ("sent bearer mF_9.B5f-4.1JqM to", "mF_9.B5f-4.1JqM"),
    (
        "token is eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl.",
        "c2lnbmF0dXJl",
    ),
    (
        "jws-kubeconfig-abcdef: eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..c2lnbmF0dXJl",
        "c2lnbmF0dXJl",
    ),
    ("ghp_0123456789abcdefghij", "ghp_0123456789abcdefghij"),
    ("http://user:pass@proxy:3128", "user:pass"),
    ("\"https://user:p@ss@host/path\"", "p@ss"),
    ("HTTPS_PROXY=\"http://user:pa/ss@proxy:3128\"", "pa/ss"),
    ("http_proxy=user:pass@proxy:3128", "user:pass"),
    ("Environment=HTTP_PROXY=http://user:p%40ss@proxy", "p%40ss"),
    ("--http-proxy=user:pass@proxy", "user:pass"),
    (
        "{\"name\":\"DB_PASSWORD\",\"value\":\"hunter2\"}",
        "hunter2",
    ),
    (
        "{\\\"name\\\":\\\"DB_PASSWORD\\\",\\\"value\\\":\\\"hunter2\\\"}",
        "hunter2",
    ),
    ("- name: DB_PASSWORD\n  value: hunter2 and more", "and more"),
    (
        "        \"name\": \"API_TOKEN\",\n        \"value\": \"hunter2\"",
        "hunter2",
    ),
    ("- name: HTTP_PROXY\n  value: user:pass@proxy", "user:pass"),
    ("password: |\n  one\n\n  two\nnext: line", "two"),
    (
        "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----",
        "MIIabc",
    ),
    (
        "  key: |\n    -----BEGIN RSA PRIVATE KEY-----\n    MIIabc\n    DEFghi==\n    -----END RSA PRIVATE KEY-----",
        "DEFghi",
    ),
    (
        "\"tls\": \"-----BEGIN EC PRIVATE KEY-----\\nMIIabc\\n-----END EC PRIVATE KEY-----\\n\"",
        "MIIabc",
    ),
    (
        "2026-01-01T00:00:00Z stdout F -----BEGIN OPENSSH PRIVATE KEY-----\n2026-01-01T00:00:00Z stdout F MIIabc",
        "MIIabc",
    ),
];

/// What stays as it is.
const PLAIN: &[&str] = &[
    "-----BEGIN CERTIFICATE-----",
    "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSURCVENDQWUyZ0F3SUJBZ0lJ",
    "automountServiceAccountToken: false",
    "secretName: web-tls",
    "  - secret:",
    "kind: Secret",
    "serviceAccountName: default",
    "--service-account-private-key-file=/etc/kubernetes/pki/sa.key",
    "  volume \"kube-api-access-x7k2p\" (UniqueName: \"kubernetes.io/projected/0b1c\")",
    "default via 10.192.60.1 dev eth0",
    "image: registry.k8s.io/coredns/coredns:v1.12.0",
    "https://registry.k8s.io/v2/pause@sha256:0123456789abcdef",
    "  name: kube-master.18a3f2b4c5d6e7f8",
    "coredns-7d764666f9-abcde.18a3f2b4c5d6e7f80",
    "NO_PROXY=10.0.0.0/8,.svc,localhost",
    "HTTP_PROXY=http://proxy:3128",
    "bearer token authentication",
    "name: web\nvalue: 5",
    "- --queue-bypass\n- 5",
    "- --verbose\n- hunter2",
    "- --password\nname: web",
    "\"--password\",\n\"--user\",\n\"root\"",
    "secret:\n  secretName: web-tls",
    "\"secret\": {\n  \"secretName\": \"web-tls\"",
    "credentials:\n- name: web\n  kind: x",
    "- --token-ttl\n- 0s",
    "-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment \"default/kubernetes:https\"",
    "caf\u{e9} \u{2713}",
];

#[test]
fn what_is_planted_goes() {
    for (text, secret) in PLANTED {
        assert!(text.contains(secret), "{text}");
        let clean = redacted(text);
        assert!(!clean.contains(secret), "{text}\n{clean}");
        assert!(
            clean.contains(MARK) || text.contains("|\n"),
            "{text}\n{clean}"
        );
    }
}

#[test]
fn what_is_no_secret_stays() {
    for text in PLAIN {
        assert_eq!(redacted(text), format!("{text}\n"));
    }
}

#[test]
fn what_stands_around_stays() {
    let kubeconfig = "users:\n- name: admin\n  user:\n    client-certificate-data: LS0t\n    client-key-data: LS0tQUJD\n";
    assert_eq!(redacted(kubeconfig), kubeconfig.replace("LS0tQUJD", MARK));
    let one =
        "a -----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\nb http://u:p@h/x?y=1 c\n";
    assert_eq!(
        redacted(one),
        "a [redacted]\n\nb http://[redacted]@h/x?y=1 c\n"
    );
    let json = r#"{"password":"x y","user":"z","token":"q"}"#;
    assert_eq!(
        redacted(json),
        format!(
            "{}\n",
            r#"{"password":"[redacted]","user":"z","token":"[redacted]"}"#
        )
    );
    let block = "a:\n  password: |\n    one\n    two\n  other: 1\n";
    assert_eq!(redacted(block), "a:\n  password: |\n  other: 1\n");
}

#[test]
fn objects_are_looked_through_by_their_structure() {
    let mut pod = serde_json::json!({
        "env": [
            { "name": "DB_PASSWORD", "value": "a\nb" },
            { "value": "user:pass@proxy", "name": "https_proxy" },
            { "name": "MODE", "value": "fast" },
        ],
        "data": { "password": "line\nline", "other": "stays" },
        "automountServiceAccountToken": false,
        "secret": { "secretName": "web" },
        "args": ["--password", "a\nb", "--token", "--user", "root", "--client-secret-file", "x"],
        "tokens": ["one", "two", { "name": "web" }],
    });
    object(&mut pod);
    assert_eq!(
        pod,
        serde_json::json!({
            "env": [
                { "name": "DB_PASSWORD", "value": MARK },
                { "value": MARK, "name": "https_proxy" },
                { "name": "MODE", "value": "fast" },
            ],
            "data": { "password": MARK, "other": "stays" },
            "automountServiceAccountToken": false,
            "secret": { "secretName": "web" },
            "args": ["--password", MARK, "--token", "--user", "root", "--client-secret-file", "x"],
            "tokens": [MARK, MARK, { "name": "web" }],
        })
    );
}

/// A secret's own text: letters that nothing else here has.
fn secret() -> impl Strategy<Value = String> {
    "[QXZ][QXZ0-9]{11,30}"
}

/// What any text may have around it.
fn around() -> impl Strategy<Value = String> {
    let words = [
        "level=info",
        "a: b",
        "{",
        "}",
        "\"",
        "'",
        "[",
        "]",
        ",",
        " ",
        "\t",
        "é",
        "=",
        "://",
        "@",
        "time",
        "\\",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..6)
        .prop_map(|words| words.join(" "))
}

/// Words that have something of a secret's form, and none of which is one or comes before one.
const INNOCENT: &[&str] = &[
    "the",
    "passed",
    "pass-through:",
    "bypass=on",
    "token",
    "tokenizer:",
    "secretName:",
    "secrets",
    "keys:",
    "key.pem",
    "author:",
    "authorizer=Node",
    "bearers",
    "proxy",
    "NO_PROXY=.svc",
    "credentials.go:12]",
    "https://host:6443/path",
    "name:",
    "value:",
    "pwd.",
    "10.0.0.1:6443",
    "kube-master.18a3f2b4c5d6e7f8",
    "abcdef.0123456789abcde",
    "abcdef.0123456789abcdefg",
    "registry.k8s.io/pause:3.10",
    "eyJ",
    "ghp_",
    "--secure-port",
    "--token-ttl=0",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn secrets_go_whatever_is_around(before in around(), after in around(), secret in secret(), form in 0_usize..16) {
        let lower = secret.to_ascii_lowercase();
        let planted = match form {
            0 => format!("password={secret}"),
            1 => format!("http://user:{secret}@proxy:3128/"),
            2 => format!("HTTPS_PROXY=http://user:a/{secret}@proxy:3128"),
            3 => format!("Authorization: Bearer {secret}"),
            4 => format!("--token {secret}"),
            5 => format!("client-key-data: {secret}"),
            6 => format!("eyJhbGciOiJ{secret}.{secret}.{secret}"),
            7 => format!("\"token\":\"{secret}\""),
            8 => format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----"),
            9 => format!("abcdef.{lower:0<16.16}"),
            10 => format!("- name: A_SECRET\n  value: {secret}"),
            12 => format!("- --password\n- {secret}"),
            13 => format!("  \"--password\",\n  \"{secret}\""),
            14 => format!("MYSQL_PWD={secret}"),
            15 => format!("\"--db-pass\",\"{secret}\""),
            _ => STANDARD_NO_PAD.encode(format!("{lower}-----BEGIN RSA PRIVATE KEY-----\n{secret}")),
        };
        let (first, secret) = match form {
            // Two lines that belong together: nothing else stands on them.
            10 | 12 | 13 => (planted.clone(), secret),
            9 => (format!("{before} {planted} {after}"), format!("{lower:0<16.16}")),
            11 => (format!("{before} {planted} {after}"), planted[planted.len() - 12..].to_owned()),
            _ => (format!("{before} {planted} {after}"), secret),
        };
        let clean = redacted(&first);
        prop_assert!(!clean.contains(&secret), "{}\n{}", first, clean);
        prop_assert_eq!(redacted(&clean), clean);
    }

    #[test]
    fn any_bytes_pass_and_once_is_enough(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6)) {
        let (mut first, mut second) = (Redactor::default(), Redactor::default());
        for line in &lines {
            if let Some(once) = first.line(line) {
                let again = second.line(&once);
                prop_assert_eq!(again.as_deref(), Some(&*once));
            }
        }
    }

    #[test]
    fn words_are_left_alone(words in prop::collection::vec(prop::sample::select(INNOCENT), 0..12)) {
        let words = words.join(" ");
        prop_assert_eq!(redacted(&words), if words.is_empty() { String::new() } else { format!("{words}\n") });
    }
}
