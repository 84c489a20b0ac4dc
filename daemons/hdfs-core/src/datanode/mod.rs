//! The datanode as a state machine: replicas, their states, reports and commands.
