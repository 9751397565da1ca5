use std::fmt;

/// How far a file's download is: what [`on_download`](super::MnistBuilder::on_download) is told as
/// each piece arrives.
///
/// `Display` is one line, for a terminal or a notebook.
///
/// # Example
///
/// ```
/// use candlelight::data::DownloadProgress;
///
/// let progress = DownloadProgress {
///     file: "t10k-images-idx3-ubyte.gz".into(),
///     url: "https://data.example/t10k-images-idx3-ubyte.gz".into(),
///     received: 412_000,
///     total: Some(1_648_877),
/// };
/// assert_eq!(progress.to_string(), "t10k-images-idx3-ubyte.gz  [####------------]  0.4 of 1.6 MB");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadProgress {
    /// The file's name.
    pub file: String,
    /// Where it comes from.
    pub url: String,
    /// The bytes that are there, those of an earlier attempt included.
    pub received: u64,
    /// The bytes of the whole file, where the mirror tells.
    pub total: Option<u64>,
}

impl fmt::Display for DownloadProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: usize = 16;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let received = megabytes(self.received);
        let Some(total) = self.total else {
            return write!(f, "{}  {received:.1} MB", self.file);
        };
        let share = self.received as f64 / total.max(1) as f64;
        let filled = ((share * WIDTH as f64).round() as usize).min(WIDTH);
        write!(
            f,
            "{}  [{}{}]  {received:.1} of {:.1} MB",
            self.file,
            "#".repeat(filled),
            "-".repeat(WIDTH - filled),
            megabytes(total)
        )
    }
}
