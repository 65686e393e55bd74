"""The morning screen, `orgloop status`: what runs, what happened, what needs a person."""
