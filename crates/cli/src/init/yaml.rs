//! The part of YAML that people write app specs and Compose files in: maps, lists, scalars, by indentation.
//!
//! Anchors are left out; aliases and tags are read as plain text and never asked for. A file that is written in another way gives
//! fewer findings, never a wrong one that goes unseen: each finding names the file that it came from.

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// A scalar; empty for a key without a value.
    Text(String),
    /// `- …` items.
    List(Vec<Node>),
    /// `key: …` entries in order.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Parses a document.
    pub(crate) fn parse(text: &str) -> Self {
        let lines: Vec<Line> = text.lines().filter_map(Line::of).collect();
        let mut at = 0;
        block(&lines, &mut at, 0)
    }

    /// The value of `key` of a map.
    pub(crate) fn entry(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The value at a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.entry(key))
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        if let Self::Map(entries) = self { entries } else { &[] }
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// The text of a scalar that is not empty.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text.as_str()).filter(|text| !text.is_empty()) } else { None }
    }

    /// A whole number.
    pub(crate) fn number<N: std::str::FromStr>(&self) -> Option<N> {
        self.text()?.parse().ok()
    }
}

struct Line {
    indent: usize,
    text: String,
}

impl Line {
    fn of(line: &str) -> Option<Self> {
        let text = without_comment(line).trim_end();
        let indent = text.len() - text.trim_start().len();
        let text = text.trim_start();
        (!text.is_empty() && text != "---").then(|| Self { indent, text: text.to_owned() })
    }
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return &line[..at],
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    line
}

/// A scalar, or a list or a map on one line: `[a, "b"]`, `{ a: b }`.
fn scalar(text: &str) -> Node {
    let text = text.trim();
    let within = |open, close| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(inner) = within('[', ']') {
        return Node::List(parts(inner).into_iter().map(scalar).collect());
    }
    if let Some(inner) = within('{', '}') {
        let entry = |part| key_of(part).map(|(key, rest)| (key, scalar(rest)));
        return Node::Map(parts(inner).into_iter().filter_map(entry).collect());
    }
    let plain = match text.as_bytes() {
        [b'"', .., b'"'] => serde_json::from_str(text).unwrap_or_else(|_| text[1..text.len() - 1].to_owned()),
        [b'\'', .., b'\''] => text[1..text.len() - 1].replace("''", "'"),
        _ => text.to_owned(),
    };
    Node::Text(plain)
}

/// What stands between the commas of a line that are in no quotes and no brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut quote, mut from, mut found) = (0_usize, None, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                found.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[from..]);
    found.retain(|part| !part.trim().is_empty());
    found
}

/// `key: rest`, if the line is one.
fn key_of(text: &str) -> Option<(String, &str)> {
    let text = text.trim();
    let (key, rest) = text.split_once(": ").or_else(|| text.strip_suffix(':').map(|key| (key, "")))?;
    let quoted = |quote| key.len() > 2 && key.starts_with(quote) && key.ends_with(quote);
    let plain = !key.starts_with(['{', '[', '-', '"', '\'']) || quoted('"') || quoted('\'');
    plain.then(|| (key.trim().trim_matches(['"', '\'']).to_owned(), without_anchor(rest.trim())))
}

/// `&name` in front of a value names it for elsewhere.
fn without_anchor(text: &str) -> &str {
    let Some(rest) = text.strip_prefix('&') else { return text };
    rest.split_once(char::is_whitespace).map_or("", |(_, value)| value.trim_start())
}

/// A value that goes on in the lines below: deeper ones, and those up to the bracket that closes it.
fn continued(lines: &[Line], at: &mut usize, indent: usize, first: &str) -> String {
    let open = |text: &str| {
        let count = |brackets: [char; 2]| text.chars().filter(|c| brackets.contains(c)).count();
        text.starts_with(['[', '{']) && count(['[', '{']) > count([']', '}'])
    };
    let mut text = first.to_owned();
    while let Some(line) = lines.get(*at).filter(|line| line.indent > indent || (line.indent == indent && open(&text)))
    {
        text.push(' ');
        text.push_str(&line.text);
        *at += 1;
    }
    text
}

fn block(lines: &[Line], at: &mut usize, least: usize) -> Node {
    let Some(first) = lines.get(*at).filter(|line| line.indent >= least) else { return Node::Text(String::new()) };
    let indent = first.indent;
    if first.text == "-" || first.text.starts_with("- ") {
        list(lines, at, indent)
    } else if key_of(&first.text).is_some() {
        map(lines, at, indent)
    } else {
        let text = without_anchor(&first.text).to_owned();
        *at += 1;
        // The lines of a text that has no line of its own beside its key stand as deep as the first.
        let above = if least > 0 { least - 1 } else { indent };
        scalar(&continued(lines, at, above, &text))
    }
}

