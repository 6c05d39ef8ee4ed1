"""Networks: what they are, what they know, and what they are asked."""
