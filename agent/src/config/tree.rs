//! One file of configuration, HCL2 or JSON, as values that know their line.
//!
//! Pure: text in, tree out. Strings may hold `${...}`: what is known now (`env.NAME`, `node.name`,
//! `node.meta.NAME`) is put in here; what only a unit knows (`conf_dir`, `staged_dir`, `state_dir`,
//! `unit.name`, `unit.role`, `generation`) stays as `${...}` for [`expand`]. JSON is read by the
//! HCL parser, of whose expressions it is a part, so that both carry lines.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey, TraversalOperator};
use hcl_edit::structure::{Body, Structure};
use hcl_edit::template::{Element, Template};

use super::doubled::doubled;

/// Longest file taken. A fleet's configuration of one host has a few kilobytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Names that stay as `${...}` until a unit is known.
const LATE: &[&str] =
    &["conf_dir", "staged_dir", "unit.name", "unit.role", "generation", "state_dir"];

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's path as given.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something wrong in a file: one line for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` for a file that cannot be read at all.
    pub place: Option<Place>,
    /// What, and what is accepted.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, interpolated.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// Values in order.
    List(Vec<(Value, Place)>),
    /// Attributes and blocks.
    Table(Vec<Item>),
    /// Nothing.
    Null,
}

impl Value {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a block",
            Self::Null => "null",
        }
    }
}

/// An attribute, or a block with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Labels of a block, outermost first.
    pub labels: Vec<String>,
    /// Its value; always a table for a block.
    pub value: Value,
    /// Where it starts.
    pub place: Place,
}

/// What interpolations may refer to.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// This host's name.
    pub node: String,
    /// This host's metadata (`rack`).
    pub meta: BTreeMap<String, String>,
}

/// Puts values for the late names into a text. Unknown names stay.
pub fn expand(text: &str, values: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    text
}

struct Reader<'a> {
    file: Arc<str>,
    text: &'a str,
    scope: &'a Scope,
}

