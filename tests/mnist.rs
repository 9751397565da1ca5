//! MNIST from disk: what is read, and what is said where it cannot be.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use candlelight::Error;
use candlelight::candle_core;
use candlelight::prelude::*;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

const IMAGES: &str = "MNIST/raw/t10k-images-idx3-ubyte.gz";
const LABELS: &str = "MNIST/raw/t10k-labels-idx1-ubyte.gz";

/// A folder of its own for one test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("candlelight-{name}-{}", std::process::id()));
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(path.join("MNIST/raw")).unwrap();
        Self(path)
    }

    /// With the test set's files in it.
    fn with_test_set(name: &str) -> Self {
        let folder = Self::new(name);
        for file in [IMAGES, LABELS] {
            fs::copy(Path::new("data").join(file), folder.0.join(file)).unwrap();
        }
        folder
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        fs::write(self.0.join(file), bytes).unwrap();
    }

    fn error(&self) -> Error {
        let error = Mnist::builder(&self.0).train(false).build().unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        error
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn unpacked(file: &str) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(fs::File::open(Path::new("data").join(file)).unwrap())
        .read_to_end(&mut content)
        .unwrap();
    content
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn both_sets_are_whole() {
    let train = Mnist::builder("data").build().unwrap();
    let test = Mnist::builder("data").train(false).build().unwrap();
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    assert_eq!(train.labels()[..5], [5, 0, 4, 1, 9]);
    assert_eq!(test.labels()[..5], [7, 2, 1, 0, 4]);
    assert_eq!(train.images().len(), 60_000 * 28 * 28);
    let counts = train
        .labels()
        .iter()
        .fold([0; Mnist::CLASSES], |mut counts, &label| {
            counts[usize::from(label)] += 1;
            counts
        });
    assert_eq!(
        counts,
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    let (mean, std) = mean_and_std(&train).unwrap();
    assert!(
        (mean - 0.130_660_479).abs() < 1e-8 && (std - 0.308_107_81).abs() < 1e-7,
        "{mean} {std}"
    );
}

#[test]
fn a_batch_is_its_images_to_the_bit() {
    let normalize = Normalize::new([0.1307], [0.3081]).unwrap();
    let test = Mnist::builder("data")
        .train(false)
        .transform(compose![ToTensor, normalize])
        .build()
        .unwrap();
    let (images, targets) = test.batch(&[9_999, 0, 17]).unwrap();
    for (row, index) in [9_999, 0, 17].into_iter().enumerate() {
        let (image, label) = test.get(index).unwrap();
        let bits = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(bits(&images.get(row).unwrap()), bits(&image));
        assert_eq!(targets.get(row).unwrap().to_scalar::<i64>().unwrap(), label);
    }
}

#[test]
fn a_transform_that_is_not_pointwise_is_applied_image_by_image() {
    struct Mirror;
    impl Transform<GrayImage> for Mirror {
        type Output = GrayImage;
        fn apply(&self, image: &GrayImage) -> Result<GrayImage> {
            Ok(GrayImage::from_fn(28, 28, |x, y| {
                *image.get_pixel(27 - x, y)
            }))
        }
    }
    let plain = Mnist::builder("data").train(false).build().unwrap();
    let mirrored = Mnist::builder("data")
        .train(false)
        .transform(compose![Mirror, ToTensor])
        .build()
        .unwrap();
    let (a, _) = plain.batch(&[3, 4]).unwrap();
    let (b, _) = mirrored.batch(&[3, 4]).unwrap();
    assert_eq!(a.flip(&[3]).unwrap().to_vec_flat(), b.to_vec_flat());
}

#[test]
fn a_transform_that_is_pointwise_in_name_alone_gives_what_it_gives() {
    /// The mean gray, or all grays in another form or type: no table of 256 values.
    struct Other(fn(&Tensor) -> candle_core::Result<Tensor>);
    impl Transform<GrayImage> for Other {
        type Output = Tensor;
        fn apply(&self, image: &GrayImage) -> Result<Tensor> {
            Ok(self.0(&ToTensor.apply(image)?)?)
        }
        fn is_pointwise(&self) -> bool {
            true
        }
    }
    let transforms: [fn(&Tensor) -> candle_core::Result<Tensor>; 3] = [
        |image| image.mean_all()?.reshape(1),
        |image| image.flatten_all(),
        |image| image.to_dtype(DType::F64),
    ];
    for transform in transforms {
        let builder = Mnist::builder("data").train(false);
        let test = builder.transform(Other(transform)).build().unwrap();
        let (images, _) = test.batch(&[3, 4]).unwrap();
        let (image, _) = test.get(4).unwrap();
        assert_eq!(images.dims()[1..], *image.dims());
        assert_eq!(images.dtype(), image.dtype());
    }
}

trait Flat {
    fn to_vec_flat(&self) -> Vec<f32>;
}

impl Flat for Tensor {
    fn to_vec_flat(&self) -> Vec<f32> {
        self.flatten_all().unwrap().to_vec1().unwrap()
    }
}

#[test]
fn an_index_beyond_the_end_is_an_error() {
    let test = Mnist::builder("data").train(false).build().unwrap();
    for error in [
        test.get(10_000).unwrap_err(),
        test.batch(&[0, 10_000]).unwrap_err(),
        test.image(10_000).unwrap_err(),
    ] {
        assert!(matches!(
            error,
            Error::IndexOutOfRange {
                index: 10_000,
                len: 10_000,
                ..
            }
        ));
    }
}

#[test]
fn unpacked_files_are_read_too() {
    let folder = Folder::new("unpacked");
    for file in [IMAGES, LABELS] {
        folder.write(file.strip_suffix(".gz").unwrap(), &unpacked(file));
    }
    assert_eq!(
        Mnist::builder(&folder.0)
            .train(false)
            .build()
            .unwrap()
            .len(),
        10_000
    );
}

#[test]
fn a_missing_folder_names_itself_and_the_cure() {
    let error = Mnist::builder("no/such/folder").build().unwrap_err();
    assert!(matches!(error, Error::MissingFile { .. }));
    let message = error.to_string();
    assert!(
        message.starts_with("no/such/folder/MNIST/raw: no such file or folder; "),
        "{message}"
    );
    assert!(message.contains("project's root"), "{message}");
}

#[test]
fn a_missing_file_names_itself_and_the_cure() {
    let folder = Folder::with_test_set("missing");
    fs::remove_file(folder.0.join(LABELS)).unwrap();
    let error = folder.error();
    assert!(matches!(&error, Error::MissingFile { path, .. } if path.ends_with(LABELS)));
    assert!(
        error.to_string().contains("git checkout -- data"),
        "{error}"
    );
}

#[test]
fn a_truncated_file_is_refused() {
    let folder = Folder::with_test_set("truncated");
    let whole = fs::read(folder.0.join(IMAGES)).unwrap();
    for length in [0, 5, 1_000, whole.len() - 1] {
        folder.write(IMAGES, &whole[..length]);
        let error = folder.error();
        assert!(matches!(&error, Error::CorruptFile { path, .. } if path.ends_with(IMAGES)));
        assert!(error.to_string().contains("truncated"), "{length}: {error}");
    }
    folder.write(IMAGES, &packed(&unpacked(IMAGES)[..5_000]));
    assert!(
        folder
            .error()
            .to_string()
            .contains("truncated: 4984 of 7840000 bytes after the header")
    );
}

#[test]
fn a_corrupt_file_is_refused() {
    let folder = Folder::with_test_set("corrupt");
    folder.write(LABELS, b"<html>404 Not Found</html>");
    assert!(folder.error().to_string().contains("not a valid gzip file"));

    let mut content = unpacked(LABELS);
    content[5_000] ^= 1;
    folder.write(LABELS, &packed(&content));
    let message = folder.error().to_string();
    assert!(
        message.contains("MD5") && message.contains("27ae3e4e09519cfbb04c329615203637"),
        "{message}"
    );

    content.push(0);
    folder.write(LABELS, &packed(&content));
    assert!(
        folder
            .error()
            .to_string()
            .contains("1 bytes more than the 10000")
    );
}

#[test]
fn a_sibling_is_read_by_the_same_code() {
    let folder = Folder::new("siblings");
    for name in ["FashionMNIST", "KMNIST"] {
        fs::create_dir_all(folder.0.join(name).join("raw")).unwrap();
    }
    // Two images, of label 9 and 3, in the sibling's form.
    let images = [
        vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28],
        vec![5; 2 * 784],
    ]
    .concat();
    let labels = |last| [0, 0, 8, 1, 0, 0, 0, 2, 9, last];
    for (file, content) in [
        ("KMNIST/raw/t10k-images-idx3-ubyte.gz", packed(&images)),
        ("KMNIST/raw/t10k-labels-idx1-ubyte", labels(3).to_vec()),
    ] {
        folder.write(file, &content);
    }
    let test = KMnist::builder(&folder.0).train(false).build().unwrap();
    assert_eq!(format!("{test:?}"), "KMnist(2 test images)");
    assert_eq!(test.get(1).unwrap().1, 3);
    assert_eq!(test.classes()[3], "tsu");
    assert_eq!(test.images(), vec![5; 2 * 784]);

    folder.write("KMNIST/raw/t10k-labels-idx1-ubyte", &labels(10));
    let error = KMnist::builder(&folder.0).train(false).build().unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("label 1 is not one of 0 to 9"),
        "{message}"
    );

    // MNIST's labels are not Fashion-MNIST's.
    fs::write(
        folder.0.join("FashionMNIST/raw/t10k-images-idx3-ubyte"),
        &images,
    )
    .unwrap();
    fs::copy(
        Path::new("data").join(LABELS),
        folder.0.join("FashionMNIST/raw/t10k-labels-idx1-ubyte.gz"),
    )
    .unwrap();
    let error = FashionMnist::builder(&folder.0)
        .train(false)
        .build()
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("expected 15d484375f8d13e6eb1aabb0c3f46965"),
        "{message}"
    );
    assert!(message.contains("download(true)"), "{message}");
}

