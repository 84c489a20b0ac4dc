# A second cluster on the same hosts, from the same jobs: nothing of it meets the first one.

cluster        = "second"
kv_prefix      = "second/conf/"
service_prefix = "second-"
port_offset    = 1000
