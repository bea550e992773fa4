"""The functional: features, losses, terms, and their sum."""

from wgf.functional.functional import Functional, Term
from wgf.functional.kinks import least_norm

__all__ = ["Functional", "Term", "least_norm"]
