"""From the bytes of a transfer to the images in it, whole or put together again; without I/O."""
