//! Opens `grafana` over a fake Grafana.

use std::sync::{Arc, Mutex};

use bailiwick_modules::{Access, OpenFault};
use bailiwick_testkit::grafana::{Dashboard, Grafana, source};
pub(crate) use bailiwick_testkit::grafana::{TOKEN, uid_of};
use serde_json::{Value, json};

use crate::service::{FakeService, Learned, RecordingNetwork, host};
use crate::support::{Agent, try_open_in};

pub(crate) struct FakeGrafana {
    pub(crate) service: FakeService,
    pub(crate) state: Arc<Mutex<Grafana>>,
    pub(crate) network: Arc<RecordingNetwork>,
}

impl Drop for FakeGrafana {
    fn drop(&mut self) {
        let complaints = &self.state.lock().unwrap().complaints;
        assert!(complaints.is_empty() || std::thread::panicking(), "{complaints:#?}");
    }
}

impl FakeGrafana {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(Grafana {
            sources: vec![
                source(1, "prom", "Prometheus", "prometheus", true),
                source(2, "sql-1", "Orders DB", "grafana-postgresql-datasource", false),
                source(3, "loki-1", "Logs", "loki", false),
                source(4, "flux", "Metrics", "influxdb", false),
                source(5, "odd", "Odd", "vendor-odd-datasource", false),
            ],
            ..Grafana::default()
        }));
        let shared = state.clone();
        let service = FakeService::start(move |request| shared.lock().unwrap().answer(request)).await;
        Self { service, state, network: Arc::default() }
    }

    pub(crate) fn try_open(&self, org: Option<&str>, agent: &str, access: Option<Access>, config: &Value) -> Result<Agent, OpenFault> {
        let mut host = host(self.network.clone());
        host.secrets = Arc::new(Learned::default());
        let url = format!("{}/grafana/", self.service.url());
        try_open_in(org, &host, "grafana", agent, access, config, &[("GRAFANA_URL", &url), ("GRAFANA_SERVICE_ACCOUNT_TOKEN", TOKEN)])
    }

    /// The agent `a-1` with this configuration.
    pub(crate) fn open(&self, config: &Value) -> Agent {
        self.try_open(None, "a-1", None, config).unwrap()
    }

    pub(crate) fn folder(&self, uid: &str, title: &str) {
        self.state.lock().unwrap().folders.push((uid.to_owned(), title.to_owned()));
    }

    pub(crate) fn dashboard(&self, uid: &str, folder: &str, more: &Value) {
        let mut model = json!({ "id": 10, "uid": uid, "title": uid, "version": 1, "schemaVersion": 38, "panels": [] });
        model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.state.lock().unwrap().dashboards.insert(uid.to_owned(), Dashboard { folder: folder.to_owned(), model });
    }

    /// Method and target of everything received since the last look.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.service.take().iter().map(|request| format!("{} {}", request.method, request.target)).collect()
    }
}