/// Reads one file; `file` is its path as the user knows it. `.json` is JSON, all else HCL.
///
/// # Errors
/// What is wrong first, with its line.
pub fn parse(file: &str, text: &str, scope: &Scope) -> Result<Vec<Item>, Problem> {
    let reader = Reader { file: file.into(), text, scope };
    let whole = |message: String| Problem { place: None, message: format!("{file}: {message}") };
    if text.len() > FILE_BYTES_MAX {
        return Err(whole(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    if file.ends_with(".json") {
        unique_json(text).map_err(|error| Problem {
            place: Some(Place { file: file.into(), line: error.line().max(1) }),
            message: bare(&error.to_string()),
        })?;
        let expression =
            hcl_edit::parser::parse_expr(text.trim()).map_err(|error| reader.syntax(&error))?;
        return match reader.value(&expression)?.0 {
            Value::Table(items) => Ok(items),
            _ => Err(whole("the file must hold one object".to_owned())),
        };
    }
    let body = hcl_edit::parser::parse_body(text).map_err(|error| reader.syntax(&error))?;
    reader.body(&body)
}

/// serde's message without its own position.
fn bare(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

impl Reader<'_> {
    fn syntax(&self, error: &hcl_edit::parser::Error) -> Problem {
        let place = Place { file: self.file.clone(), line: error.location().line() };
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        Problem { place: Some(place), message }
    }

    fn place(&self, span: Option<std::ops::Range<usize>>) -> Place {
        // A JSON file is parsed from its first brace on.
        let skipped = match self.file.ends_with(".json") {
            true => self.text.len() - self.text.trim_start().len(),
            false => 0,
        };
        let at = span.map_or(0, |span| span.start + skipped).min(self.text.len());
        let line = 1 + self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        Place { file: self.file.clone(), line }
    }

    fn body(&self, body: &Body) -> Result<Vec<Item>, Problem> {
        body.iter().map(|structure| self.structure(structure)).collect()
    }

    fn structure(&self, structure: &Structure) -> Result<Item, Problem> {
        match structure {
            Structure::Attribute(attribute) => Ok(Item {
                name: attribute.key.as_str().to_owned(),
                labels: Vec::new(),
                value: self.value(&attribute.value)?.0,
                place: self.place(attribute.key.span()),
            }),
            Structure::Block(block) => Ok(Item {
                name: block.ident.as_str().to_owned(),
                labels: block.labels.iter().map(|label| label.as_str().to_owned()).collect(),
                value: Value::Table(self.body(&block.body)?),
                place: self.place(block.ident.span()),
            }),
        }
    }

    fn value(&self, expression: &Expression) -> Result<(Value, Place), Problem> {
        let place = self.place(expression.span());
        let value = match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(value) => Value::Bool(*value.value()),
            Expression::Number(number) => Value::Number(number.value().as_f64().unwrap_or(0.0)),
            Expression::String(text) => Value::Text(text.value().clone()),
            Expression::StringTemplate(template) => Value::Text(self.text(template, &place)?),
            Expression::HeredocTemplate(heredoc) => {
                let mut heredoc = heredoc.clone();
                heredoc.dedent();
                Value::Text(self.text(&heredoc.template, &place)?)
            }
            Expression::Array(array) => {
                let values: Result<Vec<_>, _> = array.iter().map(|each| self.value(each)).collect();
                Value::List(values?)
            }
            Expression::Object(object) => {
                let mut items = Vec::new();
                let text = expression.span().and_then(|span| self.text.get(span));
                if let Some(name) = text.and_then(doubled) {
                    return Err(self.wrong(&place, &format!("{name} stands twice")));
                }
                for (key, value) in object {
                    items.push(self.entry(key, value.expr())?);
                }
                Value::Table(items)
            }
            Expression::Traversal(_) | Expression::Variable(_) => {
                Value::Text(self.resolve(expression, &place)?)
            }
            Expression::Parenthesis(inner) => return self.value(inner.inner()),
            _ => return Err(self.wrong(&place, "a plain value is accepted here, no calculation")),
        };
        Ok((value, place))
    }

    fn entry(&self, key: &ObjectKey, value: &Expression) -> Result<Item, Problem> {
        let (name, span) = match key {
            ObjectKey::Ident(ident) => (ident.as_str().to_owned(), ident.span()),
            ObjectKey::Expression(expression) => match self.value(expression)? {
                (Value::Text(name), _) => (name, expression.span()),
                (_, place) => return Err(self.wrong(&place, "a name is accepted here")),
            },
        };
        let place = self.place(span);
        Ok(Item { name, labels: Vec::new(), value: self.value(value)?.0, place })
    }

    fn wrong(&self, place: &Place, message: &str) -> Problem {
        Problem { place: Some(place.clone()), message: message.to_owned() }
    }

    fn text(&self, template: &Template, place: &Place) -> Result<String, Problem> {
        let mut text = String::new();
        for element in template {
            match element {
                Element::Literal(literal) => text.push_str(literal),
                Element::Interpolation(inner) => text.push_str(&self.resolve(&inner.expr, place)?),
                Element::Directive(_) => {
                    return Err(self.wrong(place, "%{...} directives are not accepted"));
                }
            }
        }
        Ok(text)
    }

    fn resolve(&self, expression: &Expression, place: &Place) -> Result<String, Problem> {
        let Some(name) = dotted(expression) else {
            return Err(self.wrong(place, "${...} takes a name such as env.HOME or node.name"));
        };
        if LATE.contains(&name.as_str()) {
            return Ok(format!("${{{name}}}"));
        }
        if let Some(variable) = name.strip_prefix("env.") {
            return self.scope.env.get(variable).cloned().ok_or_else(|| {
                self.wrong(place, &format!("the environment variable {variable} is not set"))
            });
        }
        if name == "node.name" {
            return Ok(self.scope.node.clone());
        }
        if let Some(key) = name.strip_prefix("node.meta.") {
            return Ok(self.scope.meta.get(key).cloned().unwrap_or_default());
        }
        let known = [LATE, &["node.name", "node.meta.NAME", "env.NAME"]].concat().join(", ");
        Err(self.wrong(place, &format!("${{{name}}} is unknown; known are {known}")))
    }
}

/// `a.b.c` of a traversal.
fn dotted(expression: &Expression) -> Option<String> {
    match expression {
        Expression::Variable(name) => Some(name.as_str().to_owned()),
        Expression::Traversal(traversal) => {
            let mut name = dotted(&traversal.expr)?;
            for operator in &traversal.operators {
                let TraversalOperator::GetAttr(part) = operator.value() else { return None };
                name = format!("{name}.{}", part.as_str());
            }
            Some(name)
        }
        _ => None,
    }
}

/// Fails where an object of a JSON text has a key twice.
fn unique_json(text: &str) -> Result<(), serde_json::Error> {
    struct Unique;
    impl<'de> serde::Deserialize<'de> for Unique {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Unique)
        }
    }
    impl<'de> serde::de::Visitor<'de> for Unique {
        type Value = Self;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_unit<E>(self) -> Result<Self, E> {
            Ok(self)
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
            while list.next_element::<Self>()?.is_some() {}
            Ok(self)
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
            let mut seen = std::collections::BTreeSet::new();
            while let Some(key) = map.next_key::<String>()? {
                if !seen.insert(key.clone()) {
                    return Err(serde::de::Error::custom(format!("{key} stands twice")));
                }
                map.next_value::<Self>()?;
            }
            Ok(self)
        }
    }
    serde_json::from_str::<Unique>(text).map(|_| ())
}
