//! What a container is to be, and making it so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use bollard::models::{ContainerCreateBody, HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use pleach_core::port::ImageId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::engine::Engine;
use super::error::{EngineError, Said};
use super::label;
use crate::local::hex;

/// What a container is to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ContainerSpec {
    /// Its name on the engine; at least two characters.
    pub name: String,
    /// What it runs.
    pub image: ImageId,
    /// The command; that of the image if empty.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables on top of those of the image. They can be read by whoever may use the engine.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// What is written on it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Ports of it that are reached from outside.
    #[serde(default)]
    pub ports: Vec<Published>,
    /// The most memory that it may have, in bytes; it is ended when it asks for more.
    #[serde(default)]
    pub memory: Option<u64>,
    /// The most processors that it may use, in thousandths of one.
    #[serde(default)]
    pub millicpus: Option<u32>,
    /// Named volumes and folders, as `docker run -v` writes them.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// The network that it is on; the engine's own if absent.
    #[serde(default)]
    pub network: Option<String>,
}

/// A port of a container, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// In the container.
    pub container: u16,
    /// The address on the host.
    pub host: IpAddr,
    /// The port on the host; whichever is free if 0.
    pub port: u16,
}

/// What came of having a container made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was made now; it does not run yet.
    Now,
    /// It was there, made from the same; it may run.
    Before,
}

impl ContainerSpec {
    /// Two that are equal give the same. It can be read by whoever may use the engine, so it holds nothing of what variables
    /// are set to: some of that is secret, and may be short enough to be guessed.
    pub fn digest(&self) -> String {
        let named = self.variables.keys().map(|name| (name.clone(), String::new())).collect();
        let text = serde_json::to_vec(&Self { variables: named, ..self.clone() }).unwrap_or_default();
        hex(&Sha256::digest(text))
    }

    /// Its variables as an engine writes them.
    fn environment(&self) -> impl Iterator<Item = String> {
        self.variables.iter().map(|(name, value)| format!("{name}={value}"))
    }

    fn body(&self) -> ContainerCreateBody {
        let mut labels: HashMap<String, String> = self.labels.clone().into_iter().collect();
        labels.insert(label::SPEC.to_owned(), self.digest());
        let inside = |port: &Published| format!("{}/tcp", port.container);
        let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
        for port in &self.ports {
            let binding = PortBinding {
                host_ip: Some(port.host.to_string()),
                host_port: Some(if port.port == 0 { String::new() } else { port.port.to_string() }),
            };
            bindings.entry(inside(port)).or_default().get_or_insert_default().push(binding);
        }
        ContainerCreateBody {
            image: Some(self.image.to_string()),
            cmd: (!self.command.is_empty()).then(|| self.command.clone()),
            env: Some(self.environment().collect()),
            labels: Some(labels),
            exposed_ports: Some(self.ports.iter().map(inside).collect()),
            host_config: Some(HostConfig {
                memory: self.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
                // As much again on disk would only hide that it is too little.
                memory_swap: self.memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
                nano_cpus: self.millicpus.map(|count| i64::from(count) * 1_000_000),
                port_bindings: Some(bindings),
                binds: Some(self.volumes.clone()),
                network_mode: self.network.clone(),
                // It comes back with its engine, unless it was stopped.
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                    ..RestartPolicy::default()
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

impl Engine {
    /// Whether a container was made with what variables are set to now; of secrets its digest tells nothing.
    async fn has_variables(&self, spec: &ContainerSpec) -> Result<bool, EngineError> {
        let what = format!("look at container `{}`", spec.name);
        let found = self.docker().inspect_container(&spec.name, None).await.map_err(self.failed(&what))?;
        let there: BTreeSet<String> =
            found.config.and_then(|config| config.env).unwrap_or_default().into_iter().collect();
        Ok(spec.environment().all(|variable| there.contains(&variable)))
    }

    /// Has a container that is made from exactly this. One of the same name that is made from something else is left alone.
    pub async fn ensure_container(&self, spec: &ContainerSpec) -> Result<Made, EngineError> {
        let what = format!("make container `{}`", spec.name);
        if let Some(there) = self.container(&spec.name).await? {
            let same = there.labels.get(label::SPEC).is_some_and(|digest| *digest == spec.digest());
            if same && self.has_variables(spec).await? {
                return Ok(Made::Before);
            }
            let source = Said("a container of this name is made from something else".into());
            return Err(EngineError::Conflict { what, place: self.place(), source });
        }
        let options = CreateContainerOptionsBuilder::default().name(&spec.name).build();
        self.docker().create_container(Some(options), spec.body()).await.map_err(self.failed(&what))?;
        Ok(Made::Now)
    }
}
