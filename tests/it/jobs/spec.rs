//! A Nomad job as a tree of values that know their line: HCL2 with variables, locals and dynamic
//! blocks worked out, as far as the jobs of this repository use them.
//!
//! What only a running Nomad knows (`${NOMAD_TASK_DIR}`, `${node...}`) stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hcl::edit::Span as _;
use hcl::edit::structure::{Block, Body, Structure};
use hcl::eval::{Context, Evaluate as _, FuncArgs, FuncDef, ParamType};
use hcl::{Map, Value};

/// What Nomad puts in when a task starts.
pub(super) const RUNTIME: [&str; 3] = ["NOMAD_TASK_DIR", "NOMAD_ALLOC_DIR", "NOMAD_SECRETS_DIR"];

/// Something wrong: one line for who mends it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// A block: its values and inner blocks.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) line: usize,
    pub(super) values: BTreeMap<String, (Value, usize)>,
    pub(super) blocks: Vec<Node>,
}

impl Node {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|(value, _)| value.as_str())
    }

    /// The line of a value, or of the block where it is missing.
    pub(super) fn line_of(&self, name: &str) -> usize {
        self.values.get(name).map_or(self.line, |(_, line)| *line)
    }

    pub(super) fn named<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Node> {
        self.blocks.iter().filter(move |block| block.name == name)
    }

    /// This block and all below it.
    pub(super) fn all(&self) -> Vec<&Node> {
        let inner = self.blocks.iter().flat_map(Node::all);
        std::iter::once(self).chain(inner).collect()
    }
}

/// A declared variable.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) kind: bool,
    pub(super) description: String,
    pub(super) default: Option<Value>,
}

/// One job file, worked out with the values of a variables file.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) file: String,
    pub(super) text: String,
    pub(super) variables: Vec<Variable>,
    pub(super) job: Node,
}

/// The values that a variables file sets, with their lines.
pub(super) fn values(file: &str, text: &str) -> Result<BTreeMap<String, (Value, usize)>, Problem> {
    let reader = Reader { file, text };
    Ok(reader.node(&reader.parse()?, &Context::new(), Node::default())?.values)
}

impl Spec {
    /// Reads a job; `given` are the values of a variables file.
    pub(super) fn read(
        file: &str,
        text: &str,
        given: &BTreeMap<String, (Value, usize)>,
    ) -> Result<Self, Problem> {
        let reader = Reader { file, text };
        let body = reader.parse()?;
        let variables = reader.variables(&body)?;
        let value = |each: &Variable| {
            let value = given.get(&each.name).map(|(value, _)| value.clone());
            (each.name.clone(), value.or_else(|| each.default.clone()).unwrap_or(Value::Null))
        };
        let values: Map<String, Value> = variables.iter().map(value).collect();
        let mut context = reader.context(values);
        let locals = reader.locals(&body, &mut context)?;
        context.declare_var("local", Value::Object(locals));
        let missing = || reader.wrong(1, "there is no job block".to_owned());
        let job = body.get_blocks("job").next().ok_or_else(missing)?;
        let job = reader.block(job, &context)?;
        Ok(Self { file: file.to_owned(), text: text.to_owned(), variables, job })
    }

