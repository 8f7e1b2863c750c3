"""Labels as points of one space: what belongs together lies together, and an image is a point among them."""
