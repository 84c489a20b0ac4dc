# The host's agent, started by hand or by systemd: `howdah agent --config FOLDER --unit NAME`.
# Under Nomad the same units are in jobs/.

cluster   = "default"
state_dir = "/var/lib/howdah/default/agent"

# CONSUL_HTTP_ADDR and CONSUL_HTTP_TOKEN, or 127.0.0.1:8500 and none.
consul {}

# For secrets in templates, and VAULT_ADDR and VAULT_TOKEN set:
# vault {}

# A later layer wins. The last one is flokkr's: HDFS-SITE.XML_dfs.replication=2.
layer "cluster" { kv = "conf/hdfs/" }
layer "role" { kv = "conf/hdfs/@${unit.role}/" }
layer "host" { kv = "conf/hdfs/@host/${node.name}/" }
layer "env" { env = true }
