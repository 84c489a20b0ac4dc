# Several hosts, with tokens. Nomad's clients need max_kill_timeout = "3m" or more.

cluster           = "production"
kv_prefix         = "production/conf/"
user              = "hdfs"
data_path         = "/srv/howdah"
consul_token_file = "/etc/howdah/consul.token"
vault_address     = "https://vault.service.consul:8200"
stop_timeout      = "2m"
kill_timeout      = "150s"