    pub(super) fn problem(&self, line: usize, message: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), line, message: message.into() }
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn parse(&self) -> Result<Body, Problem> {
        hcl::edit::parser::parse_body(self.text)
            .map_err(|error| self.wrong(error.location().line(), error.message().to_owned()))
    }

    fn wrong(&self, line: usize, message: String) -> Problem {
        Problem { file: self.file.to_owned(), line, message }
    }

    fn line(&self, span: Option<std::ops::Range<usize>>) -> usize {
        let before = &self.text[..span.map_or(0, |span| span.start)];
        1 + before.matches('\n').count()
    }

    fn value(
        &self,
        expression: &hcl::edit::expr::Expression,
        line: usize,
        context: &Context<'_>,
    ) -> Result<Value, Problem> {
        let expression: hcl::Expression = expression.clone().into();
        expression.evaluate(context).map_err(|error| self.wrong(line, error.to_string()))
    }

    fn variables(&self, body: &Body) -> Result<Vec<Variable>, Problem> {
        let mut variables = Vec::new();
        for block in body.get_blocks("variable") {
            let line = self.line(block.ident.span());
            let name = label(block);
            // A type is no value: string, list(string).
            let inner = |name: &str| -> Result<Option<Value>, Problem> {
                let attribute = block.body.get_attribute(name);
                attribute.map(|each| self.value(&each.value, line, &Context::new())).transpose()
            };
            let description = inner("description")?;
            variables.push(Variable {
                name,
                line,
                kind: block.body.has_attribute("type"),
                description: description
                    .and_then(|text| Some(text.as_str()?.to_owned()))
                    .unwrap_or_default(),
                default: inner("default")?,
            });
        }
        Ok(variables)
    }

    fn context(&self, variables: Map<String, Value>) -> Context<'static> {
        let mut context = Context::new();
        context.declare_var("var", Value::Object(variables));
        for name in RUNTIME {
            context.declare_var(name, format!("${{{name}}}"));
        }
        let unique = Map::from_iter([("name".to_owned(), Value::from("${node.unique.name}"))]);
        let node = Map::from_iter([("unique".to_owned(), Value::Object(unique))]);
        context.declare_var("node", Value::Object(node));
        context.declare_func("file", FuncDef::builder().param(ParamType::String).build(file));
        context
    }

    /// Each once those it names are known; the order in the file says nothing.
    fn locals(
        &self,
        body: &Body,
        context: &mut Context<'_>,
    ) -> Result<Map<String, Value>, Problem> {
        let attributes = body.get_blocks("locals").flat_map(|block| block.body.attributes());
        let mut open: Vec<_> = attributes.collect();
        let mut known = Map::new();
        while !open.is_empty() {
            context.declare_var("local", Value::Object(known.clone()));
            let mut stuck = Vec::new();
            let (before, mut why) = (open.len(), None);
            for attribute in open {
                let line = self.line(attribute.key.span());
                match self.value(&attribute.value, line, context) {
                    Ok(value) => drop(known.insert(attribute.key.as_str().to_owned(), value)),
                    Err(error) => {
                        why.get_or_insert(error);
                        stuck.push(attribute);
                    }
                }
            }
            if let (true, Some(error)) = (stuck.len() == before, why) {
                return Err(error);
            }
            open = stuck;
        }
        Ok(known)
    }

    fn block(&self, block: &Block, context: &Context<'_>) -> Result<Node, Problem> {
        let node = Node {
            name: block.ident.as_str().to_owned(),
            label: label(block),
            line: self.line(block.ident.span()),
            ..Node::default()
        };
        self.node(&block.body, context, node)
    }

    fn node(&self, body: &Body, context: &Context<'_>, mut node: Node) -> Result<Node, Problem> {
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let line = self.line(attribute.key.span());
                    let name = attribute.key.as_str().to_owned();
                    let value = self.value(&attribute.value, line, context)?;
                    node.values.insert(name, (value, line));
                }
                Structure::Block(block) if block.ident.as_str() == "dynamic" => {
                    node.blocks.extend(self.dynamic(block, context)?);
                }
                Structure::Block(block) => node.blocks.push(self.block(block, context)?),
            }
        }
        Ok(node)
    }

    /// One block for each value of `for_each`.
    fn dynamic(&self, block: &Block, context: &Context<'_>) -> Result<Vec<Node>, Problem> {
        let (name, line) = (label(block), self.line(block.ident.span()));
        let each = block.body.get_attribute("for_each");
        let content = block.body.get_blocks("content").next();
        let (Some(each), Some(content)) = (each, content) else {
            return Err(self.wrong(line, "a dynamic block has for_each and content".to_owned()));
        };
        let pairs: Vec<(Value, Value)> = match self.value(&each.value, line, context)? {
            Value::Array(values) => {
                values.into_iter().map(|value| (value.clone(), value)).collect()
            }
            Value::Object(map) => map.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            _ => return Err(self.wrong(line, "for_each takes a list or a map".to_owned())),
        };
        let mut made = Vec::new();
        for (key, value) in pairs {
            let pair = Map::from_iter([("key".to_owned(), key), ("value".to_owned(), value)]);
            let mut context = context.clone();
            context.declare_var(name.as_str(), Value::Object(pair));
            let node = Node { name: name.clone(), line, ..Node::default() };
            made.push(self.node(&content.body, &context, node)?);
        }
        Ok(made)
    }
}

/// Nomad's function: the text of a file, as seen from where `nomad` is run: the repository.
fn file(arguments: FuncArgs) -> Result<Value, String> {
    let path = arguments.into_values().remove(0);
    let path = path.as_str().unwrap_or_default();
    let text = std::fs::read_to_string(tests::root().join(path));
    text.map(Value::from).map_err(|error| format!("file({path:?}): {error}"))
}

fn label(block: &Block) -> String {
    block.labels.first().map(|label| label.as_str().to_owned()).unwrap_or_default()
}

/// Every `PREFIX.NAME` outside comments, with its line. What is escaped (`$${`) is somebody else's.
pub(super) fn references(text: &str, prefix: &str) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        for (at, _) in line.match_indices(&format!("{prefix}.")) {
            let before = line[..at].chars().next_back();
            let name: String = line[at + prefix.len() + 1..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            // A host's name or a file's is no reference.
            let part = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
            if !name.is_empty() && !before.is_some_and(part) {
                found.insert((number + 1, name));
            }
        }
    }
    found
}
