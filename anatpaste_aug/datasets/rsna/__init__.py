"""The RSNA Pneumonia Detection Challenge."""
