//! The file's values against the schema: every violation, and the value that is left when they are taken out.
//!
//! Understands what the schema of [`super::schema()`] is made of; a test holds that it is made of nothing else.

use serde_json::{Map, Value};

use super::leaf;
use super::mask::is_sensitive;
use super::nearest::nearest;
use super::path::KeyPath;
use super::schema::{alternatives, expectation, fixed_values, resolve, tag};
use super::tree::{Content, Member, Node, Span};

/// Something that the schema or a rule does not allow.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) path: KeyPath,
    pub(super) span: Span,
    pub(super) what: String,
    pub(super) expected: Option<String>,
    pub(super) nearest: Option<String>,
    /// Something that is not there, as opposed to something wrong that is.
    pub(super) missing: bool,
}

/// All faults of `root`, and what of it fits the schema. Required values that do not fit are replaced by examples.
pub(super) fn validate(root: &Node, schema: &Value) -> (Value, Vec<Fault>) {
    let mut validator = Validator { schema, faults: Vec::new() };
    let place = Place { path: KeyPath::top(), key_span: 0..0 };
    let value = validator.value(root, schema, &place).unwrap_or_default();
    (value, validator.faults)
}

struct Validator<'s> {
    schema: &'s Value,
    faults: Vec<Fault>,
}

struct Place {
    path: KeyPath,
    /// What a fault of a whole table points at.
    key_span: Span,
}

impl<'s> Validator<'s> {
    fn value(&mut self, node: &Node, schema: &'s Value, place: &Place) -> Option<Value> {
        let whole = resolve(self.schema, schema);
        if let Some(values) = fixed_values(whole) {
            return self.choice(node, whole, &values, place);
        }
        let branches = alternatives(whole);
        let fits = |branch: &&Value| takes(resolve(self.schema, branch), node);
        let Some(schema) = branches.iter().copied().find(fits) else {
            self.mistyped(node, whole, place);
            return None;
        };
        let schema = resolve(self.schema, schema);
        if let Some(values) = fixed_values(schema) {
            return self.choice(node, whole, &values, place);
        }
        match &node.content {
            Content::Table(members) => self.table(node, members, schema, place),
            Content::List(items) => self.list(node, items, schema, place),
            _ => match leaf::check(&node.content, schema) {
                Ok(value) => Some(value),
                Err(wrong) => {
                    // What is wrong may quote the value.
                    let what = if is_sensitive(&place.path) { "this value does not fit".to_owned() } else { wrong };
                    let expected = Some(expectation(self.schema, whole));
                    self.fault(&place.path, node.span.clone(), what, expected);
                    None
                }
            },
        }
    }

    fn fault(&mut self, path: &KeyPath, span: Span, what: String, expected: Option<String>) {
        self.faults.push(Fault { path: path.clone(), span, what, expected, nearest: None, missing: false });
    }

    fn mistyped(&mut self, node: &Node, schema: &Value, place: &Place) {
        let name = place.path.0.last().map(|_| format!("`{}` ", place.path.tail())).unwrap_or_default();
        let what = format!("{name}is {}", leaf::kind(&node.content));
        let expected = Some(expectation(self.schema, schema));
        let span = if matches!(node.content, Content::Table(_)) { &place.key_span } else { &node.span };
        self.fault(&place.path, span.clone(), what, expected);
        if !is_sensitive(&place.path) {
            self.suggest(leaf::retyped(&node.content, schema).as_deref());
        }
    }

    fn choice(&mut self, node: &Node, schema: &Value, values: &[&str], place: &Place) -> Option<Value> {
        let Content::Text(text) = &node.content else {
            self.mistyped(node, schema, place);
            return None;
        };
        if values.contains(&text.as_str()) {
            return Some(Value::String(text.clone()));
        }
        let what =
            if is_sensitive(&place.path) { "unknown value".to_owned() } else { format!("unknown value `{text}`") };
        self.fault(&place.path, node.span.clone(), what, Some(one_of(values)));
        self.suggest(nearest(text, values.iter().copied()));
        None
    }

