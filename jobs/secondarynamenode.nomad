# The secondary namenode: howdah's own, or Java's where var.hadoop_home says where Hadoop is.

variable "datacenters" {
  type        = list(string)
  description = "Datacenters whose nodes may run this."
  default     = ["*"]
}

variable "node_pool" {
  type        = string
  description = "The node pool whose nodes may run this."
  default     = "default"
}

variable "cluster" {
  type        = string
  description = "The cluster's name: part of folders, service ids and locks."
  default     = "default"
}

variable "kv_prefix" {
  type        = string
  description = "Where the cluster's configuration is in Consul KV; ends with /."
  default     = "conf/"
}

variable "service_prefix" {
  type        = string
  description = "In front of the names of jobs and services, for a second cluster."
  default     = ""
}

variable "port_offset" {
  type        = number
  description = "Added to every port, for a second cluster on the same hosts."
  default     = 0
}

variable "bind" {
  type        = string
  description = "The address that servers listen on; loopback must be part of it."
  default     = "0.0.0.0"
}

variable "data_path" {
  type        = string
  description = "The folder on the host below which every cluster has a folder."
  default     = "/var/lib/howdah"
}

variable "howdah" {
  type        = string
  description = "The program: its path on the host, or its name in the artifact."
  default     = "/usr/local/bin/howdah"
}

variable "artifact" {
  type        = string
  description = "Where Nomad fetches the program (URL?checksum=sha256:...); empty: it is on the host."
  default     = ""
}

variable "user" {
  type        = string
  description = "Who the agent and its daemons run as; empty: as Nomad does."
  default     = ""
}

variable "consul_address" {
  type        = string
  description = "The host's Consul agent."
  default     = "127.0.0.1:8500"
}

variable "consul_domain" {
  type        = string
  description = "The domain that Consul's DNS answers for."
  default     = "consul"
}

variable "consul_token_file" {
  type        = string
  description = "A file on the host with the agent's Consul token; empty: none."
  default     = ""
}

variable "vault_address" {
  type        = string
  description = "Vault, such as https://127.0.0.1:8200; empty: there are no secrets."
  default     = ""
}

variable "vault_role" {
  type        = string
  description = "The role that the agent takes at Vault's login jwt-nomad."
  default     = "howdah"
}

variable "namenode_host" {
  type        = string
  description = "The name that the namenode is reached by; empty: its name in Consul."
  default     = ""
}

variable "stop_timeout" {
  type        = string
  description = "How long a daemon may take to stop before it is killed."
  default     = "20s"
}

variable "kill_timeout" {
  type        = string
  description = "The same for the agent: longer, and at most max_kill_timeout of Nomad's client."
  default     = "30s"
}

variable "node" {
  type        = string
  description = "The name of the only node that may run it; empty: the scheduler chooses once."
  default     = ""
}

variable "hadoop_home" {
  type        = string
  description = "Hadoop's folder on the host, to run Java's secondary; empty: howdah's own."
  default     = ""
}

variable "java_home" {
  type        = string
  description = "The JDK on the host, for Java's secondary."
  default     = "/usr/lib/jvm/default-java"
}

variable "cpu" {
  type        = number
  description = "MHz reserved."
  default     = 500
}

variable "memory" {
  type        = number
  description = "MiB reserved."
  default     = 1000
}

locals {
  ours     = "\"$${env.HOWDAH_BIN}\", \"secondarynamenode\", \"--conf\", \"$${conf_dir}\""
  java     = "\"${var.hadoop_home}/bin/hdfs\", \"--config\", \"$${conf_dir}\", \"secondarynamenode\""
  command  = var.hadoop_home == "" ? local.ours : local.java
  health   = var.hadoop_home == "" ? "healthz" : "jmx"
  howdah   = var.artifact == "" ? var.howdah : "${NOMAD_TASK_DIR}/${var.howdah}"
  folder   = "${var.data_path}/${var.cluster}"
  namenode = var.namenode_host != "" ? var.namenode_host : "${var.service_prefix}namenode.service.${var.consul_domain}"
  token    = var.consul_token_file == "" ? "" : "token_file = \"${var.consul_token_file}\""
  login    = "{ method = \"jwt\", path = \"jwt-nomad\", role = \"${var.vault_role}\", token_file = \"$${env.NOMAD_SECRETS_DIR}/nomad_howdah_vault.jwt\" }"
  vault    = var.vault_address == "" ? "" : "vault {\n  address = \"${var.vault_address}\"\n  auth    = ${local.login}\n}"

  # What Nomad decides, ports and folders, is the agent's last layer: no key in Consul changes it.
  settings = {
    "core-site.xml/fs.defaultFS"                  = "hdfs://${local.namenode}:${8020 + var.port_offset}"
    "hdfs-site.xml/dfs.namenode.rpc-address"      = "${local.namenode}:${8020 + var.port_offset}"
    "hdfs-site.xml/dfs.namenode.http-address"     = "${local.namenode}:${9870 + var.port_offset}"
    "hdfs-site.xml/dfs.namenode.secondary.http-address" = "${var.bind}:${9868 + var.port_offset}"
    "hdfs-site.xml/dfs.namenode.checkpoint.dir"   = "file://${local.folder}/checkpoint"
  }
}

