//! Handlebars templates, strict: a missing value is an error, never an empty string.
//!
//! The helpers are pure, so that a render can be repeated from its inputs: no helper reads a
//! file, a clock, the network or the environment, and none runs a command.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, Output,
    RenderContext, RenderErrorReason, Renderable as _, no_escape,
};
use serde::Serialize;
use serde_json::Value;

use super::RenderError;
use super::formats::xml_escape;

/// Longest rendered file: sixteen times the longest value of a store.
const OUTPUT_BYTES_MAX: usize = 8 << 20;

/// Deepest nesting of blocks, and of parentheses; people use three.
const NESTING_MAX: usize = 16;

/// Most rounds of all loops of one render: a hundred files' worth of the most keys.
const ROUNDS_MAX: usize = 1_000_000;

/// A template engine with the helpers `xml`, `json`, `upper`, `lower`, `trim`, `replace`,
/// `default` and `join`.
pub struct Templates {
    engine: Handlebars<'static>,
    rounds: Arc<AtomicUsize>,
}

impl Default for Templates {
    fn default() -> Self {
        Self::new()
    }
}

impl Templates {
    /// The engine with its helpers.
    pub fn new() -> Self {
        let mut engine = Handlebars::new();
        engine.set_strict_mode(true);
        // Config files are not HTML; `{{xml v}}` escapes where the file is XML.
        engine.register_escape_fn(no_escape);
        engine.register_helper("xml", Box::new(map_text(xml_escape)));
        engine.register_helper("upper", Box::new(map_text(str::to_uppercase)));
        engine.register_helper("lower", Box::new(map_text(str::to_lowercase)));
        engine.register_helper("trim", Box::new(map_text(|text| text.trim().to_owned())));
        engine.register_helper("json", Box::new(json));
        engine.register_helper("replace", Box::new(replace));
        engine.register_helper("default", Box::new(default));
        engine.register_helper("join", Box::new(join));
        let rounds = Arc::new(AtomicUsize::new(0));
        engine.register_helper("each", Box::new(Each(rounds.clone())));
        // Writes to the log, which is no place for what a template sees.
        engine.unregister_helper("log");
        Self { engine, rounds }
    }

    /// Adds a helper, which must be as pure as the others.
    pub fn add(&mut self, name: &str, helper: impl HelperDef + Send + Sync + 'static) {
        self.engine.register_helper(name, Box::new(helper));
    }

    /// Renders a template's text with the values of `context`. Whatever the text, this ends: it
    /// cannot recurse, nesting, rounds of loops and output are bounded.
    ///
    /// # Errors
    /// A syntax error or a missing value, with line and column; or a bound.
    pub fn render(&self, text: &str, context: &impl Serialize) -> Result<String, RenderError> {
        bounded(text).map_err(RenderError::Template)?;
        self.rounds.store(0, Ordering::Relaxed);
        let mut output = Bounded(Vec::new());
        self.engine
            .render_template_to_write(text, context, &mut output)
            .map_err(|error| RenderError::Template(one_line(&error.to_string())))?;
        String::from_utf8(output.0).map_err(|error| RenderError::Template(error.to_string()))
    }
}

/// Output that refuses to grow without end.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            let message = format!("the output is longer than {OUTPUT_BYTES_MAX} bytes");
            return Err(std::io::Error::other(message));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Refuses what could recurse (partials) or nests too deep for the parser's own recursion.
fn bounded(text: &str) -> Result<(), String> {
    let (mut blocks, mut parentheses) = (0_usize, 0_usize);
    for (at, _) in text.match_indices("{{") {
        let tag = text[at..].trim_start_matches('{').trim_start_matches(['~', ' ']);
        let inner = tag.trim_start_matches(['#', '~', ' ']);
        if inner.starts_with(['>', '*']) {
            return Err("partials ({{> ...}}) are not accepted: a template must end".to_owned());
        }
        if tag.starts_with(['#', '^']) {
            blocks += 1;
        } else if tag.starts_with('/') {
            blocks = blocks.saturating_sub(1);
        }
        if blocks > NESTING_MAX {
            return Err(format!("blocks nest deeper than {NESTING_MAX}"));
        }
    }
    for c in text.chars() {
        match c {
            '(' | '[' => parentheses += 1,
            ')' | ']' | '}' => parentheses = 0,
            _ => {}
        }
        if parentheses > NESTING_MAX {
            return Err(format!("parentheses nest deeper than {NESTING_MAX}"));
        }
    }
    Ok(())
}

/// `{{#each}}` with a bound on the rounds of one render.
struct Each(Arc<AtomicUsize>);

impl HelperDef for Each {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        engine: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let value = helper.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("each", 0))?;
        let items: Vec<(Value, Value)> = match value.value() {
            Value::Array(items) => items.iter().cloned().enumerate().map(index).collect(),
            Value::Object(items) => {
                items.iter().map(|(name, item)| (name.clone().into(), item.clone())).collect()
            }
            _ => return Err(RenderErrorReason::Other("'each' needs a list".to_owned()).into()),
        };
        let used = self.0.fetch_add(items.len(), Ordering::Relaxed) + items.len();
        if used > ROUNDS_MAX {
            let message = format!("loops take more than {ROUNDS_MAX} rounds");
            return Err(RenderErrorReason::Other(message).into());
        }
        if items.is_empty()
            && let Some(otherwise) = helper.inverse()
        {
            return otherwise.render(engine, context, render, out);
        }
        let Some(template) = helper.template() else { return Ok(()) };
        let last = items.len().saturating_sub(1);
        for (at, (name, item)) in items.into_iter().enumerate() {
            let mut block = BlockContext::new();
            block.set_local_var("index", at.into());
            block.set_local_var("first", (at == 0).into());
            block.set_local_var("last", (at == last).into());
            block.set_local_var("key", name.clone());
            let mut params = BlockParams::new();
            if let Some((item_name, key_name)) = helper.block_param_pair() {
                params.add_value(item_name, item.clone())?;
                params.add_value(key_name, name)?;
            } else if let Some(item_name) = helper.block_param() {
                params.add_value(item_name, item.clone())?;
            }
            block.set_block_params(params);
            block.set_base_value(item);
            render.push_block(block);
            let result = template.render(engine, context, render, out);
            render.pop_block();
            result?;
        }
        Ok(())
    }
}

