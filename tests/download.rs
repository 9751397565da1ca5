//! Downloads, against a server of the test's own on loopback.
#![cfg(feature = "download")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "common/server.rs"]
mod server;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use candlelight::Error;
use candlelight::data::{Digits, DownloadProgress, MnistBuilder, MnistKind, Resource};
use candlelight::prelude::*;
use server::{Answer, Request, Server};

/// MNIST's test set alone, with the MD5 of the files that the project keeps. Of the labels the
/// content's MD5 is known too, of the images it is not.
#[derive(Debug, Clone, Copy)]
struct Kept;

const IMAGES: &str = "t10k-images-idx3-ubyte.gz";
const LABELS: &str = "t10k-labels-idx1-ubyte.gz";

impl MnistKind for Kept {
    const NAME: &'static str = "Kept";
    const FOLDER: &'static str = "Kept";
    const MIRRORS: &'static [&'static str] = &["http://127.0.0.1:9/"];
    const TRAIN: [Resource; 2] = Self::TEST;
    const TEST: [Resource; 2] = [
        Resource {
            packed_md5: "ecff87aa27c74fbc2c1f97e89c19221d",
            content_md5: None,
            ..Digits::TEST[0]
        },
        Resource {
            packed_md5: "a38049bc042dc6e683842a84160daae1",
            ..Digits::TEST[1]
        },
    ];
    const CLASSES: &'static [&'static str] = Digits::CLASSES;
}

fn kept(name: &str) -> Vec<u8> {
    fs::read(Path::new("data/MNIST/raw").join(name)).unwrap()
}

fn content(name: &str) -> Vec<u8> {
    candlelight::data::idx::unpack(Path::new("data/MNIST/raw").join(name)).unwrap()
}

/// A server of the project's files, the answers to the images scripted and the labels as they should be.
fn images_answered(answers: &'static [Answer]) -> Server {
    let count = Mutex::new(0);
    Server::start(kept, move |_, (path, _): &Request| {
        if path != IMAGES {
            return Answer::Whole;
        }
        let mut count = count.lock().unwrap();
        *count += 1;
        answers[(*count - 1).min(answers.len() - 1)]
    })
}

