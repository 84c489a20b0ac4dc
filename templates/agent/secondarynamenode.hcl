# The secondary namenode.

unit "secondarynamenode" {
  command = ["howdah", "secondarynamenode", "--conf", "${conf_dir}"]
  stop    = { timeout = "30s" }
  ready   = { http = "http://127.0.0.1:9868/healthz" }
  wait_for = { service = "namenode", timeout = "5m" }

  file "core-site.xml" {}
  file "hdfs-site.xml" {}

  service "secondarynamenode" {
    port = 9868
    tags = ["http"]
    meta = { generation = "${generation}" }
    checks = {
      http       = { url = "http://127.0.0.1:9868/healthz", interval = "5s" }
      supervisor = { ttl = "30s" }
    }
    maintenance_on_restart = true
  }
}
