//! `-report`: the state of the cluster and of each datanode, as text or (`--json`) as JSON.

use std::fmt::Write as _;

use hdfs_edge::rpc::Client;
use hdfs_wire::proto::hdfs::{
    DatanodeInfoProto, DatanodeReportTypeProto, GetFsEcBlockGroupStatsRequestProto,
    GetFsEcBlockGroupStatsResponseProto, GetFsReplicatedBlockStatsRequestProto,
    GetFsReplicatedBlockStatsResponseProto, GetFsStatsResponseProto, GetFsStatusRequestProto,
    SafeModeActionProto, datanode_info_proto::AdminState,
};
use serde_json::{Value, json};

use super::Failure;
use crate::cli::dfs::format::report_date;

/// The sections: option, heading, what to ask for.
const SECTIONS: &[(&str, &str, DatanodeReportTypeProto)] = &[
    ("-live", "Live", DatanodeReportTypeProto::Live),
    ("-dead", "Dead", DatanodeReportTypeProto::Dead),
    ("-decommissioning", "Decommissioning", DatanodeReportTypeProto::Decommissioning),
    ("-enteringmaintenance", "Entering maintenance", DatanodeReportTypeProto::EnteringMaintenance),
    ("-inmaintenance", "In maintenance", DatanodeReportTypeProto::InMaintenance),
];

pub(super) async fn run(client: &Client, words: &[String], json: bool) -> Result<(), Failure> {
    let known =
        |word: &String| SECTIONS.iter().any(|(option, ..)| option == word) || word == "-slownodes";
    if !words.iter().all(known) {
        return Err(Failure::Misuse);
    }
    let stats: GetFsStatsResponseProto =
        client.call("getFsStats", &GetFsStatusRequestProto {}).await?;
    let safe = super::set_safe_mode(client, SafeModeActionProto::SafemodeGet).await?;
    let blocks: GetFsReplicatedBlockStatsResponseProto =
        client.call("getFsReplicatedBlockStats", &GetFsReplicatedBlockStatsRequestProto {}).await?;
    let groups: GetFsEcBlockGroupStatsResponseProto =
        client.call("getFsECBlockGroupStats", &GetFsEcBlockGroupStatsRequestProto {}).await?;
    let mut sections = Vec::new();
    for (option, heading, kind) in SECTIONS {
        let asked = words.iter().any(|word| word == option);
        if words.is_empty() || asked {
            sections.push((*heading, asked, super::datanodes(client, *kind).await?));
        }
    }
    if json {
        println!("{:#}", as_json(&stats, safe, &blocks, &sections));
    } else {
        print!("{}", as_text(&stats, safe, &blocks, &groups, &sections));
    }
    Ok(())
}

type Section = (&'static str, bool, Vec<DatanodeInfoProto>);

fn as_text(
    stats: &GetFsStatsResponseProto,
    safe: bool,
    blocks: &GetFsReplicatedBlockStatsResponseProto,
    groups: &GetFsEcBlockGroupStatsResponseProto,
    sections: &[Section],
) -> String {
    let mut text = String::new();
    if safe {
        text.push_str("Safe mode is ON\n");
    }
    let present = stats.used + stats.remaining;
    let _ = write!(
        text,
        "Configured Capacity: {}\nPresent Capacity: {}\nDFS Remaining: {}\nDFS Used: {}\n\
         DFS Used%: {}\nReplicated Blocks:\n",
        bytes(stats.capacity),
        bytes(present),
        bytes(stats.remaining),
        bytes(stats.used),
        percent(stats.used, present, "0.00%"),
    );
    let mut count = |name: &str, value: u64| {
        let _ = writeln!(text, "\t{name}: {value}");
    };
    count("Under replicated blocks", blocks.low_redundancy);
    count("Blocks with corrupt replicas", blocks.corrupt_blocks);
    count("Missing blocks", blocks.missing_blocks);
    count("Missing blocks (with replication factor 1)", blocks.missing_repl_one_blocks);
    if let Some(value) = blocks.highest_prio_low_redundancy_blocks {
        count("Low redundancy blocks with highest priority to recover", value);
    }
    count("Pending deletion blocks", blocks.pending_deletion_blocks);
    text.push_str("Erasure Coded Block Groups: \n");
    let mut count = |name: &str, value: u64| {
        let _ = writeln!(text, "\t{name}: {value}");
    };
    count("Low redundancy block groups", groups.low_redundancy);
    count("Block groups with corrupt internal blocks", groups.corrupt_blocks);
    count("Missing block groups", groups.missing_blocks);
    if let Some(value) = groups.highest_prio_low_redundancy_blocks {
        count("Low redundancy blocks with highest priority to recover", value);
    }
    count("Pending deletion blocks", groups.pending_deletion_blocks);
    text.push_str("\n-------------------------------------------------\n");
    for (heading, asked, nodes) in sections {
        if *asked || !nodes.is_empty() {
            let _ = writeln!(text, "{heading} datanodes ({}):\n", nodes.len());
        }
        for node in nodes {
            text.push_str(&node_text(node));
            text.push_str("\n\n");
        }
    }
    text
}

/// What this host's resolver calls an address, as Java's report asks it: ` (name)`, or nothing for
/// what is no address.
fn name_of(ip: &str) -> String {
    let Ok(address) = ip.parse() else { return String::new() };
    let name = dns_lookup::lookup_addr(&address).unwrap_or_else(|_| ip.to_owned());
    format!(" ({name})")
}

fn node_text(node: &DatanodeInfoProto) -> String {
    let id = &node.id;
    let value = |field: Option<u64>| field.unwrap_or(0);
    let (capacity, used) = (value(node.capacity), value(node.dfs_used));
    let remaining = value(node.remaining);
    let non_dfs = node.non_dfs_used.unwrap_or(capacity.saturating_sub(used + remaining));
    let (cache, cached) = (value(node.cache_capacity), value(node.cache_used));
    let mut text = format!("Name: {}:{}{}\n", id.ip_addr, id.xfer_port, name_of(&id.ip_addr));
    let _ = writeln!(text, "Hostname: {}", id.host_name);
    if let Some(rack) = node.location.as_deref().filter(|rack| *rack != "/default-rack") {
        let _ = writeln!(text, "Rack: {rack}");
    }
    let _ = write!(
        text,
        "Decommission Status : {}\nConfigured Capacity: {}\nDFS Used: {}\nNon DFS Used: {}\n\
         DFS Remaining: {}\nDFS Used%: {}\nDFS Remaining%: {}\n",
        admin_state(node),
        bytes(capacity),
        bytes(used),
        bytes(non_dfs),
        bytes(remaining),
        percent(used, capacity, "100.00%"),
        percent(remaining, capacity, "0.00%"),
    );
    let _ = write!(
        text,
        "Configured Cache Capacity: {}\nCache Used: {}\nCache Remaining: {}\nCache Used%: {}\n\
         Cache Remaining%: {}\n",
        bytes(cache),
        bytes(cached),
        bytes(cache.saturating_sub(cached)),
        percent(cached, cache, "100.00%"),
        percent(cache.saturating_sub(cached), cache, "0.00%"),
    );
    let reported = match value(node.last_block_report_time) {
        0 => "Never".to_owned(),
        time => report_date(time),
    };
    let _ = write!(
        text,
        "Xceivers: {}\nLast contact: {}\nLast Block Report: {reported}\nNum of Blocks: {}\n",
        node.xceiver_count.unwrap_or(0),
        report_date(value(node.last_update)),
        node.num_blocks.unwrap_or(0),
    );
    text
}

pub(super) fn admin_state(node: &DatanodeInfoProto) -> &'static str {
    match node.admin_state() {
        AdminState::Normal => "Normal",
        AdminState::DecommissionInprogress => "Decommission in progress",
        AdminState::Decommissioned => "Decommissioned",
        AdminState::EnteringMaintenance => "Entering Maintenance",
        AdminState::InMaintenance => "In Maintenance",
    }
}

