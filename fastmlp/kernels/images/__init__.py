"""Compiled code for images: from bytes of files to features."""
