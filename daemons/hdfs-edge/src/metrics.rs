//! What a daemon counts, and the three ways it is shown: JMX beans as JSON, Hadoop's own Prometheus
//! names, and those of the JMX exporter that public dashboards use.
//!
//! Values are read when somebody asks; counting costs one atomic addition.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use serde_json::{Map, json};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something happened and how long it took in all.
#[derive(Debug, Default)]
pub struct Timing {
    count: Counter,
    micros: Counter,
}

impl Timing {
    /// One more, of this length.
    pub fn record(&self, length: std::time::Duration) {
        self.count.increment();
        self.micros.add(u64::try_from(length.as_micros()).unwrap_or(u64::MAX));
    }

    /// How often.
    pub fn count(&self) -> u64 {
        self.count.value()
    }

    /// Mean length in milliseconds, 0 without any.
    #[allow(clippy::cast_precision_loss)] // a mean for people
    pub fn mean_millis(&self) -> f64 {
        self.micros.value() as f64 / 1_000.0 / self.count().max(1) as f64
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A decimal number.
    Float(f64),
    /// Text; not shown to Prometheus.
    Text(String),
    /// Yes or no; not shown to Prometheus.
    Flag(bool),
    /// Several texts; not shown to Prometheus.
    Texts(Vec<String>),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}
impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}
impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}
impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}
impl From<Vec<String>> for Value {
    fn from(value: Vec<String>) -> Self {
        Self::Texts(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// One JMX bean: `Hadoop:service=SERVICE,name=NAME` with its attributes in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Bean {
    /// `NameNode`, `DataNode`.
    pub service: &'static str,
    /// The bean's name.
    pub name: Cow<'static, str>,
    /// Names as Hadoop spells them.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
}

impl Bean {
    /// A bean without attributes.
    pub fn new(service: &'static str, name: impl Into<Cow<'static, str>>) -> Self {
        Self { service, name: name.into(), attributes: Vec::new() }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    fn object_name(&self) -> String {
        format!("Hadoop:service={},name={}", self.service, self.name)
    }
}

type Source = Box<dyn Fn() -> Vec<Bean> + Send + Sync>;

/// Where a daemon's parts register what they show. Clones share one registry.
#[derive(Clone, Default)]
pub struct Registry {
    sources: Arc<RwLock<Vec<Source>>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Registry").field("sources", &self.sources.read().len()).finish()
    }
}

impl Registry {
    /// Adds a source; it is called whenever somebody asks, and must be quick.
    pub fn register(&self, source: impl Fn() -> Vec<Bean> + Send + Sync + 'static) {
        self.sources.write().push(Box::new(source));
    }

    /// All beans now.
    pub fn beans(&self) -> Vec<Bean> {
        self.sources.read().iter().flat_map(|source| source()).collect()
    }

    /// Hadoop's `/jmx` answer: all beans, or those a `qry` names (`*` matches anything).
    pub fn jmx(&self, query: Option<&str>) -> String {
        let beans: Vec<_> = self
            .beans()
            .iter()
            .filter(|bean| query.is_none_or(|query| matches(query, &bean.object_name())))
            .map(bean_json)
            .collect();
        // Serialising maps with text keys cannot fail.
        serde_json::to_string_pretty(&json!({ "beans": beans })).unwrap_or_default()
    }

    /// Hadoop's `/jmx?get=BEAN::ATTRIBUTE` answer; `None` when there is no such attribute.
    pub fn jmx_attribute(&self, bean: &str, attribute: &str) -> Option<String> {
        let beans = self.beans();
        let found = beans.iter().find(|candidate| candidate.object_name() == bean)?;
        let (name, value) = found.attributes.iter().find(|(name, _)| name == attribute)?;
        let mut map = Map::new();
        map.insert("name".to_owned(), json!(found.object_name()));
        map.insert("modelerType".to_owned(), json!(found.name));
        map.insert(name.to_string(), value_json(value));
        serde_json::to_string_pretty(&json!({ "beans": [map] })).ok()
    }

    /// Prometheus text with the names of Hadoop's own `/prom`.
    pub fn prometheus_hadoop(&self) -> String {
        self.prometheus(|bean, attribute| {
            let name = format!("{}{}", bean.name.split('-').next().unwrap_or(""), attribute);
            (snake_case(&name), String::new())
        })
    }

    /// Prometheus text with the names of the JMX exporter's default rules, as public dashboards
    /// for Hadoop expect them.
    pub fn prometheus_exporter(&self) -> String {
        self.prometheus(|bean, attribute| {
            let name = format!("hadoop_{}_{attribute}", bean.service).to_lowercase();
            (name, format!("{{name=\"{}\"}}", bean.name))
        })
    }

    fn prometheus(&self, name_of: impl Fn(&Bean, &str) -> (String, String)) -> String {
        let mut text = String::new();
        for bean in &self.beans() {
            for (attribute, value) in &bean.attributes {
                let number = match value {
                    Value::Integer(number) => number.to_string(),
                    Value::Float(number) => number.to_string(),
                    Value::Text(_) | Value::Flag(_) | Value::Texts(_) => continue,
                };
                let (name, labels) = name_of(bean, attribute);
                let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let name = name.replace(|letter: char| !legal(letter), "_");
                // Writing to a String cannot fail.
                let _ = writeln!(text, "# TYPE {name} untyped\n{name}{labels} {number}");
            }
        }
        text
    }
}

fn bean_json(bean: &Bean) -> Map<String, serde_json::Value> {
    let mut map = Map::new();
    map.insert("name".to_owned(), json!(bean.object_name()));
    map.insert("modelerType".to_owned(), json!(bean.name));
    for (name, value) in &bean.attributes {
        map.insert(name.to_string(), value_json(value));
    }
    map
}

fn value_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Flag(flag) => json!(flag),
        Value::Texts(texts) => json!(texts),
    }
}

