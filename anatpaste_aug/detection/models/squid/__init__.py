"""SQUID (Xiang et al., CVPR 2023): images inpainted window by window from a memory of normal patterns."""
