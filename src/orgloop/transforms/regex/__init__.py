"""Regular expressions of JavaScript, for engines that have other ideas."""
