//! Contracts through their public face.

mod effective;
mod wire;
