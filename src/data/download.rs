//! Fetching a data set's files: the one place that reaches the network, and only when asked to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::progress::DownloadProgress;
use super::{MnistKind, Resource};
use crate::Result;

pub(super) type Callback = Arc<dyn Fn(&DownloadProgress) + Send + Sync>;

/// Where to download, and how.
#[derive(Clone)]
pub(super) struct Download {
    pub mirrors: Vec<String>,
    pub timeout: Duration,
    pub on_progress: Option<Callback>,
}

impl Download {
    pub fn new(mirrors: &[&str]) -> Self {
        Self {
            mirrors: mirrors.iter().map(ToString::to_string).collect(),
            timeout: Duration::from_secs(30),
            on_progress: None,
        }
    }

    /// Puts the data set's files into `folder`, but for those that `is_right` finds there.
    pub fn fetch<K: MnistKind>(
        &self,
        folder: &Path,
        is_right: impl Fn(&Resource) -> bool,
    ) -> Result<()> {
        for resource in K::TRAIN.iter().chain(&K::TEST) {
            if is_right(resource) {
                continue;
            }
            #[cfg(feature = "download")]
            self.transfer(folder, resource, || is_right(resource))?;
            #[cfg(not(feature = "download"))]
            return crate::error::invalid(
                K::NAME,
                "download",
                "true",
                format!(
                    "needs the feature download, without which candlelight was built; turn it on in Cargo.toml, or put {}.gz into {} by hand",
                    resource.name,
                    folder.display()
                ),
            );
        }
        Ok(())
    }
}

#[cfg(feature = "download")]
mod transfer {
    use std::fs::{self, File, OpenOptions, TryLockError};
    use std::io::{self, Read, Seek, SeekFrom, Write};
    use std::path::Path;
    use std::time::Instant;

