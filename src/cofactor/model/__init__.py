"""What we learn: user and item vectors, and all that can be done with them."""
