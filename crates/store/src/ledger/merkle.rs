//! RFC 6962 Merkle tree hash, grown leaf by leaf.

use super::chain::{Hash, sha256};

/// The roots of the perfect subtrees that a tree of `size` leaves consists of, largest first ("compact range"): all that is
/// needed to add leaves and to compute the root, at most 64 hashes whatever the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    size: u64,
    nodes: Vec<Hash>,
}

impl Range {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, nodes: Vec::new() }
    }

    /// A range as it was stored; `None` when the number of subtree roots does not fit the size.
    #[must_use]
    pub fn from_parts(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        (size.count_ones() as usize == nodes.len()).then_some(Self { size, nodes })
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The subtree roots, largest subtree first.
    #[must_use]
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Adds a leaf by its leaf hash (which already contains the leaf prefix).
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // One subtree of each size that is filled by this leaf, as with the carry of a binary counter.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.nodes.pop() else { break };
            node = parent(&left, &node);
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The Merkle tree hash; of the empty tree SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        let Some(last) = nodes.next() else { return sha256(&[]) };
        nodes.fold(*last, |right, left| parent(left, &right))
    }
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn leaf(data: &[u8]) -> Hash {
        sha256(&[&[0], data].concat())
    }

    /// RFC 6962 section 2.1 as written there: split at the largest power of two below the size.
    fn recursive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [one] => *one,
            many => {
                let split = many.len().next_power_of_two() / 2;
                parent(&recursive(&many[..split]), &recursive(&many[split..]))
            }
        }
    }

    #[test]
    fn known_roots() {
        // The eight inputs and roots that Certificate Transparency implementations test with.
        let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Range::new();
        for (input, root) in inputs.iter().zip(roots) {
            tree.push(leaf(&HEXLOWER.decode(input.as_bytes()).unwrap()));
            assert_eq!(HEXLOWER.encode(&tree.root()), root);
        }
    }

    proptest! {
        #[test]
        fn grows_to_the_root_of_the_definition(leaves in proptest::collection::vec(any::<[u8; 32]>(), 0..300)) {
            let mut tree = Range::new();
            for leaf in &leaves {
                tree.push(*leaf);
            }
            prop_assert_eq!(tree.root(), recursive(&leaves));
            let again = Range::from_parts(tree.size(), tree.nodes().to_vec());
            prop_assert_eq!(again.as_ref(), Some(&tree));
            prop_assert_eq!(Range::from_parts(tree.size() ^ 1, tree.nodes().to_vec()), None);
        }
    }
}
