use super::*;

/// What the broker says to `overrides`.
fn problems(overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    match BrokerConfig::load(None, &overrides) {
        Ok(config) => config
            .warnings()
            .iter()
            .map(|warning| format!("warning: {warning}\n"))
            .collect(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_broker_starts_without_a_file() {
    let config = BrokerConfig::load(None, &[]).expect("the defaults are a configuration");
    assert_eq!(config.warnings(), []);
    assert_eq!(
        config.listeners.broker[0].to_string(),
        "PLAINTEXT://127.0.0.1:9092"
    );
    assert_eq!(config.log.dirs, [PathBuf::from("./ottla-data")]);
    assert_eq!(config.metadata.dir, PathBuf::from("./ottla-data"));
    assert_eq!(problems(&[]), "");
}