fn as_json(
    stats: &GetFsStatsResponseProto,
    safe: bool,
    blocks: &GetFsReplicatedBlockStatsResponseProto,
    sections: &[Section],
) -> Value {
    let node = |node: &DatanodeInfoProto| {
        json!({
            "address": format!("{}:{}", node.id.ip_addr, node.id.xfer_port),
            "hostname": node.id.host_name,
            "uuid": node.id.datanode_uuid,
            "rack": node.location,
            "state": admin_state(node),
            "capacity": node.capacity,
            "used": node.dfs_used,
            "remaining": node.remaining,
            "blocks": node.num_blocks,
            "transfers": node.xceiver_count,
            "last_contact": node.last_update,
            "last_block_report": node.last_block_report_time,
        })
    };
    let datanodes: serde_json::Map<String, Value> = sections
        .iter()
        .map(|(heading, _, nodes)| {
            let key = heading.to_lowercase().replace(' ', "_");
            (key, Value::from(nodes.iter().map(node).collect::<Vec<_>>()))
        })
        .collect();
    json!({
        "safe_mode": safe,
        "capacity": stats.capacity,
        "used": stats.used,
        "remaining": stats.remaining,
        "blocks": {
            "under_replicated": blocks.low_redundancy,
            "corrupt": blocks.corrupt_blocks,
            "missing": blocks.missing_blocks,
            "missing_with_one_replica": blocks.missing_repl_one_blocks,
            "pending_deletion": blocks.pending_deletion_blocks,
        },
        "datanodes": datanodes,
    })
}

/// `1536 (1.50 KB)`.
fn bytes(count: u64) -> String {
    const PREFIXES: &[&str] = &["", "K", "M", "G", "T", "P", "E"];
    let power = if count == 0 { 0 } else { (63 - count.leading_zeros()) as usize / 10 };
    let unit = 1_u64 << (10 * power);
    let short = if count.is_multiple_of(unit) {
        format!("{}", count / unit)
    } else {
        format!("{:.2}", count as f64 / unit as f64)
    };
    format!("{count} ({short} {}B)", PREFIXES[power])
}

/// `part` of `whole` in percent, or `without` where there is no whole.
fn percent(part: u64, whole: u64, without: &str) -> String {
    if whole == 0 {
        return without.to_owned();
    }
    format!("{:.2}%", part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares() {
        assert_eq!(bytes(0), "0 (0 B)");
        assert_eq!(bytes(24_576), "24576 (24 KB)");
        assert_eq!(bytes(63_176_314_880), "63176314880 (58.84 GB)");
        assert_eq!(percent(1, 3, "-"), "33.33%");
        assert_eq!(percent(0, 0, "100.00%"), "100.00%");
    }

    #[test]
    fn a_datanode() {
        let mut node = DatanodeInfoProto::default();
        node.id.ip_addr = "127.0.0.1".into();
        node.id.host_name = "localhost".into();
        node.id.xfer_port = 9866;
        node.capacity = Some(1000);
        node.remaining = Some(500);
        node.location = Some("/default-rack".into());
        let text = node_text(&node);
        assert!(text.starts_with(
            "Name: 127.0.0.1:9866 (localhost)\nHostname: localhost\nDecommission Status : Normal\n\
             Configured Capacity: 1000 (1000 B)\nDFS Used: 0 (0 B)\nNon DFS Used: 500 (500 B)\n"
        ));
        assert!(text.contains("DFS Remaining%: 50.00%\n"));
        assert!(text.contains("Last Block Report: Never\n"));
    }
}
