"""Where the codec meets trio: actors in processes of their own, and the relay between them."""