fn index((at, item): (usize, Value)) -> (Value, Value) {
    (at.into(), item)
}

/// Errors are log lines; handlebars draws pictures.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text_at(helper: &Helper<'_>, at: usize) -> Result<String, RenderErrorReason> {
    let name = helper.name();
    let value = helper
        .param(at)
        .ok_or_else(|| RenderErrorReason::Other(format!("'{name}' needs {} values", at + 1)))?;
    Ok(match value.value() {
        Value::String(text) => text.clone(),
        Value::Null => {
            return Err(RenderErrorReason::Other(format!("a value for '{name}' is missing")));
        }
        other => other.to_string(),
    })
}

fn map_text(
    f: impl Fn(&str) -> String + Send + Sync + 'static,
) -> impl Fn(
    &Helper<'_>,
    &Handlebars<'_>,
    &Context,
    &mut RenderContext<'_, '_>,
    &mut dyn Output,
) -> HelperResult
+ Send
+ Sync
+ 'static {
    move |helper, _, _, _, out| {
        out.write(&f(&text_at(helper, 0)?))?;
        Ok(())
    }
}

fn json(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = helper.param(0).map_or(&Value::Null, |param| param.value());
    out.write(&value.to_string())?;
    Ok(())
}

fn replace(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let (text, from, to) = (text_at(helper, 0)?, text_at(helper, 1)?, text_at(helper, 2)?);
    let growth = text.matches(&from).count().saturating_mul(to.len());
    if growth.saturating_add(text.len()) > OUTPUT_BYTES_MAX {
        let message = format!("'replace' would make more than {OUTPUT_BYTES_MAX} bytes");
        return Err(RenderErrorReason::Other(message).into());
    }
    out.write(&text.replace(&from, &to))?;
    Ok(())
}

fn default(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    out.write(&text_at(helper, 0).or_else(|_| text_at(helper, 1))?)?;
    Ok(())
}

fn join(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let items = helper.param(0).and_then(|param| param.value().as_array()).ok_or_else(|| {
        RenderErrorReason::Other("'join' needs a list and a separator".to_owned())
    })?;
    let separator = text_at(helper, 1)?;
    let items: Vec<String> = items
        .iter()
        .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
        .collect();
    out.write(&items.join(&separator))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn helpers() {
        let context = json!({ "name": "a<b", "list": ["x", "y"], "empty": null });
        let render = |text: &str| Templates::new().render(text, &context).unwrap();
        assert_eq!(render("{{name}} {{xml name}} {{upper name}}"), "a<b a&lt;b A<B");
        assert_eq!(render("{{join list \",\"}} {{json list}}"), "x,y [\"x\",\"y\"]");
        assert_eq!(render("{{default empty \"d\"}} {{replace name \"<\" \"-\"}}"), "d a-b");
    }

    #[test]
    fn every_template_ends() {
        let list: Vec<usize> = (0..2000).collect();
        let context = json!({ "list": list, "text": "a".repeat(100_000) });
        let render = |text: &str| Templates::new().render(text, &context);
        let error = |text: &str| render(text).unwrap_err().to_string();
        let nested = "{{#each list}}{{#each ../list}}{{/each}}{{/each}}";
        assert!(error(nested).contains("rounds"), "{}", error(nested));
        let again = "{{#*inline \"a\"}}{{> a}}{{/inline}}{{> a}}";
        assert!(error(again).contains("partials"));
        assert!(error(&"{{#if list}}".repeat(100_000)).contains("nest"));
        assert!(error(&format!("{{{{upper {}", "(".repeat(100_000))).contains("nest"));
        assert!(error(&"{{text}}".repeat(100)).contains("longer than"));
        assert!(error("{{replace text \"a\" text}}").contains("more than"));
    }

    #[test]
    fn loops_know_their_place() {
        let context = json!({ "m": { "a": 1, "b": 2 }, "l": ["x"], "n": [], "top": "t" });
        let render = |text: &str| Templates::new().render(text, &context).unwrap();
        assert_eq!(
            render("{{#each m}}{{@key}}={{this}}{{#unless @last}},{{/unless}}{{/each}}"),
            "a=1,b=2"
        );
        assert_eq!(render("{{#each l}}{{@index}}{{this}}{{../top}}{{/each}}"), "0xt");
        assert_eq!(render("{{#each m as |v k|}}{{k}}{{v}}{{/each}}"), "a1b2");
        assert_eq!(render("{{#each n}}x{{else}}none{{/each}}"), "none");
    }

    #[test]
    fn a_missing_value_is_an_error_of_one_line() {
        let error = Templates::new().render("a\n{{nobody}}", &json!({})).unwrap_err().to_string();
        assert!(error.contains("nobody") && !error.contains('\n'), "{error}");
    }
}
