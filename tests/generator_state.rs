//! A generator's state is PyTorch's, to the byte.
#![allow(missing_docs, clippy::unwrap_used)]

use candlelight::prelude::*;
use candlelight::random::{get_rng_state, set_rng_state};
use md5::{Digest, Md5};

fn md5(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// MD5s of what `torch.get_rng_state` returns in PyTorch 2.15 at the same places.
#[test]
fn a_generators_state_is_pytorchs() {
    let mut generator = Generator::new(3);
    let mut states = vec![md5(&generator.get_state())];
    for draws in [1, 623] {
        generator.rand(draws);
        states.push(md5(&generator.get_state()));
    }
    assert_eq!(
        states,
        [
            "e44094d4171e6adfd6ba55e731a237fb",
            "446f9108b1b468450ce69150419d184a",
            "f8c919ef2450a72c5accbf4faa5c4524",
        ]
    );

    // torch.rand(700), then one normal number: four draws, and a second one waits.
    let mut generator = Generator::new((1 << 40) + 7);
    generator.rand(704);
    let mut state = generator.get_state();
    state[24 + 8 * 625..][..8].copy_from_slice(&(-1.770080792451142f64).to_le_bytes());
    state[24 + 8 * 627] = 1;
    assert_eq!(md5(&state), "7d720fc37e36addb347ca92b532985ad");
    let mut other = Generator::new(0);
    other.set_state(&state).unwrap();
    assert_eq!(other.get_state(), state);
    let numbers = other.rand(700);
    assert_eq!(numbers[..3], [0.21203256, 0.54845566, 0.9606018]);
    assert_eq!(numbers[699], 0.929867);
    assert_eq!(other.initial_seed(), (1 << 40) + 7);
}

#[test]
fn what_is_no_generators_state_is_refused() {
    manual_seed(4);
    let good = get_rng_state();
    let change = |at: usize, value: u8| {
        let mut state = good.clone();
        state[at] = value;
        state
    };
    for state in [
        vec![],
        good[1..].to_vec(),
        [&good[..], &[0]].concat(),
        change(8, 0),         // left = 0: no draw could take it one down
        change(10, 1),        // left beyond the words
        change(12, 0),        // not seeded
        change(17, 3),        // next beyond the words
        change(24 + 4, 1),    // a word of more than 32 bits
        change(5056 - 16, 2), // a flag that is neither
        change(5056 - 4, 1),  // a number of PyTorch's past
    ] {
        assert!(set_rng_state(&state).is_err());
        assert_eq!(get_rng_state(), good);
    }
}
