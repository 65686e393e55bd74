"""What runs are given and leave: environment, work tree, the reason of a failure."""
