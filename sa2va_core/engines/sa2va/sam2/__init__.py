"""SAM 2 as Sa2VA checkpoints hold it (Ravi et al. 2024, arXiv 2408.00714), under the checkpoint's own names."""
