"""Work that is accounted for: who runs what, how far it is, how it ended, and how that is told."""
