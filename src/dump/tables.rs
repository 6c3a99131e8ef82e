//! Tables for people, of what the API server says. PURE.

use serde_json::Value;
use std::fmt::Write as _;

/// Rows with their columns under each other.
fn columns(rows: &[&[String]]) -> String {
    let count = rows.iter().map(|row| row.len()).max().unwrap_or(0);
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

/// So many rows are held.
const MOST: usize = 20_000;

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A `Table` as the API server gives it, with each object's namespace before it.
#[derive(Debug, Default)]
pub struct Table {
    header: Vec<String>,
    /// Namespace and cells.
    rows: Vec<Vec<String>>,
    /// How many rows were too many.
    pub left_out: usize,
}

impl Table {
    /// Takes the next page of it.
    pub fn take(&mut self, page: &Value) {
        if self.header.is_empty() {
            let names = list(&page["columnDefinitions"]).map(|column| &column["name"]);
            self.header = names.map(|name| cell(name).to_uppercase()).collect();
        }
        for row in list(&page["rows"]) {
            if self.rows.len() == MOST {
                self.left_out += 1;
                continue;
            }
            let namespace = cell(&row["object"]["metadata"]["namespace"]);
            let cells = list(&row["cells"]).map(cell);
            self.rows
                .push([namespace].into_iter().chain(cells).collect());
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        let has_any = self.rows.iter().any(|row| !row[0].is_empty());
        let from = usize::from(!has_any);
        let header = ["NAMESPACE".to_owned()]
            .into_iter()
            .chain(self.header.iter().cloned());
        let header: Vec<String> = header.collect();
        let all = [&header].into_iter().chain(&self.rows);
        columns(&all.map(|row| &row[from..]).collect::<Vec<_>>())
    }
}

/// Events in the order in which they last happened.
#[derive(Debug, Default)]
pub struct Events {
    rows: Vec<Vec<String>>,
    /// How many were too many: the oldest.
    pub left_out: usize,
}

impl Events {
    /// Takes the next page of them.
    pub fn take(&mut self, page: &Value) {
        self.rows.extend(list(&page["items"]).map(row));
        let over = self.rows.len().saturating_sub(MOST);
        if over > 0 {
            self.rows.sort();
            self.rows.drain(..over);
            self.left_out += over;
        }
    }

    /// As text.
    pub fn text(&mut self) -> String {
        self.rows.sort();
        let header = ["LAST SEEN", "COUNT", "TYPE", "REASON", "OBJECT", "MESSAGE"];
        let header = header.map(str::to_owned);
        let rows = self.rows.iter().map(Vec::as_slice);
        columns(&[&header[..]].into_iter().chain(rows).collect::<Vec<_>>())
    }
}

fn row(event: &Value) -> Vec<String> {
    let times = ["lastTimestamp", "eventTime", "firstTimestamp"].map(|name| cell(&event[name]));
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(pages: &[Value]) -> String {
        let mut table = Table::default();
        for page in pages {
            table.take(page);
        }
        table.text()
    }

    fn events(all: &[Value]) -> String {
        let mut events = Events::default();
        for event in all {
            events.take(&json!({ "items": [event] }));
        }
        events.text()
    }

    #[test]
    fn tables_are_for_people() {
        let pages = [
            json!({
                "columnDefinitions": [{ "name": "Name" }, { "name": "Ready" }, { "name": "Age" }],
                "rows": [{ "cells": ["web-0", "1/1", "5m"], "object": { "metadata": { "namespace": "default" } } }],
            }),
            json!({
                "columnDefinitions": [],
                "rows": [{ "cells": ["coredns", null, 7], "object": { "metadata": { "namespace": "kube-system" } } }],
            }),
        ];
        insta::assert_snapshot!(table(&pages), @r"
        NAMESPACE    NAME     READY  AGE
        default      web-0    1/1    5m
        kube-system  coredns         7
        ");
        assert_eq!(table(&[json!({})]), "\n");
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

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let event = |number: usize| json!({ "lastTimestamp": format!("{number:06}") });
        let page = |from: usize| json!({ "items": (from..from + 500).rev().map(event).collect::<Vec<_>>() });
        let mut events = Events::default();
        for from in (0..MOST + 1000).step_by(500) {
            events.take(&page(from));
        }
        assert_eq!((events.rows.len(), events.left_out), (MOST, 1000));
        let text = events.text();
        assert!(text.contains("\n001000") && !text.contains("\n000999"));
        let mut table = Table::default();
        table.take(&json!({ "rows": vec![json!({ "cells": ["x"] }); MOST + 2] }));
        assert_eq!((table.rows.len(), table.left_out), (MOST, 2));
    }
}
