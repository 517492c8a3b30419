//! Disjoint sets whose representative is always their first member.

pub(crate) struct UnionFind(Vec<usize>);

impl UnionFind {
    pub(crate) fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    /// The first member of `at`'s set.
    pub(crate) fn first(&mut self, at: usize) -> usize {
        let mut root = at;
        while let Some(&parent) = self.0.get(root)
            && parent != root
        {
            root = parent;
        }
        let mut walk = at;
        while let Some(parent) = self.0.get_mut(walk)
            && *parent != root
        {
            walk = std::mem::replace(parent, root);
        }
        root
    }

    pub(crate) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        if let Some(parent) = self.0.get_mut(a.max(b)) {
            *parent = a.min(b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_member_represents() {
        let mut sets = UnionFind::new(6);
        sets.join(4, 5);
        sets.join(5, 2);
        sets.join(1, 3);
        let firsts: Vec<usize> = (0..6).map(|i| sets.first(i)).collect();
        assert_eq!(firsts, [0, 1, 2, 1, 2, 2]);
    }
}