#[test]
fn labels_can_be_transformed() {
    let test = Mnist::builder("data")
        .train(false)
        .target_transform(|label| 9 - label)
        .build()
        .unwrap();
    assert_eq!(test.labels()[..3], [7, 2, 1]);
    assert_eq!(test.get(0).unwrap().1, 2);
    let (_, targets) = test.batch(&[0, 1, 2]).unwrap();
    assert_eq!(targets.to_vec1::<i64>().unwrap(), [2, 7, 8]);
}

#[test]
fn torchvisions_processed_files_are_read() {
    // The first 256 and 64 images, in both serialisations of torch.save.
    let whole = [true, false].map(|train| Mnist::builder("data").train(train).build().unwrap());
    for root in ["tests/legacy/zip", "tests/legacy/pre_1_6"] {
        for (train, whole) in [true, false].into_iter().zip(&whole) {
            // Nothing is downloaded: they are the data set.
            let builder = Mnist::builder(root).train(train).download(true);
            let some = builder.mirrors(["http://127.0.0.1:9/"]).build().unwrap();
            assert_eq!(some.len(), if train { 256 } else { 64 });
            assert_eq!(some.labels(), &whole.labels()[..some.len()]);
            assert_eq!(some.images(), &whole.images()[..some.len() * 784]);
        }
    }
}

