"""What `fastmlp classify` is made of: its sources, its summary, its page, and how it goes on with an older output."""
