//! Asking once.

use std::path::PathBuf;
use std::time::Duration;

use pleach_core::config::{CheckKind, CommandLine, HttpCheck};
use pleach_core::error::Failure;
use pleach_core::port::{Call, Command, Http, HttpRequest, HttpResponse, Method, Shell};

/// One answer: whether it is as wanted, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is as wanted.
    pub is_right: bool,
    /// Whether asking again cannot give another answer.
    pub is_final: bool,
    /// What was seen, in words.
    pub seen: String,
    /// What a command printed last.
    pub output: Vec<String>,
}

impl Answer {
    /// As wanted.
    pub fn right(seen: impl Into<String>) -> Self {
        Self { is_right: true, is_final: false, seen: seen.into(), output: Vec::new() }
    }

    /// Not as wanted, and perhaps later.
    pub fn wrong(seen: impl Into<String>) -> Self {
        Self { is_right: false, ..Self::right(seen) }
    }

    /// Not as wanted, and never will be.
    pub fn gone(seen: impl Into<String>) -> Self {
        Self { is_final: true, ..Self::wrong(seen) }
    }
}

/// Where a service is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPlace {
    /// The address that it answers on, if it has one.
    pub address: Option<(String, u16)>,
    /// The directory of the release that is asked.
    pub directory: PathBuf,
}

impl CheckPlace {
    /// `http://HOST:PORT`, or nothing.
    pub fn url(&self) -> Option<String> {
        let (host, port) = self.address.as_ref()?;
        Some(if host.contains(':') { format!("http://[{host}]:{port}") } else { format!("http://{host}:{port}") })
    }

    /// The URL of a path; a whole URL stays as it is.
    pub fn url_of(&self, path: &str) -> Option<String> {
        if path.starts_with("http://") || path.starts_with("https://") {
            return Some(path.to_owned());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Some(format!("{}{slash}{path}", self.url()?))
    }
}

/// Asks over a target's ports.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Where the service is.
    pub place: &'a CheckPlace,
    /// For requests.
    pub http: Option<&'a dyn Http>,
    /// For commands.
    pub shell: Option<&'a dyn Shell>,
    /// What goes along with a command.
    pub call: Call<'a>,
}

impl Asker<'_> {
    /// Makes one check once.
    pub async fn ask(&self, check: &CheckKind, timeout: Duration) -> Answer {
        match check {
            CheckKind::Http(check) => self.ask_http(check, timeout).await,
            CheckKind::Command(line) => self.ask_command(line).await,
        }
    }

    /// Sends one request to a path.
    pub async fn request(&self, method: Method, path: &str, timeout: Duration) -> Result<HttpResponse, String> {
        let http = self.http.ok_or("the target sends no requests")?;
        let url = self.place.url_of(path).ok_or("the service has no port to ask")?;
        http.send(&HttpRequest::new(method, url, timeout)).await.map_err(|failure| told(&failure))
    }

    async fn ask_http(&self, check: &HttpCheck, timeout: Duration) -> Answer {
        match self.request(check.method, &check.path, timeout).await {
            Ok(response) => judge(check, &response),
            Err(seen) => Answer::wrong(seen),
        }
    }

    async fn ask_command(&self, line: &CommandLine) -> Answer {
        let Some(shell) = self.shell else { return Answer::gone("the target runs no commands") };
        let mut command = Command::read(line.argv()).alone().directory(&self.place.directory);
        if let (Some((host, port)), Some(url)) = (&self.place.address, self.place.url()) {
            command = command.variable("HOST", host).variable("PORT", port.to_string()).variable("URL", url);
        }
        match shell.run(&command, self.call).await {
            Ok(output) if output.succeeded() => Answer::right(format!("`{line}` exited with 0")),
            Ok(output) => {
                let mut answer = Answer::wrong(format!("`{line}` {}", crate::directory::told_status(output.status)));
                answer.output = output.last_lines();
                answer
            }
            Err(failure) => Answer::wrong(told(&failure)),
        }
    }
}

fn told(failure: &Failure) -> String {
    failure.because.iter().fold(failure.what.clone(), |told, cause| format!("{told}: {cause}"))
}

/// Compares an answer with what the check wants.
fn judge(check: &HttpCheck, response: &HttpResponse) -> Answer {
    let asked = format!("{} {}", check.method.as_str(), check.path);
    let seen = format!("{asked} answered {} in {} ms", response.status, response.elapsed.as_millis());
    if response.status != check.status {
        return Answer::wrong(format!("{seen}, wanted {}", check.status));
    }
    if let Some(limit) = check.max_response.filter(|limit| response.elapsed > limit.0) {
        return Answer::wrong(format!("{seen}, wanted at most {limit}"));
    }
    let body = String::from_utf8_lossy(&response.body);
    if let Some(text) = check.contains.as_deref().filter(|text| !body.contains(text)) {
        return Answer::wrong(format!("{seen} without `{text}`"));
    }
    match missing_keys(&response.body, &check.keys) {
        Ok(()) => Answer::right(seen),
        Err(lacking) => Answer::wrong(format!("{seen}, {lacking}")),
    }
}

/// Whether a body is a JSON object with all of `keys`.
pub(super) fn missing_keys(body: &[u8], keys: &[String]) -> Result<(), String> {
    if keys.is_empty() {
        return Ok(());
    }
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|_| "which is no JSON object".to_owned())?;
    let missing: Vec<String> =
        keys.iter().filter(|key| !object.contains_key(*key)).map(|key| format!("`{key}`")).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("without {}", missing.join(", "))) }
}
