"""Speed, measured as ratios: both sides in one process, one after the other, on the same weights."""
