"""What may stand in the files, as pydantic models and as JSON Schema."""
