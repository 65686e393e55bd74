"""How fast OrgLoop is: every figure next to a bare baseline that is measured in the same run."""
