"""Human evaluation: a worksheet goes out with the answers, and comes back with what people think of them."""
