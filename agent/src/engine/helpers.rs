//! What a template may ask for: `key`, `keyOr`, `secret`, `cert`, `service`, `hosts`, `env`,
//! `node`, `base64`, `base64Decode`. Pure: they look into the inputs, and write down what they were
//! asked for, so that the sources can watch it and a user can be told what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason,
    ScopedJson,
};
use serde_json::{Value, json};

use super::{Inputs, Wants};
use crate::render::Templates;
use crate::sources::{Instance, SecretRef, ServiceQuery};

/// What the render of one file wrote down.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    pub(super) wants: Wants,
    pub(super) missing: BTreeSet<String>,
    pub(super) reads: BTreeSet<Read>,
    used_secret: bool,
    /// Decoded bytes that are no text; templates carry their marks.
    blobs: Vec<Vec<u8>>,
}

/// Around the number of a blob in a template's output: characters that no text has.
const BLOB_MARKS: [char; 2] = ['\u{fdd0}', '\u{fdd1}'];

/// Something that a file was made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Read {
    Key(String),
    Template(PathBuf),
    Secret(SecretRef),
    Service(ServiceQuery),
    Env(String),
}

impl Read {
    /// Whether it is the same in both.
    pub(super) fn same(&self, old: &Inputs, new: &Inputs) -> bool {
        match self {
            Self::Key(key) => {
                let (old, new) = (old.kv.entries.get(key), new.kv.entries.get(key));
                old.map(|entry| &entry.value) == new.map(|entry| &entry.value)
            }
            Self::Template(path) => old.templates.get(path) == new.templates.get(path),
            Self::Secret(secret) => old.secrets.get(secret) == new.secrets.get(secret),
            Self::Service(query) => old.services.get(query) == new.services.get(query),
            Self::Env(name) => old.environment.get(name) == new.environment.get(name),
        }
    }
}

/// The notebook that all helpers of a render share.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<Notes>);

impl Asked {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn miss(&self, name: String) {
        self.notes().missing.insert(name);
    }

    pub(super) fn misses(&self) -> bool {
        !self.notes().missing.is_empty()
    }

    pub(super) fn read(&self, what: Read) {
        self.notes().reads.insert(what);
    }

    pub(super) fn used_secret(&self) -> bool {
        self.notes().used_secret
    }

    /// A template's output as bytes, with those of its blobs in their places.
    pub(super) fn bytes(&self, text: &str) -> Vec<u8> {
        let notes = self.notes();
        let mut bytes = Vec::with_capacity(text.len());
        for (nth, part) in text.split(BLOB_MARKS).enumerate() {
            let blob = part.parse().ok().filter(|_| nth % 2 == 1);
            match blob.and_then(|number: usize| notes.blobs.get(number)) {
                Some(blob) => bytes.extend_from_slice(blob),
                None => bytes.extend_from_slice(part.as_bytes()),
            }
        }
        bytes
    }

    /// What the file asked for; the next one starts with nothing.
    pub(super) fn take(&self) -> Notes {
        std::mem::take(&mut self.notes())
    }
}

type Answer = Result<Value, RenderErrorReason>;
type Body = fn(&State, &Helper<'_>) -> Answer;

struct State {
    inputs: Inputs,
    asked: Arc<Asked>,
}

struct Function {
    state: Arc<State>,
    body: Body,
}

impl HelperDef for Function {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        (self.body)(&self.state, helper).map(ScopedJson::Derived).map_err(Into::into)
    }
}

/// Adds the helpers to an engine.
pub(super) fn register(templates: &mut Templates, inputs: &Inputs, asked: &Arc<Asked>) {
    let state = Arc::new(State { inputs: inputs.clone(), asked: asked.clone() });
    let helpers: [(&str, Body); 10] = [
        ("key", key),
        ("keyOr", key_or),
        ("secret", secret),
        ("cert", cert),
        ("service", service),
        ("hosts", hosts),
        ("env", env),
        ("node", node),
        ("base64", |_, helper| Ok(STANDARD.encode(text(helper, 0)?).into())),
        ("base64Decode", base64_decode),
    ];
    for (name, body) in helpers {
        templates.add(name, Function { state: state.clone(), body });
    }
}

fn wrong(helper: &Helper<'_>, what: &str) -> RenderErrorReason {
    RenderErrorReason::Other(format!("'{}' {what}", helper.name()))
}

fn text(helper: &Helper<'_>, at: usize) -> Result<String, RenderErrorReason> {
    match helper.param(at).map(handlebars::PathAndJson::value) {
        Some(Value::String(text)) if has_blob(text) => {
            Err(wrong(helper, "was given bytes that are no text; they can only be written"))
        }
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Null) | None => Err(wrong(helper, &format!("needs {} values", at + 1))),
        Some(other) => Ok(other.to_string()),
    }
}