    fn suggest(&mut self, name: Option<&str>) {
        if let Some(fault) = self.faults.last_mut() {
            fault.nearest = name.map(str::to_owned);
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &'s Value, place: &Place) -> Option<Value> {
        if (items.len() as u64) < schema["minItems"].as_u64().unwrap_or_default() {
            let what = format!("`{}` is empty", place.path.tail());
            self.fault(&place.path, node.span.clone(), what, Some(expectation(self.schema, schema)));
            return None;
        }
        let mut values = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let place = Place { path: place.path.at(at), key_span: item.span.clone() };
            values.extend(self.value(item, &schema["items"], &place));
        }
        Some(Value::Array(values))
    }

    fn table(&mut self, node: &Node, members: &[Member], schema: &'s Value, place: &Place) -> Option<Value> {
        let schema = match tag(schema) {
            Some((tag, variants)) => self.variant(node, members, tag, &variants, place)?,
            None => schema,
        };
        let mut table = Map::new();
        for member in members {
            let path = place.path.at(member.key.as_str());
            let property = &schema["properties"][&member.key];
            let Some(property) = (if property.is_null() { self.open(schema, member, &path) } else { Some(property) })
            else {
                self.unknown_key(members, schema, member, &path);
                continue;
            };
            if property.is_null() {
                continue;
            }
            let place = Place { path, key_span: member.key_span.clone() };
            if let Some(value) = self.value(&member.value, property, &place) {
                table.insert(member.key.clone(), value);
            }
        }
        self.require(node, members, schema, place, &mut table);
        Some(Value::Object(table))
    }

    /// The schema of a key that the user chooses; null if the key is no name, `None` if the table has no such keys.
    fn open(&mut self, schema: &'s Value, member: &Member, path: &KeyPath) -> Option<&'s Value> {
        if schema["additionalProperties"].is_object() {
            return Some(&schema["additionalProperties"]);
        }
        let (pattern, inner) = schema["patternProperties"].as_object()?.iter().next()?;
        match leaf::fits_pattern(pattern, &member.key) {
            Ok(()) => Some(inner),
            Err(wrong) => {
                self.fault(path, member.key_span.clone(), wrong, None);
                Some(&Value::Null)
            }
        }
    }

    fn unknown_key(&mut self, members: &[Member], schema: &Value, member: &Member, path: &KeyPath) {
        let present = |key: &&str| !members.iter().any(|member| member.key == *key);
        let free: Vec<&str> = keys(schema).filter(present).collect();
        // A key that is right one table further in is not a slip of another one.
        let inner =
            |key: &&&str| keys(resolve(self.schema, &schema["properties"][*key])).any(|inner| inner == member.key);
        let moved = free.iter().find(inner).map(|key| format!("{key}.{}", member.key));
        let near = moved.as_deref().or_else(|| nearest(&member.key, free.iter().copied()));
        // With a name at hand the list of all would only hide it.
        let expected = match (near, free.is_empty()) {
            (Some(_), _) => None,
            (None, true) => Some("expected no further key".to_owned()),
            (None, false) => Some(one_of(&free)),
        };
        self.fault(path, member.key_span.clone(), format!("unknown key `{}`", member.key), expected);
        self.suggest(near);
    }

    fn require(
        &mut self,
        node: &Node,
        members: &[Member],
        schema: &'s Value,
        place: &Place,
        table: &mut Map<String, Value>,
    ) {
        let wrong_already = |faults: &[Fault], key: &str| faults.iter().any(|fault| fault.path == place.path.at(key));
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if table.contains_key(key) {
                continue;
            }
            let slipped = |fault: &Fault| {
                fault.nearest.as_deref() == Some(key)
                    && fault.path.0.split_last().is_some_and(|(_, of)| of == place.path.0)
            };
            let told = wrong_already(&self.faults, key) || self.faults.iter().any(slipped);
            if !members.iter().any(|member| member.key == key) && !told {
                let expected = expectation(self.schema, &schema["properties"][key]);
                self.missing(node, place, format!("key `{key}` is missing"), Some(expected));
                self.faults.iter_mut().rev().take(1).for_each(|fault| fault.path = place.path.at(key));
            }
            table.insert(key.to_owned(), example(self.schema, &schema["properties"][key]));
        }
        let Some(either) = either(schema) else { return };
        let present: Vec<&&str> =
            either.iter().filter(|key| members.iter().any(|member| member.key == ***key)).collect();
        let names = either.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(" and ");
        match present.as_slice() {
            [] => {
                let slipped = |fault: &Fault| {
                    let near = fault.nearest.as_deref().unwrap_or_default();
                    fault.path.0.split_last().is_some_and(|(_, of)| of == place.path.0)
                        && either.iter().any(|key| near.split('.').next() == Some(*key))
                };
                if !self.faults.iter().any(slipped) {
                    self.missing(node, place, format!("one of {names} is missing"), None);
                }
                table.insert(either[0].to_owned(), example(self.schema, &schema["properties"][either[0]]));
            }
            [one] => {
                if !table.contains_key(**one) {
                    table.insert((**one).to_owned(), example(self.schema, &schema["properties"][**one]));
                }
            }
            [_, surplus, ..] => {
                let span = members.iter().find(|member| member.key == ***surplus).map(|member| member.key_span.clone());
                let what = format!("{names} exclude each other");
                self.fault(
                    &place.path.at(**surplus),
                    span.unwrap_or_default(),
                    what,
                    Some("expected one of them".into()),
                );
                present[1..].iter().for_each(|key| drop(table.remove(**key)));
            }
        }
    }

