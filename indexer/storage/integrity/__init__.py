"""Checksums of files, and files and folders that are checked by them."""
