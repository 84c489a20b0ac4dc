//! `howdah dfsadmin`: looks at and steers a namenode, with Hadoop's words and output.
//!
//! Exit code 0: done; 1: an error without an answer; 255: wrong words, or the namenode's refusal.

mod report;

use std::time::Duration;

use hdfs_edge::rpc::{CallError, Client};
use hdfs_wire::proto::hdfs::{
    DatanodeReportTypeProto, GetDatanodeReportRequestProto, GetDatanodeReportResponseProto,
    RefreshNodesRequestProto, RefreshNodesResponseProto, RollEditsRequestProto,
    RollEditsResponseProto, SafeModeActionProto, SaveNamespaceRequestProto,
    SaveNamespaceResponseProto, SetSafeModeRequestProto, SetSafeModeResponseProto,
};

use super::client::{self, Generic, first_line};

/// Exit code for wrong words and refusals: Java's -1.
const EXIT_REFUSED: i32 = 255;

/// Between two looks of `-safemode wait`.
const WAIT: Duration = Duration::from_millis(500);

/// Commands and their words.
const COMMANDS: &[(&str, &str)] = &[
    ("report", "[-live] [-dead] [-decommissioning] [-enteringmaintenance] [-inmaintenance]"),
    ("safemode", "<enter | leave | get | wait | forceExit>"),
    ("saveNamespace", ""),
    ("rollEdits", ""),
    ("refreshNodes", ""),
    ("printTopology", ""),
    ("help", "[cmd]"),
];

/// Why a command did not end well.
enum Failure {
    /// The words were wrong.
    Misuse,
    /// The call has no good answer.
    Call(CallError),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// Runs `howdah dfsadmin WORDS` and returns the exit code.
pub(super) fn run(mut words: Vec<String>) -> i32 {
    let generic = match Generic::take(&mut words) {
        Ok(generic) => generic,
        Err(mistake) => {
            eprintln!("dfsadmin: {mistake}");
            return EXIT_REFUSED;
        }
    };
    let json = words.iter().any(|word| word == "--json");
    words.retain(|word| word != "--json");
    let Some(first) = words.first().cloned() else {
        eprint!("{}", usage(None));
        return EXIT_REFUSED;
    };
    let name = first.trim_start_matches('-').to_owned();
    if matches!(name.as_str(), "help" | "h") {
        print!("{}", usage(words.get(1).map(|word| word.trim_start_matches('-'))));
        return 0;
    }
    if !first.starts_with('-') || !COMMANDS.iter().any(|(command, _)| *command == name) {
        eprintln!("{name}: Unknown command");
        eprint!("{}", usage(None));
        return EXIT_REFUSED;
    }
    let connected = generic
        .settings()
        .and_then(|settings| settings.default_fs().map(|uri| settings.rpc(&uri)))
        .and_then(|client| Ok((client, client::runtime().map_err(|error| error.to_string())?)));
    match connected {
        Ok((client, runtime)) => {
            let result = runtime.block_on(dispatch(&client, &name, &words[1..], json));
            conclude(&name, result)
        }
        Err(mistake) => {
            eprintln!("{name}: {mistake}");
            super::EXIT_USER
        }
    }
}

fn conclude(name: &str, result: Result<(), Failure>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(Failure::Misuse) => {
            eprint!("{}", usage(Some(name)));
            EXIT_REFUSED
        }
        Err(Failure::Call(CallError::Remote { message, .. })) => {
            eprintln!("{name}: {}", first_line(&message));
            EXIT_REFUSED
        }
        Err(Failure::Call(error)) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            eprintln!("{name}: {error}{}", cause.unwrap_or_default());
            1
        }
    }
}

