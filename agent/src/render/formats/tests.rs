//! Golden texts with nasty values, and: what is written in XML reads back as it was.

use proptest::prelude::*;

use super::*;

fn properties(entries: &[(&str, &str)]) -> Properties {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn xml_escapes_and_orders() {
    let input = properties(&[
        ("z.last", "1"),
        ("a.first", "<b>&\"'</b>"),
        ("m.lines", " one\r\ntwo "),
        ("m.umlaut", "ä€"),
    ]);
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<configuration>
  <property>
    <name>a.first</name>
    <value>&lt;b&gt;&amp;\"'&lt;/b&gt;</value>
  </property>
  <property>
    <name>m.lines</name>
    <value>&#32;one&#13;\ntwo&#32;</value>
  </property>
  <property>
    <name>m.umlaut</name>
    <value>ä€</value>
  </property>
  <property>
    <name>z.last</name>
    <value>1</value>
  </property>
</configuration>
";
    assert_eq!(Format::Xml.render(&input).unwrap(), expected);
}

#[test]
fn xml_refuses_what_it_cannot_hold() {
    let error = Format::Xml.render(&properties(&[("k", "a\u{0}b")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value of 'k' has a control character, which a file of format 'xml' cannot hold"
    );
}

#[test]
fn flokkr_yaml() {
    let render = |entries: &[_]| Format::Yaml.render(&properties(entries)).unwrap();
    assert_eq!(
        render(&[
            ("test.something.asd", "value1"),
            ("test.something.bsd", "value2"),
            ("test.other.bsd", "value3")
        ]),
        "test:\n  other:\n    bsd: value3\n  something:\n    asd: value1\n    bsd: value2\n"
    );
    assert_eq!(
        render(&[("test.something.1", "value1"), ("test.something.2", "value2")]),
        "test:\n  something:\n  - value1\n  - value2\n"
    );
    assert_eq!(
        render(&[
            ("test.something.1.kev", "value1"),
            ("test.something.1.xxx", "value2"),
            ("test.something.10.kev", "value4"),
            ("test.something.2.kev", "value3")
        ]),
        "test:\n  something:\n  - kev: value1\n    xxx: value2\n  - kev: value3\n  - kev: value4\n"
    );
    assert_eq!(
        render(&[("a", "x: y"), ("b", ""), ("c", "no")]),
        "a: \"x: y\"\nb: \"\"\nc: \"no\"\n"
    );
    assert_eq!(render(&[]), "{}\n");
}

#[test]
fn yaml_refuses_a_value_that_is_also_a_section() {
    let error = Format::Yaml.render(&properties(&[("a", "1"), ("a.b", "2")])).unwrap_err();
    assert_eq!(error, RenderError::Shadowed { key: "a.b".into() });
}

#[test]
fn flokkr_sh_and_conf() {
    let input = properties(&[
        ("test.something.asd", "value1"),
        ("test.other.bsd", "it's $HOME"),
        ("empty", ""),
    ]);
    let expected = "export empty=''\nexport test.other.bsd='it'\\''s $HOME'\n\
                    export test.something.asd=value1\n";
    assert_eq!(Format::Sh.render(&input).unwrap(), expected);
    assert_eq!(Format::Conf.render(&input).unwrap(), expected);
    assert!(Format::Sh.render(&properties(&[("a;rm", "1")])).is_err());
}

#[test]
fn flokkr_properties() {
    let input = properties(&[
        ("test.something.asd", "value1"),
        ("test.other.bsd", " two\nlines\\"),
        ("a key:=", "ä"),
    ]);
    assert_eq!(
        Format::Properties.render(&input).unwrap(),
        "a\\ key\\:\\=: \\u00E4\ntest.other.bsd: \\ two\\nlines\\\\\ntest.something.asd: value1\n"
    );
}

#[test]
fn flokkr_ini() {
    let input = properties(&[
        ("section1.some.key", "value1"),
        ("section2.other.key", "value2"),
        ("section1.yet.another", "value3"),
    ]);
    assert_eq!(
        Format::Ini.render(&input).unwrap(),
        "[section1]\nsome.key=value1\nyet.another=value3\n\n[section2]\nother.key=value2\n\n"
    );
}

#[test]
fn plain_lines() {
    let input = properties(&[("B", "2 # not a comment"), ("A", "1")]);
    assert_eq!(Format::Env.render(&input).unwrap(), "A=1\nB=2 # not a comment\n");
    assert_eq!(Format::Cfg.render(&input).unwrap(), "A=1\nB=2 # not a comment\n");
    assert!(Format::Env.render(&properties(&[("A", "1\nB=2")])).is_err());
}

#[test]
fn formats_by_name() {
    assert_eq!(Format::of_file("core-site.xml"), Some(Format::Xml));
    assert_eq!(Format::of("YML"), Some(Format::Yaml));
    assert_eq!(Format::of_file("README"), None);
    assert_eq!(Format::of_file("a.md"), None);
}

/// Reads Hadoop's XML by a reader that is not ours, text nodes taken as they stand.
fn read_back(text: &str) -> Properties {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut result, mut name, mut content) = (Properties::new(), String::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(_) => content.clear(),
            Event::Text(part) => content.push_str(&part.decode().unwrap()),
            Event::GeneralRef(part) => {
                if let Some(c) = part.resolve_char_ref().unwrap() {
                    content.push(c);
                } else {
                    let name = part.decode().unwrap();
                    content.push_str(quick_xml::escape::resolve_xml_entity(&name).unwrap());
                }
            }
            Event::End(tag) if tag.name().as_ref() == b"name" => {
                name = std::mem::take(&mut content);
            }
            Event::End(tag) if tag.name().as_ref() == b"value" => {
                result.insert(std::mem::take(&mut name), std::mem::take(&mut content));
            }
            Event::Eof => return result,
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn xml_reads_back(input in proptest::collection::btree_map(".*", "(?s).*", 0..8)) {
        if let Ok(text) = Format::Xml.render(&input) {
            prop_assert_eq!(read_back(&text), input);
        }
    }

    #[test]
    fn no_format_panics(input in proptest::collection::btree_map("(?s).*", "(?s).*", 0..8)) {
        for format in [Format::Xml, Format::Properties, Format::Yaml, Format::Conf, Format::Cfg,
            Format::Env, Format::Sh, Format::Ini] {
            let _ = format.render(&input);
        }
    }
}
