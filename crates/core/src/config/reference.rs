//! The page that describes every key.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::keys::{KeyDescription, Table, tables};

/// Markdown documentation of every key: shape, default, description and example, from the types.
pub fn reference() -> String {
    let mut out = String::from(
        "# `pleach.toml`\n\n\
         The file stands at the root of the repository. This page is made from the types that read it. An editor that knows\n\
         JSON Schema checks the file while you type: `crates/core/schema/pleach.schema.json`.\n\n\
         `NAME` stands for a name that you choose: ASCII letters, digits, `-`, `_` and `.`, at most 63, a letter or digit\n\
         in front. A length of time is written `250ms`, `30s`, `5m`, `1h 30m`.\n",
    );
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for table in tables() {
        section(&mut out, &table, &mut seen);
    }
    out
}

fn section(out: &mut String, table: &Table, seen: &mut BTreeMap<String, String>) {
    let title = if table.key.is_empty() { "At the top".to_owned() } else { format!("`{}`", table.key) };
    let known = (!table.of.is_empty()).then(|| seen.get(&table.of)).flatten();
    if let Some(first) = known {
        // Tables inside of it are the same as well, and say so in the same way.
        let _ = writeln!(out, "\n## {title}\n\nKeys as in `{first}`.");
        return;
    }
    seen.insert(table.of.clone(), table.key.clone());
    let _ = writeln!(out, "\n## {title}\n\n{}", table.description);
    table.keys.iter().for_each(|key| entry(out, key));
}

fn entry(out: &mut String, key: &KeyDescription) {
    let name = key.key.rsplit('.').next().unwrap_or_default();
    let need = match (&key.default, key.required) {
        (_, true) => ", required".to_owned(),
        (Some(default), false) => format!(", `{default}` if absent"),
        (None, false) => ", optional".to_owned(),
    };
    let _ = writeln!(out, "\n### `{name}`\n\n*{}{need}*\n\n{}", key.shape, key.description);
    let _ = writeln!(out, "\n```toml\n{name} = {}\n```", key.example);
}
