"""Work trees that runs work in: made, used again, brought up to date and removed by the daemon."""