/// A folder of its own for one test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "candlelight-download-{name}-{}",
            std::process::id()
        ));
        fs::remove_dir_all(&path).ok();
        Self(path)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join("Kept/raw").join(file)
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path("")).unwrap();
        fs::write(self.path(file), bytes).unwrap();
    }

    fn part(&self) -> PathBuf {
        self.path(&format!("{IMAGES}.part"))
    }

    fn builder(&self, servers: &[&Server]) -> MnistBuilder<Kept> {
        MnistLike::builder(&self.0)
            .train(false)
            .download(true)
            .mirrors(servers.iter().map(|server| server.url.as_str()))
            .timeout(Duration::from_millis(400))
    }

    /// Downloads, and finds the files as they should be and nothing beside them.
    fn complete(&self, servers: &[&Server]) {
        let test = self.builder(servers).build().unwrap();
        assert_eq!((test.len(), test.labels()[0]), (10_000, 7));
        for file in [IMAGES, LABELS] {
            assert!(fs::read(self.path(file)).unwrap() == kept(file));
        }
        let mut names: Vec<_> = fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [IMAGES, LABELS]);
    }

    /// What is said where it fails; no file has its name then.
    fn failure(&self, servers: &[&Server]) -> String {
        let error = self.builder(servers).build().unwrap_err();
        assert!(matches!(&error, Error::Download { path, .. } if path.ends_with(IMAGES)));
        assert!(!self.path(IMAGES).exists());
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        for server in servers {
            assert!(
                message.contains(&format!("{}{IMAGES}: ", server.url)),
                "{message}"
            );
        }
        message
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The first bytes that the images were asked for from.
fn starts(server: &Server) -> Vec<Option<usize>> {
    let requests = server.requests().into_iter();
    requests
        .filter(|(path, _)| path == IMAGES)
        .map(|(_, start)| start)
        .collect()
}

#[test]
fn files_arrive_and_are_not_asked_for_again() {
    let server = images_answered(&[Answer::Whole]);
    let folder = Folder::new("arrive");
    let lines = Arc::new(Mutex::new(Vec::<DownloadProgress>::new()));
    let told = lines.clone();
    folder
        .builder(&[&server])
        .on_download(move |progress| told.lock().unwrap().push(progress.clone()))
        .build()
        .unwrap();
    let asked = vec![(IMAGES.to_string(), None), (LABELS.to_string(), None)];
    assert_eq!(server.requests(), asked);
    folder.complete(&[&server]);
    assert_eq!(server.requests(), asked);

    let lines = lines.lock().unwrap();
    let images: Vec<_> = lines.iter().filter(|line| line.file == IMAGES).collect();
    assert!(images.len() > 2);
    assert!(images.is_sorted_by_key(|line| line.received));
    let (first, last) = (images[0], images[images.len() - 1]);
    assert_eq!(
        (first.received, last.received),
        (0, kept(IMAGES).len() as u64)
    );
    assert_eq!(last.total, Some(last.received));
    assert_eq!(last.url, format!("{}{IMAGES}", server.url));
    assert_eq!(
        last.to_string(),
        format!("{IMAGES}  [################]  1.6 of 1.6 MB")
    );
}

#[test]
fn without_download_nothing_is_asked_for() {
    let server = images_answered(&[Answer::Whole]);
    let folder = Folder::new("without");
    let error = folder
        .builder(&[&server])
        .download(false)
        .build()
        .unwrap_err();
    assert!(matches!(error, Error::MissingFile { .. }));
    assert!(error.to_string().contains("download(true)"), "{error}");
    assert_eq!(server.requests(), []);
    assert!(!folder.0.exists());
}

#[test]
fn right_files_are_not_asked_for_however_they_are_packed() {
    let server = images_answered(&[Answer::Whole]);
    // The project's files are packed otherwise than the mirrors'; MNIST's content is known.
    let mnist = Mnist::builder("data")
        .download(true)
        .mirrors([&server.url])
        .build()
        .unwrap();
    assert_eq!(mnist.len(), 60_000);

    let folder = Folder::new("unpacked");
    folder.write(IMAGES, &kept(IMAGES));
    folder.write(LABELS.strip_suffix(".gz").unwrap(), &content(LABELS));
    assert_eq!(folder.builder(&[&server]).build().unwrap().len(), 10_000);
    assert_eq!(server.requests(), []);
}

#[test]
fn an_unpacked_file_of_unknown_checksum_is_not_trusted_for_its_form() {
    // Another data set's images: the same name, the same form.
    let mut others = content(IMAGES);
    others[16..].reverse();
    let server = images_answered(&[Answer::Whole]);
    let folder = Folder::new("others-images");
    folder.write(IMAGES.strip_suffix(".gz").unwrap(), &others);
    folder.write(LABELS.strip_suffix(".gz").unwrap(), &content(LABELS));
    let test = folder.builder(&[&server]).build().unwrap();
    assert_eq!(server.requests(), [(IMAGES.to_string(), None)]);
    assert_eq!(test.images(), &content(IMAGES)[16..]);

    // Without download it is taken for what it is, as torchvision takes it.
    fs::remove_file(folder.path(IMAGES)).unwrap();
    let test = folder.builder(&[&server]).download(false).build().unwrap();
    assert_eq!(test.images(), &others[16..]);
}

#[test]
fn a_wrong_file_is_replaced() {
    let server = images_answered(&[Answer::Whole]);
    let folder = Folder::new("replaced");
    folder.write(IMAGES, &kept(IMAGES)[..1000]);
    folder.write(LABELS, &kept(LABELS));
    folder.complete(&[&server]);
    assert_eq!(server.requests(), [(IMAGES.to_string(), None)]);

    // An unpacked file that is cut short: the packed one arrives and is read.
    let folder = Folder::new("cut-short");
    folder.write("t10k-images-idx3-ubyte", b"\0\0\x08\x03\0\0\0\x01");
    assert_eq!(folder.builder(&[&server]).build().unwrap().len(), 10_000);
}

#[test]
fn a_cut_is_gone_on_with() {
    let server = images_answered(&[Answer::Cut(1000), Answer::Cut(500_000), Answer::Whole]);
    Folder::new("cut").complete(&[&server]);
    assert_eq!(starts(&server), [None, Some(1000), Some(501_000)]);
}

#[test]
fn a_silence_is_gone_on_with() {
    let server = images_answered(&[Answer::Stall(70_000), Answer::Whole]);
    Folder::new("stall").complete(&[&server]);
    assert_eq!(starts(&server), [None, Some(70_000)]);
}

#[test]
fn a_server_without_ranges_starts_anew() {
    let server = images_answered(&[Answer::CutNoRanges(300_000), Answer::NoRanges]);
    Folder::new("no-ranges").complete(&[&server]);
    assert_eq!(starts(&server), [None, Some(300_000)]);

    // One that never comes further is given up.
    let server = images_answered(&[Answer::CutNoRanges(300_000)]);
    let message = Folder::new("never-further").failure(&[&server]);
    assert!(message.contains("after 300000 of"), "{message}");
    assert_eq!(starts(&server).len(), 2);
}

#[test]
fn a_file_without_its_length_arrives() {
    let server = images_answered(&[Answer::NoLength]);
    Folder::new("no-length").complete(&[&server]);
}

#[test]
fn the_next_mirror_goes_on_where_the_first_ended() {
    let cut = images_answered(&[Answer::Cut(800_000), Answer::Status(503)]);
    let whole = images_answered(&[Answer::Whole]);
    Folder::new("goes-on").complete(&[&cut, &whole]);
    assert_eq!(starts(&whole), [Some(800_000)]);
}

#[test]
fn mirrors_are_tried_in_order() {
    let missing = Server::start(kept, |_, _| Answer::Status(404));
    let whole = images_answered(&[Answer::Whole]);
    Folder::new("order").complete(&[&missing, &whole]);
    assert_eq!((missing.requests().len(), whole.requests().len()), (2, 2));
    // An address without the slash is the same mirror.
    let folder = Folder::new("slash");
    let mirror = whole.url.trim_end_matches('/');
    assert_eq!(
        folder.builder(&[]).mirrors([mirror]).build().unwrap().len(),
        10_000
    );
}

#[test]
fn a_wrong_checksum_is_refused() {
    let wrong = images_answered(&[Answer::Wrong]);
    let folder = Folder::new("wrong");
    let message = folder.failure(&[&wrong]);
    assert!(
        message.contains("expected ecff87aa27c74fbc2c1f97e89c19221d"),
        "{message}"
    );
    assert!(!folder.part().exists());
    assert_eq!(starts(&wrong), [None]);
    let right = images_answered(&[Answer::Whole]);
    folder.complete(&[&wrong, &right]);
}

#[test]
fn every_mirror_is_named_where_all_fail() {
    let servers = [
        images_answered(&[Answer::Status(404)]),
        images_answered(&[Answer::Silent]),
        images_answered(&[Answer::Wrong]),
        images_answered(&[Answer::Cut(10), Answer::Cut(0)]),
        images_answered(&[Answer::Endless]),
    ];
    let gone = TcpPort::closed();
    // TLS is spoken to a server that does not.
    let tls = servers[0].url.replace("http:", "https:");
    let folder = Folder::new("all");
    let error = folder
        .builder(&[])
        .mirrors(
            servers
                .iter()
                .map(|server| &server.url)
                .chain([&gone.0, &tls]),
        )
        .build()
        .unwrap_err();
    let Error::Download { failures, .. } = &error else {
        panic!("{error}");
    };
    let reasons = [
        "http status: 404",
        "silent for 400ms",
        "its file has MD5",
        "the connection ended after 10 of",
        "far too large",
        "refused",
        "https://127.0.0.1:",
    ];
    assert_eq!(failures.len(), reasons.len());
    for (failure, reason) in failures.iter().zip(reasons) {
        assert!(failure.contains(reason), "{failure}");
    }
    assert!(
        error
            .to_string()
            .contains("name another mirror with mirrors"),
        "{error}"
    );
}

/// The address of a port at which nobody listens.
struct TcpPort(String);

impl TcpPort {
    fn closed() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self(format!("http://{}/", listener.local_addr().unwrap()))
    }
}

