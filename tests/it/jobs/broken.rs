//! Every rule of `lint` on a job that breaks it: told by file and line, and nothing else.

use super::spec::Spec;
use super::{Values, lint, taken_twice};

/// A job that keeps every rule.
const GOOD: &str = r#"variable "service_prefix" {
  type        = string
  description = "In front of names."
  default     = ""
}

locals {
  settings = {
    "hdfs-site.xml/dfs.replication" = "3"
  }
}

job "x" {
  id          = "${var.service_prefix}x"
  update {
    max_parallel      = 1
    health_check      = "task_states"
    healthy_deadline  = "5m"
    progress_deadline = "10m"
  }
  group "x" {
    network {
      mode = "host"
      port "http" {
        static = 9864
      }
      port "agent" {
        static = 9180
      }
    }
    restart {
      attempts = 10
      interval = "5m"
      delay    = "15s"
      mode     = "delay"
    }
    task "x" {
      driver       = "raw_exec"
      kill_signal  = "SIGTERM"
      kill_timeout = "31s"
      config {
        args = ["agent", "--unit", "x"]
      }
      identity {
        change_mode = "noop"
      }
      template {
        destination    = "local/agent.hcl"
        change_mode    = "noop"
        left_delimiter = "<%"
        data           = <<-EOT
        consul {}
        unit "x" {
          command = ["x", "$${conf_dir}"]
          service "x" {
            port = 9864
          }
        }
        EOT
      }
      dynamic "template" {
        for_each = local.settings
        content {
          destination    = "local/layer/${template.key}"
          change_mode    = "noop"
          left_delimiter = "<%"
          data           = template.value
        }
      }
    }
  }
}
"#;

/// What stands in the good job, what stands there instead, and what is said of it.
const BROKEN: &[(&str, &str, &str)] = &[
    ("  type        = string\n", "", "1: variable service_prefix has no type"),
    ("\"In front of names.\"", "\" \"", "1: variable service_prefix has no description"),
    ("  default     = \"\"\n", "", "1: variable service_prefix has no default"),
    ("\"3\"", "var.service_prefix == \"\" ? \"3\" : var.other", "9: var.other is not declared"),
    ("${var.service_prefix}x", "x", "14: id does not begin with var.service_prefix"),
    ("max_parallel      = 1", "max_parallel = 2", "16: max_parallel is not 1"),
    ("\"task_states\"", "\"checks\"", "17: health_check is not task_states"),
    ("\"10m\"", "\"5m\"", "18: healthy_deadline is not before progress_deadline"),
    ("  update {", "  migrate {", "13: the job has no update block"),
    ("mode = \"host\"", "mode = \"bridge\"", "23: the network's mode is not host"),
    ("mode = \"host\"", "", "22: the network's mode is not host"),
    ("static = 9180", "static = 9180\n to = 80", "27: port agent is not static"),
    ("static = 9180", "static = 91800", "27: port agent is not static"),
    ("    network {", "    networks {", "21: the group has no network block"),
    ("mode     = \"delay\"", "mode = \"fail\"", "35: mode is not delay: Nomad would give up"),
    ("delay    = \"15s\"", "delay = \"31s\"", "31: interval is shorter than attempts * delay"),
    ("    restart {", "    restarts {", "21: the group has no restart block"),
    ("\"raw_exec\"", "\"docker\"", "38: driver \"docker\"; raw_exec is expected"),
    ("identity {", "volume_mount {}\n identity {", "44: raw_exec has no volume_mount"),
    ("\"SIGTERM\"", "\"SIGINT\"", "39: kill_signal is not SIGTERM"),
    ("  kill_signal  = \"SIGTERM\"\n", "\n", "37: kill_signal is not SIGTERM"),
    ("\"31s\"", "\"30s\"", "40: kill_timeout 30s is no longer than a unit's 30s"),
    (
        "identity {",
        "service {}\n identity {",
        "44: the agent registers services; a second owner would fight it",
    ),
    (
        "change_mode = \"noop\"",
        "ttl = \"1h\"",
        "44: change_mode \"restart\" of identity stops the daemon",
    ),
    (
        "change_mode    = \"noop\"\n        left",
        "change_mode = \"restart\"\n        left",
        "49: change_mode \"restart\" of template stops the daemon",
    ),
    (
        "        left_delimiter = \"<%\"\n        data           = <<",
        "\n        data = <<",
        "47: left_delimiter is missing: Nomad would render the agent's templates",
    ),
    ("local/agent.hcl", "local/other.hcl", "37: no template makes local/agent.hcl"),
    (
        "          command = ",
        "          comand = ",
        "54: comand is unknown in unit \"x\"; did you mean command?",
    ),
    ("port = 9864", "port = 9865", "51: the agent's port 9865 is no static port of the group"),
    (
        "\"--unit\", \"x\"",
        "\"--unit\", \"y\"",
        "37: --unit Some(\"y\") is none of the agent's units",
    ),
    ("dfs.replication", "dfs.repliction", "9: dfs.repliction is no key of Hadoop's"),
    ("\"3\"", "\"x\"", "9: dfs.replication = \"x\": "),
];

fn problems(text: &str) -> Vec<String> {
    match Spec::read("x.nomad", text, &Values::new()) {
        Ok(spec) => lint::lint(&spec).iter().map(ToString::to_string).collect(),
        Err(problem) => vec![problem.to_string()],
    }
}

#[test]
fn every_rule_names_file_and_line() {
    assert_eq!(problems(GOOD), [""; 0]);
    for (old, new, said) in BROKEN {
        assert!(GOOD.contains(old), "{old:?} is not in the good job");
        let found = problems(&GOOD.replacen(old, new, 1));
        let expected = format!("x.nomad:{said}");
        assert!(found.iter().any(|line| line.starts_with(&expected)), "{said}: {found:#?}");
        assert!(found.len() <= 3, "{said}: {found:#?}");
    }
}

#[test]
fn what_cannot_be_read_is_told_by_its_line() {
    for (old, new, said) in [
        ("job \"x\" {", "job \"x\" {{", "13: "),
        ("= \"3\"", "= local.nobody", "8: "),
        ("attempts = 10", "attempts = 10\n attempts = 11", "33: "),
        ("for_each = local.settings", "", "61: a dynamic block has for_each and content"),
        ("static = 9180", "static = var.service_prefix + 1", "28: "),
        ("job \"x\" {", "jobs \"x\" {", "1: there is no job block"),
    ] {
        assert!(GOOD.contains(old), "{old:?} is not in the good job");
        let found = problems(&GOOD.replacen(old, new, 1));
        let expected = format!("x.nomad:{said}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{said}: {found:?}");
    }
}

#[test]
fn a_port_has_one_owner() {
    let read = |text: &str| Spec::read("x.nomad", text, &Values::new()).expect("a job");
    let (one, other) = (read(GOOD), read(&GOOD.replace("9864", "9865")));
    let found = taken_twice(&[&one, &other]);
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["x.nomad:27: port 9180 is x.nomad:27's already"]);
}
