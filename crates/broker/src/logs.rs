//! stand-in until LogManager lands
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ottla_log::{
    Background, DEFAULT_OPEN_FILES_MAX, Disk, Environment, Log, LogConfig, LogDir, OpenError,
    OpenOptions,
};
use ottla_protocol::Uuid;
use ottla_protocol::ids::TopicPartition;

pub struct LogManager {
    pub environment: Arc<Environment>,
    pub dir: Arc<LogDir>,
    logs: Mutex<HashMap<TopicPartition, Arc<Log>>>,
}

impl LogManager {
    pub fn open(dirs: &[PathBuf]) -> std::io::Result<Self> {
        std::fs::create_dir_all(&dirs[0])?;
        Ok(Self {
            environment: Environment::new(
                Disk::new(),
                DEFAULT_OPEN_FILES_MAX,
                Background::threads(2)?,
            ),
            dir: LogDir::new(dirs[0].clone()),
            logs: Mutex::default(),
        })
    }

    pub fn get_or_create(
        &self,
        name: &TopicPartition,
        id: Uuid,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<Arc<Log>, OpenError> {
        let options = OpenOptions {
            is_clean: false,
            ..OpenOptions::fresh(Some(id), now_ms)
        };
        let (log, _) = Log::open(&self.environment, &self.dir, name, config, &options)?;
        self.logs
            .lock()
            .unwrap()
            .insert(name.clone(), Arc::clone(&log));
        Ok(log)
    }

    pub fn delete(&self, name: &TopicPartition, _id: Uuid, _now_ms: i64) -> Result<(), OpenError> {
        if let Some(log) = self.logs.lock().unwrap().remove(name) {
            let _ = log.close();
            let _ = std::fs::remove_dir_all(log.dir());
        }
        Ok(())
    }

    pub fn describe(&self) -> Vec<ottla_log::DirDescription> {
        let logs = self.logs.lock().unwrap();
        let logs = logs
            .iter()
            .map(|(partition, log)| ottla_log::LogDescription {
                partition: partition.clone(),
                size: log.size(),
                offset_lag: 0,
            });
        vec![ottla_log::DirDescription {
            path: self.dir.path().to_path_buf(),
            directory_id: Uuid::ZERO,
            is_offline: self.dir.has_failed(),
            total_bytes: -1,
            usable_bytes: -1,
            logs: logs.collect(),
        }]
    }

    pub fn close(&self) {
        for log in self.logs.lock().unwrap().values() {
            let _ = log.close();
        }
    }
}