fn option(helper: &Helper<'_>, name: &str) -> Option<String> {
    match helper.hash_get(name)?.value() {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn stored(
    state: &State,
    helper: &Helper<'_>,
    key: &str,
) -> Result<Option<Value>, RenderErrorReason> {
    state.asked.read(Read::Key(key.to_owned()));
    let Some(entry) = state.inputs.kv.entries.get(key) else { return Ok(None) };
    match std::str::from_utf8(&entry.value) {
        Ok(text) => Ok(Some(text.into())),
        Err(_) => Err(wrong(helper, &format!("found no UTF-8 text at {key}"))),
    }
}

fn key(state: &State, helper: &Helper<'_>) -> Answer {
    let key = text(helper, 0)?;
    Ok(stored(state, helper, &key)?.unwrap_or_else(|| {
        state.asked.miss(key);
        Value::String(String::new())
    }))
}

fn key_or(state: &State, helper: &Helper<'_>) -> Answer {
    let otherwise = text(helper, 1)?;
    let key = text(helper, 0)?;
    Ok(stored(state, helper, &key)?.unwrap_or(Value::String(otherwise)))
}

fn secret(state: &State, helper: &Helper<'_>) -> Answer {
    let path = text(helper, 0)?;
    let dynamic = option(helper, "lease").is_some_and(|lease| lease == "true");
    let wanted = match dynamic {
        true => SecretRef::Read { path: path.clone() },
        false => SecretRef::Kv { path: path.clone() },
    };
    let fields = look_up(state, wanted, &path);
    let Some(field) = helper.param(1) else { return Ok(fields) };
    let field = field.value().as_str().unwrap_or_default();
    match fields.get(field) {
        Some(value) => Ok(value.clone()),
        None => {
            if fields.as_object().is_some_and(|fields| !fields.is_empty()) {
                state.asked.miss(format!("secret {path}: field {field}"));
            }
            Ok(Value::String(String::new()))
        }
    }
}

fn cert(state: &State, helper: &Helper<'_>) -> Answer {
    let path = text(helper, 0)?;
    let mut params = BTreeMap::new();
    for name in ["common_name", "alt_names", "ip_sans", "ttl"] {
        if let Some(value) = option(helper, name) {
            params.insert(name.to_owned(), value);
        }
    }
    if !params.contains_key("common_name") {
        return Err(wrong(helper, "needs common_name=\"...\""));
    }
    Ok(look_up(state, SecretRef::Issue { path: path.clone(), params }, &path))
}

/// The fields of a secret as one object; an empty one when it is not there.
fn look_up(state: &State, wanted: SecretRef, path: &str) -> Value {
    let found = match state.inputs.secrets.get(&wanted) {
        Some(Ok(secret)) => {
            let fields = secret.fields.iter();
            Value::Object(fields.map(|(k, v)| (k.clone(), v.expose().into())).collect())
        }
        Some(Err(error)) => {
            state.asked.miss(format!("secret {path} ({error})"));
            json!({})
        }
        None => {
            state.asked.miss(format!("secret {path}"));
            json!({})
        }
    };
    let mut notes = state.asked.notes();
    notes.used_secret = true;
    notes.reads.insert(Read::Secret(wanted.clone()));
    notes.wants.secrets.insert(wanted);
    found
}

fn instances(state: &State, helper: &Helper<'_>) -> Result<Vec<Instance>, RenderErrorReason> {
    let name = text(helper, 0)?;
    let query = ServiceQuery {
        name: name.clone(),
        tag: option(helper, "tag"),
        passing_only: option(helper, "passing").is_none_or(|passing| passing != "false"),
    };
    let found = state.inputs.services.get(&query).cloned().unwrap_or_default();
    state.asked.read(Read::Service(query.clone()));
    state.asked.notes().wants.services.insert(query);
    // A registry that was just restarted answers with nothing; that must not empty a file.
    if found.is_empty() && option(helper, "empty").is_none_or(|empty| empty != "true") {
        state.asked.miss(format!("service {name} (no instance; empty=true allows that)"));
    }
    Ok(found)
}

fn service(state: &State, helper: &Helper<'_>) -> Answer {
    let found = instances(state, helper)?.into_iter().map(|each| {
        json!({
            "node": each.node, "address": each.address, "port": each.port, "id": each.id,
            "tags": each.tags, "meta": each.meta, "passing": each.passing,
        })
    });
    Ok(Value::Array(found.collect()))
}

fn hosts(state: &State, helper: &Helper<'_>) -> Answer {
    let separator = option(helper, "separator").unwrap_or_else(|| ",".to_owned());
    let bare = option(helper, "port").is_some_and(|port| port == "false");
    let names: Vec<String> = instances(state, helper)?
        .into_iter()
        .map(|each| match bare {
            true => each.address,
            false => format!("{}:{}", each.address, each.port),
        })
        .collect();
    Ok(names.join(&separator).into())
}

fn env(state: &State, helper: &Helper<'_>) -> Answer {
    let name = text(helper, 0)?;
    state.asked.read(Read::Env(name.clone()));
    if let Some(value) = state.inputs.environment.get(&name) {
        return Ok(value.clone().into());
    }
    if helper.param(1).is_some() {
        return Ok(text(helper, 1)?.into());
    }
    state.asked.miss(format!("environment variable {name}"));
    Ok(Value::String(String::new()))
}

fn node(state: &State, helper: &Helper<'_>) -> Answer {
    let what = match helper.param(0) {
        Some(_) => text(helper, 0)?,
        None => "name".to_owned(),
    };
    if what == "name" {
        return Ok(state.inputs.node.clone().into());
    }
    match state.inputs.meta.get(&what) {
        Some(value) => Ok(value.clone().into()),
        None => {
            state.asked.miss(format!("node metadata {what}"));
            Ok(Value::String(String::new()))
        }
    }
}

/// Text, or bytes that are none (a keytab), which go into the file as they are.
fn base64_decode(state: &State, helper: &Helper<'_>) -> Answer {
    let encoded: String = text(helper, 0)?.split_ascii_whitespace().collect();
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| wrong(helper, "was given something that is not base64"))?;
    let bytes = match String::from_utf8(bytes) {
        Ok(text) if !has_blob(&text) => return Ok(text.into()),
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    };
    let blobs = &mut state.asked.notes().blobs;
    blobs.push(bytes);
    let [open, close] = BLOB_MARKS;
    Ok(format!("{open}{}{close}", blobs.len() - 1).into())
}

/// Whether a text carries bytes that are no text.
pub(super) fn has_blob(text: &str) -> bool {
    text.contains(BLOB_MARKS)
}