fn list(lines: &[Line], at: &mut usize, indent: usize) -> Node {
    let mut items = Vec::new();
    while let Some(line) = lines.get(*at).filter(|line| line.indent == indent && line.text.starts_with('-')) {
        let rest = line.text[1..].trim_start();
        let inner_indent = indent + line.text.len() - rest.len();
        if rest.is_empty() {
            *at += 1;
            items.push(block(lines, at, indent + 1));
        } else if key_of(rest).is_some() {
            // The item's first key stands behind the dash; its others stand below it, as deep as the first one.
            let mut inner = vec![Line { indent: inner_indent, text: rest.to_owned() }];
            *at += 1;
            while let Some(line) = lines.get(*at).filter(|line| line.indent > indent) {
                inner.push(Line { indent: line.indent, text: line.text.clone() });
                *at += 1;
            }
            items.push(block(&inner, &mut 0, 0));
        } else {
            *at += 1;
            items.push(scalar(&continued(lines, at, indent, rest)));
        }
    }
    Node::List(items)
}

fn map(lines: &[Line], at: &mut usize, indent: usize) -> Node {
    let mut entries = Vec::new();
    while let Some(line) = lines.get(*at).filter(|line| line.indent == indent) {
        let Some((key, rest)) = key_of(&line.text) else { break };
        *at += 1;
        let value = match rest {
            "" => {
                // A list may stand as deep as its key.
                let is_list = lines.get(*at).is_some_and(|next| next.indent == indent && next.text.starts_with("- "));
                block(lines, at, if is_list { indent } else { indent + 1 })
            }
            "|" | ">" | "|-" | ">-" => {
                let from = *at;
                skip_deeper(lines, at, indent);
                Node::Text(lines[from..*at].iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n"))
            }
            rest => scalar(&continued(lines, at, indent, rest)),
        };
        entries.push((key, value));
    }
    skip_deeper(lines, at, indent);
    Node::Map(entries)
}

fn skip_deeper(lines: &[Line], at: &mut usize, indent: usize) {
    while lines.get(*at).is_some_and(|line| line.indent > indent) {
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = r#"
name: odoobo-skill-pr-review # the app
region: sgp
services:
  - name: pr-review
    github:
      branch: skill/pr-review
      deploy_on_push: true
    http_port: 8080
    run_command: "uvicorn main:app --host 0.0.0.0 --port 8080"
    health_check:
      http_path: /health
      initial_delay_seconds: 30
    envs:
    - key: GITHUB_TOKEN
      type: SECRET
    - key: MODE
      value: 'a # b'
  - name: second
    ports: ["80:8080", 9000]
"#;

    #[test]
    fn an_app_spec_is_read() {
        let node = Node::parse(SPEC);
        assert_eq!(node.entry("name").and_then(Node::text), Some("odoobo-skill-pr-review"));
        let services = node.entry("services").expect("services").items();
        assert_eq!(services.len(), 2);
        assert_eq!(services[0].at(&["github", "branch"]).and_then(Node::text), Some("skill/pr-review"));
        assert_eq!(services[0].entry("http_port").and_then(Node::number), Some(8080_u16));
        assert_eq!(services[0].at(&["health_check", "initial_delay_seconds"]).and_then(Node::number), Some(30_u32));
        let envs = services[0].entry("envs").expect("envs").items();
        assert_eq!(envs[1].entry("value").and_then(Node::text), Some("a # b"));
        let ports = services[1].entry("ports").expect("ports").items();
        assert_eq!(ports.iter().filter_map(Node::text).collect::<Vec<_>>(), ["80:8080", "9000"]);
    }

    #[test]
    fn values_on_one_line_and_on_many_are_read_alike() {
        let node = Node::parse(
            "x-all: &all\n  restart: always\nweb:\n  build: { context: ./web, args: {A: 'b, c'} }\n  command: [\"sh\", \"-c\", 'a, b']\n\
             many: [\n  one,\n  \"two: 2\"\n]\nplain:\n  serve\n  --port 80\nfolded: serve\n  --port 80\nitems:\n  - \"key: x\"\n  - a\n    b\n",
        );
        let text = |path: &[&str]| node.at(path).and_then(Node::text).map(str::to_owned);
        let items = |key: &str| -> Vec<String> {
            let items = node.at(&[key]).or_else(|| node.at(&["web", key])).map(Node::items).unwrap_or_default();
            items.iter().filter_map(Node::text).map(str::to_owned).collect()
        };
        assert_eq!(text(&["x-all", "restart"]).as_deref(), Some("always"));
        assert_eq!(text(&["web", "build", "context"]).as_deref(), Some("./web"));
        assert_eq!(text(&["web", "build", "args", "A"]).as_deref(), Some("b, c"));
        assert_eq!(items("command"), ["sh", "-c", "a, b"]);
        assert_eq!(items("many"), ["one", "two: 2"]);
        assert_eq!(text(&["plain"]).as_deref(), Some("serve --port 80"));
        assert_eq!(text(&["folded"]).as_deref(), Some("serve --port 80"));
        assert_eq!(items("items"), ["key: x", "a b"]);
    }

    #[test]
    fn what_is_no_yaml_ends_and_says_nothing() {
        for text in
            ["", "- \n-", "::::", "a:\n b\n  c: d\n e", "- - a\n  - b", "{a: b}", "\tx:\n\t- y", "a: |\n  x: y\nb: c"]
        {
            let _ = Node::parse(text);
        }
        assert_eq!(Node::parse("a: |\n  x: y\nb: c").entry("b").and_then(Node::text), Some("c"));
    }
}
