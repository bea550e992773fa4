"""Measures: densities on meshes and weighted particles, walls and periods."""
