# A datanode.

unit "datanode" {
  command = ["howdah", "datanode", "--conf", "${conf_dir}"]
  stop    = { timeout = "30s" }
  ready   = { http = "http://127.0.0.1:9864/healthz" }
  reload  = { http = "http://127.0.0.1:9864/reload" }
  wait_for = { service = "namenode", timeout = "5m" }

  file "core-site.xml" {}
  file "hdfs-site.xml" {}

  service "datanode" {
    port = 9866
    tags = ["data"]
    meta = { generation = "${generation}" }
    checks = {
      http       = { url = "http://127.0.0.1:9864/healthz", interval = "5s" }
      supervisor = { ttl = "30s" }
    }
    maintenance_on_restart = true
  }

  service "datanode-web" {
    port = 9864
    tags = ["http"]
    checks = {
      http = { url = "http://127.0.0.1:9864/healthz", interval = "5s" }
    }
  }
}