async fn dispatch(
    client: &Client,
    name: &str,
    words: &[String],
    json: bool,
) -> Result<(), Failure> {
    match name {
        "report" => report::run(client, words, json).await,
        "safemode" => safe_mode(client, words).await,
        _ if !words.is_empty() => Err(Failure::Misuse),
        "saveNamespace" => {
            let request = SaveNamespaceRequestProto::default();
            let _: SaveNamespaceResponseProto = client.call("saveNamespace", &request).await?;
            println!("Save namespace successful");
            Ok(())
        }
        "rollEdits" => {
            let answer: RollEditsResponseProto =
                client.call("rollEdits", &RollEditsRequestProto {}).await?;
            println!("Successfully rolled edit logs.");
            println!("New segment starts at txid {}", answer.new_segment_tx_id);
            Ok(())
        }
        "refreshNodes" => {
            let _: RefreshNodesResponseProto =
                client.call("refreshNodes", &RefreshNodesRequestProto {}).await?;
            println!("Refresh nodes successful");
            Ok(())
        }
        "printTopology" => topology(client).await,
        _ => Err(Failure::Misuse),
    }
}

async fn set_safe_mode(client: &Client, action: SafeModeActionProto) -> Result<bool, CallError> {
    let request = SetSafeModeRequestProto { action: action.into(), checked: Some(false) };
    let answer: SetSafeModeResponseProto = client.call("setSafeMode", &request).await?;
    Ok(answer.result)
}

async fn safe_mode(client: &Client, words: &[String]) -> Result<(), Failure> {
    let [word] = words else { return Err(Failure::Misuse) };
    let on = match word.to_lowercase().as_str() {
        "get" => set_safe_mode(client, SafeModeActionProto::SafemodeGet).await?,
        "enter" => set_safe_mode(client, SafeModeActionProto::SafemodeEnter).await?,
        "leave" => set_safe_mode(client, SafeModeActionProto::SafemodeLeave).await?,
        "forceexit" => set_safe_mode(client, SafeModeActionProto::SafemodeForceExit).await?,
        "wait" => {
            while set_safe_mode(client, SafeModeActionProto::SafemodeGet).await? {
                tokio::time::sleep(WAIT).await;
            }
            false
        }
        _ => return Err(Failure::Misuse),
    };
    println!("Safe mode is {}", if on { "ON" } else { "OFF" });
    Ok(())
}

/// The datanodes in a state.
async fn datanodes(
    client: &Client,
    kind: DatanodeReportTypeProto,
) -> Result<Vec<hdfs_wire::proto::hdfs::DatanodeInfoProto>, CallError> {
    let request = GetDatanodeReportRequestProto { r#type: kind.into() };
    let answer: GetDatanodeReportResponseProto = client.call("getDatanodeReport", &request).await?;
    Ok(answer.di)
}

async fn topology(client: &Client) -> Result<(), Failure> {
    let mut racks = std::collections::BTreeMap::<String, Vec<String>>::new();
    for node in datanodes(client, DatanodeReportTypeProto::All).await? {
        let state = report::admin_state(&node);
        let state = if state == "Normal" { "In Service" } else { state };
        let id = &node.id;
        let line = format!("   {}:{} ({}) {state}", id.ip_addr, id.xfer_port, id.host_name);
        racks.entry(node.location.unwrap_or_default()).or_default().push(line);
    }
    if racks.is_empty() {
        println!("No DataNodes");
    }
    for (rack, mut lines) in racks {
        lines.sort();
        println!("Rack: {rack}");
        for line in lines {
            println!("{line}");
        }
        println!();
    }
    Ok(())
}

fn usage(command: Option<&str>) -> String {
    let line = |(name, words): &(&str, &str)| format!("[-{name} {words}]").replace(" ]", "]");
    match COMMANDS.iter().find(|(name, _)| Some(*name) == command) {
        Some(command) => format!("Usage: hdfs dfsadmin {}\n", line(command)),
        None => {
            let all = COMMANDS.iter().map(|command| format!("\t{}\n", line(command)));
            format!(
                "Usage: hdfs dfsadmin\nNote: Administrative commands can only be run as the HDFS \
                 superuser.\n{}",
                all.collect::<String>()
            )
        }
    }
}
