//! The file as values that know their place.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::path::{KeyPath, Segment};
use super::rule::Aim;

/// Bytes of the file, from and to.
pub(super) type Span = Range<usize>;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Text(String),
    /// `None` if it does not fit into 64 bits.
    Whole(Option<i64>),
    Fraction(f64),
    Truth(bool),
    Moment,
    List(Vec<Node>),
    Table(Vec<Member>),
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

impl Member {
    fn aim(&self, aim: Aim) -> Span {
        match (aim, &self.value.content) {
            (Aim::Key, _) | (_, Content::Table(_)) => self.key_span.clone(),
            (Aim::Value, _) => self.value.span.clone(),
        }
    }
}

/// What is not TOML, in the parser's words.
#[derive(Clone, Debug)]
pub(super) struct SyntaxError {
    pub(super) span: Span,
    pub(super) message: String,
}

impl SyntaxError {
    /// The parser keeps the first value and goes on, so the rest of the file is as good as without it.
    pub(super) fn is_duplicate(&self) -> bool {
        self.message == "duplicate key"
    }
}

/// Reads as much as can be read.
pub(super) fn read(text: &str) -> (Node, Vec<SyntaxError>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let end = text.len();
    let errors = errors
        .into_iter()
        .map(|error| SyntaxError { span: error.span().unwrap_or(end..end), message: error.message().to_owned() });
    let root = Node { span: 0..0, content: Content::Table(members(table.get_ref())) };
    (root, errors.collect())
}

fn members(table: &DeTable<'_>) -> Vec<Member> {
    let member = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        Member { key: name.to_string(), key_span: key.span(), value: node(value) }
    };
    table.iter().map(member).collect()
}

fn node(value: &toml::Spanned<DeValue<'_>>) -> Node {
    let content = match value.get_ref() {
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Integer(number) => Content::Whole(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(number) => Content::Fraction(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Content::Truth(*truth),
        DeValue::Datetime(_) => Content::Moment,
        DeValue::Array(items) => Content::List(items.iter().map(node).collect()),
        DeValue::Table(table) => Content::Table(members(table)),
    };
    Node { span: value.span(), content }
}

impl Node {
    /// The place of `path`, or of the last value on the way to it. A table is shown by its key.
    pub(super) fn place(&self, path: &KeyPath, aim: Aim) -> Span {
        let (mut node, mut span) = (self, self.span.clone());
        for segment in &path.0 {
            let next = match (segment, &node.content) {
                (Segment::Key(key), Content::Table(members)) => {
                    members.iter().find(|member| member.key == *key).map(|member| (&member.value, member.aim(aim)))
                }
                (Segment::Index(index), Content::List(items)) => {
                    items.get(*index).map(|item| (item, item.span.clone()))
                }
                _ => None,
            };
            let Some(found) = next else { break };
            (node, span) = found;
        }
        span
    }

    /// Calls `visit` with each member of each table, outermost first.
    pub(super) fn visit<'n>(&'n self, path: &KeyPath, visit: &mut impl FnMut(&KeyPath, &'n Member)) {
        match &self.content {
            Content::Table(members) => {
                for member in members {
                    let path = path.at(member.key.as_str());
                    visit(&path, member);
                    member.value.visit(&path, visit);
                }
            }
            Content::List(items) => {
                items.iter().enumerate().for_each(|(at, item)| item.visit(&path.at(at), visit));
            }
            _ => {}
        }
    }
}
