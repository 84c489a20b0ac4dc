# What each file of this folder is for. `needs` are the variables it is rendered with, or the
# programs' environment; `by` is who puts it where it belongs.

file "agent/agent.hcl" {
  purpose = "The host's agent without Nomad: cluster, sources, layers."
  by      = "copied to /etc/howdah"
  needs   = ["CONSUL_HTTP_ADDR", "VAULT_ADDR"]
}

file "agent/client.hcl" {
  purpose = "The unit of the client's files."
  by      = "copied to /etc/howdah"
  needs   = []
}

file "agent/datanode.hcl" {
  purpose = "The unit of a datanode."
  by      = "copied to /etc/howdah"
  needs   = []
}

file "agent/namenode.hcl" {
  purpose = "The unit of the namenode."
  by      = "copied to /etc/howdah"
  needs   = []
}

file "agent/secondarynamenode.hcl" {
  purpose = "The unit of the secondary namenode."
  by      = "copied to /etc/howdah"
  needs   = []
}

folder "conf" {
  purpose = "What a cluster starts with: one file for each key, as in Consul KV below conf/."
  by      = "howdah kv import templates/conf"
  needs   = []
}

file "dnsmasq/dnsmasq.conf" {
  purpose = "Sends names below .consul to the host's Consul agent."
  by      = "copied to /etc/dnsmasq.d"
  needs   = []
}

file "grafana/dashboards.yml" {
  purpose = "Tells Grafana where the dashboards are."
  by      = "jobs/grafana.nomad"
  needs   = ["DASHBOARDS"]
}

file "grafana/datasource.yml" {
  purpose = "Tells Grafana where Prometheus is."
  by      = "jobs/grafana.nomad"
  needs   = ["PROMETHEUS_URL"]
}

file "grafana/howdah.json" {
  purpose = "The dashboard of the agents."
  by      = "jobs/grafana.nomad"
  needs   = []
}

file "prometheus/prometheus.yml.hbs" {
  purpose = "Prometheus' targets: agents, namenodes, datanodes, as Consul has them."
  by      = "jobs/prometheus.nomad"
  needs   = ["HOWDAH_SERVICE_PREFIX"]
}
