# The client's files: HADOOP_CONF_DIR=/var/lib/howdah/default/agent/units/client/conf

unit "client" {
  file "core-site.xml" {}
  file "hdfs-site.xml" {}
}
