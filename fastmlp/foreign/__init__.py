"""Networks of other libraries, which become an MLP. No such library is imported, but that of ONNX, to read a file."""
