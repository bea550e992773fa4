"""Stepping: what a method declares, one stepper for all of them, and how steps are chosen."""

from wgf.stepping.control import Energy, Error, Fixed, Halving
from wgf.stepping.defaults import default_method, register
from wgf.stepping.method import Method, require
from wgf.stepping.stepper import Stepper
from wgf.stepping.trial import Diagnosis, Rest, Trial

__all__ = [
    "Diagnosis",
    "Energy",
    "Error",
    "Fixed",
    "Halving",
    "Method",
    "Rest",
    "Stepper",
    "Trial",
    "default_method",
    "register",
    "require",
]
