/// A data set laid out as MNIST is: its files, where they come from, and what they show. A sibling of
/// MNIST differs in these constants and in nothing else.
///
/// # Example
///
/// One's own copy of MNIST under another name, from one's own server:
///
/// ```
/// use candlelight::data::{Digits, MnistKind, MnistLike, Resource};
///
/// #[derive(Debug, Clone, Copy)]
/// struct Mine;
///
/// impl MnistKind for Mine {
///     const NAME: &'static str = "Mine";
///     const FOLDER: &'static str = "MNIST";
///     const MIRRORS: &'static [&'static str] = &["https://data.example/digits/"];
///     const TRAIN: [Resource; 2] = Digits::TRAIN;
///     const TEST: [Resource; 2] = Digits::TEST;
///     const CLASSES: &'static [&'static str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// }
///
/// # fn main() -> candlelight::Result<()> {
/// let test = MnistLike::<Mine>::builder("data").train(false).build()?;
/// assert_eq!(test.classes()[usize::from(test.labels()[0])], "7");
/// # Ok(())
/// # }
/// ```
pub trait MnistKind: Copy + Send + Sync + 'static {
    /// The data set's name, for errors.
    const NAME: &'static str;
    /// The folder below the root that holds `raw`, torchvision's.
    const FOLDER: &'static str;
    /// Where the files can be downloaded, in the order in which to try.
    const MIRRORS: &'static [&'static str];
    /// The images and the labels of the training set.
    const TRAIN: [Resource; 2];
    /// The images and the labels of the test set.
    const TEST: [Resource; 2];
    /// What each label stands for.
    const CLASSES: &'static [&'static str];
    /// Whether the files come with the project, so that an error can say so.
    const IN_REPOSITORY: bool = false;
}

/// A file of a data set, in IDX format and packed with gzip.
///
/// # Example
///
/// ```
/// use candlelight::data::{Digits, MnistKind};
///
/// assert_eq!(Digits::TEST[1].name, "t10k-labels-idx1-ubyte");
/// assert_eq!(Digits::TEST[1].packed_md5, "ec29112dd5afa0611ce80d1b7f02629c");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// Its name without `.gz`.
    pub name: &'static str,
    /// The MD5 of the packed file, as the mirrors have it: torchvision's.
    pub packed_md5: &'static str,
    /// The MD5 of the content, where it is known: files packed anew have it too.
    pub content_md5: Option<&'static str>,
}

const fn resource(
    name: &'static str,
    packed_md5: &'static str,
    content_md5: Option<&'static str>,
) -> Resource {
    Resource {
        name,
        packed_md5,
        content_md5,
    }
}

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// The handwritten digits of [`Mnist`](super::Mnist).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digits;

impl MnistKind for Digits {
    const NAME: &'static str = "Mnist";
    const FOLDER: &'static str = "MNIST";
    const MIRRORS: &'static [&'static str] = &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ];
    const TRAIN: [Resource; 2] = [
        resource(
            TRAIN_IMAGES,
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            Some("6bbc9ace898e44ae57da46a324031adb"),
        ),
        resource(
            TRAIN_LABELS,
            "d53e105ee54ea40749a09fcbcd1e9432",
            Some("a25bea736e30d166cdddb491f175f624"),
        ),
    ];
    const TEST: [Resource; 2] = [
        resource(
            TEST_IMAGES,
            "9fb629c4189551a2d022fa330f9573f3",
            Some("2646ac647ad5339dbf082846283269ea"),
        ),
        resource(
            TEST_LABELS,
            "ec29112dd5afa0611ce80d1b7f02629c",
            Some("27ae3e4e09519cfbb04c329615203637"),
        ),
    ];
    const CLASSES: &'static [&'static str] = &[
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ];
    const IN_REPOSITORY: bool = true;
}

/// The clothes of [`FashionMnist`](super::FashionMnist).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fashion;

impl MnistKind for Fashion {
    const NAME: &'static str = "FashionMnist";
    const FOLDER: &'static str = "FashionMNIST";
    const MIRRORS: &'static [&'static str] =
        &["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"];
    const TRAIN: [Resource; 2] = [
        resource(TRAIN_IMAGES, "8d4fb7e6c68d591d4c3dfef9ec88bf0d", None),
        resource(
            TRAIN_LABELS,
            "25c81989df183df01b3e8a0aad5dffbe",
            Some("9018921c3c673c538a1fc5bad174d6f9"),
        ),
    ];
    const TEST: [Resource; 2] = [
        resource(TEST_IMAGES, "bef4ecab320f06d8554ea6380940ec79", None),
        resource(
            TEST_LABELS,
            "bb300cfdad3c16e7a12a480ee83cd310",
            Some("15d484375f8d13e6eb1aabb0c3f46965"),
        ),
    ];
    const CLASSES: &'static [&'static str] = &[
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ];
}

/// The handwritten characters of [`KMnist`](super::KMnist).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kuzushiji;

impl MnistKind for Kuzushiji {
    const NAME: &'static str = "KMnist";
    const FOLDER: &'static str = "KMNIST";
    const MIRRORS: &'static [&'static str] = &["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"];
    const TRAIN: [Resource; 2] = [
        resource(TRAIN_IMAGES, "bdb82020997e1d708af4cf47b453dcf7", None),
        resource(TRAIN_LABELS, "e144d726b3acfaa3e44228e80efcd344", None),
    ];
    const TEST: [Resource; 2] = [
        resource(TEST_IMAGES, "5c965bf0a639b31b8f53240b1b52f4d7", None),
        resource(TEST_LABELS, "7320c461ea6c1c855c0b718fb2a4b134", None),
    ];
    const CLASSES: &'static [&'static str] =
        &["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"];
}
