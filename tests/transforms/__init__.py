"""The built-in transforms, through the contract that the engine uses."""
