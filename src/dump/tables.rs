//! Tables for people, of what the API server says. PURE.

use serde_json::Value;
use std::fmt::Write as _;

/// Rows with their columns under each other.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\n', " "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A `Table` as the API server gives it, with each object's namespace before it.
pub fn table(found: &Value) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut header: Vec<String> = list(&found["columnDefinitions"])
        .iter()
        .map(|column| cell(&column["name"]).to_uppercase())
        .collect();
    let rows = list(&found["rows"]);
    let namespaces: Vec<&str> = rows
        .iter()
        .map(|row| {
            row["object"]["metadata"]["namespace"]
                .as_str()
                .unwrap_or_default()
        })
        .collect();
    let has_any = namespaces.iter().any(|namespace| !namespace.is_empty());
    if has_any {
        header.insert(0, "NAMESPACE".to_owned());
    }
    let mut all = vec![header];
    for (row, namespace) in rows.iter().zip(&namespaces) {
        let mut cells: Vec<String> = list(&row["cells"]).iter().map(cell).collect();
        if has_any {
            cells.insert(0, (*namespace).to_owned());
        }
        all.push(cells);
    }
    columns(&all)
}

/// Events in the order in which they last happened.
pub fn events(all: &[Value]) -> String {
    let mut rows: Vec<Vec<String>> = all
        .iter()
        .map(|event| {
            let times =
                ["lastTimestamp", "eventTime", "firstTimestamp"].map(|name| cell(&event[name]));
            let time = times
                .into_iter()
                .find(|time| !time.is_empty())
                .unwrap_or_default();
            let object = &event["involvedObject"];
            let name = [&object["namespace"], &object["kind"], &object["name"]].map(cell);
            vec![
                time,
                cell(&event["count"]),
                cell(&event["type"]),
                cell(&event["reason"]),
                name.into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join("/"),
                cell(&event["message"]),
            ]
        })
        .collect();
    rows.sort();
    let header = ["LAST SEEN", "COUNT", "TYPE", "REASON", "OBJECT", "MESSAGE"];
    rows.insert(0, header.map(str::to_owned).to_vec());
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_are_for_people() {
        let found = json!({
            "columnDefinitions": [{ "name": "Name" }, { "name": "Ready" }, { "name": "Age" }],
            "rows": [
                { "cells": ["web-0", "1/1", "5m"], "object": { "metadata": { "namespace": "default" } } },
                { "cells": ["coredns", null, 7], "object": { "metadata": { "namespace": "kube-system" } } },
            ],
        });
        insta::assert_snapshot!(table(&found), @r"
        NAMESPACE    NAME     READY  AGE
        default      web-0    1/1    5m
        kube-system  coredns         7
        ");
        assert_eq!(table(&json!({})), "\n");
    }

    #[test]
    fn events_are_in_their_order() {
        let event = |time: &str, reason: &str| {
            json!({
                "lastTimestamp": time, "count": 2, "type": "Warning", "reason": reason, "message": "it\nfailed",
                "involvedObject": { "kind": "Pod", "namespace": "default", "name": "web-0" },
            })
        };
        let mut first = event("", "First");
        first["lastTimestamp"] = Value::Null;
        first["eventTime"] = "2026-11-21T15:00:00.000001Z".into();
        insta::assert_snapshot!(events(&[event("2026-11-21T15:01:00Z", "Second"), first]), @r"
        LAST SEEN                    COUNT  TYPE     REASON  OBJECT             MESSAGE
        2026-11-21T15:00:00.000001Z  2      Warning  First   default/Pod/web-0  it failed
        2026-11-21T15:01:00Z         2      Warning  Second  default/Pod/web-0  it failed
        ");
    }
}
