//! Who may speak to the server: it runs whatever code it is sent, so only the browser that opened the
//! printed address may send some.

use anyhow::Result;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use std::sync::Arc;

/// The token of one server, and the port that its addresses have.
#[derive(Debug)]
pub struct Access {
    token: String,
    port: u16,
}

impl Access {
    /// A fresh random token.
    ///
    /// # Errors
    ///
    /// Where the system gives no random bytes.
    pub fn new(port: u16) -> Result<Self> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self {
            token: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            port,
        })
    }

    /// What the reader opens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/?token={}", self.port, self.token)
    }

    /// Cookies do not know ports: two servers on one machine keep theirs apart by name.
    fn cookie(&self) -> String {
        format!("candlelight-{}", self.port)
    }

    fn names(&self) -> [String; 2] {
        ["127.0.0.1", "localhost"].map(|host| format!("{host}:{}", self.port))
    }

    /// Why a request is refused, if it is. A web socket must name its origin: every browser does.
    fn refusal(&self, headers: &HeaderMap, is_socket: bool) -> Option<String> {
        let [ip, name] = self.names();
        let text = |key| headers.get(key).map(|value| value.to_str().unwrap_or(""));
        let is_ours = |host: &str| host == ip || host == name;
        if !text(header::HOST).is_some_and(is_ours) {
            return Some(format!(
                "this server answers only at http://{ip} and http://{name}"
            ));
        }
        match text(header::ORIGIN) {
            Some(origin) if !origin.strip_prefix("http://").is_some_and(is_ours) => Some(
                "this request comes from another site; only the book's own pages may ask"
                    .to_owned(),
            ),
            None if is_socket => {
                Some("this request does not say which page it comes from".to_owned())
            }
            _ => None,
        }
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let name = self.cookie();
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .any(|(key, value)| key == name && self.is_token(value))
    }

    /// Takes as long for a wrong token as for the right one.
    fn is_token(&self, given: &str) -> bool {
        given.len() == self.token.len()
            && given
                .bytes()
                .zip(self.token.bytes())
                .fold(0, |differing, (a, b)| differing | (a ^ b))
                == 0
    }

    /// The cookie and the way to the same page without the token in its address.
    fn welcome(&self, request: &Request) -> Option<Response> {
        let query = request.uri().query()?;
        let is_token = |part: &&str| part.starts_with("token=");
        let given = query.split('&').find(is_token)?.strip_prefix("token=")?;
        if !self.is_token(given) {
            return None;
        }
        let rest: Vec<_> = query.split('&').filter(|part| !is_token(part)).collect();
        // Two slashes at the beginning would lead to another host.
        let path = format!("/{}", request.uri().path().trim_start_matches('/'));
        let target = if rest.is_empty() {
            path
        } else {
            format!("{path}?{}", rest.join("&"))
        };
        let cookie = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie(),
            self.token
        );
        Some(
            (
                StatusCode::SEE_OTHER,
                [(header::LOCATION, target), (header::SET_COOKIE, cookie)],
            )
                .into_response(),
        )
    }
}

/// Lets a request through, trades a token for a cookie, or refuses with 403.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let is_socket = request.headers().contains_key(header::UPGRADE);
    if let Some(why) = access.refusal(request.headers(), is_socket) {
        return refuse(&why);
    }
    if !is_socket && let Some(welcome) = access.welcome(&request) {
        return welcome;
    }
    if !access.knows(request.headers()) {
        return refuse(
            "open the address that `cargo book` printed in the terminal; it holds this server's token",
        );
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'self'"),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refuse(why: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("403: {why}\n")).into_response()
}
