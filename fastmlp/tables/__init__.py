"""Tables: files and frames of named columns -> what the columns are -> inputs of networks -> predictions."""