#[test]
fn a_slow_server_does_not_hold_up_for_ever() {
    for (name, answer, reason) in [
        ("silent", &[Answer::Silent], "silent for 400ms"),
        (
            "stalled",
            &[Answer::Stall(0)],
            "silent for 400ms after 0 of",
        ),
        ("drip", &[Answer::Drip], "slower than 1024 bytes a second"),
    ] {
        let server = images_answered(answer);
        let start = Instant::now();
        let message = Folder::new(name).failure(&[&server]);
        assert!(message.contains(reason), "{message}");
        assert!(start.elapsed() < Duration::from_secs(10), "{message}");
    }
}

#[test]
fn what_a_killed_program_left_is_gone_on_with() {
    let images = kept(IMAGES);
    let part = format!("{IMAGES}.part");
    let server = images_answered(&[Answer::Whole]);

    let folder = Folder::new("half");
    folder.write(&part, &images[..600_000]);
    folder.complete(&[&server]);
    assert_eq!(starts(&server), [Some(600_000)]);

    // Killed between the last byte and the new name: nothing is missing.
    let server = images_answered(&[Answer::Status(500)]);
    let folder = Folder::new("nameless");
    folder.write(&part, &images);
    folder.complete(&[&server]);
    assert_eq!(starts(&server), []);
}

