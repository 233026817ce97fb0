//! Damaged logs and requests that make no sense: the machine may refuse, and must not panic.

use fastrand::Rng;

use super::{Logged, Script};
use crate::*;

const ROUNDS: u64 = 150;
const REQUESTS: usize = 80;

/// A bit of everything, so that there are records of every kind.
const HISTORY: &str = "
    topics a:4 b:2
    join c - sub=a v=3
    join c - instance=i sub=a,b v=3
    wait 6000
    sync c 1 c~1 assign=c~1:a/0.1,i~2:a/2.3
    commit c 1 c~1 a:0=1 a:1=2/note
    commit simple -1 - b:0=7 retention=1000
    txn-commit simple 5 b:1=8
    end 5 commit
    txn-commit c 6 a:2=9
    consumer g m 0 topics=a,b
    consumer g n 0 regex=a.* instance=j
    join g - sub=b v=3
    consumer g m 2 owned=a/0
    commit g 2 m a:0=1
    consumer c x 0 topics=a
    consumer g n -2 instance=j
    delete-offsets c b:0
    delete simple
";

#[test]
fn a_damaged_log_is_read_and_served() {
    let mut history = Script::new(GroupConfig::default());
    history.commands(HISTORY);
    for seed in 0..ROUNDS {
        let mut rng = Rng::with_seed(seed);
        let machine = load_damaged(&mut rng, &history);
        let mut script = Script::new(GroupConfig::default());
        script.machine = machine;
        script.catalog = history.catalog.clone();
        script
            .machine
            .handle_metadata(history.catalog.clone(), &TopicsChange::default());
        for _ in 0..REQUESTS {
            script.command(&request(&mut rng));
        }
    }
}

fn load_damaged(rng: &mut Rng, history: &Script) -> GroupCoordinator {
    let mut loader = GroupLoader::new(GroupConfig::default());
    for (offset, logged) in (0..).zip(&history.log) {
        let Logged::Record {
            producer_id,
            key,
            value,
        } = logged
        else {
            continue;
        };
        let (mut key, mut value) = (key.to_vec(), value.as_ref().map(|value| value.to_vec()));
        match rng.u32(0..6) {
            0 => damage(rng, &mut key),
            1 => value.iter_mut().for_each(|value| damage(rng, value)),
            2 => value = None,
            // Left out, as compaction leaves out.
            3 => continue,
            _ => {}
        }
        let record = LoggedRecord {
            offset,
            producer_id: *producer_id,
            key: &key,
            value: value.as_deref(),
        };
        // What cannot be read is passed over.
        drop(loader.replay(record));
    }
    loader.finish(0)
}

fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..4) {
        let index = rng.usize(0..bytes.len());
        bytes[index] = rng.u8(..);
    }
    if rng.u32(0..4) == 0 {
        bytes.truncate(rng.usize(0..bytes.len()));
    }
}

fn request(rng: &mut Rng) -> String {
    let mut pick = |words: &[&'static str]| words[rng.usize(0..words.len())];
    let group = pick(&["c", "g", "simple", "new"]);
    let member = pick(&["-", "c~1", "i~2", "m", "n", "x", "stranger"]);
    let number = pick(&["-2147483648", "-2", "-1", "0", "1", "2", "3", "2147483647"]);
    let instance = pick(&["", "", " instance=i", " instance=j"]);
    let owned = pick(&[
        "",
        " owned=",
        " owned=a/0.1",
        " owned=a/-1.2147483647",
        " owned=zz/5",
    ]);
    let topics = pick(&[
        "",
        " topics=",
        " topics=a,b,a",
        " regex=.*",
        " regex=(",
        " topics=a regex=b",
    ]);
    match pick(&[
        "join",
        "join-old",
        "sync",
        "heartbeat",
        "leave",
        "commit",
        "txn",
        "end",
        "fetch",
        "consumer",
        "consumer",
        "consumer",
        "delete",
        "delete-offsets",
        "describe",
        "wait",
        "restart",
    ]) {
        "join" => format!("join {group} {member} sub=a,b rebalance={number}{instance}"),
        "join-old" => {
            format!("join {group} {member} v=3 session=6000 rebalance={number}{instance}")
        }
        "sync" => format!("sync {group} {number} {member} assign=m:x,c~1:a/0{instance}"),
        "heartbeat" => format!("heartbeat {group} {number} {member}{instance}"),
        "leave" => format!("leave {group} {member} @i {member}"),
        "commit" => format!(
            "commit {group} {number} {member} a:{number}={number} retention={number}{instance}"
        ),
        "txn" => format!(
            "txn-commit {group} 5 a:{number}={number} generation={number} member=m{instance}"
        ),
        "end" => "end 5 commit".to_owned(),
        "fetch" => format!("fetch {group} all member=m epoch={number} stable=1"),
        "consumer" => format!(
            "consumer {group} {member} {number} rebalance={number}{topics}{owned}{instance}"
        ),
        "delete" => format!("delete {group},{group}"),
        "delete-offsets" => format!("delete-offsets {group} a:{number}"),
        "describe" => format!("describe-consumer {group}"),
        "wait" => "wait 20000".to_owned(),
        _ => "restart".to_owned(),
    }
}
