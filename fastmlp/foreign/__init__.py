"""Networks of other libraries, which become an MLP. None of these libraries is imported before it has made what is given."""