#[test]
fn what_cannot_be_gone_on_with_is_started_anew() {
    let images = kept(IMAGES);
    let part = format!("{IMAGES}.part");
    let mut longer = images.clone();
    longer.extend([1, 2, 3]);
    let other = vec![9; 600_000];
    for (name, left, answers) in [
        (
            "others-bytes",
            other.clone(),
            [Answer::Whole, Answer::Whole],
        ),
        ("longer", longer, [Answer::Whole, Answer::Whole]),
        ("other-range", other, [Answer::OtherRange, Answer::Whole]),
    ] {
        let server = images_answered(Box::leak(Box::new(answers)));
        let folder = Folder::new(name);
        folder.write(&part, &left);
        folder.complete(&[&server]);
        assert_eq!(starts(&server), [Some(left.len()), None], "{name}");
    }
}

#[test]
fn two_programs_do_not_write_one_file() {
    let server = images_answered(&[Answer::Whole]);
    let folder = Folder::new("two");
    folder.write(&format!("{IMAGES}.part"), b"");
    let other = File::open(folder.part()).unwrap();
    other.lock().unwrap();
    let message = folder.builder(&[&server]).build().unwrap_err().to_string();
    assert!(
        message.contains("another program is downloading it"),
        "{message}"
    );
    assert_eq!(server.requests(), []);
    drop(other);
    folder.complete(&[&server]);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let server = images_answered(&[Answer::Whole]);
    let folder = Folder::new("file");
    fs::write(&folder.0, b"a file where a folder should be").unwrap();
    let error = folder.builder(&[&server]).build().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(server.requests(), []);
    fs::remove_file(&folder.0).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_does_not_hide_why_the_mirrors_failed() {
    let missing = images_answered(&[Answer::Status(404)]);
    let whole = images_answered(&[Answer::Whole]);
    let folder = Folder::new("full");
    fs::create_dir_all(folder.path("")).unwrap();
    // Nothing can be written to this device.
    std::os::unix::fs::symlink("/dev/full", folder.part()).unwrap();
    let message = folder.failure(&[&missing]);
    assert!(message.contains("404"), "{message}");

    fs::remove_file(folder.part()).ok();
    std::os::unix::fs::symlink("/dev/full", folder.part()).unwrap();
    let error = folder.builder(&[&missing, &whole]).build().unwrap_err();
    let Error::Download { failures, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(failures.len(), 2);
    assert!(failures[0].contains("http status: 404"), "{error}");
    assert!(failures[1].contains(".part: "), "{error}");

    let error = folder.builder(&[&whole]).build().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn the_options_are_checked() {
    let folder = Folder::new("options");
    let builder = || folder.builder(&[]);
    for (builder, message) in [
        (
            builder(),
            "Kept: mirrors=[] must name one at least; leave it out for the data set's own",
        ),
        (
            builder()
                .mirrors(["http://127.0.0.1:9/"])
                .timeout(Duration::ZERO),
            "Kept: timeout=0 must be more than 0; 30 s suit most networks",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
    let error = builder().mirrors(["no address"]).build().unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error}");
}
