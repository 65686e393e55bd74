"""Operations on a home and its project, for the command line and the HTTP API alike."""