    fn missing(&mut self, node: &Node, place: &Place, what: String, expected: Option<String>) {
        let span = if node.span.is_empty() { &place.key_span } else { &node.span };
        self.fault(&place.path, span.clone(), what, expected);
        self.faults.iter_mut().rev().take(1).for_each(|fault| fault.missing = true);
    }

    /// Which of the variants the table's tag names.
    fn variant(
        &mut self,
        node: &Node,
        members: &[Member],
        tag: &str,
        variants: &[(&'s str, &'s Value)],
        place: &Place,
    ) -> Option<&'s Value> {
        let names: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
        let Some(member) = members.iter().find(|member| member.key == tag) else {
            self.missing(node, place, format!("key `{tag}` is missing"), Some(one_of(&names)));
            return None;
        };
        let path = place.path.at(tag);
        match &member.value.content {
            Content::Text(text) => {
                let found = variants.iter().find(|(name, _)| name == text);
                if found.is_none() {
                    let what = format!("unknown {tag} `{text}`");
                    self.fault(&path, member.value.span.clone(), what, Some(one_of(&names)));
                    // With one name there is nothing to choose.
                    self.suggest(nearest(text, names).filter(|_| variants.len() > 1));
                }
                found.map(|(_, schema)| *schema)
            }
            other => {
                let what = format!("`{tag}` is {}", leaf::kind(other));
                self.fault(&path, member.value.span.clone(), what, Some(one_of(&names)));
                None
            }
        }
    }
}

/// Whether a value of this type can be meant by `schema`. A whole number may stand for any number.
fn takes(schema: &Value, node: &Node) -> bool {
    if fixed_values(schema).is_some() {
        return matches!(node.content, Content::Text(_));
    }
    let of = if tag(schema).is_some() { Some("object") } else { schema["type"].as_str() };
    matches!(
        (of, &node.content),
        (Some("string"), Content::Text(_))
            | (Some("integer" | "number"), Content::Whole(_))
            | (Some("number"), Content::Fraction(_))
            | (Some("boolean"), Content::Truth(_))
            | (Some("array"), Content::List(_))
            | (Some("object"), Content::Table(_))
    )
}

fn keys(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str)
}

/// The keys of which a table must have exactly one.
fn either(schema: &Value) -> Option<Vec<&str>> {
    let key = |branch: &'_ Value| -> Option<String> { branch["required"][0].as_str().map(str::to_owned) };
    let branches = schema["oneOf"].as_array()?;
    let keys: Option<Vec<&str>> = branches.iter().map(|branch| branch["required"][0].as_str()).collect();
    branches.iter().all(|branch| key(branch).is_some()).then_some(keys).flatten()
}

/// Stands in for a required value, so that the rest can be looked at.
fn example(root: &Value, schema: &Value) -> Value {
    let of = |schema: &Value| schema["examples"][0].clone();
    let resolved = resolve(root, schema);
    [of(schema), of(resolved)].into_iter().find(|example| !example.is_null()).unwrap_or_default()
}

pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [one] => format!("expected {one}"),
        all => format!("expected one of {}", all.join(", ")),
    }
}
