"""Why a network answers as it does, and whether that can be believed: heat maps of three kinds, and the
checks that a heat map must pass before anyone is shown it. Offline; serving does not import it."""
