"""Where images are: folders, archives and lists of files, as chunks of names."""
