//! Random histories: what the log says must be what happened, and an image must hold all of it.

use super::*;
use proptest::prelude::*;

/// One random step. Paths come from a small set, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Mkdir(u8),
    Create(u8, u8, bool),
    Write(u8, u8),
    Close(u8, u8),
    Append(u8, u8),
    Abandon(u8, u8),
    Rename(u8, u8),
    Rename2(u8, u8, bool),
    Delete(u8),
    Chmod(u8, u16),
    Chown(u8, u8),
    Times(u8),
    Replicate(u8, u8),
    Truncate(u8, u16),
    Concat(u8, u8),
    Quota(u8, u8),
    XAttr(u8, u8),
    Acl(u8, u8),
    Policy(u8),
    Snapshot(u8),
    Recover(u8),
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let path = 0..PATHS.len() as u8;
    let pair = (path.clone(), path.clone());
    let client = (path.clone(), 0..3u8);
    prop_oneof![
        3 => path.clone().prop_map(Mkdir),
        6 => (path.clone(), 0..3u8, any::<bool>()).prop_map(|(p, c, o)| Create(p, c, o)),
        6 => client.clone().prop_map(|(p, c)| Write(p, c)),
        5 => client.clone().prop_map(|(p, c)| Close(p, c)),
        2 => client.clone().prop_map(|(p, c)| Append(p, c)),
        1 => client.prop_map(|(p, c)| Abandon(p, c)),
        3 => pair.clone().prop_map(|(s, d)| Rename(s, d)),
        3 => (pair.clone(), any::<bool>()).prop_map(|((s, d), o)| Rename2(s, d, o)),
        2 => path.clone().prop_map(Delete),
        1 => (path.clone(), 0..0o2000u16).prop_map(|(p, m)| Chmod(p, m)),
        1 => (path.clone(), 0..3u8).prop_map(|(p, u)| Chown(p, u)),
        1 => path.clone().prop_map(Times),
        1 => (path.clone(), 1..4u8).prop_map(|(p, r)| Replicate(p, r)),
        2 => (path.clone(), 0..300u16).prop_map(|(p, l)| Truncate(p, l)),
        1 => pair.prop_map(|(t, s)| Concat(t, s)),
        1 => (path.clone(), 0..8u8).prop_map(|(p, q)| Quota(p, q)),
        1 => (path.clone(), 0..4u8).prop_map(|(p, n)| XAttr(p, n)),
        1 => (path.clone(), 0..8u8).prop_map(|(p, m)| Acl(p, m)),
        1 => path.clone().prop_map(Policy),
        1 => path.clone().prop_map(Snapshot),
        1 => path.prop_map(Recover),
        1 => (1..70u8).prop_map(Pass),
    ]
}

const PATHS: [&str; 12] = [
    "/a", "/b", "/a/x", "/a/y", "/a/x/1", "/a/x/2", "/b/x", "/b/x/1", "/c", "/c/ü", "/", "/a/x/1/q",
];
const USERS: [&str; 3] = ["root", "al", "bo"];

fn path(index: u8) -> &'static str {
    PATHS[usize::from(index)]
}

fn client(index: u8) -> String {
    format!("client-{index}")
}

/// The last block of an open file as its writer knows it.
fn last_block(lab: &Lab, path: &str) -> Option<ExtendedBlockProto> {
    let request = GetBlockLocationsRequestProto { src: path.into(), offset: 0, length: 1 << 40 };
    let located = lab.read(|node, caller| node.get_block_locations(caller, &request)).ok()?;
    located.locations?.last_block.map(|block| block.b)
}

/// Carries a step out; refusals are part of history too.
fn run(lab: &mut Lab, step: &Step) {
    match *step {
        Step::Mkdir(at) => drop(lab.mkdirs(path(at), 0o755)),
        Step::Create(at, who, overwrite) => {
            let flags = if overwrite { CREATE | OVERWRITE } else { CREATE };
            drop(lab.create(path(at), &client(who), flags));
        }
        Step::Write(at, who) => {
            let previous = last_block(lab, path(at)).map(|block| ExtendedBlockProto {
                num_bytes: Some(block.num_bytes().max(100)),
                ..block
            });
            drop(lab.write_block(path(at), &client(who), previous, 100));
        }
        Step::Close(at, who) => {
            let last = last_block(lab, path(at)).map(|block| ExtendedBlockProto {
                num_bytes: Some(block.num_bytes().max(100)),
                ..block
            });
            if let Some(last) = &last {
                lab.received(last);
            }
            drop(lab.complete(path(at), &client(who), last));
        }
        Step::Append(at, who) => {
            let request = AppendRequestProto {
                src: path(at).into(),
                client_name: client(who),
                flag: Some(if at % 2 == 0 { 4 } else { 4 | 32 }),
            };
            drop(lab.durably(|node, caller| node.append(caller, &request)));
        }
        Step::Abandon(at, who) => {
            if let Some(b) = last_block(lab, path(at)) {
                let request = AbandonBlockRequestProto {
                    b,
                    src: path(at).into(),
                    holder: client(who),
                    file_id: None,
                };
                drop(lab.durably(|node, caller| node.abandon_block(caller, &request)));
            }
        }
        Step::Rename(from, to) => drop(lab.rename(path(from), path(to))),
        Step::Rename2(from, to, overwrite) => drop(lab.rename2(path(from), path(to), overwrite)),
        Step::Delete(at) => drop(lab.delete(path(at), at % 2 == 0)),
        Step::Recover(at) => {
            let request =
                RecoverLeaseRequestProto { src: path(at).into(), client_name: "taker".into() };
            drop(lab.durably(|node, caller| node.recover_lease(caller, &request)));
        }
        Step::Pass(minutes) => {
            for _ in 0..minutes {
                lab.now += 60_000;
                lab.beat();
                lab.node.tick(lab.now);
                lab.node.take_log(&mut lab.log);
            }
        }
        _ => change(lab, step),
    }
}

