//! What the fuzz targets share.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Returns a place in `bytes`, its end included: another one for other bytes, and always the same for these. So an
/// input that is cut in two needs no field for it, and a seed is what it says.
pub fn place(bytes: &[u8]) -> usize {
    // FNV-1a.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % (bytes.len() as u64 + 1)) as usize
}

/// Checks that a value which was read is the same when it is written as JSON and read again, and returns what was read.
pub fn comes_back<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("what was read can be written");
    let again: T = serde_json::from_str(&text).expect("what was written can be read");
    let json = |value: &T| serde_json::to_value(value).expect("it was written before");
    assert!(are_alike(&json(&again), &json(value)), "{text}");
    again
}

/// Whether two values are the same, but for the last digit of a number with a point: `serde_json` reads those fast, and
/// not to the bit.
fn are_alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(one), Some(other)) if a.is_f64() && b.is_f64() => {
                (one - other).abs() <= 1e-12 * one.abs().max(other.abs())
            }
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| are_alike(a, b)))
        }
        _ => a == b,
    }
}
