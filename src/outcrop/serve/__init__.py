"""The outermost layer: sockets, TLS, the ASGI dialect and the log. Knows no operation."""
