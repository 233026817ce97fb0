//! A broker in this process, for as long as a test talks to it. Of both test binaries, `apis` and `memory`.

use std::net::SocketAddr;
use std::path::Path;

use ottla_config::BrokerConfig;

/// Starts a broker with its logs in `dirs`, runs `test` against its address on this thread, and stops it.
pub fn with_broker(dirs: &[&Path], settings: &[&str], test: impl FnOnce(SocketAddr)) {
    let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    let mut overrides = vec![
        "listeners=PLAINTEXT://127.0.0.1:0".to_string(),
        format!("log.dirs={}", dirs.join(",")),
    ];
    overrides.extend(settings.iter().copied().map(String::from));
    let config = BrokerConfig::load(None, &overrides).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let broker = runtime.block_on(ottla_broker::start(config)).unwrap();
    test(broker.addresses()[0].1);
    runtime.block_on(broker.stop());
}
