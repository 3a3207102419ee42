"""Content known by digests: blocks of records, and the tree over them."""
