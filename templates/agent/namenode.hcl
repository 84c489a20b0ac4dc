# The namenode, on the one host that keeps its folder.

unit "namenode" {
  command = ["howdah", "namenode", "--conf", "${conf_dir}"]
  stop    = { timeout = "30s" }
  ready   = { http = "http://127.0.0.1:9870/healthz" }
  reload  = { http = "http://127.0.0.1:9870/reload" }

  # As dfs.namenode.name.dir has it: a new cluster's namenode formats itself.
  prepare = {
    when_empty = "/var/lib/howdah/default/name"
    command    = ["howdah", "namenode", "--format", "--conf", "${conf_dir}"]
    made       = ["current/VERSION", "current/fsimage_0000000000000000000.md5"]
  }

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
