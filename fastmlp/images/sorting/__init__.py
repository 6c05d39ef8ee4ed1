"""Images into folders by their classes: which goes where (sort_run), how it comes there (placing), what is kept of that (sort_log),
and how all is taken back (undoing).
"""
