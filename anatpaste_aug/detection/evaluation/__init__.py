"""From scores to figures: metrics, intervals, baselines of one number per image, robustness."""
