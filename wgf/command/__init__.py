"""The command line and what it does with solver scripts."""
