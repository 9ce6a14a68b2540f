"""Parts of the demonstration: people, the stage they act on, what they say, and the acts."""
