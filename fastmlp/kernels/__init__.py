"""Compiled code: loops over numbers, and nothing of the rooms above."""
