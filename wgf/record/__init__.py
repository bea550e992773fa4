"""What a run leaves: in memory, on the disk, and as tables."""
