//! Who may speak to the server: it runs whatever code it is sent, so only the browser that opened the
//! printed address may send some.

use anyhow::Result;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// The token of one server, and where it listens.
#[derive(Debug)]
pub struct Access {
    token: String,
    at: SocketAddr,
}

impl Access {
    /// A fresh random token.
    ///
    /// # Errors
    ///
    /// Where the system gives no random bytes.
    pub fn new(at: SocketAddr) -> Result<Self> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self {
            token: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            at,
        })
    }

    /// What the reader opens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}/?token={}", self.own(), self.token)
    }

    /// Where this machine reaches the server.
    fn own(&self) -> SocketAddr {
        let ip = match self.at.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.at.port())
    }

    /// What it means that other machines reach the server, where they do.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let port = self.at.port();
        (!self.at.ip().is_loopback()).then(|| {
            format!(
                "warning: other machines reach this server. Whoever has the address with its token can run any code \
                 on this machine as you: read, change and delete your files, and use your network. What is sent is \
                 not encrypted, the token neither. Safer is an SSH tunnel, `ssh -L {port}:127.0.0.1:{port} \
                 THIS_MACHINE`, and no --host. From another machine, open the address with this machine's number in \
                 place of the host."
            )
        })
    }

    /// Cookies do not know ports: two servers on one machine keep theirs apart by name.
    fn cookie(&self) -> String {
        format!("candlelight-{}", self.at.port())
    }

    /// Whether a request to this host is meant for this server. A page elsewhere can have its own name lead here, but
    /// no number: so beyond this machine, only numbers are good.
    fn is_ours(&self, host: &str) -> bool {
        if host == format!("localhost:{}", self.at.port()) {
            return true;
        }
        let Ok(asked) = host.parse::<SocketAddr>() else {
            return false;
        };
        match self.at.ip().is_loopback() {
            true => asked == self.at,
            false => asked.port() == self.at.port(),
        }
    }

    /// Why a request is refused, if it is. A web socket must name its origin: every browser does.
    fn refusal(&self, headers: &HeaderMap, is_socket: bool) -> Option<String> {
        let text = |key| headers.get(key).map(|value| value.to_str().unwrap_or(""));
        let is_ours = |host: &str| self.is_ours(host);
        if !text(header::HOST).is_some_and(is_ours) {
            let (own, port) = (self.own(), self.at.port());
            return Some(match self.at.ip().is_loopback() {
                true => {
                    format!("this server answers only at http://{own} and http://localhost:{port}")
                }
                false => format!(
                    "this server answers only at its numeric addresses, such as http://{own}"
                ),
            });
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
