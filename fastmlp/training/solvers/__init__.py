"""Optimizers that see all rows at once, and ask for the loss where they like."""
