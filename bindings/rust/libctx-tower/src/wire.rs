// SPDX-License-Identifier: MIT
//! Which headers carry a context, and how they are read and written. docs/calls.md has the names.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use libctx::{Canceler, Cause, Context, Formats, Result};
use std::borrow::Cow;
use std::ffi::CStr;
use std::time::Duration;

pub(crate) const CAUSE: HeaderName = HeaderName::from_static("ctx-cause");
pub(crate) const CALL: HeaderName = HeaderName::from_static("ctx-call");
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const TELL: &str = "/libctx.Causes/Tell";
/// A message of gRPC that is empty: not compressed, of no bytes.
pub(crate) const EMPTY_MESSAGE: &[u8] = &[0; 5];

const GRPC_TIMEOUT: &CStr = c"grpc-timeout";
const TRACE: &str = "traceparent";
const BAGGAGE: &str = "baggage";
const OF_CORE: [&str; 3] = [TRACE, "tracestate", BAGGAGE];

/// The headers that carry a context: those of requests of HTTP, and those of calls of gRPC.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    timeout: Option<&'static CStr>,
    default: Option<Duration>,
    maximum: Option<Duration>,
    strings: Vec<HeaderName>,
    http: Formats<'static>,
    grpc: Formats<'static>,
}

impl Carried {
    pub(crate) fn new() -> Carried {
        let mut carried = Carried {
            timeout: Some(c"x-request-timeout-ms"),
            default: None,
            maximum: None,
            strings: OF_CORE.map(HeaderName::from_static).to_vec(),
            http: Formats::none(),
            grpc: Formats::none(),
        };
        carried.settle();
        carried
    }

    pub(crate) fn set_timeout(&mut self, name: Option<&'static CStr>) {
        self.timeout = name;
        self.settle();
    }

    pub(crate) fn set_default(&mut self, time: Duration) {
        self.default = Some(time);
        self.settle();
    }

    pub(crate) fn set_maximum(&mut self, time: Duration) {
        self.maximum = Some(time);
        self.settle();
    }

    pub(crate) fn set_strings<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let name = |name: &str| HeaderName::try_from(name).expect("it is the name of a header");
        self.strings = names.into_iter().map(name).collect();
        self.settle();
    }

    fn settle(&mut self) {
        let mut formats = Formats::none();
        if self.strings.iter().any(|name| name == TRACE) {
            formats = formats.trace();
        }
        if self.strings.iter().any(|name| name == BAGGAGE) {
            formats = formats.baggage();
        }
        if let Some(time) = self.default {
            formats = formats.default_timeout(time);
        }
        if let Some(time) = self.maximum {
            formats = formats.maximum_timeout(time);
        }
        self.grpc = formats.grpc_timeout();
        self.http = match self.timeout {
            Some(name) if name == GRPC_TIMEOUT => self.grpc,
            Some(name) => formats.timeout_ms(name),
            None => formats,
        };
        let nowhere = |_: &str, _: &str| ();
        Context::background().inject(&self.http, nowhere).expect("it is the name of a header");
    }

    fn formats(&self, is_grpc: bool) -> &Formats<'static> {
        if is_grpc { &self.grpc } else { &self.http }
    }

    /// The strings that the core does not check.
    fn others(&self) -> impl Iterator<Item = &HeaderName> {
        self.strings.iter().filter(|name| !OF_CORE.contains(&name.as_str()))
    }

    pub(crate) fn extract(
        &self,
        parent: &Context,
        headers: &HeaderMap,
        is_grpc: bool,
    ) -> Result<(Context, Canceler)> {
        let (mut ctx, canceler) =
            parent.extract(self.formats(is_grpc), |name: &str| text_of(headers, name))?;
        for name in self.others() {
            match text_of(headers, name.as_str()).as_deref().and_then(printable) {
                Some(text) => ctx = ctx.with_string(name.as_str(), text)?,
                // That of the parent is the server's own.
                None if ctx.string(name.as_str()).is_some() => {
                    ctx = ctx.without_string(name.as_str())?;
                }
                None => {}
            }
        }
        Ok((ctx, canceler))
    }

    /// What the caller itself has set stays.
    pub(crate) fn inject(
        &self,
        ctx: &Context,
        headers: &mut HeaderMap,
        is_grpc: bool,
    ) -> Result<()> {
        ctx.inject(self.formats(is_grpc), |name: &str, text: &str| set(headers, name, text))?;
        for name in self.others() {
            if let Some(text) = ctx.string(name.as_str()) {
                if let Some(text) = printable(text.as_bytes()) {
                    set(headers, name.as_str(), text);
                }
            }
        }
        Ok(())
    }
}

fn set(headers: &mut HeaderMap, name: &str, text: &str) {
    if let (Ok(name), Ok(mut text)) = (HeaderName::try_from(name), HeaderValue::from_str(text)) {
        if name == "grpc-timeout" {
            once(&mut text);
        }
        headers.entry(name).or_insert(text);
    }
}

/// HTTP/2 keeps what it has sent, to send it shorter again. This is never the same: it would only drive out the rest.
pub(crate) fn once(text: &mut HeaderValue) {
    text.set_sensitive(true);
}

/// A header that came several times is one text.
fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, [u8]>> {
    let mut all = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = all.next()?;
    match all.next() {
        None => Some(first.into()),
        Some(second) => {
            let texts: Vec<_> = [first, second].into_iter().chain(all).collect();
            Some(texts.join(&b',').into())
        }
    }
}

fn printable(text: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')).then_some(text)
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = kind.strip_prefix(b"application/grpc");
    matches!(rest.map(|rest| rest.first()), Some(None | Some(b'+' | b';')))
}

/// What a header of another process may say of a cause, as text for a header.
pub(crate) fn encoded(cause: &Cause, who: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&cause.encode(who)).ok()
}

/// Why a server with libctx gave such an answer, as it says itself: of the headers of a response, or of the metadata of a
/// `tonic::Status`, as `cause(status.metadata().as_ref())`. `None` if it does not say.
///
/// Nothing proves it: [`Cause::peer`] is who says so. Ask your own context first: if that has ended, it knows better.
pub fn cause(headers: &HeaderMap) -> Option<Cause> {
    Cause::decode(headers.get(CAUSE)?).ok()
}

/// The trace of a context, as 32 hexadecimal digits: for a field of a span.
pub fn trace_id(ctx: &Context) -> Option<String> {
    let traceparent = ctx.string("traceparent")?;
    let id = traceparent.split('-').nth(1).filter(|id| id.len() == 32)?;
    Some(id.to_owned())
}