#[test]
fn raw_files_come_before_processed_ones() {
    let folder = Folder::with_test_set("both");
    fs::create_dir_all(folder.0.join("MNIST/processed")).unwrap();
    let processed = "MNIST/processed/test.pt";
    fs::copy(
        Path::new("tests/legacy/zip").join(processed),
        folder.0.join(processed),
    )
    .unwrap();
    let len = || {
        let builder = Mnist::builder(&folder.0).train(false);
        builder.build().unwrap().len()
    };
    assert_eq!(len(), 10_000);
    for file in [IMAGES, LABELS] {
        fs::remove_file(folder.0.join(file)).unwrap();
    }
    assert_eq!(len(), 64);

    let whole = fs::read(folder.0.join(processed)).unwrap();
    folder.write(processed, &whole[..whole.len() / 2]);
    let error = folder.error();
    assert!(matches!(&error, Error::CorruptFile { path, .. } if path.ends_with(processed)));
    assert!(
        error
            .to_string()
            .contains("remove it and read the files in raw"),
        "{error}"
    );
    fs::copy("tests/pt/tensors.pt", folder.0.join(processed)).unwrap();
    assert!(
        folder
            .error()
            .to_string()
            .contains("a dict where a tuple stands")
    );
}

#[test]
fn another_kind_of_file_is_refused() {
    let folder = Folder::with_test_set("magic");
    fs::copy(folder.0.join(IMAGES), folder.0.join(LABELS)).unwrap();
    let message = folder.error().to_string();
    assert!(
        message.contains("magic number 0x00000803 where 0x00000801 stands"),
        "{message}"
    );
}

#[cfg(not(feature = "download"))]
#[test]
fn without_the_feature_download_names_it() {
    assert!(Mnist::builder("data").download(true).build().is_ok());
    let error = Mnist::builder("nowhere")
        .download(true)
        .build()
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("Mnist: download=true needs the feature download"),
        "{message}"
    );
}
