# The namenode, on the one host that keeps its folder.

unit "namenode" {
  command = ["howdah", "namenode", "--conf", "${conf_dir}"]
  stop    = { timeout = "30s" }
  ready   = { http = "http://127.0.0.1:9870/healthz" }
  reload  = { http = "http://127.0.0.1:9870/reload" }
  file "core-site.xml" {}
  file "hdfs-site.xml" {}

  service "namenode" {
    port = 8020
    tags = ["rpc"]
    meta = { generation = "${generation}" }
    checks = {
      http       = { url = "http://127.0.0.1:9870/healthz", interval = "5s" }
      supervisor = { ttl = "30s" }
    }
    maintenance_on_restart = true
  }

  service "namenode-web" {
    port = 9870
    tags = ["http"]
    checks = {
      http = { url = "http://127.0.0.1:9870/healthz", interval = "5s" }
    }
  }
}
