//! Handlebars templates, strict: a missing value is an error, never an empty string.
//!
//! The helpers are pure, so that a render can be repeated from its inputs: no helper reads a
//! file, a clock, the network or the environment, and none runs a command.

use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason, no_escape,
};
use serde::Serialize;

use super::RenderError;
use super::formats::xml_escape;

/// A template engine with the helpers `xml`, `json`, `upper`, `lower`, `trim`, `replace`,
/// `default` and `join`.
pub struct Templates {
    engine: Handlebars<'static>,
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
        Self { engine }
    }

    /// Renders a template's text with the values of `context`.
    ///
    /// # Errors
    /// A syntax error or a missing value, with line and column.
    pub fn render(&self, text: &str, context: &impl Serialize) -> Result<String, RenderError> {
        self.engine
            .render_template(text, context)
            .map_err(|error| RenderError::Template(one_line(&error.to_string())))
    }
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
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => {
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
    let value = helper.param(0).map_or(&serde_json::Value::Null, |param| param.value());
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
    let text = text_at(helper, 0)?.replace(&text_at(helper, 1)?, &text_at(helper, 2)?);
    out.write(&text)?;
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
    fn a_missing_value_is_an_error_of_one_line() {
        let error = Templates::new().render("a\n{{nobody}}", &json!({})).unwrap_err().to_string();
        assert!(error.contains("nobody") && !error.contains('\n'), "{error}");
    }
}
