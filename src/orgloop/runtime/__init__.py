"""Where configuration, journal and plugins meet: intake, prepare, dispatch, runs. Knows nothing of HTTP."""