job "secondarynamenode" {
  id          = "${var.service_prefix}secondarynamenode"
  type        = "service"
  datacenters = var.datacenters
  node_pool   = var.node_pool
  priority    = 60

  update {
    max_parallel      = 1
    health_check      = "task_states"
    min_healthy_time  = "30s"
    healthy_deadline  = "5m"
    progress_deadline = "10m"
    auto_revert       = true
  }

  # The data stays where it is, and so does its daemon: an empty folder elsewhere would be no help.
  reschedule {
    attempts  = 0
    unlimited = false
  }

  dynamic "constraint" {
    for_each = var.node == "" ? [] : [var.node]
    content {
      attribute = "${node.unique.name}"
      value     = constraint.value
    }
  }

  group "secondarynamenode" {
    count = 1

    network {
      mode = "host"
      port "http" {
        static = 9868 + var.port_offset
      }
      port "agent" {
        static = 9183 + var.port_offset
      }
    }

    # The agent starts its daemon again by itself; Nomad starts the agent again, and never gives up.
    restart {
      attempts = 10
      interval = "5m"
      delay    = "15s"
      mode     = "delay"
    }

    task "secondarynamenode" {
      driver       = "raw_exec"
      user         = var.user
      kill_signal  = "SIGTERM"
      kill_timeout = var.kill_timeout

      config {
        command = local.howdah
        args    = ["agent", "--config", "${NOMAD_TASK_DIR}/agent.hcl", "--unit", "secondarynamenode"]
      }

      env {
        HOWDAH_BIN = local.howdah
        JAVA_HOME  = var.java_home
      }

      # For a login at Vault (role var.vault_role), and for `consul login` where Consul has ACLs.
      identity {
        name        = "howdah_vault"
        aud         = ["vault.io"]
        ttl         = "1h"
        file        = true
        change_mode = "noop"
      }
      identity {
        name        = "howdah_consul"
        aud         = ["consul.io"]
        ttl         = "1h"
        file        = true
        change_mode = "noop"
      }

      dynamic "artifact" {
        for_each = var.artifact == "" ? [] : [var.artifact]
        content {
          source      = artifact.value
          destination = "local/"
        }
      }

      # Rendered by the agent, not by Nomad: the delimiters are none that a template uses.
      template {
        destination     = "local/agent.hcl"
        change_mode     = "signal"
        change_signal   = "SIGHUP"
        left_delimiter  = "<%"
        right_delimiter = "%>"
        data            = <<-EOT
        cluster   = "${var.cluster}"
        state_dir = "${local.folder}/agent/secondarynamenode"
        telemetry { listen = "${var.bind}:${9183 + var.port_offset}" }
        consul {
          address = "${var.consul_address}"
          ${local.token}
        }
        ${local.vault}

        layer "cluster" { kv = "${var.kv_prefix}hdfs/" }
        layer "role" { kv = "${var.kv_prefix}hdfs/@$${unit.role}/" }
        layer "host" { kv = "${var.kv_prefix}hdfs/@host/$${node.name}/" }
        layer "job" { files = "$${env.NOMAD_TASK_DIR}/layer" }

        unit "secondarynamenode" {
          command  = [${local.command}]
          stop     = { timeout = "${var.stop_timeout}" }
          ready    = { http = "http://127.0.0.1:${9868 + var.port_offset}/${local.health}" }
          wait_for = { service = "${var.service_prefix}namenode", timeout = "5m" }
          file "core-site.xml" {}
          file "hdfs-site.xml" {}

          service "${var.service_prefix}secondarynamenode" {
            port = ${9868 + var.port_offset}
            tags = ["http"]
            meta = { cluster = "${var.cluster}", generation = "$${generation}" }
            checks = {
              http       = { url = "http://127.0.0.1:${9868 + var.port_offset}/${local.health}", interval = "5s" }
              supervisor = { ttl = "30s" }
            }
            maintenance_on_restart = true
          }

          service "${var.service_prefix}howdah-agent" {
            port   = ${9183 + var.port_offset}
            meta   = { cluster = "${var.cluster}", unit = "$${unit.name}" }
            checks = { tcp = { address = "127.0.0.1:${9183 + var.port_offset}", interval = "10s" } }
          }
        }
        EOT
      }

      dynamic "template" {
        for_each = local.settings
        content {
          destination     = "local/layer/${template.key}"
          change_mode     = "noop"
          left_delimiter  = "<%"
          right_delimiter = "%>"
          data            = template.value
        }
      }

      resources {
        cpu    = var.cpu
        memory = var.memory
      }

      logs {
        max_files     = 5
        max_file_size = 10
      }
    }
  }
}
