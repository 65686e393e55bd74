"""What should run: YAML files read, checked and resolved into an Organization."""
