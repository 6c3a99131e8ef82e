//! What ginkgo's report tells of the tests that failed. PURE.

use serde::Deserialize;

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its whole name.
    pub name: String,
    /// The first lines of why.
    pub message: String,
    /// File and line.
    pub place: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    #[serde(default)]
    spec_reports: Option<Vec<Spec>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    #[serde(default)]
    leaf_node_text: String,
    #[serde(default)]
    leaf_node_type: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    failure: Option<Reason>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reason {
    #[serde(default)]
    message: String,
    location: Option<Location>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    #[serde(default)]
    file_name: String,
    #[serde(default)]
    line_number: u64,
}

/// How many lines of a message are told: the rest is in the report.
const TOLD: usize = 6;

/// The failures in a report as ginkgo writes it.
pub fn failures(report: &[u8]) -> Result<Vec<Failure>, serde_json::Error> {
    let suites: Vec<Suite> = serde_json::from_slice(report)?;
    let specs = suites
        .into_iter()
        .flat_map(|suite| suite.spec_reports.unwrap_or_default());
    let failed =
        specs.filter(|spec| !matches!(spec.state.as_str(), "passed" | "skipped" | "pending" | ""));
    Ok(failed
        .map(|spec| {
            let mut words = spec.container_hierarchy_texts.unwrap_or_default();
            words.push(spec.leaf_node_text);
            let name = words.join(" ").trim().to_owned();
            let reason = spec.failure.unwrap_or(Reason {
                message: spec.state,
                location: None,
            });
            let lines: Vec<&str> = reason
                .message
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect();
            let mut message = lines[..lines.len().min(TOLD)].join("\n");
            if lines.len() > TOLD {
                message.push_str("\n...");
            }
            Failure {
                name: if name.is_empty() {
                    format!("[{}]", spec.leaf_node_type)
                } else {
                    name
                },
                message,
                place: reason
                    .location
                    .map(|location| format!("{}:{}", location.file_name, location.line_number))
                    .unwrap_or_default(),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_with_message_and_place() {
        let report = serde_json::json!([{ "SpecReports": [
            { "ContainerHierarchyTexts": ["[sig-network] Services"], "LeafNodeText": "should serve", "LeafNodeType": "It",
              "State": "failed", "Failure": { "Message": "1\n2\n\n3\n4\n5\n6\n7",
              "Location": { "FileName": "test/e2e/network/service.go", "LineNumber": 769 } } },
            { "ContainerHierarchyTexts": null, "LeafNodeText": "", "LeafNodeType": "SynchronizedBeforeSuite", "State": "timedout" },
            { "LeafNodeText": "fine", "State": "passed" },
            { "LeafNodeText": "other", "State": "skipped" },
        ]}]);
        let found = failures(report.to_string().as_bytes()).unwrap();
        assert_eq!(
            found,
            [
                Failure {
                    name: "[sig-network] Services should serve".to_owned(),
                    message: "1\n2\n3\n4\n5\n6\n...".to_owned(),
                    place: "test/e2e/network/service.go:769".to_owned(),
                },
                Failure {
                    name: "[SynchronizedBeforeSuite]".to_owned(),
                    message: "timedout".to_owned(),
                    place: String::new(),
                },
            ]
        );
        assert!(failures(b"{").is_err());
    }
}