/// JMX patterns as tools use them: a literal name, or one with `*` in it.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(part) => part.is_empty() || rest.is_empty() || name.ends_with(part),
    }
}

/// `FSNamesystemCapacityTotal` to `fs_namesystem_capacity_total`.
fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut text = String::with_capacity(name.len() + 8);
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let next = letters.get(index + 1);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && next.is_some_and(|next| next.is_lowercase()))
            });
        if starts_word {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> Registry {
        let registry = Registry::default();
        registry.register(|| {
            vec![
                Bean::new("NameNode", "FSNamesystem")
                    .with("tag.HAState", "active")
                    .with("CapacityTotal", 7_u64),
                Bean::new("NameNode", "NameNodeStatus").with("State", "active"),
            ]
        });
        registry
    }

    #[test]
    fn names_are_those_dashboards_know() {
        let text = registry().prometheus_hadoop();
        assert!(text.contains("\nfs_namesystem_capacity_total 7\n"), "{text}");
        let text = registry().prometheus_exporter();
        assert!(text.contains("hadoop_namenode_capacitytotal{name=\"FSNamesystem\"} 7"), "{text}");
        assert_eq!(
            snake_case("NameNodeActivityCreateFileOps"),
            "name_node_activity_create_file_ops"
        );
    }

    #[test]
    fn a_query_chooses_beans() {
        let all = registry().jmx(None);
        assert!(all.contains("FSNamesystem") && all.contains("NameNodeStatus"));
        let one = registry().jmx(Some("Hadoop:service=NameNode,name=NameNodeStatus"));
        assert!(!one.contains("CapacityTotal") && one.contains("\"State\": \"active\""), "{one}");
        let some = registry().jmx(Some("Hadoop:*,name=FS*"));
        assert!(some.contains("CapacityTotal") && !some.contains("NameNodeStatus"), "{some}");
        let bean = "Hadoop:service=NameNode,name=FSNamesystem";
        assert!(registry().jmx_attribute(bean, "CapacityTotal").is_some());
        assert!(registry().jmx_attribute(bean, "Nothing").is_none());
    }
}
