"""What people and programs are shown of a project and its journal: lists, trees, reasons, words."""
