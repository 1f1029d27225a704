"""A network drawn as an SVG picture: small networks unit by unit, large ones as a block for each layer."""
