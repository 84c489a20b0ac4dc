# One host, without a DNS that knows Consul: nomad job run -var-file=vars/lab.hcl jobs/NAME.nomad

bind          = "127.0.0.1"
namenode_host = "127.0.0.1"
data_path     = "/var/tmp/howdah"