    use ureq::Agent;
    use ureq::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, RANGE};

    use super::super::mnist::hex_md5;
    use super::{Download, DownloadProgress, Resource};
    use crate::{Error, Result};

    /// A mirror that sends less, in bytes a second, is given up.
    const SLOWEST: u64 = 1024;
    /// No file of these data sets comes near it, and no mirror may fill the disk.
    const LARGEST: u64 = 1 << 28;

    /// Why a mirror did not give the file.
    enum Failure {
        /// The connection ended in the middle: worth going on with.
        Cut(String),
        /// The mirror's answer does not go on where the file ends: worth a start from nothing.
        Elsewhere(String),
        /// Not worth asking again.
        Refused(String),
        /// Not the mirror's fault.
        Disk(io::Error),
    }

    impl From<io::Error> for Failure {
        fn from(error: io::Error) -> Self {
            Self::Disk(error)
        }
    }

    impl Download {
        pub(super) fn transfer(
            &self,
            folder: &Path,
            resource: &Resource,
            is_right: impl Fn() -> bool,
        ) -> Result<()> {
            let file = format!("{}.gz", resource.name);
            let (path, part_path) = (folder.join(&file), folder.join(format!("{file}.part")));
            let io = |source| Error::Io {
                path: part_path.clone(),
                source,
            };
            fs::create_dir_all(folder).map_err(io)?;
            let mut part = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&part_path)
                .map_err(io)?;
            let failed = |failures: Vec<String>| Error::Download {
                path: path.clone(),
                failures,
            };
            // Two programs that write one file would spoil it. Where the file system cannot lock, the
            // MD5 still stands between a spoilt file and its name.
            if let Err(TryLockError::WouldBlock) = part.try_lock() {
                let other = "another program is downloading it; wait until it has".to_string();
                return Err(failed(vec![other]));
            }
            // The other program may have finished since: then this is its file, under its new name.
            if is_right() {
                return Ok(());
            }
            let mut failures = Vec::new();
            // The disk's error alone, unless mirrors failed before: then all of them.
            let disk = |error: io::Error, mut failures: Vec<String>| {
                if failures.is_empty() {
                    return io(error);
                }
                failures.push(format!("{}: {error}", part_path.display()));
                failed(failures)
            };
            for mirror in &self.mirrors {
                let url = format!("{}/{file}", mirror.trim_end_matches('/'));
                match self.complete(&url, &file, resource, &mut part) {
                    Ok(()) => {
                        let named = part.sync_all().and_then(|()| fs::rename(&part_path, &path));
                        return named.map_err(|error| disk(error, failures));
                    }
                    Err(Failure::Disk(error)) => return Err(disk(error, failures)),
                    Err(Failure::Cut(why) | Failure::Elsewhere(why) | Failure::Refused(why)) => {
                        failures.push(format!("{url}: {}", why.replace(['\n', '\r'], " ")));
                    }
                }
            }
            let removed = match part.metadata() {
                Ok(metadata) if metadata.len() == 0 => fs::remove_file(&part_path),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) => Err(failed(failures)),
                Err(error) => Err(disk(error, failures)),
            }
        }

        /// Completes `part` from one mirror: goes on where it ends for as long as that leads further.
        fn complete(
            &self,
            url: &str,
            file: &str,
            resource: &Resource,
            part: &mut File,
        ) -> Result<(), Failure> {
            let mut furthest = part.metadata()?.len();
            // Whether a byte of it may come from elsewhere.
            let mut inherited = furthest > 0;
            if inherited && md5_of(part)? == resource.packed_md5 {
                return Ok(());
            }
            loop {
                let failure = match self.attempt(url, file, part) {
                    Ok(()) => {
                        let found = md5_of(part)?;
                        if found == resource.packed_md5 {
                            return Ok(());
                        }
                        part.set_len(0)?;
                        let expected = resource.packed_md5;
                        Failure::Elsewhere(format!("its file has MD5 {found}, expected {expected}"))
                    }
                    Err(failure) => failure,
                };
                match failure {
                    Failure::Cut(_) if part.metadata()?.len() > furthest => {
                        furthest = part.metadata()?.len();
                    }
                    Failure::Elsewhere(_) if inherited => {
                        part.set_len(0)?;
                        (furthest, inherited) = (0, false);
                    }
                    other => return Err(other),
                }
            }
        }

        /// One request: appends what comes to `part`, or starts it anew where the mirror sends all.
        fn attempt(&self, url: &str, file: &str, part: &mut File) -> Result<(), Failure> {
            let agent: Agent = Agent::config_builder()
                .timeout_resolve(Some(self.timeout))
                .timeout_connect(Some(self.timeout))
                .timeout_send_request(Some(self.timeout))
                .timeout_recv_response(Some(self.timeout))
                .timeout_per_read(Some(self.timeout))
                .build()
                .into();
            let mut received = part.seek(SeekFrom::End(0))?;
            let mut request = agent.get(url).header(ACCEPT_ENCODING, "identity");
            if received > 0 {
                request = request.header(RANGE, format!("bytes={received}-"));
            }
            let response = match request.call() {
                Ok(response) => response,
                Err(ureq::Error::StatusCode(416)) => {
                    return Err(Failure::Elsewhere("http status: 416".into()));
                }
                Err(error) => return Err(Failure::Refused(self.words(&error))),
            };
            let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
            match response.status().as_u16() {
                206 if received > 0 => {
                    let range = header(CONTENT_RANGE).unwrap_or("no range");
                    if !range.starts_with(&format!("bytes {received}-")) {
                        let why = format!("it sends {range} for the bytes from {received}");
                        return Err(Failure::Elsewhere(why));
                    }
                }
                200 => {
                    part.set_len(0)?;
                    received = part.seek(SeekFrom::Start(0))?;
                }
                other => return Err(Failure::Refused(format!("http status: {other}"))),
            }
            let total = header(CONTENT_LENGTH)
                .and_then(|length| length.parse::<u64>().ok())
                .and_then(|length| length.checked_add(received));
            if total.is_some_and(|total| total > LARGEST) {
                return Err(Failure::Refused("its file is far too large".into()));
            }
            let mut progress = DownloadProgress {
                file: file.into(),
                url: url.into(),
                received,
                total,
            };
            self.tell(&progress);
            let mut body = response.into_body().into_reader();
            let mut buffer = vec![0; 1 << 16];
            let (mut since, mut before) = (Instant::now(), received);
            loop {
                let cut = |why: String| {
                    let total = total.map_or("some".into(), |total| total.to_string());
                    Failure::Cut(format!("{why} after {received} of {total} bytes"))
                };
                let count = match body.read(&mut buffer) {
                    Ok(0) if total.is_some_and(|total| received < total) => {
                        return Err(cut("the connection ended".into()));
                    }
                    Ok(0) => return Ok(()),
                    Ok(count) => count,
                    Err(error) => return Err(cut(self.words(&ureq::Error::from(error)))),
                };
                part.write_all(&buffer[..count])?;
                received += count as u64;
                if received > LARGEST {
                    part.set_len(0)?;
                    return Err(Failure::Refused("its file is far too large".into()));
                }
                progress.received = received;
                self.tell(&progress);
                let elapsed = since.elapsed();
                if elapsed >= self.timeout {
                    if ((received - before) as f64) < SLOWEST as f64 * elapsed.as_secs_f64() {
                        let why = format!("slower than {SLOWEST} bytes a second");
                        return Err(Failure::Refused(why));
                    }
                    (since, before) = (Instant::now(), received);
                }
            }
        }

        fn tell(&self, progress: &DownloadProgress) {
            if let Some(callback) = &self.on_progress {
                callback(progress);
            }
        }

        fn words(&self, error: &ureq::Error) -> String {
            match error {
                ureq::Error::Timeout(_) => format!("silent for {:?}", self.timeout),
                ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    "the connection ended".into()
                }
                ureq::Error::Io(error) => error.to_string(),
                other => other.to_string(),
            }
        }
    }

    fn md5_of(part: &mut File) -> io::Result<String> {
        let mut content = Vec::new();
        part.seek(SeekFrom::Start(0))?;
        part.read_to_end(&mut content)?;
        Ok(hex_md5(&content))
    }
}
