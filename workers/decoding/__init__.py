"""From a file's bytes to what is judged of it: the pool of sandboxed children, and all that runs inside of them."""
