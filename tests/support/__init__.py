"""What tests share: counterparts that stand in for the outside, and readers of published examples."""