/// Steps on attributes and whole files.
fn change(lab: &mut Lab, step: &Step) {
    match *step {
        Step::Chmod(at, mode) => drop(lab.chmod(path(at), u32::from(mode))),
        Step::Chown(at, who) => {
            let who = USERS[usize::from(who)];
            drop(lab.chown(path(at), Some(who), Some("users")));
        }
        Step::Times(at) => {
            let request = SetTimesRequestProto { src: path(at).into(), mtime: 5, atime: u64::MAX };
            drop(lab.durably(|node, caller| node.set_times(caller, &request)));
        }
        Step::Replicate(at, replication) => {
            let request = SetReplicationRequestProto {
                src: path(at).into(),
                replication: u32::from(replication),
            };
            drop(lab.durably(|node, caller| node.set_replication(caller, &request)));
        }
        Step::Truncate(at, length) => {
            let request = TruncateRequestProto {
                src: path(at).into(),
                new_length: u64::from(length),
                client_name: "cutter".into(),
            };
            drop(lab.durably(|node, caller| node.truncate(caller, &request)));
        }
        Step::Concat(target, source) => {
            let request =
                ConcatRequestProto { trg: path(target).into(), srcs: vec![path(source).into()] };
            drop(lab.durably(|node, caller| node.concat(caller, &request)));
        }
        Step::Quota(at, names) => {
            let names = if names == 0 { -1 } else { i64::from(names) };
            drop(lab.set_quota(path(at), names, names << 20));
        }
        _ => decorate(lab, step),
    }
}

/// Steps on rare features.
fn decorate(lab: &mut Lab, step: &Step) {
    match *step {
        Step::XAttr(at, name) => {
            let x_attr = XAttrProto {
                namespace: 0,
                name: format!("n{}", name / 2),
                value: (name > 0).then(|| vec![name].into()),
            };
            let src = path(at).to_owned();
            if name == 3 {
                let request = RemoveXAttrRequestProto { src, x_attr: Some(x_attr) };
                drop(lab.durably(|node, caller| node.remove_x_attr(caller, &request)));
            } else {
                let request = SetXAttrRequestProto { src, x_attr: Some(x_attr), flag: Some(3) };
                drop(lab.durably(|node, caller| node.set_x_attr(caller, &request)));
            }
        }
        Step::Acl(at, permissions) => {
            let entry = AclEntryProto {
                r#type: 0,
                scope: i32::from(permissions % 2),
                permissions: i32::from(permissions),
                name: Some("al".into()),
            };
            let src = path(at).to_owned();
            if permissions == 0 {
                let request = RemoveAclRequestProto { src };
                drop(lab.durably(|node, caller| node.remove_acl(caller, &request)));
            } else {
                let request = ModifyAclEntriesRequestProto { src, acl_spec: vec![entry] };
                drop(lab.durably(|node, caller| node.modify_acl_entries(caller, &request)));
            }
        }
        Step::Policy(at) => {
            let request =
                SetStoragePolicyRequestProto { src: path(at).into(), policy_name: "COLD".into() };
            drop(lab.durably(|node, caller| node.set_storage_policy(caller, &request)));
        }
        Step::Snapshot(at) => {
            let request = AllowSnapshotRequestProto { snapshot_root: path(at).into() };
            drop(lab.durably(|node, caller| node.allow_snapshot(caller, &request)));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn live_equals_replayed_equals_reloaded(steps in proptest::collection::vec(step(), 1..120)) {
        let mut lab = Lab::new();
        for step in &steps {
            run(&mut lab, step);
            prop_assert!(!lab.node.log_pending());
        }
        let live = lab.node.digest();
        let ops = lab.ops();
        prop_assert_eq!(lab.replayed().digest(), live, "after {:#?}", ops);
        prop_assert_eq!(lab.reloaded().digest(), live, "image after {:#?}", ops);
        let mut recounted = lab.reloaded();
        recounted.recount();
        prop_assert_eq!(recounted.digest(), live, "counts after {:#?}", ops);
    }
}
