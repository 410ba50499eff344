//! The session in which BuildKit asks for secrets while it builds.
//!
//! A connection to the engine is turned round: the engine speaks gRPC over it, and what answers is here (BuildKit's
//! `session/manager.go` and `secrets/secrets.proto`).
//!
//! ```text
//! POST /session, Upgrade: h2c ──▶ 101        from then on the engine is the client of HTTP/2
//!   …/Health/Check        whether somebody is still there, once a second or so
//!   …/Secrets/GetSecret   one secret by its id, when a step mounts it
//! ```
//!
//! So a secret goes to the engine when a step needs it, and is kept there in memory for as long as that step runs. The session
//! ends with whatever drops its future, and with it the build.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};

use bollard::errors::Error;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http_body_util::Empty;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use pleach_core::port::Secret;
use prost::Message;

use super::engine::Engine;
use super::error::{EngineError, Said};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const GET_SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";

/// Codes of gRPC.
const INVALID: u8 = 3;
const NOT_FOUND: u8 = 5;
const UNIMPLEMENTED: u8 = 12;

/// In front of each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// No question is longer.
const QUESTION: usize = 64 << 10;

/// `HealthCheckResponse`.
#[derive(Clone, PartialEq, Message)]
struct Health {
    /// 1 is that it serves.
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `GetSecretRequest`.
#[derive(Clone, PartialEq, Message)]
struct Wanted {
    #[prost(string, tag = "1")]
    id: String,
}

/// `GetSecretResponse`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct Found {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Found(…)")
    }
}

/// A connection over which an engine asks.
pub(super) struct Session {
    id: String,
    stream: TokioIo<hyper::upgrade::Upgraded>,
}

impl Session {
    /// Opens one, or tells by what one knows that the engine has no BuildKit.
    pub(super) async fn open(engine: &Engine) -> Result<Result<Self, Said>, EngineError> {
        let failed = engine.failed("begin a session with its BuildKit");
        let id = random_id().map_err(|err| failed(Error::IOError { err }))?;
        let request = Request::post(engine.address("/session"))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "pleach")
            .header("X-Docker-Expose-Session-Grpc-Method", CHECK)
            .header("X-Docker-Expose-Session-Grpc-Method", GET_SECRET)
            .body(Empty::new())
            .map_err(|error| failed(error.into()))?;
        let answer = engine.ask(request).await.map_err(&failed)?;
        match answer.status() {
            StatusCode::SWITCHING_PROTOCOLS => {}
            // Nothing is there by that name, or whoever stands in front of the engine lets nobody through.
            status if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED => {
                return Ok(Err(Said(format!("it answers `{status}` when it is asked for a session"))));
            }
            status => {
                let message = format!("it answers `{status}`");
                let status_code = status.as_u16();
                return Err(failed(Error::DockerResponseServerError { status_code, message }));
            }
        }
        let upgraded = hyper::upgrade::on(answer).await;
        let upgraded = upgraded.map_err(|error| failed(Error::IOError { err: io::Error::other(error) }))?;
        Ok(Ok(Self { id, stream: TokioIo::new(upgraded) }))
    }

    /// What a build is told, so that its steps ask here.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Answers until the engine has no more questions.
    pub(super) async fn serve(self, secrets: &BTreeMap<String, Secret>) -> Result<(), h2::Error> {
        let mut connection = h2::server::handshake(self.stream).await?;
        let mut answers = FuturesUnordered::new();
        loop {
            tokio::select! {
                asked = connection.accept() => match asked {
                    Some(asked) => {
                        let (request, respond) = asked?;
                        answers.push(answer(request, respond, secrets));
                    }
                    None => return Ok(()),
                },
                // One that is broken off is asked again, or its step fails there.
                Some(_) = answers.next() => {}
            }
        }
    }
}

/// Who knows a session's id could have its secrets mounted in a build of their own on the same engine.
fn random_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(crate::local::hex(&bytes))
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    secrets: &BTreeMap<String, Secret>,
) -> Result<(), h2::Error> {
    let path = request.uri().path().to_owned();
    let Some(question) = read(request.into_body()).await? else {
        respond.send_reset(Reason::ENHANCE_YOUR_CALM);
        return Ok(());
    };
    let mut head = Response::new(());
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut stream = respond.send_response(head, false)?;
    let mut trailers = HeaderMap::new();
    match reply(&path, &question, secrets) {
        Ok(message) => {
            stream.send_data(message, false)?;
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        Err((code, why)) => {
            trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
            trailers.insert("grpc-message", HeaderValue::from_static(why));
        }
    }
    stream.send_trailers(trailers)
}

/// A whole question; nothing where it is longer than any of them.
async fn read(mut body: RecvStream) -> Result<Option<BytesMut>, h2::Error> {
    let mut question = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        if question.len() + part.len() > QUESTION {
            return Ok(None);
        }
        question.extend_from_slice(&part);
    }
    Ok(Some(question))
}

/// What is answered, with its prefix; or a code of gRPC and why.
fn reply(path: &str, question: &[u8], secrets: &BTreeMap<String, Secret>) -> Result<Bytes, (u8, &'static str)> {
    match path {
        CHECK => Ok(framed(&Health { status: 1 })),
        GET_SECRET => {
            let wanted = message(question).ok_or((INVALID, "this is no name of a secret"))?;
            let secret = secrets.get(&wanted.id).ok_or((NOT_FOUND, "the build was given no secret of this id"))?;
            Ok(framed(&Found { data: Bytes::copy_from_slice(secret.expose().as_bytes()) }))
        }
        // A base image is fetched as by somebody who has not logged in.
        _ => Err((UNIMPLEMENTED, "this is not offered")),
    }
}

fn message(question: &[u8]) -> Option<Wanted> {
    let (prefix, message) = question.split_first_chunk::<PREFIX>()?;
    let [0, length @ ..] = prefix else { return None };
    let is_whole = usize::try_from(u32::from_be_bytes(*length)) == Ok(message.len());
    is_whole.then(|| Wanted::decode(message).ok()).flatten()
}

fn framed(message: &impl Message) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.encoded_len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(&message.encode_to_vec());
    framed.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> BTreeMap<String, Secret> {
        BTreeMap::from([("pip".to_owned(), Secret::new("hunter2"))])
    }

    #[test]
    fn only_a_secret_that_the_build_was_given_is_told() {
        let ask = |id: &str| reply(GET_SECRET, &framed(&Wanted { id: id.into() }), &secrets());
        let told = ask("pip").expect("it was given");
        assert_eq!(Found::decode(&told[PREFIX..]).expect("a secret").data, "hunter2");
        assert_eq!(ask("npm").expect_err("it was not").0, NOT_FOUND);
        assert_eq!(ask("").expect_err("it was not").0, NOT_FOUND);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let whole = framed(&Wanted { id: "pip".into() });
        let mut compressed = whole.to_vec();
        compressed[0] = 1;
        for wrong in [&b""[..], &whole[..4], &whole[..whole.len() - 1], &compressed] {
            assert_eq!(reply(GET_SECRET, wrong, &secrets()).expect_err("refused").0, INVALID, "{wrong:?}");
        }
        assert_eq!(reply("/moby.filesync.v1.Auth/Credentials", &whole, &secrets()).expect_err("none").0, UNIMPLEMENTED);
        assert_eq!(&reply(CHECK, b"", &secrets()).expect("it is there")[..], [0, 0, 0, 0, 2, 8, 1]);
    }
}
