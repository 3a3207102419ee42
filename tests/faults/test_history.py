"""A history store that is lost, that is another copy's, damaged, read-only or full: the register is whole, and each is
told in a sentence."""

from __future__ import annotations
