"""Events as the contracts define them, read into values and written from them."""
