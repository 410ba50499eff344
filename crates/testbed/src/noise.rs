//! Contents that nothing makes small.

/// So much text, always the same.
pub fn noise(bytes: usize) -> String {
    let mut state = 7_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + (state >> 40).to_le_bytes()[0] % 26)
    };
    (0..bytes).map(next).collect()
}
