"""How networks are trained: one, or many at once."""
