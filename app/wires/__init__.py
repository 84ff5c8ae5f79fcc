"""The encoders: log entries in, bytes out, without I/O."""
